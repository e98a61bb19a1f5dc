package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/jonboulle/clockwork"
	"go.uber.org/goleak"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/runtime/rootfs"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/task"
)

// TestMain also plays the programs that the tests run as containers.
func TestMain(m *testing.M) {
	switch os.Getenv("ROLE") {
	case "":
		goleak.VerifyTestMain(m)
	case "print":
		dir, _ := os.Getwd()
		fmt.Printf("cwd=%s\nuid=%d\nargs=%s\n%s\n", dir, os.Getuid(), strings.Join(os.Args[1:], " "), strings.Join(os.Environ(), "\n"))
		fmt.Fprintln(os.Stderr, "to stderr")
		os.Exit(3)
	case "wait":
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM)
		fmt.Println("ready")
		<-stop
		fmt.Println("bye")
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("ready")
		select {}
	case "parent": // leaves a child behind that holds its output
		self, _ := os.Executable()
		child := exec.Command(self)
		child.Env = append(os.Environ(), "ROLE=stubborn")
		child.Stdout = os.Stdout
		if err := child.Start(); err != nil {
			panic(err)
		}
		fmt.Printf("child=%d\n", child.Process.Pid)
	case "exists": // a health check
		if _, err := os.Stat(os.Args[1]); err != nil {
			os.Exit(1)
		}
	case "cluster":
		playCluster()
	}
}

// folder is an ImageSource of one folder that holds this test's program.
type folder struct {
	image rootfs.Image
	err   error
}

func (f folder) Pull(context.Context, string) (rootfs.Image, error) { return f.image, f.err }
func (folder) Prune(func(string) bool) error                        { return nil }

func newFolder(dir string) (folder, error) {
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		name, _ := os.Executable()
		self, err = os.ReadFile(name)
	}
	if err == nil {
		err = os.MkdirAll(filepath.Join(dir, "app"), 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "app", "self"), self, 0o755)
	}
	return folder{image: rootfs.Image{Dir: dir, Digest: "sha256:0", Config: v1.Config{
		Entrypoint: []string{"/app/self"}, User: "65532:65532", Env: []string{"FROM_IMAGE=1", "SHADOWED=image"},
	}}}, err
}

// logs keeps what containers print.
type logs struct {
	mu      sync.Mutex
	streams map[string]*bytes.Buffer
}

type stream struct {
	logs *logs
	name string
}

func (l *logs) Writer(group, name string) io.WriteCloser { return stream{l, group + ":" + name} }

func (s stream) Write(p []byte) (int, error) {
	s.logs.mu.Lock()
	defer s.logs.mu.Unlock()
	if s.logs.streams[s.name] == nil {
		s.logs.streams[s.name] = &bytes.Buffer{}
	}
	return s.logs.streams[s.name].Write(p)
}
func (stream) Close() error { return nil }

func (l *logs) text(id, container string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b := l.streams["/slipway/local/demo:demo/"+container+"/"+id]; b != nil {
		return b.String()
	}
	return ""
}

type secrets map[string]string

func (s secrets) Resolve(_ context.Context, from string) (string, error) {
	if v, ok := s[from]; ok {
		return v, nil
	}
	return "", errors.New("secret not found")
}

// bundle is a runtime and what the test sees of it.
type bundle struct {
	*Runtime
	t    *testing.T
	logs *logs
	cfg  Config

	mu      sync.Mutex
	reports map[string][]task.Report
}

func setup(t *testing.T, change func(*Config)) *bundle {
	t.Helper()
	dir := t.TempDir()
	for at := dir; at != "/" && at != os.TempDir(); at = filepath.Dir(at) {
		if err := os.Chmod(at, 0o755); err != nil { // tasks run as another user
			t.Fatal(err)
		}
	}
	images, err := newFolder(filepath.Join(dir, "rootfs"))
	if err != nil {
		t.Fatal(err)
	}
	b := &bundle{t: t, logs: &logs{streams: map[string]*bytes.Buffer{}}, reports: map[string][]task.Report{}}
	b.cfg = Config{
		Dir: filepath.Join(dir, "state"), Images: images, Secrets: secrets{"arn:secret": "s3cret"}, Logs: b.logs,
		Environment: map[string]string{"AWS_ENDPOINT_URL": "http://127.0.0.1:4510"},
		Report: func(r task.Report) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.reports[r.TaskARN] = append(b.reports[r.TaskARN], r)
		},
	}
	if change != nil {
		change(&b.cfg)
	}
	if b.Runtime, err = New(b.cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return b
}

