package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/runtime/lifecycle"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/runtime/rootfs"
)

// driver starts containers as processes.
type driver struct {
	cfg     Config
	spawner *spawner
	ledger  ledger
	prune   func()
}

// Pull unpacks an image.
func (d driver) Pull(ctx context.Context, ref string) (rootfs.Image, error) {
	return d.cfg.Images.Pull(ctx, ref)
}

func (d driver) scratch(t *lifecycle.Task) string {
	return filepath.Join(d.cfg.Dir, scratchFolder, t.Spec().ID)
}

// Open makes a folder for each container of the task that it may write to.
func (d driver) Open(_ context.Context, t *lifecycle.Task) error {
	d.prune()
	if err := os.MkdirAll(d.scratch(t), 0o711); err != nil { //nolint:gosec // its containers' users walk through
		return fmt.Errorf("ResourceInitializationError: make scratch folder: %w", err)
	}
	for _, c := range t.Containers() {
		dir := filepath.Join(d.scratch(t), c.Name())
		err := os.MkdirAll(dir, 0o700)
		if cred := credential(c); err == nil && cred != nil {
			err = os.Chown(dir, int(cred.Uid), int(cred.Gid))
		}
		if err != nil {
			return fmt.Errorf("ResourceInitializationError: make scratch folder: %w", err)
		}
	}
	return nil
}

// Close removes the task's folders.
func (d driver) Close(t *lifecycle.Task) {
	if err := os.RemoveAll(d.scratch(t)); err != nil {
		d.cfg.Logger.Warn("scratch folder not removed", "task", t.Spec().ID, "error", err)
	}
}

// Start starts the container's process.
func (d driver) Start(ctx context.Context, c *lifecycle.Container) (lifecycle.Instance, error) {
	argv := c.Argv()
	if len(argv) == 0 {
		return nil, errors.New("CannotStartContainerError: image has neither an entry point nor a command: no command specified")
	}
	i := &instance{driver: d, container: c, ctx: ctx, environ: d.environment(c), over: make(chan struct{})}
	path, err := rootfs.Lookup(c.Image().Dir, c.Workdir(), i.environ.Get("PATH"), argv[0])
	if err != nil {
		return nil, fmt.Errorf("CannotStartContainerError: %w", err)
	}
	i.cmd = i.process(path, argv)
	if i.out, err = openOutput(c.OpenLog()); err != nil {
		return nil, fmt.Errorf("CannotStartContainerError: %w", err)
	}
	i.cmd.Stdout, i.cmd.Stderr = i.out.write, i.out.write
	if err := d.spawner.start(ctx, i.cmd, d.cfg.Clock); err != nil {
		i.out.abandon()
		return nil, fmt.Errorf("CannotStartContainerError: exec %s: %s", argv[0], plain(err))
	}
	i.out.begin()
	if err := d.ledger.add(c.ID(), i.PID(), c.Task().Spec().ARN); err != nil {
		// The mark in the environment finds it all the same.
		d.cfg.Logger.WarnContext(ctx, "process not recorded", "pid", i.PID(), "error", err)
	}
	go func() {
		_ = i.cmd.Wait() // the state says it all
		close(i.over)
	}()
	return i, nil
}

// plain is the bare reason why a process did not start.
func plain(err error) string {
	if no, ok := errors.AsType[syscall.Errno](err); ok {
		return no.Error()
	}
	return err.Error()
}

// process is a command in a group of its own, with the container's environment,
// folder and user.
func (i *instance) process(path string, argv []string) *exec.Cmd {
	return &exec.Cmd{
		Path: path, Args: argv, Env: i.environ.List(),
		Dir:         i.container.Image().Dir + i.container.Workdir(),
		SysProcAttr: attributes(credential(i.container)),
	}
}
