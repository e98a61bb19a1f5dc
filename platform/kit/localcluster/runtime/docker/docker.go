// Package docker runs ECS tasks as containers of a Docker engine, as close to
// Fargate as one engine comes: the images that the process runtime unpacks are
// pulled by digest from the embedded registry; containers have a read-only root
// file system, no capabilities, no way to new privileges, an unprivileged user,
// and the cpu and memory of the task's size.
//
// A task has a network namespace of its own that holds nothing but a loopback:
// there is no bridge, no address and no route, and so no way to the internet, to
// this machine or to another task. A small container of ours, the ferry, holds
// the namespace and carries connections between the task's loopback and this
// machine's, to the ports of the cluster that the task may call and from the host
// ports it was given; see package ferry. It needs no image from anywhere and no
// rights but those on the engine's socket.
//
// Containers outlive a cluster that is killed, cut off from everything. They
// carry the cluster's folder as a label, by which Recover and Sweep remove them.
package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/jonboulle/clockwork"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/runtime/lifecycle"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/task"
)

// Config says what a Runtime needs. All but Environment, Ways, Clock and Logger
// must be set.
type Config struct {
	// Engine is the engine to use.
	Engine *Engine
	// Dir is the runtime's own folder.
	Dir string
	// Ferry is the path of the ferry's program for Linux, statically linked.
	Ferry string
	// Registry is the host:port of the embedded registry; Login returns user and
	// password for it.
	Registry string
	Login    func(ctx context.Context) (user, password string, err error)
	Secrets  lifecycle.SecretResolver
	Logs     lifecycle.LogWriter
	// Report receives the state of tasks, in order for each task. It may call
	// back into the runtime.
	Report func(task.Report)
	// Environment is added to every container last, such as AWS_ENDPOINT_URL.
	Environment map[string]string
	// Ways are the ports of this machine's loopback that tasks of a family may
	// call, as they are when the task starts.
	Ways   func(family string) []int
	Clock  clockwork.Clock
	Logger *slog.Logger
}

func (c *Config) complete() error {
	if c.Engine == nil || c.Dir == "" || c.Ferry == "" || c.Registry == "" || c.Login == nil {
		return errors.New("docker runtime: Engine, Dir, Ferry, Registry and Login must be set")
	}
	if c.Ways == nil {
		c.Ways = func(string) []int { return nil }
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

	driver *driver
}

// New returns a runtime that runs nothing yet, with the ferry's image in the
// engine. Call Recover before Start.
func New(ctx context.Context, cfg Config) (*Runtime, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	if err := record(cfg.Dir, engineRecord{Host: cfg.Engine.host, Registry: cfg.Registry}); err != nil {
		return nil, err
	}
	image, err := cfg.Engine.importFerry(ctx, cfg.Ferry, cfg.Dir)
	if err != nil {
		return nil, err
	}
	r := &Runtime{}
	r.driver = &driver{cfg: cfg, ferry: image, open: map[string]*place{}, inUse: r.inUse}
	r.Runtime, err = lifecycle.New(lifecycle.Config{
		Driver: r.driver, Secrets: cfg.Secrets, Logs: cfg.Logs, Report: cfg.Report, Clock: cfg.Clock, Logger: cfg.Logger,
	})
	return r, err
}

// inUse are the digests of the images that tasks use.
func (r *Runtime) inUse() map[string]bool {
	used := map[string]bool{}
	for _, c := range r.Containers() {
		used[c.Image.Digest] = true
	}
	return used
}

// Recover removes what an earlier run of the cluster left behind. Nothing is
// adopted: the returned list is empty, and the scheduler starts anew.
func (r *Runtime) Recover(ctx context.Context) ([]string, error) {
	n, err := r.driver.cfg.Engine.removeContainers(ctx, r.driver.cfg.Dir)
	if n > 0 {
		r.driver.cfg.Logger.InfoContext(ctx, "removed containers of an earlier run", "count", n)
	}
	return nil, errors.Join(err, clearSockets(r.driver.cfg.Dir))
}

// Close stops every task, waits for the last report, and removes what is ours
// from the engine. When ctx ends first the rest is killed.
func (r *Runtime) Close(ctx context.Context) error {
	r.Runtime.Close(ctx)
	_, err := Sweep(context.WithoutCancel(ctx), r.driver.cfg.Dir)
	return errors.Join(err, r.driver.cfg.Engine.Close())
}

// Caller is a task that called something on this machine.
type Caller struct {
	// Family is the task definition family, Group the task's group:
	// "service:NAME" or "family:NAME".
	Family, Group string
}

// CallerAt tells whose connection it is that has this own address. Connections
// of tasks come from the cluster's process, so that nothing else can tell.
func (r *Runtime) CallerAt(own *net.TCPAddr) (Caller, bool) { return r.driver.callers.at(own) }

// callers are the tasks' connections by the addresses they come from.
type callers struct{ sync.Map }

func (c *callers) note(own net.Addr, t *lifecycle.Task) (ended func()) {
	key := own.String()
	c.Store(key, Caller{Family: aws.ToString(t.Spec().Definition.Family), Group: t.Spec().Group})
	return func() { c.Delete(key) }
}

func (c *callers) at(own *net.TCPAddr) (Caller, bool) {
	v, ok := c.Load(own.String())
	who, _ := v.(Caller) // note stores nothing else
	return who, ok
}

// drain reads a stream of progress to its end.
func drain(r io.ReadCloser) error {
	_, err := io.Copy(io.Discard, r)
	return errors.Join(err, r.Close())
}
