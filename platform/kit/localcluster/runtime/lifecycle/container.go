package lifecycle

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/runtime/rootfs"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/task"
)

// Container is one container of a task. The task's lock guards what is reported.
type Container struct {
	task       *Task
	def        types.ContainerDefinition
	dependents []*Container
	secrets    [][2]string

	image    rootfs.Image
	ports    []task.HostPort
	status   string
	pid      int // the instance's; 0 while there is none
	begun    bool
	exitCode *int32
	reason   string
	health   string

	running chan struct{} // closed when the container has started
	healthy chan struct{} // closed at the first good health check
	exited  chan struct{} // closed when all is over
}

func newContainer(r *Task, def types.ContainerDefinition) *Container {
	return &Container{
		task: r, def: def, status: task.StatusPending, health: task.HealthUnknown,
		running: make(chan struct{}), healthy: make(chan struct{}), exited: make(chan struct{}),
	}
}

// Name is the container's in its definition.
func (c *Container) Name() string { return aws.ToString(c.def.Name) }

// Task is the task that the container belongs to.
func (c *Container) Task() *Task { return c.task }

// Definition is the container's part of the task definition.
func (c *Container) Definition() types.ContainerDefinition { return c.def }

// Image is what the driver pulled for the container.
func (c *Container) Image() rootfs.Image { return c.image }

// Ports are the allotted host ports.
func (c *Container) Ports() []task.HostPort { return c.ports }

// ID names the container to this runtime, as Fargate does: the task's id and ten digits more.
func (c *Container) ID() string {
	return fmt.Sprintf("%s-%010d", c.task.spec.ID, slices.Index(c.task.containers, c))
}

// essential is true unless the definition says otherwise.
func (c *Container) essential() bool { return c.def.Essential == nil || *c.def.Essential }

// report is the container's state. The task's lock is held.
func (c *Container) report() task.ContainerReport {
	return task.ContainerReport{
		Name: c.Name(), Status: c.status, ExitCode: c.exitCode, Reason: c.reason, Health: c.health,
		RuntimeID: c.ID(), ImageDigest: c.image.Digest, Ports: c.ports,
	}
}

// main takes the container from waiting for others to its end.
func (c *Container) main() {
	defer close(c.exited)
	if !c.awaitDependencies() {
		c.stopped(nil, "")
		return
	}
	i, err := c.task.rt.driver.Start(c.task.ctx, c)
	if err != nil {
		c.stopped(nil, err.Error())
		c.task.fail(err.Error())
		return
	}
	c.task.mu.Lock()
	c.pid = i.PID()
	c.task.mu.Unlock()
	close(c.running)
	c.task.began(c)
	var checks sync.WaitGroup
	if hc := c.def.HealthCheck; hc != nil && len(hc.Command) > 0 && hc.Command[0] != "NONE" {
		checks.Go(func() { c.watchHealth(hc, i) })
	}
	select {
	case <-i.Over():
	case <-c.task.ctx.Done():
		c.terminate(i)
	}
	exit := i.Finish()
	checks.Wait()
	c.stopped(exit.Code, exit.Reason)
	if c.essential() {
		c.task.cancel()
	}
}

// terminate stops the container: SIGTERM once all that depend on it have ended,
// SIGKILL after its grace.
func (c *Container) terminate(i Instance) {
	for _, d := range c.dependents {
		select {
		case <-d.exited:
		case <-i.Over():
			return
		}
	}
	i.Terminate()
	timer := c.task.rt.cfg.Clock.NewTimer(c.grace())
	defer timer.Stop()
	select {
	case <-i.Over():
		return
	case <-timer.Chan():
	case <-c.task.force:
	}
	i.Kill()
	<-i.Over()
}

// defaultGrace is ECS's stopTimeout where a container names none.
const defaultGrace = 30 * time.Second

func (c *Container) grace() time.Duration {
	c.task.mu.Lock()
	defer c.task.mu.Unlock()
	if d, ok := c.task.grace[c.Name()]; ok {
		return d
	}
	if c.def.StopTimeout != nil {
		return time.Duration(*c.def.StopTimeout) * time.Second
	}
	return defaultGrace
}

func (c *Container) stopped(code *int32, reason string) {
	c.task.mu.Lock()
	c.status, c.exitCode, c.reason, c.pid = task.StatusStopped, code, reason, 0
	last := !slices.ContainsFunc(c.task.containers, func(c *Container) bool { return c.status != task.StatusStopped })
	c.task.mu.Unlock()
	if !last { // the last report is the task's, after it has cleaned up
		c.task.post()
	}
}

// awaitDependencies waits for what dependsOn names, and reports false when the
// task is stopped first or a condition can no longer come true.
func (c *Container) awaitDependencies() bool {
	for _, d := range c.def.DependsOn {
		on := c.task.container(aws.ToString(d.ContainerName))
		reached := on.running
		switch d.Condition {
		case types.ContainerConditionHealthy:
			reached = on.healthy
		case types.ContainerConditionComplete, types.ContainerConditionSuccess:
			reached = on.exited
		case types.ContainerConditionStart:
		}
		select {
		case <-c.task.ctx.Done():
			return false
		case <-reached:
		case <-on.exited:
			select {
			case <-reached:
			default:
				c.task.fail(fmt.Sprintf("dependency container %s ended before it was %s", on.Name(), d.Condition))
				return false
			}
		}
		if d.Condition == types.ContainerConditionSuccess && !on.succeeded() {
			c.task.fail(fmt.Sprintf("dependency container %s did not exit with 0", on.Name()))
			return false
		}
	}
	return c.task.ctx.Err() == nil
}

func (c *Container) succeeded() bool {
	c.task.mu.Lock()
	defer c.task.mu.Unlock()
	return c.exitCode != nil && *c.exitCode == 0
}

// Argv is the command line: the task's override, else the definition's, else
// the image's. An entry point in the definition drops the image's command.
func (c *Container) Argv() []string {
	entry, command := c.image.Config.Entrypoint, c.image.Config.Cmd
	if len(c.def.EntryPoint) > 0 {
		entry, command = c.def.EntryPoint, nil
	}
	if len(c.def.Command) > 0 {
		command = c.def.Command
	}
	if o := c.Override(); len(o.Command) > 0 {
		command = o.Command
	}
	return slices.Concat(entry, command)
}

// Workdir is the folder to start in, an absolute path of the image.
func (c *Container) Workdir() string {
	dir := aws.ToString(c.def.WorkingDirectory)
	if dir == "" {
		dir = c.image.Config.WorkingDir
	}
	return "/" + strings.Trim(dir, "/")
}
