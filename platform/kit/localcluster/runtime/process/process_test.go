package process

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/task"
)

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

func TestProcessesAreThoseThatRun(t *testing.T) {
	b := setup(t, nil)
	b.start("t1", define("app", "wait"))
	b.untilPrints("t1", "app", "ready")
	got := b.Processes()
	if len(got) != 1 || got[0].TaskARN != "arn:task/t1" {
		t.Fatalf("processes %+v, want that of the one task", got)
	}
	if group, err := syscall.Getpgid(got[0].PID); err != nil || group != got[0].PID {
		t.Errorf("process %d is of group %d, %v; it should lead its own", got[0].PID, group, err)
	}
	b.Stop("arn:task/t1", nil)
	b.untilStopped("t1")
	if got := b.Processes(); len(got) != 0 {
		t.Errorf("processes %+v of a task that has stopped", got)
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
