// Package process runs ECS tasks as plain processes of this machine: it pulls
// and unpacks each container's image, resolves its secrets, starts its command
// from the unpacked files, and reports what becomes of it.
//
// A container here is a process in a group of its own, with the files of its
// image below its working folder, an environment that holds nothing of the
// cluster's, and, when the cluster runs as root, the user of its task
// definition. It is not a sandbox: there is no separate network, process or
// file name space, and cpu and memory limits are not enforced. What needs those
// needs Docker or Fargate.
//
// No process outlives the cluster. On Linux the kernel kills each one when the
// cluster dies; everywhere Recover and Sweep find what is left by records of
// process ids and start times and by a mark in the environment.
package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/jonboulle/clockwork"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/runtime/rootfs"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/task"
)

// ImageSource turns an image reference into unpacked files; rootfs.Store does.
// Its errors are used as stopped reasons.
type ImageSource interface {
	Pull(ctx context.Context, ref string) (rootfs.Image, error)
	Prune(inUse func(dir string) bool) error
}

// SecretResolver gives the value that a container's secret names in valueFrom.
type SecretResolver interface {
	Resolve(ctx context.Context, valueFrom string) (string, error)
}

// LogWriter opens the log stream of one container.
type LogWriter interface {
	Writer(group, stream string) io.WriteCloser
}

// Config says what a Runtime needs. All but Environment, Clock, Logger and the
// ports must be set.
type Config struct {
	// Dir is the runtime's own folder. Every user must be able to pass through
	// its parents when the cluster runs as root.
	Dir     string
	Images  ImageSource
	Secrets SecretResolver
	Logs    LogWriter
	// Report receives the state of tasks, in order for each task. It may call
	// back into the runtime.
	Report func(task.Report)
	// Environment is added to every container last, such as AWS_ENDPOINT_URL.
	Environment map[string]string
	// PortFrom and PortTo bound the host ports given to tasks. Zero means 20000
	// to 29999.
	PortFrom, PortTo int
	Clock            clockwork.Clock
	Logger           *slog.Logger
}

func (c *Config) complete() error {
	if c.Dir == "" || c.Images == nil || c.Secrets == nil || c.Logs == nil || c.Report == nil {
		return errors.New("process runtime: Dir, Images, Secrets, Logs and Report must be set")
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
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return fmt.Errorf("find runtime folder: %w", err)
	}
	c.Dir = dir
	return nil
}

// Runtime runs tasks. It implements the scheduler's Runtime.
type Runtime struct {
	cfg     Config
	spawner *spawner
	ledger  ledger
	ports   *ports

	mu     sync.Mutex
	runs   map[string]*run
	closed bool
	wg     sync.WaitGroup
}

// New returns a runtime that runs nothing yet. Call Recover before Start.
func New(cfg Config) (*Runtime, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	for _, dir := range []string{cfg.Dir, filepath.Join(cfg.Dir, scratchFolder)} {
		if err := os.MkdirAll(dir, 0o711); err != nil { //nolint:gosec // tasks' users walk through
			return nil, fmt.Errorf("make runtime folder: %w", err)
		}
	}
	l, err := openLedger(cfg.Dir)
	if err != nil {
		return nil, err
	}
	return &Runtime{
		cfg: cfg, spawner: newSpawner(), ledger: l,
		ports: &ports{from: cfg.PortFrom, to: cfg.PortTo, next: cfg.PortFrom, used: map[int]bool{}},
		runs:  map[string]*run{},
	}, nil
}

// scratchFolder holds one folder a task, its TMPDIR and HOME.
const scratchFolder = "scratch"

// Recover ends what an earlier run of the cluster left behind. Processes are not
// adopted, for their output and exit codes are lost with the cluster that
// started them: the returned list is empty, and the scheduler starts anew.
func (r *Runtime) Recover(ctx context.Context) ([]string, error) {
	n, err := Sweep(ctx, r.cfg.Dir)
	if n > 0 {
		r.cfg.Logger.InfoContext(ctx, "ended processes of an earlier run", "count", n)
	}
	return nil, err
}

// Start accepts a task and returns at once; what follows is reported.
func (r *Runtime) Start(ctx context.Context, spec task.Spec) error {
	run, err := newRun(r, spec)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return errors.New("start task: runtime is closed")
	}
	if _, ok := r.runs[spec.ARN]; ok {
		return fmt.Errorf("start task %s: it was started before", spec.ARN)
	}
	r.runs[spec.ARN] = run
	// A task lives longer than the call that started it.
	run.ctx, run.cancel = context.WithCancel(context.WithoutCancel(ctx))
	r.wg.Go(func() {
		run.main()
		r.mu.Lock()
		delete(r.runs, spec.ARN)
		r.mu.Unlock()
	})
	return nil
}

// Stop ends a task: SIGTERM to each container, SIGKILL after its grace. Without
// an entry in grace a container has its stopTimeout, else 30 s. A container is
// stopped after those that depend on it. Unknown tasks are ignored.
func (r *Runtime) Stop(taskARN string, grace map[string]time.Duration) {
	r.mu.Lock()
	run, ok := r.runs[taskARN]
	r.mu.Unlock()
	if ok {
		run.stop(grace)
	}
}

// Close stops every task and waits for the last report. When ctx ends first the
// rest is killed.
func (r *Runtime) Close(ctx context.Context) error {
	r.mu.Lock()
	r.closed = true
	runs := make([]*run, 0, len(r.runs))
	for _, run := range r.runs {
		runs = append(runs, run)
	}
	r.mu.Unlock()
	for _, run := range runs {
		run.stop(nil)
	}
	done := make(chan struct{})
	go func() { r.wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		for _, run := range runs {
			run.kill()
		}
		<-done
	}
	r.spawner.close()
	_, err := Sweep(context.WithoutCancel(ctx), r.cfg.Dir)
	return err
}

// prune drops unpacked images that no task uses.
func (r *Runtime) prune() {
	used := map[string]bool{}
	r.mu.Lock()
	for _, run := range r.runs {
		run.mu.Lock()
		for _, c := range run.containers {
			used[c.image.Dir] = true
		}
		run.mu.Unlock()
	}
	r.mu.Unlock()
	if err := r.cfg.Images.Prune(func(dir string) bool { return used[dir] }); err != nil {
		r.cfg.Logger.Warn("images not pruned", "error", err)
	}
}

// Process is a process that runs as a container of a task. It leads a process
// group, to which whatever it starts belongs unless that leaves.
type Process struct {
	PID     int
	TaskARN string
	// Group is the task's: "service:NAME" or "family:NAME"; Family is its
	// definition's.
	Group, Family string
}

// Processes lists what runs now.
func (r *Runtime) Processes() []Process {
	r.mu.Lock()
	runs := make([]*run, 0, len(r.runs))
	for _, run := range r.runs {
		runs = append(runs, run)
	}
	r.mu.Unlock()
	var out []Process
	for _, run := range runs {
		run.mu.Lock()
		for _, c := range run.containers {
			if c.pid != 0 {
				out = append(out, Process{
					PID: c.pid, TaskARN: run.spec.ARN, Group: run.spec.Group, Family: aws.ToString(run.spec.Definition.Family),
				})
			}
		}
		run.mu.Unlock()
	}
	return out
}
