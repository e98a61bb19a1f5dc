package docker

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/jonboulle/clockwork"
	"go.uber.org/goleak"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/task"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func contextOf(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithCancel(context.WithoutCancel(t.Context()))
}

const demo = "127.0.0.1:4510/slipway/demo@sha256:1111111111111111111111111111111111111111111111111111111111111111"

// logs keeps what containers print.
type logs struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (l *logs) Writer(string, string) io.WriteCloser { return l }
func (*logs) Close() error                           { return nil }
func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(p)
}

type secrets struct{}

func (secrets) Resolve(context.Context, string) (string, error) { return "s3cret", nil }

// bundle is a runtime on a fake engine.
type bundle struct {
	*Runtime
	t      *testing.T
	engine *fakeEngine
	logs   *logs
	cfg    Config

	mu      sync.Mutex
	reports map[string]task.Report
}

func setup(t *testing.T, change ...func(*fakeEngine)) *bundle {
	t.Helper()
	b := &bundle{t: t, engine: newFakeEngine(t), logs: &logs{}, reports: map[string]task.Report{}}
	b.engine.have(demo, map[string]any{"User": "1000", "Entrypoint": []string{"/app/demo"}, "Env": []string{"FROM_IMAGE=1"}, "WorkingDir": "/app"})
	for _, f := range change {
		f(b.engine)
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "ferry")
	if err := os.WriteFile(program, []byte("program"), 0o755); err != nil {
		t.Fatal(err)
	}
	b.cfg = Config{
		Engine: b.engine.connect(), Dir: filepath.Join(dir, "tasks"), Ferry: program, Registry: "127.0.0.1:4510",
		Login:   func(context.Context) (string, string, error) { return "AWS", "token", nil },
		Secrets: secrets{}, Logs: b.logs, Environment: map[string]string{"AWS_ENDPOINT_URL": "http://127.0.0.1:4510"},
		Report: func(r task.Report) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.reports[r.TaskARN] = r
		},
	}
	var err error
	if b.Runtime, err = New(t.Context(), b.cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return b
}

func definition(change func(*types.ContainerDefinition)) types.ContainerDefinition {
	def := types.ContainerDefinition{
		Name: aws.String("demo"), Image: aws.String(demo),
		LogConfiguration: &types.LogConfiguration{LogDriver: types.LogDriverAwslogs, Options: map[string]string{"awslogs-group": "g"}},
	}
	if change != nil {
		change(&def)
	}
	return def
}

func (b *bundle) start(defs ...types.ContainerDefinition) {
	b.t.Helper()
	b.startWith(types.TaskDefinition{
		Family: aws.String("slipway-local-demo"), Cpu: aws.String("256"), Memory: aws.String("512"), ContainerDefinitions: defs,
	})
}

func (b *bundle) startWith(def types.TaskDefinition) {
	b.t.Helper()
	id := "0123456789abcdef0123456789abcdef"
	err := b.Start(b.t.Context(), task.Spec{
		ARN: "arn", ID: id, Group: "service:demo", MetadataURI: "http://127.0.0.1:4510/v4/" + id, Definition: def,
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// until waits for a report of which ok holds.
func (b *bundle) until(ok func(task.Report) bool) task.Report {
	b.t.Helper()
	var last task.Report
	poll(b.t, func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		r, any := b.reports["arn"]
		last = r
		return any && ok(r)
	})
	return last
}

func running(r task.Report) bool { return r.Containers[0].Status == task.StatusRunning }

func poll(t *testing.T, ok func() bool) {
	t.Helper()
	clock := clockwork.NewRealClock()
	for deadline := clock.Now().Add(10 * time.Second); !ok(); <-clock.After(2 * time.Millisecond) {
		if clock.Now().After(deadline) {
			t.Fatal("did not happen within 30 s")
		}
	}
}
