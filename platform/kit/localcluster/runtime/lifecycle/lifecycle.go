// Package lifecycle takes ECS tasks from their first report to their last,
// whatever runs their containers: it fetches secrets and images, starts
// containers in the order that dependsOn wants, watches their health, stops
// them politely, and reports what becomes of them. How a container is started
// and ended is a Driver's.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/jonboulle/clockwork"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/runtime/rootfs"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/task"
)

// SecretResolver gives the value that a container's secret names in valueFrom.
type SecretResolver interface {
	Resolve(ctx context.Context, valueFrom string) (string, error)
}

// LogWriter opens the log stream of one container.
type LogWriter interface {
	Writer(group, stream string) io.WriteCloser
}

// Driver is what one kind of runtime does its own way. Its errors are stopped
// reasons, worded as those of ECS.
type Driver interface {
	// Pull makes an image ready to be started.
	Pull(ctx context.Context, ref string) (rootfs.Image, error)
	// Open makes what the task's containers share, before the first one starts.
	Open(ctx context.Context, t *Task) error
	// Start starts a container.
	Start(ctx context.Context, c *Container) (Instance, error)
	// Close removes what Open made, be it half done, after the last container.
	Close(t *Task)
}

// Instance is a container that has been started.
type Instance interface {
	// PID is the process of this machine that the container is; 0 where there is
	// none that means anything here.
	PID() int
	// Over is closed when the container has ended.
	Over() <-chan struct{}
	// Terminate sends SIGTERM, Kill ends the container at once. One that has
	// ended is no error.
	Terminate()
	Kill()
	// Check runs a health check's command and reports whether it exits with 0 in
	// time.
	Check(command []string, timeout time.Duration) bool
	// Finish is called once, after Over: it cleans up, waits for the last lines
	// of output, and tells how the container ended.
	Finish() Exit
}

// Exit is how a container ended.
type Exit struct {
	// Code is the exit code, or 128 and the signal's number; nil when nobody knows.
	Code *int32
	// Reason says more where there is more to say.
	Reason string
}

// Config says what a Runtime needs. All but the ports, Clock and Logger must be
// set.
type Config struct {
	Driver  Driver
	Secrets SecretResolver
	Logs    LogWriter
	// Report receives the state of tasks, in order for each task. It may call
	// back into the runtime.
	Report func(task.Report)
	// PortFrom and PortTo bound the host ports given to tasks. Zero means 20000
	// to 29999.
	PortFrom, PortTo int
	Clock            clockwork.Clock
	Logger           *slog.Logger
}

func (c *Config) complete() error {
	if c.Driver == nil || c.Secrets == nil || c.Logs == nil || c.Report == nil {
		return errors.New("runtime: Driver, Secrets, Logs and Report must be set")
	}
	if c.PortFrom == 0 {
		c.PortFrom, c.PortTo = 20000, 29999
	}
	if c.Clock == nil {
		c.Clock = clockwork.NewRealClock()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Runtime runs tasks.
type Runtime struct {
	cfg    Config
	driver Driver
	ports  *ports

	mu     sync.Mutex
	tasks  map[string]*Task
	closed bool
	wg     sync.WaitGroup
}

// New returns a runtime that runs nothing yet.
func New(cfg Config) (*Runtime, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	return &Runtime{
		cfg: cfg, driver: cfg.Driver,
		ports: &ports{from: cfg.PortFrom, to: cfg.PortTo, next: cfg.PortFrom, used: map[int]bool{}},
		tasks: map[string]*Task{},
	}, nil
}

// Start accepts a task and returns at once; what follows is reported.
func (r *Runtime) Start(ctx context.Context, spec task.Spec) error {
	t, err := newTask(r, spec)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return errors.New("start task: runtime is closed")
	}
	if _, ok := r.tasks[spec.ARN]; ok {
		return fmt.Errorf("start task %s: it was started before", spec.ARN)
	}
	r.tasks[spec.ARN] = t
	// A task lives longer than the call that started it.
	t.ctx, t.cancel = context.WithCancel(context.WithoutCancel(ctx))
	r.wg.Go(func() {
		t.main()
		r.mu.Lock()
		delete(r.tasks, spec.ARN)
		r.mu.Unlock()
	})
	return nil
}

// Stop ends a task: SIGTERM to each container, SIGKILL after its grace. Without
// an entry in grace a container has its stopTimeout, else 30 s. A container is
// stopped after those that depend on it. Unknown tasks are ignored.
func (r *Runtime) Stop(taskARN string, grace map[string]time.Duration) {
	r.mu.Lock()
	t, ok := r.tasks[taskARN]
	r.mu.Unlock()
	if ok {
		t.stop(grace)
	}
}

// Close stops every task and waits for the last report. When ctx ends first the
// rest is killed.
func (r *Runtime) Close(ctx context.Context) {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	tasks := r.all()
	for _, t := range tasks {
		t.stop(nil)
	}
	done := make(chan struct{})
	go func() { r.wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		for _, t := range tasks {
			t.kill()
		}
		<-done
	}
}

func (r *Runtime) all() []*Task {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]*Task, 0, len(r.tasks))
	for _, t := range r.tasks {
		out = append(out, t)
	}
	return out
}

// View is what a runtime knows of a container now.
type View struct {
	Spec  task.Spec
	Image rootfs.Image
	// PID is that of Instance.PID, 0 while nothing runs.
	PID int
}

// Containers lists those of all tasks.
func (r *Runtime) Containers() []View {
	var out []View
	for _, t := range r.all() {
		t.mu.Lock()
		for _, c := range t.containers {
			out = append(out, View{Spec: t.spec, Image: c.image, PID: c.pid})
		}
		t.mu.Unlock()
	}
	return out
}
