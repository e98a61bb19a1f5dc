package scheduler

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/ident"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/ledger"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/task"
)

// lostReason is the stopped reason of a task that a restart ended. It is not
// the task's fault and is held against no deployment.
const lostReason = "Task stopped because the cluster restarted"

// Recover makes the records true again after a restart: adopted tasks go on
// from where they were, all others are stopped and, where a service wants
// them, replaced. Run calls it; it must be called once, before anything else.
func (s *Scheduler) Recover(ctx context.Context) error {
	adopted, err := s.cfg.Runtime.Recover(ctx)
	if err != nil {
		return fmt.Errorf("recover tasks: %w", err)
	}
	err = s.change(func(t *turn) error {
		s.ready = true
		t.written = true
		for _, row := range t.ledger.Tasks.All {
			switch {
			case row.Over():
			case slices.Contains(adopted, *row.Task.TaskArn):
				t.adopt(row)
			default:
				t.lose(row)
			}
		}
		for _, arn := range adopted {
			if row := t.taskOf(arn); row == nil || row.Over() {
				t.then(s.stopTask(arn, map[string]time.Duration{}))
			}
		}
		for key, svc := range t.ledger.Services.All {
			t.touch(key)
			t.divide(svc) // the listener rule may not have heard of the last step
		}
		for arn, r := range s.late {
			delete(s.late, arn)
			t.report(r)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("recover tasks: %w", err)
	}
	close(s.opened)
	return nil
}

// adopt takes up a task whose processes are still there. The load balancer has
// forgotten everything: a task that runs is registered anew, one that drained
// is done with it.
func (t *turn) adopt(row *ledger.Task) {
	if !row.Live() {
		for _, b := range row.Targets {
			t.setBinding(row, b.Group, func(b *ledger.Binding) { b.State = ledger.BindingGone })
		}
		t.halt(row)
		return
	}
	if row.Status() == statusProvisioning {
		row.Task.LastStatus = aws.String(statusPending)
		t.touchTask(row)
	}
	for _, b := range row.Targets {
		if b.State != ledger.BindingRegistered {
			continue
		}
		t.setBinding(row, b.Group, func(b *ledger.Binding) { b.Health = TargetInitial })
		t.then(t.registerTarget(b.Group, Target{ID: *row.Task.TaskArn, Host: t.cfg.TargetHost, Port: int(b.HostPort)}))
	}
}

// lose writes a task off that did not survive.
func (t *turn) lose(row *ledger.Task) {
	for _, b := range row.Targets {
		t.setBinding(row, b.Group, func(b *ledger.Binding) { b.State = ledger.BindingGone })
	}
	t.end(row, ledger.CauseLost, types.TaskStopCodeInfrastructureHealth, lostReason)
	if row.Cause == ledger.CauseLost {
		row.Task.Containers = slices.Clone(row.Task.Containers)
		for i := range row.Task.Containers {
			if row.Task.Containers[i].ExitCode == nil {
				row.Task.Containers[i].Reason = aws.String(lostReason)
			}
		}
	}
	t.over(row)
}

// How long and how many stopped tasks are kept, so that DescribeTasks can
// explain a failure; ECS keeps them an hour.
const (
	keepStopped  = time.Hour
	maxStopped   = 1000
	retryReports = time.Second
)

// Tick does what is due now: health checks after the grace period, starts
// after the back-off, old records. Run calls it in time.
func (s *Scheduler) Tick() {
	s.mu.Lock()
	late := s.late
	if s.ready {
		s.late = map[string]task.Report{}
	}
	s.mu.Unlock()
	err := s.change(func(t *turn) error {
		if s.closed || !s.ready {
			return nil
		}
		for _, r := range late {
			t.report(r)
		}
		for _, row := range t.ledger.Tasks.All {
			if !row.Over() {
				t.examine(row)
			}
		}
		for key := range t.ledger.Services.All {
			t.touch(key)
		}
		t.expire()
		return nil
	})
	if err == nil {
		return
	}
	s.cfg.Logger.Error("do what is due", "error", err)
	s.mu.Lock()
	defer s.mu.Unlock()
	for arn, r := range late {
		if _, newer := s.late[arn]; !newer {
			s.late[arn] = r
		}
	}
}

// expire drops stopped tasks past their time, the oldest first when there are
// too many.
func (t *turn) expire() {
	var stopped []*ledger.Task
	for _, row := range t.ledger.Tasks.All {
		if row.Over() {
			stopped = append(stopped, row)
		}
	}
	slices.SortFunc(stopped, func(a, b *ledger.Task) int { return a.Task.StoppedAt.Compare(*b.Task.StoppedAt) })
	for i, row := range stopped {
		if t.now.Sub(*row.Task.StoppedAt) >= keepStopped || len(stopped)-i > maxStopped {
			t.ledger.Tasks.Delete(ledger.Key(row.Cluster, ident.Last(*row.Task.TaskArn)))
			t.written = true
		}
	}
}

// untilNext is the time until something is due.
func (s *Scheduler) untilNext() (wait time.Duration, set bool) {
	s.read(func(t *turn) {
		consider := func(at time.Time) {
			if d := at.Sub(t.now); !set || d < wait {
				wait, set = max(d, 0), true
			}
		}
		for _, row := range t.ledger.Tasks.All {
			if at, ok := t.due(row); ok {
				consider(at)
			}
		}
		for _, svc := range t.ledger.Services.All {
			t.dueDeployments(svc, consider)
		}
		if t.ready && len(s.late) > 0 {
			consider(t.now.Add(retryReports))
		}
	})
	return wait, set
}

// dueDeployments tells when time alone takes a service's deployments further.
func (t *turn) dueDeployments(svc *ledger.Service, consider func(time.Time)) {
	dep := t.ledger.Deployments.Get(svc.Primary)
	if dep == nil {
		return
	}
	for _, d := range []*ledger.Deployment{dep, t.ledger.Deployments.Get(t.settled(svc))} {
		if d != nil && d.NotBefore.After(t.now) {
			consider(d.NotBefore)
		}
	}
	if at, ok := t.nextStep(svc, dep); ok {
		consider(at)
	}
}

// due is when time alone changes something about the task: it is forgotten, or
// its service's health grace ends.
func (t *turn) due(row *ledger.Task) (at time.Time, ok bool) {
	if row.Over() {
		return row.Task.StoppedAt.Add(keepStopped), true
	}
	svc := t.ledger.Services.Get(row.Service)
	if svc == nil || !row.Live() || !failing(row) {
		return time.Time{}, false
	}
	end := graceEnd(svc, row)
	return end, end.After(t.now)
}

// failing reports whether a check of the task fails at present.
func failing(row *ledger.Task) bool {
	return row.Task.HealthStatus == types.HealthStatusUnhealthy ||
		slices.ContainsFunc(row.Targets, func(b ledger.Binding) bool { return b.Health == TargetUnhealthy })
}