// define is a container definition that plays a role.
func define(name, role string, change ...func(*types.ContainerDefinition)) types.ContainerDefinition {
	def := types.ContainerDefinition{
		Name: aws.String(name), Image: aws.String("127.0.0.1:4510/slipway/demo:1"),
		Environment: []types.KeyValuePair{{Name: aws.String("ROLE"), Value: aws.String(role)}},
		LogConfiguration: &types.LogConfiguration{LogDriver: types.LogDriverAwslogs, Options: map[string]string{
			"awslogs-group": "/slipway/local/demo", "awslogs-stream-prefix": "demo",
		}},
	}
	for _, f := range change {
		f(&def)
	}
	return def
}

func (b *bundle) start(id string, defs ...types.ContainerDefinition) {
	b.t.Helper()
	if err := b.Start(b.t.Context(), spec(id, defs...)); err != nil {
		b.t.Fatal(err)
	}
}

func spec(id string, defs ...types.ContainerDefinition) task.Spec {
	return task.Spec{
		ARN: "arn:task/" + id, ID: id, MetadataURI: "http://127.0.0.1:4510/v4/" + id,
		Definition: types.TaskDefinition{ContainerDefinitions: defs},
	}
}

func (b *bundle) last(id string) (task.Report, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	rs := b.reports["arn:task/"+id]
	if len(rs) == 0 {
		return task.Report{}, false
	}
	return rs[len(rs)-1], true
}

// until waits for a report of which ok holds.
func (b *bundle) until(id string, ok func(task.Report) bool) task.Report {
	b.t.Helper()
	var r task.Report
	poll(b.t, func() bool {
		var any bool
		r, any = b.last(id)
		return any && ok(r)
	})
	return r
}

func (b *bundle) untilStopped(id string) task.Report {
	b.t.Helper()
	return b.until(id, task.Report.Stopped)
}

func (b *bundle) untilPrints(id, container, text string) {
	b.t.Helper()
	poll(b.t, func() bool { return strings.Contains(b.logs.text(id, container), text) })
}

func poll(t *testing.T, ok func() bool) {
	t.Helper()
	clock := clockwork.NewRealClock()
	for deadline := clock.Now().Add(30 * time.Second); !ok(); <-clock.After(2 * time.Millisecond) {
		if clock.Now().After(deadline) {
			t.Fatal("did not happen within 30 s")
		}
	}
}

func TestATaskFromStartToEnd(t *testing.T) {
	t.Setenv("CLUSTER_ONLY", "must not leak")
	b := setup(t, nil)
	b.start("t1", define("app", "print", func(d *types.ContainerDefinition) {
		d.Command = []string{"one", "two"}
		d.WorkingDirectory = aws.String("/app")
		d.PortMappings = []types.PortMapping{{Name: aws.String("http"), ContainerPort: aws.Int32(8080)}, {ContainerPort: aws.Int32(9090)}}
		d.Secrets = []types.Secret{{Name: aws.String("DATABASE_SECRET"), ValueFrom: aws.String("arn:secret")}}
		for k, v := range map[string]string{"SHADOWED": "task", "HTTP_PORT": "8080", "BIND_ADDRESS": "0.0.0.0"} {
			d.Environment = append(d.Environment, types.KeyValuePair{Name: aws.String(k), Value: aws.String(v)})
		}
	}))
	r := b.untilStopped("t1")
	c := r.Containers[0]
	if c.ExitCode == nil || *c.ExitCode != 3 || c.ImageDigest != "sha256:0" || r.StartedAt == nil || r.PulledAt == nil || r.StopCode != "" {
		t.Errorf("last report: %+v", r)
	}
	if len(c.Ports) != 2 || c.Ports[0].Name != "http" || c.Ports[0].ContainerPort != 8080 || c.Ports[0].HostPort < 20000 || c.Ports[0].Protocol != "tcp" {
		t.Errorf("ports: %+v", c.Ports)
	}
	got := b.logs.text("t1", "app")
	for _, want := range []string{
		"/rootfs/app\n", "args=one two\n", "to stderr\n", "FROM_IMAGE=1\n", "SHADOWED=task\n", "DATABASE_SECRET=s3cret\n",
		fmt.Sprintf("HTTP_PORT=%d\n", c.Ports[0].HostPort), fmt.Sprintf("PORT_9090=%d\n", c.Ports[1].HostPort),
		"BIND_ADDRESS=127.0.0.1\n", "ECS_CONTAINER_METADATA_URI_V4=http://127.0.0.1:4510/v4/t1\n",
		"AWS_ENDPOINT_URL=http://127.0.0.1:4510\n", "PATH=",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the container did not print %q:\n%s", want, got)
		}
	}
	if strings.Contains(got, "CLUSTER_ONLY") {
		t.Error("the cluster's environment leaked into the task")
	}
	if os.Geteuid() == 0 && !strings.Contains(got, "uid=65532\n") {
		t.Error("the container did not run as the image's user")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var states []string
	for _, r := range b.reports["arn:task/t1"] {
		states = append(states, r.Containers[0].Status)
	}
	if got := strings.Join(states, " "); got != "PENDING RUNNING STOPPED" {
		t.Errorf("reports: %s", got)
	}
	if left, _ := os.ReadDir(filepath.Join(b.cfg.Dir, scratchFolder)); len(left) > 0 {
		t.Error("the scratch folder is still there")
	}
}

