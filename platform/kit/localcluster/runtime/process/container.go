package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/runtime/rootfs"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/task"
)

// container is one container of a run. The run's lock guards what is reported.
type container struct {
	run        *run
	def        types.ContainerDefinition
	dependents []*container
	secrets    [][2]string
	environ    []string

	image    rootfs.Image
	ports    []task.HostPort
	status   string
	pid      int // of the running process, which leads its group; 0 while there is none
	begun    bool
	exitCode *int32
	reason   string
	health   string

	running chan struct{} // closed when the process has started
	healthy chan struct{} // closed at the first good health check
	exited  chan struct{} // closed when all is over
}

func newContainer(r *run, def types.ContainerDefinition) *container {
	return &container{
		run: r, def: def, status: task.StatusPending, health: task.HealthUnknown,
		running: make(chan struct{}), healthy: make(chan struct{}), exited: make(chan struct{}),
	}
}

func (c *container) name() string { return aws.ToString(c.def.Name) }

// id names the container to this runtime, as Fargate does: the task's id and ten digits more.
func (c *container) id() string {
	return fmt.Sprintf("%s-%010d", c.run.spec.ID, slices.Index(c.run.containers, c))
}

// essential is true unless the definition says otherwise.
func (c *container) essential() bool { return c.def.Essential == nil || *c.def.Essential }

// report is the container's state. The run's lock is held.
func (c *container) report() task.ContainerReport {
	return task.ContainerReport{
		Name: c.name(), Status: c.status, ExitCode: c.exitCode, Reason: c.reason, Health: c.health,
		RuntimeID: c.id(), ImageDigest: c.image.Digest, Ports: c.ports,
	}
}

// main takes the container from waiting for others to its end.
func (c *container) main() {
	defer close(c.exited)
	if !c.awaitDependencies() {
		c.stopped(nil, "")
		return
	}
	cmd, logs, err := c.start()
	if err != nil {
		c.stopped(nil, err.Error())
		c.run.fail(err.Error())
		return
	}
	close(c.running)
	c.run.began(c)
	over := make(chan struct{})
	go func() {
		_ = cmd.Wait() // the state says it all
		close(over)
	}()
	if hc := c.def.HealthCheck; hc != nil && len(hc.Command) > 0 && hc.Command[0] != "NONE" {
		c.run.rt.wg.Go(func() { c.watchHealth(hc, over) })
	}
	select {
	case <-over:
	case <-c.run.ctx.Done():
		c.terminate(cmd.Process, over)
	}
	killGroup(cmd.Process.Pid)
	logs.finish(c.run.rt.cfg.Clock)
	c.run.rt.ledger.remove(c.id())
	code := exitCode(cmd.ProcessState)
	c.stopped(&code, "")
	if c.essential() {
		c.run.cancel()
	}
}

// terminate stops the process: SIGTERM once all that depend on it have ended,
// SIGKILL to its group after its grace.
func (c *container) terminate(p *os.Process, over <-chan struct{}) {
	for _, d := range c.dependents {
		select {
		case <-d.exited:
		case <-over:
			return
		}
	}
	_ = p.Signal(syscall.SIGTERM) // one that has ended shows in over
	timer := c.run.rt.cfg.Clock.NewTimer(c.grace())
	defer timer.Stop()
	select {
	case <-over:
		return
	case <-timer.Chan():
	case <-c.run.force:
	}
	killGroup(p.Pid)
	<-over
}

// defaultGrace is ECS's stopTimeout where a container names none.
const defaultGrace = 30 * time.Second

func (c *container) grace() time.Duration {
	c.run.mu.Lock()
	defer c.run.mu.Unlock()
	if d, ok := c.run.grace[c.name()]; ok {
		return d
	}
	if c.def.StopTimeout != nil {
		return time.Duration(*c.def.StopTimeout) * time.Second
	}
	return defaultGrace
}

// exitCode is the process's own code, or 128 and the signal that ended it.
func exitCode(s *os.ProcessState) int32 {
	if ws, ok := s.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int32(ws.Signal()) //nolint:gosec // signals are few
	}
	return int32(s.ExitCode()) //nolint:gosec // exit codes are 0 to 255
}

