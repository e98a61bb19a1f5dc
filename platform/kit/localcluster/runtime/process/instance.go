package process

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/runtime/lifecycle"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/runtime/rootfs"
)

// instance is a container's process.
type instance struct {
	driver    driver
	container *lifecycle.Container
	ctx       context.Context // the task's
	environ   *lifecycle.Variables
	cmd       *exec.Cmd
	out       *output
	over      chan struct{}
}

// PID leads the process group of all that the container starts.
func (i *instance) PID() int { return i.cmd.Process.Pid }

// Over is closed when the process has ended.
func (i *instance) Over() <-chan struct{} { return i.over }

// Terminate asks the process to end.
func (i *instance) Terminate() { _ = i.cmd.Process.Signal(syscall.SIGTERM) } // one that has ended shows in over

// Kill ends the process and what it started.
func (i *instance) Kill() { killGroup(i.PID()) }

// Finish ends what the process left behind.
func (i *instance) Finish() lifecycle.Exit {
	killGroup(i.PID())
	i.out.finish(i.driver.cfg.Clock)
	i.driver.ledger.remove(i.container.ID())
	code := exitCode(i.cmd.ProcessState)
	return lifecycle.Exit{Code: &code}
}

// exitCode is the process's own code, or 128 and the signal that ended it.
func exitCode(s *os.ProcessState) int32 {
	if ws, ok := s.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int32(ws.Signal()) //nolint:gosec // signals are few
	}
	return int32(s.ExitCode()) //nolint:gosec // exit codes are 0 to 255
}

// Check runs the command once: CMD runs a program of the image, CMD-SHELL a line
// in this machine's shell.
func (i *instance) Check(command []string, timeout time.Duration) bool {
	path, argv := "/bin/sh", []string{"sh", "-c", command[len(command)-1]}
	if command[0] != "CMD-SHELL" {
		argv = command
		if command[0] == "CMD" {
			argv = command[1:]
		}
		if len(argv) == 0 {
			return false
		}
		var err error
		path, err = rootfs.Lookup(i.container.Image().Dir, i.container.Workdir(), i.environ.Get("PATH"), argv[0])
		if err != nil {
			i.driver.cfg.Logger.Warn("health check has no program", "container", i.container.Name(), "error", err)
			return false
		}
	}
	cmd := i.process(path, argv)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, &out, lastWords
	if err := i.driver.spawner.start(i.ctx, cmd, i.driver.cfg.Clock); err != nil {
		return false
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	return i.verdict(cmd, ended, timeout)
}

func (i *instance) verdict(cmd *exec.Cmd, ended <-chan error, timeout time.Duration) bool {
	timer := i.driver.cfg.Clock.NewTimer(timeout)
	defer timer.Stop()
	select {
	case err := <-ended:
		return err == nil
	case <-timer.Chan():
	case <-i.over:
	}
	killGroup(cmd.Process.Pid)
	<-ended //nolint:errcheck // it says that it was killed
	return false
}
