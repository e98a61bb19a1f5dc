package docker

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/runtime/lifecycle"
)

const (
	// callLimit bounds one call to the engine.
	callLimit = 10 * time.Second
	// lookAgain is the pause between looks for an engine that is gone.
	lookAgain = 500 * time.Millisecond
	// lastWords is how long output is read on when a container has ended.
	lastWords = 5 * time.Second
	// outOfMemory is the reason of ECS for a container that the kernel killed
	// at its memory limit.
	outOfMemory = "OutOfMemoryError: Container killed due to memory usage"
)

// instance is a container of the engine.
type instance struct {
	driver    *driver
	container *lifecycle.Container
	id        string

	ways   []func() // what ends the ways in
	over   chan struct{}
	logged chan struct{} // closed when all output is read
	exit   lifecycle.Exit

	once   sync.Once
	killed chan struct{}
}

func newInstance(d *driver, c *lifecycle.Container, id string) *instance {
	return &instance{
		driver: d, container: c, id: id,
		over: make(chan struct{}), logged: make(chan struct{}), killed: make(chan struct{}),
	}
}

func (i *instance) api() *client.Client { return i.driver.cfg.Engine.api }

// begin follows the container, which runs, and what it writes.
func (i *instance) begin() {
	go func() {
		defer close(i.over)
		i.exit = i.await()
		for _, end := range i.ways { // callers are refused from now on
			end()
		}
	}()
	go func() {
		defer close(i.logged)
		i.follow()
	}()
}

// PID means nothing here: the container's processes have no sockets on this
// machine's loopback.
func (i *instance) PID() int { return 0 }

// Over is closed when the container has ended, or when it was killed and no
// engine answers that could tell.
func (i *instance) Over() <-chan struct{} { return i.over }

// await waits for the container's end. It sits an engine's absence out.
func (i *instance) await() lifecycle.Exit {
	for {
		waited := i.api().ContainerWait(context.Background(), i.id, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
		select {
		case <-waited.Result:
		case <-waited.Error: //nolint:errcheck // look says more
		}
		exit, ended, err := i.look()
		switch {
		case err == nil && ended:
			return exit
		case errdefs.IsNotFound(err):
			return lifecycle.Exit{Reason: "CannotInspectContainerError: the container is gone from the Docker engine"}
		case err != nil:
			i.driver.cfg.Logger.Warn("the Docker engine does not answer", "container", i.id, "error", err)
		}
		timer := i.driver.cfg.Clock.NewTimer(lookAgain)
		select {
		case <-timer.Chan():
		case <-i.killed:
			timer.Stop()
			if err != nil {
				return lifecycle.Exit{Reason: "the Docker engine does not answer: " + err.Error()}
			}
		}
	}
}

// look asks how the container is.
func (i *instance) look() (exit lifecycle.Exit, ended bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), callLimit)
	defer cancel()
	got, err := i.api().ContainerInspect(ctx, i.id, client.ContainerInspectOptions{})
	if err != nil {
		return exit, false, err
	}
	s := got.Container.State
	if s == nil || s.Running || s.Status == container.StateCreated {
		return exit, false, nil
	}
	return ending(*s), true, nil
}

// ending words a container's last state as ECS does.
func ending(s container.State) lifecycle.Exit {
	exit := lifecycle.Exit{Code: aws.Int32(int32(s.ExitCode))} //nolint:gosec // exit codes are 0 to 255
	switch {
	case s.OOMKilled:
		exit.Reason = outOfMemory
	case s.Error != "":
		exit.Reason = "CannotStartContainerError: " + s.Error
	}
	return exit
}

// follow copies what the container writes to its log stream, from the first
// line on, until it has ended.
func (i *instance) follow() {
	stream := i.container.OpenLog()
	defer func() { _ = stream.Close() }()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { // what is still to come after the end comes soon
		defer cancel()
		select {
		case <-i.over:
		case <-ctx.Done():
			return
		}
		timer := i.driver.cfg.Clock.NewTimer(lastWords)
		defer timer.Stop()
		select {
		case <-timer.Chan():
		case <-ctx.Done():
		}
	}()
	logs, err := i.api().ContainerLogs(ctx, i.id, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Follow: true})
	if err != nil {
		i.driver.cfg.Logger.Warn("output not read", "container", i.id, "error", err)
		return
	}
	defer logs.Close()
	if _, err := stdcopy.StdCopy(stream, stream, logs); err != nil && ctx.Err() == nil {
		i.driver.cfg.Logger.Warn("output not read to its end", "container", i.id, "error", err)
	}
}

// Terminate sends the image's stop signal, usually SIGTERM.
func (i *instance) Terminate() {
	signal := i.container.Image().Config.StopSignal
	if signal == "" {
		signal = "SIGTERM"
	}
	i.signal(signal)
}

// Kill ends the container at once.
func (i *instance) Kill() {
	i.once.Do(func() { close(i.killed) })
	i.signal("SIGKILL")
}

func (i *instance) signal(name string) {
	ctx, cancel := context.WithTimeout(context.Background(), callLimit)
	defer cancel()
	_, err := i.api().ContainerKill(ctx, i.id, client.ContainerKillOptions{Signal: name})
	if err != nil && !errdefs.IsNotFound(err) && !errdefs.IsConflict(err) { // one that has ended shows in over
		i.driver.cfg.Logger.Warn("signal not sent", "container", i.id, "signal", name, "error", err)
	}
}

// Finish waits for the last output and removes the container.
func (i *instance) Finish() lifecycle.Exit {
	<-i.logged
	i.driver.remove(i.id)
	return i.exit
}

// Check runs a health check's command in the container: CMD a program of the
// image, CMD-SHELL a line in the image's shell.
func (i *instance) Check(command []string, timeout time.Duration) bool {
	argv := command
	switch command[0] {
	case "CMD":
		argv = command[1:]
	case "CMD-SHELL":
		argv = []string{"/bin/sh", "-c", strings.Join(command[1:], " ")}
	}
	if len(argv) == 0 {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	defer context.AfterFunc(ctx, func() {})()
	go func() {
		select {
		case <-i.over:
			cancel()
		case <-ctx.Done():
		}
	}()
	code, err := i.run(ctx, argv)
	if err != nil && ctx.Err() == nil {
		i.driver.cfg.Logger.Warn("health check not run", "container", i.container.Name(), "error", err)
	}
	return err == nil && code == 0
}

// run runs a command in the container to its end.
func (i *instance) run(ctx context.Context, argv []string) (int, error) {
	made, err := i.api().ExecCreate(ctx, i.id, client.ExecCreateOptions{Cmd: argv, AttachStdout: true, AttachStderr: true})
	if err != nil {
		return 0, err
	}
	attached, err := i.api().ExecAttach(ctx, made.ID, client.ExecAttachOptions{})
	if err != nil {
		return 0, err
	}
	defer context.AfterFunc(ctx, attached.Close)()
	_, err = io.Copy(io.Discard, attached.Reader) // ends with the command
	attached.Close()
	if err := context.Cause(ctx); err != nil {
		return 0, fmt.Errorf("wait for the command: %w", err)
	}
	if err != nil {
		return 0, err
	}
	got, err := i.api().ExecInspect(ctx, made.ID, client.ExecInspectOptions{})
	if err == nil && got.Running {
		err = fmt.Errorf("%s still runs", argv[0])
	}
	return got.ExitCode, err
}
