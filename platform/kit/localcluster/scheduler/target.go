package scheduler

import (
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/ecserr"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/ident"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/ledger"
)

// setBinding changes a task's place in a group. The slice is replaced.
func (t *turn) setBinding(row *ledger.Task, group string, fn func(*ledger.Binding)) {
	row.Targets = slices.Clone(row.Targets)
	for i := range row.Targets {
		if row.Targets[i].Group == group {
			fn(&row.Targets[i])
		}
	}
	t.touchTask(row)
}

// activate takes a task whose containers are up to RUNNING, through the load
// balancer where it has one. The registration is written before it is made.
func (t *turn) activate(row *ledger.Task) {
	row.Task.LastStatus = aws.String(statusRunning)
	t.touchTask(row)
	svc := t.ledger.Services.Get(row.Service)
	for _, b := range row.Targets {
		port, found := hostPort(row.Task, b.Container, b.ContainerPort)
		if !found {
			t.refused(*row.Task.TaskArn, b.Group, ecserr.Invalid("container %s has no port %d", b.Container, b.ContainerPort))
			return
		}
		t.setBinding(row, b.Group, func(b *ledger.Binding) {
			b.HostPort, b.State, b.Health = port, ledger.BindingRegistered, TargetInitial
		})
		t.then(t.registerTarget(b.Group, Target{ID: *row.Task.TaskArn, Host: t.cfg.TargetHost, Port: int(port)}))
		if svc != nil {
			t.sayf(svc, "registered 1 targets in (target-group %s)", b.Group)
		}
	}
}

func hostPort(row types.Task, container string, port int32) (int32, bool) {
	for _, c := range row.Containers {
		if *c.Name != container {
			continue
		}
		for _, b := range c.NetworkBindings {
			if *b.ContainerPort == port {
				return *b.HostPort, true
			}
		}
	}
	return 0, false
}

// refused ends a task that the load balancer did not take.
func (t *turn) refused(arn, group string, err error) {
	row := t.taskOf(arn)
	if row == nil || !row.Live() {
		return
	}
	if svc := t.ledger.Services.Get(row.Service); svc != nil {
		t.sayf(svc, "was unable to register (task %s) in (target-group %s): %s", ident.Last(arn), group, err)
	}
	t.setBinding(row, group, func(b *ledger.Binding) { b.State = ledger.BindingGone })
	t.stop(row, ledger.CauseHealth, types.TaskStopCodeServiceSchedulerInitiated,
		"Task could not be registered in (target-group "+group+"): "+err.Error())
}

// leaveTargets takes a task out of every group it is in and reports whether it
// now drains.
func (t *turn) leaveTargets(row *ledger.Task) bool {
	draining := false
	for _, b := range row.Targets {
		switch b.State {
		case ledger.BindingNew:
			t.setBinding(row, b.Group, func(b *ledger.Binding) { b.State = ledger.BindingGone })
		case ledger.BindingRegistered:
			draining = true
			t.setBinding(row, b.Group, func(b *ledger.Binding) {
				b.State, b.Health = ledger.BindingDraining, TargetDraining
			})
			t.then(t.deregisterTarget(b.Group, *row.Task.TaskArn))
			if svc := t.ledger.Services.Get(row.Service); svc != nil {
				t.sayf(svc, "deregistered 1 targets in (target-group %s)", b.Group)
			}
		case ledger.BindingDraining:
			draining = true
		}
	}
	return draining
}

// drained goes on with stopping a task once its last target is drained.
func (t *turn) drained(arn, group string) {
	row := t.taskOf(arn)
	if row == nil {
		return
	}
	t.setBinding(row, group, func(b *ledger.Binding) { b.State = ledger.BindingGone })
	left := slices.ContainsFunc(row.Targets, func(b ledger.Binding) bool { return b.State == ledger.BindingDraining })
	if !left && row.Status() == statusDeactivating {
		t.halt(row)
	}
}

// targetHealth notes what the load balancer says about a target.
func (t *turn) targetHealth(arn, group string, h TargetHealth) {
	row := t.taskOf(arn)
	if row == nil || !row.Live() {
		return
	}
	changed := false
	t.setBinding(row, group, func(b *ledger.Binding) {
		if b.State == ledger.BindingRegistered {
			changed = b.Health != h.State
			b.Health, b.Reason, b.Description = h.State, h.Reason, h.Description
		}
	})
	if changed {
		t.examine(row)
	}
}

// healthy reports whether a task runs and passes every check that applies to
// it, and whether any does.
func (t *turn) healthy(row *ledger.Task) (healthy, checked bool) {
	def := t.ledger.Definitions.Get(row.Definition)
	if def == nil || !row.Live() || row.Status() != statusRunning {
		return false, false
	}
	if hasCheck(def.Definition) {
		checked = true
		if row.Task.HealthStatus != types.HealthStatusHealthy {
			return false, true
		}
	}
	for _, b := range row.Targets {
		checked = true
		if b.State != ledger.BindingRegistered || b.Health != TargetHealthy {
			return false, true
		}
	}
	return true, checked
}

// examine draws the conclusions from a task's health: a first success clears
// the deployment's failures, a failure after the grace period ends the task.
// Standalone tasks are nobody's to replace and are left alone.
func (t *turn) examine(row *ledger.Task) {
	svc := t.ledger.Services.Get(row.Service)
	if svc == nil || !row.Live() || row.Status() != statusRunning {
		return
	}
	if healthy, checked := t.healthy(row); healthy {
		t.prove(row, checked)
		return
	}
	if t.now.Before(graceEnd(svc, row)) {
		return
	}
	if row.Task.HealthStatus == types.HealthStatusUnhealthy {
		t.sayf(svc, "(task %s) failed container health checks", ident.Last(*row.Task.TaskArn))
		t.stop(row, ledger.CauseHealth, types.TaskStopCodeServiceSchedulerInitiated, "Task failed container health checks")
		return
	}
	for _, b := range row.Targets {
		if b.Health == TargetUnhealthy {
			t.sayf(svc, "(task %s) %s", ident.Last(*row.Task.TaskArn), failure(b))
			t.stop(row, ledger.CauseHealth, types.TaskStopCodeServiceSchedulerInitiated,
				"Task failed ELB health checks in (target-group "+b.Group+")")
			return
		}
	}
}

// graceEnd is when failed health checks begin to count for a task.
func graceEnd(svc *ledger.Service, row *ledger.Task) time.Time {
	if row.Task.StartedAt == nil {
		return time.Time{}
	}
	return row.Task.StartedAt.Add(time.Duration(aws.ToInt32(svc.Service.HealthCheckGracePeriodSeconds)) * time.Second)
}