func TestStopIsPoliteFirst(t *testing.T) {
	b := setup(t, nil)
	b.start("polite", define("app", "wait"))
	b.start("stubborn", define("app", "stubborn"))
	b.untilPrints("polite", "app", "ready")
	b.untilPrints("stubborn", "app", "ready")
	b.Stop("arn:task/polite", nil)
	b.Stop("arn:task/stubborn", map[string]time.Duration{"app": time.Millisecond})
	b.Stop("arn:task/unknown", nil)
	if r := b.untilStopped("polite"); *r.Containers[0].ExitCode != 0 {
		t.Errorf("exit code %d", *r.Containers[0].ExitCode)
	}
	b.untilPrints("polite", "app", "bye")
	if r := b.untilStopped("stubborn"); *r.Containers[0].ExitCode != 137 {
		t.Errorf("exit code %d", *r.Containers[0].ExitCode)
	}
}

func TestStoppedReasons(t *testing.T) {
	missing := func(d *types.ContainerDefinition) { d.EntryPoint = []string{"/app/none"} }
	for name, c := range map[string]struct {
		change func(*Config)
		def    func(*types.ContainerDefinition)
		want   string
	}{
		"pull": {
			change: func(c *Config) { c.Images = folder{err: errors.New("CannotPullContainerError: no such image")} },
			want:   "CannotPullContainerError: no such image",
		},
		"secret": {
			def: func(d *types.ContainerDefinition) {
				d.Secrets = []types.Secret{{Name: aws.String("X"), ValueFrom: aws.String("arn:none")}}
			},
			want: "ResourceInitializationError: unable to pull secrets or registry auth: secret not found",
		},
		"missing program": {def: missing, want: `CannotStartContainerError: exec: "/app/none": stat /app/none: no such file or directory`},
		"not a program": {
			def:  func(d *types.ContainerDefinition) { d.EntryPoint = []string{"/app/text"} },
			want: "CannotStartContainerError: exec /app/text: exec format error",
		},
		"no program": {
			change: func(c *Config) { f := c.Images.(folder); f.image.Config.Entrypoint = nil; c.Images = f },
			want:   "no command specified",
		},
		"no port": {
			change: func(c *Config) { c.PortFrom, c.PortTo = 2, 1 },
			def: func(d *types.ContainerDefinition) {
				d.PortMappings = []types.PortMapping{{ContainerPort: aws.Int32(1)}}
			},
			want: "ResourceInitializationError: no free port",
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t, c.change)
			if f := b.cfg.Images.(folder); f.image.Dir != "" {
				if err := os.WriteFile(filepath.Join(f.image.Dir, "app", "text"), []byte("\x00\x01 not a program"), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			def := define("app", "wait")
			if c.def != nil {
				c.def(&def)
			}
			b.start("t", def)
			r := b.untilStopped("t")
			if r.StopCode != "TaskFailedToStart" || !strings.Contains(r.StoppedReason, c.want) || r.Containers[0].ExitCode != nil {
				t.Errorf("got %s %q, want %q", r.StopCode, r.StoppedReason, c.want)
			}
		})
	}
}