func (c *container) stopped(code *int32, reason string) {
	c.run.mu.Lock()
	c.status, c.exitCode, c.reason, c.pid = task.StatusStopped, code, reason, 0
	last := !slices.ContainsFunc(c.run.containers, func(c *container) bool { return c.status != task.StatusStopped })
	c.run.mu.Unlock()
	if !last { // the last report is the run's, after it has cleaned up
		c.run.post()
	}
}

// awaitDependencies waits for what dependsOn names, and reports false when the
// task is stopped first or a condition can no longer come true.
func (c *container) awaitDependencies() bool {
	for _, d := range c.def.DependsOn {
		on := c.run.container(aws.ToString(d.ContainerName))
		reached := on.running
		switch d.Condition {
		case types.ContainerConditionHealthy:
			reached = on.healthy
		case types.ContainerConditionComplete, types.ContainerConditionSuccess:
			reached = on.exited
		case types.ContainerConditionStart:
		}
		select {
		case <-c.run.ctx.Done():
			return false
		case <-reached:
		case <-on.exited:
			select {
			case <-reached:
			default:
				c.run.fail(fmt.Sprintf("dependency container %s ended before it was %s", on.name(), d.Condition))
				return false
			}
		}
		if d.Condition == types.ContainerConditionSuccess && !on.succeeded() {
			c.run.fail(fmt.Sprintf("dependency container %s did not exit with 0", on.name()))
			return false
		}
	}
	return c.run.ctx.Err() == nil
}

func (c *container) succeeded() bool {
	c.run.mu.Lock()
	defer c.run.mu.Unlock()
	return c.exitCode != nil && *c.exitCode == 0
}

// start starts the container's process. Its error is a stopped reason.
func (c *container) start() (*exec.Cmd, *output, error) {
	argv := c.argv()
	if len(argv) == 0 {
		return nil, nil, errors.New("CannotStartContainerError: image has neither an entry point nor a command: no command specified")
	}
	c.environ = c.environment()
	path, err := rootfs.Lookup(c.image.Dir, c.workdir(), lookupEnv(c.environ, "PATH"), argv[0])
	if err != nil {
		return nil, nil, fmt.Errorf("CannotStartContainerError: %w", err)
	}
	cmd := c.process(path, argv)
	out, err := c.openOutput()
	if err != nil {
		return nil, nil, fmt.Errorf("CannotStartContainerError: %w", err)
	}
	cmd.Stdout, cmd.Stderr = out.write, out.write
	if err := c.run.rt.spawner.start(c.run.ctx, cmd, c.run.rt.cfg.Clock); err != nil {
		out.abandon()
		return nil, nil, fmt.Errorf("CannotStartContainerError: exec %s: %s", argv[0], plain(err))
	}
	c.run.mu.Lock()
	c.pid = cmd.Process.Pid
	c.run.mu.Unlock()
	out.begin()
	if err := c.run.rt.ledger.add(c.id(), cmd.Process.Pid, c.run.spec.ARN); err != nil {
		// The mark in the environment finds it all the same.
		c.run.rt.cfg.Logger.Warn("process not recorded", "pid", cmd.Process.Pid, "error", err)
	}
	return cmd, out, nil
}

// process is a command in a group of its own, with the container's environment,
// folder and user.
func (c *container) process(path string, argv []string) *exec.Cmd {
	return &exec.Cmd{
		Path: path, Args: argv, Env: c.environ,
		Dir:         c.image.Dir + c.workdir(),
		SysProcAttr: attributes(c.credential()),
	}
}

// plain is the bare reason why a process did not start.
func plain(err error) string {
	if no, ok := errors.AsType[syscall.Errno](err); ok {
		return no.Error()
	}
	return err.Error()
}

// argv is the command line: the task's override, else the definition's, else
// the image's. An entry point in the definition drops the image's command.
func (c *container) argv() []string {
	entry, command := c.image.Config.Entrypoint, c.image.Config.Cmd
	if len(c.def.EntryPoint) > 0 {
		entry, command = c.def.EntryPoint, nil
	}
	if len(c.def.Command) > 0 {
		command = c.def.Command
	}
	if o := c.run.override(c.name()); len(o.Command) > 0 {
		command = o.Command
	}
	return slices.Concat(entry, command)
}

func (c *container) workdir() string {
	dir := aws.ToString(c.def.WorkingDirectory)
	if dir == "" {
		dir = c.image.Config.WorkingDir
	}
	return "/" + strings.Trim(dir, "/")
}
