package docker

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/moby/moby/api/types/container"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/task"
)

var update = flag.Bool("update", false, "write golden files")

// TestTranslation compares what the engine is asked for, for task definitions of
// all kinds.
func TestTranslation(t *testing.T) {
	for name, c := range map[string]struct {
		task      func(*types.TaskDefinition)
		container func(*types.ContainerDefinition)
	}{
		"plain": {},
		"full": {
			task: func(d *types.TaskDefinition) {
				d.Volumes = []types.Volume{{Name: aws.String("work")}}
			},
			container: func(d *types.ContainerDefinition) {
				d.User, d.WorkingDirectory, d.Command = aws.String("1234:5678"), aws.String("/srv"), []string{"serve", "--now"}
				d.Environment = []types.KeyValuePair{{Name: aws.String("FROM_IMAGE"), Value: aws.String("2")}}
				d.Secrets = []types.Secret{{Name: aws.String("PASSWORD"), ValueFrom: aws.String("arn:secret")}}
				d.ReadonlyRootFilesystem, d.Memory, d.Cpu = aws.Bool(true), aws.Int32(256), 128
				d.MountPoints = []types.MountPoint{{SourceVolume: aws.String("work"), ContainerPath: aws.String("/work")}}
				d.Ulimits = []types.Ulimit{{Name: types.UlimitNameNofile, SoftLimit: 2048, HardLimit: 4096}}
				d.LinuxParameters = &types.LinuxParameters{
					InitProcessEnabled: aws.Bool(true),
					Tmpfs:              []types.Tmpfs{{ContainerPath: aws.String("/tmp"), Size: 64, MountOptions: []string{"noexec"}}},
				}
				d.PortMappings = []types.PortMapping{{Name: aws.String("http"), ContainerPort: aws.Int32(8080)}}
			},
		},
		"root becomes nobody": {container: func(d *types.ContainerDefinition) { d.User = aws.String("0:0") }},
		"writable root":       {container: func(d *types.ContainerDefinition) { d.ReadonlyRootFilesystem = aws.Bool(false) }},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			def := types.TaskDefinition{
				Family: aws.String("slipway-local-demo"), Cpu: aws.String("256"), Memory: aws.String("512"),
				ContainerDefinitions: []types.ContainerDefinition{definition(c.container)},
			}
			if c.task != nil {
				c.task(&def)
			}
			b.startWith(def)
			b.until(running)
			got := b.engine.tasks()[0]
			got.asked.Labels[labelState] = "DIR"
			raw, err := json.MarshalIndent(map[string]any{"name": got.name, "asked": got.asked}, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, strings.ReplaceAll(name, " ", "-"), raw)
		})
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden.json")
	if *update {
		if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(path, append(got, '\n'), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(append(got, '\n'), want) {
		t.Errorf("%s differs (-update writes it):\n%s", path, got)
	}
}

func TestEndings(t *testing.T) {
	for name, c := range map[string]struct {
		state  container.State
		code   int32
		reason string
	}{
		"by itself":     {container.State{ExitCode: 3}, 3, ""},
		"by a signal":   {container.State{ExitCode: 143}, 143, ""},
		"out of memory": {container.State{ExitCode: 137, OOMKilled: true}, 137, "OutOfMemoryError: Container killed due to memory usage"},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t, func(e *fakeEngine) {
				e.output = "last words\n"
				e.behave = func(f *fakeContainer) { f.end(c.state) }
			})
			b.start(definition(nil))
			r := b.until(task.Report.Stopped)
			got := r.Containers[0]
			if got.ExitCode == nil || *got.ExitCode != c.code || got.Reason != c.reason || r.StopCode != "" {
				t.Errorf("ended with %+v", r)
			}
			if text := b.logs.out.String(); text != "last words\n" {
				t.Errorf("log %q", text)
			}
			if len(b.engine.containers) != 0 {
				t.Errorf("%d containers are left", len(b.engine.containers))
			}
		})
	}
}

func TestStoppedReasons(t *testing.T) {
	shared := func(d *types.ContainerDefinition) {
		d.MountPoints = []types.MountPoint{{SourceVolume: aws.String("none"), ContainerPath: aws.String("/work")}}
	}
	for name, c := range map[string]struct {
		engine func(*fakeEngine)
		def    func(*types.ContainerDefinition)
		want   string
	}{
		"no image":         {engine: func(e *fakeEngine) { e.pullError = "manifest unknown: no such manifest" }, want: "CannotPullContainerError: failed to resolve ref " + demo + ": not found"},
		"no login":         {engine: func(e *fakeEngine) { e.pullError = "unauthorized: no" }, want: "CannotPullContainerError: pull image manifest: " + demo + ": authorization failed"},
		"no such platform": {engine: func(e *fakeEngine) { e.pullError = "no matching manifest for linux/amd64 in the manifest list entries" }, want: "CannotPullContainerError: image Manifest does not contain descriptor matching platform 'linux/"},
		"other machines'": {
			engine: func(e *fakeEngine) { e.registry[demo]["Architecture"] = "s390x" },
			want:   "CannotPullContainerError: image Manifest does not contain descriptor matching platform 'linux/",
		},
		"no such volume": {def: shared, want: "ResourceInitializationError: container demo: volume none is not in the task definition"},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			if c.engine != nil {
				c.engine(b.engine)
			}
			b.start(definition(c.def))
			r := b.until(task.Report.Stopped)
			if r.StopCode != "TaskFailedToStart" || !strings.Contains(r.StoppedReason, c.want) {
				t.Errorf("got %s %q, want %q", r.StopCode, r.StoppedReason, c.want)
			}
		})
	}
}

