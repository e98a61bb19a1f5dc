// Package fake has a task runtime and a load balancer that behave like the
// real ones as far as the scheduler can tell, in memory and at once. Tests
// decide what tasks do; nothing here checks calls.
package fake

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/task"
)

// Behaviour is what a task does when it is started.
type Behaviour int

const (
	// Run comes up at once, and ends at once when stopped.
	Run Behaviour = iota
	// Crash comes up and exits with code 1.
	Crash
	// NoImage cannot pull its image.
	NoImage
	// Wait does nothing until the test says so (Up, Exit).
	Wait
	// Finish runs to its end with exit code 0.
	Finish
)

// Runtime is a task runtime without processes. A port mapping gets host port
// 20000 plus the number of tasks started before.
type Runtime struct {
	// Behave decides what a task does; nil runs every task.
	Behave func(task.Spec) Behaviour
	// Report receives the reports.
	Report func(task.Report)
	// Stopped is called with every task that is told to stop.
	Stopped func(arn string)
	// Linger keeps stopped tasks alive until Exit is called.
	Linger bool
	// Deaf swallows every call, as when the process dies before it acts.
	Deaf bool

	mu      sync.Mutex
	tasks   map[string]*running
	started int
	adopts  []string
}

type running struct {
	spec     task.Spec
	port     int32
	stopping bool
	health   string
}

// Start accepts a task.
func (r *Runtime) Start(_ context.Context, spec task.Spec) error {
	r.mu.Lock()
	if r.Deaf {
		r.mu.Unlock()
		return nil
	}
	if r.tasks == nil {
		r.tasks = map[string]*running{}
	}
	if _, there := r.tasks[spec.ARN]; there {
		r.mu.Unlock()
		return fmt.Errorf("start task %s: started already", spec.ID)
	}
	r.tasks[spec.ARN] = &running{spec: spec, port: 20000 + int32(r.started%9000), health: task.HealthUnknown}
	r.started++
	behaviour := Run
	if r.Behave != nil {
		behaviour = r.Behave(spec)
	}
	r.mu.Unlock()
	switch behaviour {
	case Run:
		r.Up(spec.ARN)
	case Crash:
		r.Up(spec.ARN)
		r.Exit(spec.ARN, 1)
	case Finish:
		r.Up(spec.ARN)
		r.Exit(spec.ARN, 0)
	case NoImage:
		r.fail(spec.ARN, "CannotPullContainerError: image not found")
	case Wait:
	}
	return nil
}

// Stop ends a task, at once unless Linger is set.
func (r *Runtime) Stop(arn string, _ map[string]time.Duration) {
	r.mu.Lock()
	t, there := r.tasks[arn]
	there = there && !r.Deaf
	if there {
		t.stopping = true
	}
	linger := r.Linger
	r.mu.Unlock()
	if there && r.Stopped != nil {
		r.Stopped(arn)
	}
	if there && !linger {
		r.Exit(arn, 143)
	}
}

// Recover drops every task that was not marked by Adopt.
func (r *Runtime) Recover(context.Context) ([]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for arn := range r.tasks {
		if !slices.Contains(r.adopts, arn) {
			delete(r.tasks, arn)
		}
	}
	adopted := slices.DeleteFunc(r.adopts, func(arn string) bool { return r.tasks[arn] == nil })
	r.adopts = nil
	return adopted, nil
}

// Adopt has the next Recover find these tasks alive.
func (r *Runtime) Adopt(arns ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.adopts = arns
}

// Alive lists the tasks that have not ended, in order.
func (r *Runtime) Alive() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.tasks))
}

// Stopping lists the tasks that were told to stop and have not ended.
func (r *Runtime) Stopping() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for arn, t := range r.tasks {
		if t.stopping {
			out = append(out, arn)
		}
	}
	slices.Sort(out)
	return out
}

// Started is the number of tasks ever accepted.
func (r *Runtime) Started() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.started
}

// Up reports every container of a task as running.
func (r *Runtime) Up(arn string) {
	r.send(arn, func(_ *running, c *task.ContainerReport) { c.Status = task.StatusRunning }, task.Report{}, false)
}

// Health reports a container health for the whole task.
func (r *Runtime) Health(arn, health string) {
	r.mu.Lock()
	if t := r.tasks[arn]; t != nil {
		t.health = health
	}
	r.mu.Unlock()
	r.Up(arn)
}

// Exit ends every container of a task with a code.
func (r *Runtime) Exit(arn string, code int32) {
	r.send(arn, func(_ *running, c *task.ContainerReport) {
		c.Status, c.ExitCode = task.StatusStopped, aws.Int32(code)
	}, task.Report{}, true)
}

func (r *Runtime) fail(arn, reason string) {
	r.send(arn, func(_ *running, c *task.ContainerReport) {
		c.Status, c.Reason = task.StatusStopped, reason
	}, task.Report{StopCode: "TaskFailedToStart", StoppedReason: reason}, true)
}

func (r *Runtime) send(arn string, fill func(*running, *task.ContainerReport), report task.Report, over bool) {
	r.mu.Lock()
	t := r.tasks[arn]
	if t == nil {
		r.mu.Unlock()
		return
	}
	if over {
		delete(r.tasks, arn)
	}
	report.TaskARN = arn
	for _, d := range t.spec.Definition.ContainerDefinitions {
		c := task.ContainerReport{Name: *d.Name, Health: t.health, RuntimeID: "fake-" + t.spec.ID, ImageDigest: "sha256:fake"}
		for i, p := range d.PortMappings {
			c.Ports = append(c.Ports, task.HostPort{
				Name: aws.ToString(p.Name), ContainerPort: aws.ToInt32(p.ContainerPort), HostPort: t.port + int32(i), Protocol: "tcp",
			})
		}
		fill(t, &c)
		report.Containers = append(report.Containers, c)
	}
	r.mu.Unlock()
	r.Report(report)
}
