package scheduler

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/ledger"
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
		for key := range t.ledger.Services.All {
			t.touch(key)
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
