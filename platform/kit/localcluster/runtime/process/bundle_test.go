package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
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
