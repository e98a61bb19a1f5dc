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
	"log/slog"
	"os"
	"path/filepath"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/jonboulle/clockwork"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/runtime/lifecycle"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/runtime/rootfs"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/task"
)

// ImageSource turns an image reference into unpacked files; rootfs.Store does.
// Its errors are used as stopped reasons.
type ImageSource interface {
	Pull(ctx context.Context, ref string) (rootfs.Image, error)
	Prune(inUse func(dir string) bool) error
}

// Config says what a Runtime needs. All but Environment, Clock, Logger and the
// ports must be set.
type Config struct {
	// Dir is the runtime's own folder. Every user must be able to pass through
	// its parents when the cluster runs as root.
	Dir     string
	Images  ImageSource
	Secrets lifecycle.SecretResolver
	Logs    lifecycle.LogWriter
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
	*lifecycle.Runtime

	driver driver
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
	r := &Runtime{}
	r.driver = driver{cfg: cfg, spawner: newSpawner(), ledger: l, prune: r.prune}
	r.Runtime, err = lifecycle.New(lifecycle.Config{
		Driver: r.driver, Secrets: cfg.Secrets, Logs: cfg.Logs, Report: cfg.Report,
		PortFrom: cfg.PortFrom, PortTo: cfg.PortTo, Clock: cfg.Clock, Logger: cfg.Logger,
	})
	return r, err
}

// scratchFolder holds one folder a task, its TMPDIR and HOME.
const scratchFolder = "scratch"

// Recover ends what an earlier run of the cluster left behind. Processes are not
// adopted, for their output and exit codes are lost with the cluster that
// started them: the returned list is empty, and the scheduler starts anew.
func (r *Runtime) Recover(ctx context.Context) ([]string, error) {
	n, err := Sweep(ctx, r.driver.cfg.Dir)
	if n > 0 {
		r.driver.cfg.Logger.InfoContext(ctx, "ended processes of an earlier run", "count", n)
	}
	return nil, err
}

// Close stops every task and waits for the last report. When ctx ends first the
// rest is killed.
func (r *Runtime) Close(ctx context.Context) error {
	r.Runtime.Close(ctx)
	r.driver.spawner.close()
	_, err := Sweep(context.WithoutCancel(ctx), r.driver.cfg.Dir)
	return err
}

// prune drops unpacked images that no task uses.
func (r *Runtime) prune() {
	used := map[string]bool{}
	for _, c := range r.Containers() {
		used[c.Image.Dir] = true
	}
	if err := r.driver.cfg.Images.Prune(func(dir string) bool { return used[dir] }); err != nil {
		r.driver.cfg.Logger.Warn("images not pruned", "error", err)
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
	var out []Process
	for _, c := range r.Containers() {
		if c.PID != 0 {
			out = append(out, Process{
				PID: c.PID, TaskARN: c.Spec.ARN, Group: c.Spec.Group, Family: aws.ToString(c.Spec.Definition.Family),
			})
		}
	}
	return out
}