func TestStopIsPoliteFirst(t *testing.T) {
	for name, c := range map[string]struct {
		labels string
		grace  time.Duration
		want   []string
		code   int32
	}{
		"polite":   {"", time.Hour, []string{"SIGTERM"}, 0},
		"stubborn": {"no", time.Millisecond, []string{"SIGTERM", "SIGKILL"}, 137},
	} {
		t.Run(name, func(t *testing.T) {
			var f *fakeContainer
			b := setup(t, func(e *fakeEngine) {
				e.behave = func(c2 *fakeContainer) { f = c2; c2.asked.Labels["polite"] = c.labels }
			})
			b.start(definition(nil))
			b.until(running)
			b.Stop("arn", map[string]time.Duration{"demo": c.grace})
			r := b.until(task.Report.Stopped)
			if !slices.Equal(f.signals, c.want) || *r.Containers[0].ExitCode != c.code {
				t.Errorf("signals %v, code %d", f.signals, *r.Containers[0].ExitCode)
			}
		})
	}
}

func TestHealth(t *testing.T) {
	var argv []string
	b := setup(t, func(e *fakeEngine) {
		e.check = func(a []string) int { argv = a; return 0 }
	})
	b.start(definition(func(d *types.ContainerDefinition) {
		d.HealthCheck = &types.HealthCheck{Command: []string{"CMD-SHELL", "ask me"}}
	}))
	b.until(func(r task.Report) bool { return r.Containers[0].Health == task.HealthHealthy })
	if !slices.Equal(argv, []string{"/bin/sh", "-c", "ask me"}) {
		t.Errorf("the container was asked to run %q", argv)
	}
}

// TestLogin: the engine logs in to the registry as AWS, and pulls a digest once.
func TestLogin(t *testing.T) {
	b := setup(t)
	b.start(definition(nil), definition(func(d *types.ContainerDefinition) { d.Name = aws.String("second") }))
	b.until(running)
	raw, err := base64.URLEncoding.DecodeString(b.engine.auth[0])
	if err != nil || !strings.Contains(string(raw), `"username":"AWS","password":"token"`) {
		t.Errorf("login %s, %v", raw, err)
	}
	if len(b.engine.auth) != 1 {
		t.Errorf("%d pulls of one image", len(b.engine.auth))
	}
}

// TestEngineComesBack: a container that ended while the engine was away is told
// of once it is back.
func TestEngineComesBack(t *testing.T) {
	b := setup(t)
	b.start(definition(nil))
	b.until(running)
	f := b.engine.tasks()[0]
	b.engine.shut()
	f.end(container.State{ExitCode: 7})
	b.engine.listen()
	if r := b.until(task.Report.Stopped); *r.Containers[0].ExitCode != 7 {
		t.Errorf("exit code %d, want 7", *r.Containers[0].ExitCode)
	}
}

// TestSweep: what a runtime left is found by its folder and removed, and nothing
// of others.
func TestSweep(t *testing.T) {
	b := setup(t)
	b.start(definition(nil))
	b.until(running)
	b.engine.mu.Lock()
	b.engine.containers["other"] = &fakeContainer{id: "other", name: "other", ended: make(chan struct{}), stop: func() {}}
	b.engine.images["127.0.0.1:9999/slipway/demo:1"] = map[string]any{"Id": "sha256:other", "RepoTags": []string{"127.0.0.1:9999/slipway/demo:1"}}
	b.engine.mu.Unlock()
	n, err := Sweep(t.Context(), b.cfg.Dir)
	if n != 2 || err != nil {
		t.Fatalf("swept %d, %v, want the container and its ferry", n, err)
	}
	b.engine.mu.Lock()
	if len(b.engine.containers) != 1 || len(b.engine.images) == 0 || slices.Contains(b.engine.removed, "127.0.0.1:9999/slipway/demo:1") || !slices.Contains(b.engine.removed, demo) {
		t.Errorf("removed %v", b.engine.removed)
	}
	b.engine.mu.Unlock()
	if n, err := Sweep(t.Context(), b.cfg.Dir); n != 0 || err != nil {
		t.Errorf("swept %d again, %v", n, err)
	}
	if n, err := Sweep(t.Context(), filepath.Join(b.cfg.Dir, "none")); n != 0 || err != nil {
		t.Errorf("a folder that is not there: %d, %v", n, err)
	}
}

func TestConnectRefuses(t *testing.T) {
	remapped := newFakeEngine(t)
	remapped.security = []string{"name=seccomp,profile=default", "name=userns"}
	for name, c := range map[string]struct{ host, why, next string }{
		"no socket":     {"unix:///nowhere/sock", "no Docker engine runs here", "DOCKER_HOST"},
		"elsewhere":     {"tcp://192.0.2.1:2375", "may run elsewhere", "unix://"},
		"users of own":  {"unix://" + remapped.socket, "userns-remap", "daemon.json"},
		"not an engine": {"nonsense", "may run elsewhere", "--runtime=process"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Connect(t.Context(), c.host)
			var refused *EngineError
			if !errors.As(err, &refused) || !strings.Contains(refused.Why, c.why) || !strings.Contains(refused.Next(), c.next) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestExplain(t *testing.T) {
	for name, c := range map[string]struct {
		err       error
		why, next string
	}{
		"not in the group": {os.ErrPermission, "permission denied on /run/d.sock", "usermod -aG docker"},
		"hangs":            {context.DeadlineExceeded, "does not answer", "systemctl restart docker"},
		"refuses":          {errors.New("out of order"), "out of order", "docker info"},
	} {
		t.Run(name, func(t *testing.T) {
			e := explain("unix:///run/d.sock", c.err)
			if !strings.Contains(e.Why, c.why) || !strings.Contains(e.Hint, c.next) || !strings.Contains(e.Hint, "--runtime=process") {
				t.Errorf("%q, next %q", e.Why, e.Hint)
			}
		})
	}
}
