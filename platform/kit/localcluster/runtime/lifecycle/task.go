package lifecycle

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"golang.org/x/sync/errgroup"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/task"
)

// Task is one task at work.
type Task struct {
	rt         *Runtime
	spec       task.Spec
	containers []*Container
	ctx        context.Context // ended by stop
	cancel     context.CancelFunc
	force      chan struct{} // closed by kill

	mu                     sync.Mutex
	grace                  map[string]time.Duration
	killed                 bool
	pullStarted, pulled    *time.Time
	started                *time.Time
	stopCode, stoppedCause string
	outbox                 []task.Report
	posting                bool
}

func newTask(rt *Runtime, spec task.Spec) (*Task, error) {
	if len(spec.Definition.ContainerDefinitions) == 0 {
		return nil, fmt.Errorf("start task %s: its definition has no containers", spec.ARN)
	}
	r := &Task{rt: rt, spec: spec, force: make(chan struct{})}
	for _, def := range spec.Definition.ContainerDefinitions {
		r.containers = append(r.containers, newContainer(r, def))
	}
	for _, c := range r.containers {
		for _, d := range c.def.DependsOn {
			on := r.container(aws.ToString(d.ContainerName))
			if on == nil {
				return nil, fmt.Errorf("start task %s: container %s depends on %s, which is not there",
					spec.ARN, c.Name(), aws.ToString(d.ContainerName))
			}
			on.dependents = append(on.dependents, c)
		}
	}
	return r, nil
}

// Spec is what was asked for.
func (r *Task) Spec() task.Spec { return r.spec }

// Containers are the task's, in the order of its definition.
func (r *Task) Containers() []*Container { return r.containers }

func (r *Task) container(name string) *Container {
	for _, c := range r.containers {
		if c.Name() == name {
			return c
		}
	}
	return nil
}

// main takes the task from its first report to its last.
func (r *Task) main() {
	defer r.cancel()
	r.post()
	if err := r.prepare(); err != nil {
		r.fail(err.Error())
	}
	var all sync.WaitGroup
	for _, c := range r.containers {
		all.Go(c.main)
	}
	all.Wait()
	for _, c := range r.containers {
		r.rt.ports.release(c.ports)
	}
	r.rt.driver.Close(r)
	r.post()
}

// prepare gets all that containers need before the first one starts. Its error
// is a stopped reason. Secrets and images are fetched at once; as on Fargate a
// failure of the secrets is the one that is told.
func (r *Task) prepare() error {
	now := r.rt.cfg.Clock.Now()
	r.mu.Lock()
	r.pullStarted = &now
	r.mu.Unlock()
	var secrets, pull errgroup.Group
	for _, c := range r.containers {
		secrets.Go(func() error { return c.resolveSecrets(r.ctx) })
		pull.Go(func() error {
			img, err := r.rt.driver.Pull(r.ctx, aws.ToString(c.def.Image))
			r.mu.Lock()
			defer r.mu.Unlock()
			c.image = img
			return err
		})
	}
	secretErr, pullErr := secrets.Wait(), pull.Wait()
	if secretErr != nil {
		return secretErr
	}
	if pullErr != nil {
		return pullErr
	}
	now = r.rt.cfg.Clock.Now()
	r.mu.Lock()
	r.pulled = &now
	r.mu.Unlock()
	for _, c := range r.containers {
		ports, err := r.rt.ports.take(c.def.PortMappings)
		if err != nil {
			return fmt.Errorf("ResourceInitializationError: %w", err)
		}
		r.mu.Lock()
		c.ports = ports
		r.mu.Unlock()
	}
	return r.rt.driver.Open(r.ctx, r)
}

// fail ends a task that could not start.
func (r *Task) fail(reason string) {
	r.mu.Lock()
	if r.ctx.Err() == nil && r.stopCode == "" {
		r.stopCode, r.stoppedCause = string(types.TaskStopCodeTaskFailedToStart), reason
	}
	r.mu.Unlock()
	r.cancel()
}

// stop asks every container to end.
func (r *Task) stop(grace map[string]time.Duration) {
	r.mu.Lock()
	if r.grace == nil {
		r.grace = grace
	}
	r.mu.Unlock()
	r.cancel()
}

// kill ends every container at once.
func (r *Task) kill() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.killed {
		r.killed = true
		close(r.force)
	}
	r.cancel()
}

// post queues a report of the present state. Reports are delivered in order, one
// at a time and with no lock held, so that the receiver may call back.
func (r *Task) post() {
	r.mu.Lock()
	defer r.mu.Unlock()
	report := task.Report{
		TaskARN: r.spec.ARN, PullStartedAt: r.pullStarted, PulledAt: r.pulled, StartedAt: r.started,
		StopCode: r.stopCode, StoppedReason: r.stoppedCause,
	}
	for _, c := range r.containers {
		report.Containers = append(report.Containers, c.report())
	}
	r.outbox = append(r.outbox, report)
	if r.posting {
		return
	}
	r.posting = true
	r.rt.wg.Go(r.deliver)
}

func (r *Task) deliver() {
	for {
		r.mu.Lock()
		if len(r.outbox) == 0 {
			r.posting = false
			r.mu.Unlock()
			return
		}
		next := r.outbox[0]
		r.outbox = r.outbox[1:]
		r.mu.Unlock()
		r.rt.cfg.Report(next)
	}
}

// began notes that a container is running, and when the last one is, that the
// task has started.
func (r *Task) began(c *Container) {
	now := r.rt.cfg.Clock.Now()
	r.mu.Lock()
	c.status, c.begun = task.StatusRunning, true
	if r.started == nil && !slices.ContainsFunc(r.containers, func(c *Container) bool { return !c.begun }) {
		r.started = &now
	}
	r.mu.Unlock()
	r.post()
}

// resolveSecrets fetches the container's secrets.
func (c *Container) resolveSecrets(ctx context.Context) error {
	const prefix = "ResourceInitializationError"
	if len(c.def.EnvironmentFiles) > 0 {
		return fmt.Errorf("%s: container %s: environmentFiles are not supported here", prefix, c.Name())
	}
	for _, s := range c.def.Secrets {
		value, err := c.task.rt.cfg.Secrets.Resolve(ctx, aws.ToString(s.ValueFrom))
		if err != nil && strings.HasPrefix(err.Error(), prefix) {
			return err
		}
		if err != nil {
			return fmt.Errorf("%s: unable to pull secrets or registry auth: %w", prefix, err)
		}
		c.secrets = append(c.secrets, [2]string{aws.ToString(s.Name), value})
	}
	return nil
}