func TestContainersOfOneTask(t *testing.T) {
	b := setup(t, nil)
	flag := filepath.Join(b.cfg.Dir, "flag")
	notEssential := func(d *types.ContainerDefinition) { d.Essential = aws.Bool(false) }
	on := func(name string, condition types.ContainerCondition) func(*types.ContainerDefinition) {
		return func(d *types.ContainerDefinition) {
			d.DependsOn = append(d.DependsOn, types.ContainerDependency{ContainerName: aws.String(name), Condition: condition})
		}
	}
	b.start("t",
		define("app", "wait", on("init", types.ContainerConditionComplete), on("proxy", types.ContainerConditionHealthy)),
		define("init", "print", notEssential),
		define("proxy", "wait", func(d *types.ContainerDefinition) {
			d.HealthCheck = &types.HealthCheck{Command: []string{"CMD-SHELL", "test -e " + flag}, Interval: aws.Int32(5)}
		}),
	)
	status := func(r task.Report) string {
		return r.Containers[0].Status + " " + r.Containers[1].Status + " " + r.Containers[2].Status
	}
	b.until("t", func(r task.Report) bool { return status(r) == "PENDING STOPPED RUNNING" && r.StartedAt == nil })
	if err := os.WriteFile(flag, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	r := b.until("t", func(r task.Report) bool { return status(r) == "RUNNING STOPPED RUNNING" && r.StartedAt != nil })
	if r.Containers[2].Health != task.HealthHealthy || r.Containers[0].Health != task.HealthUnknown {
		t.Errorf("health: %+v", r.Containers)
	}
	b.untilPrints("t", "app", "ready")
	b.untilPrints("t", "proxy", "ready")
	b.Stop("arn:task/t", nil)
	b.untilStopped("t")
}

// TestEssentialEndsTheTask also shows that children of a container end with it.
func TestEssentialEndsTheTask(t *testing.T) {
	b := setup(t, nil)
	b.start("t", define("app", "parent"), define("side", "wait"))
	r := b.untilStopped("t")
	if r.Containers[0].ExitCode == nil || *r.Containers[0].ExitCode != 0 || r.Containers[1].Status != task.StatusStopped {
		t.Errorf("%+v", r)
	}
	var child int
	if _, err := fmt.Sscanf(b.logs.text("t", "app"), "child=%d", &child); err != nil {
		t.Fatal(err)
	}
	poll(t, func() bool { _, runs := startTime(child); return !runs })
}

func TestStartRefuses(t *testing.T) {
	b := setup(t, nil)
	b.start("t", define("app", "wait"))
	if err := b.Start(t.Context(), spec("t", define("app", "wait"))); err == nil {
		t.Error("a task was started twice")
	}
	if err := b.Start(t.Context(), spec("none")); err == nil {
		t.Error("a task without containers was started")
	}
	lost := define("app", "wait", func(d *types.ContainerDefinition) {
		d.DependsOn = []types.ContainerDependency{{ContainerName: aws.String("none")}}
	})
	if err := b.Start(t.Context(), spec("lost", lost)); err == nil {
		t.Error("a dependency on nothing was accepted")
	}
	if _, err := New(Config{}); err == nil {
		t.Error("an empty configuration was accepted")
	}
}

func TestPorts(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	taken := busy.Addr().(*net.TCPAddr).Port
	p := &ports{from: taken, to: taken + 200, next: taken, used: map[int]bool{}}
	seen := map[int32]bool{int32(taken): true} // another program's
	for i := range 20 {
		got, err := p.take([]types.PortMapping{{}, {}})
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range got {
			if seen[g.HostPort] {
				t.Fatalf("port %d was given twice or is in use", g.HostPort)
			}
			seen[g.HostPort] = true
		}
		if i%2 == 0 {
			p.release(got) // not given again before the range has gone round
		}
	}
}
