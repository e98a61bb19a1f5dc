package scheduler

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/ident"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/ledger"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/plan"
)

// maxRounds bounds the steps of one turn; a service is settled after three.
const maxRounds = 20

// settle plans and takes steps for the touched services until none is left.
func (t *turn) settle() {
	if !t.ready {
		return
	}
	for range maxRounds {
		if len(t.touched) == 0 {
			return
		}
		keys := slices.Sorted(maps.Keys(t.touched))
		clear(t.touched)
		for _, key := range keys {
			if svc := t.ledger.Services.Get(key); svc != nil && *svc.Service.Status != serviceInactive {
				t.advance(svc)
			}
		}
	}
	t.cfg.Logger.Error("services do not settle", "services", slices.Sorted(maps.Keys(t.touched)))
}

// advance takes one service one step further.
func (t *turn) advance(svc *ledger.Service) {
	dep := t.ledger.Deployments.Get(svc.Primary)
	if dep == nil {
		return
	}
	if *svc.Service.Status == serviceActive && (t.trip(svc, dep) || t.alarmed(svc, dep)) {
		t.touch(serviceKey(svc))
		return
	}
	tasks := t.tasksOf(svc)
	view := t.planView(svc, dep, tasks)
	step := strategyOf(dep)(view)
	if len(step.Stop) > 0 {
		t.retire(svc, step.Stop)
	}
	if step.Start > 0 {
		t.launch(svc, dep, step.Start)
	}
	if step.Restore > 0 {
		t.launch(svc, t.ledger.Deployments.Get(view.Settled), step.Restore)
	}
	if len(step.Stop)+step.Start+step.Restore > 0 {
		return // the changes have touched the service
	}
	t.prune(svc)
	if view.Draining {
		if len(tasks) == 0 {
			t.deactivate(svc)
		}
		return
	}
	t.conclude(svc, dep, view, step)
}

// strategyOf picks the planner of a deployment. Whatever puts an earlier
// release back is a rolling update: its tasks are still there, or have to be
// started anew.
func strategyOf(dep *ledger.Deployment) plan.Strategy {
	if dep.Shift != nil {
		return plan.Beside
	}
	return plan.Rolling
}

// conclude notes what the numbers say: completed, steady, or stuck.
func (t *turn) conclude(svc *ledger.Service, dep *ledger.Deployment, view plan.View, step plan.Step) {
	t.move(svc, dep, view)
	complete := plan.Complete(view) && t.baked(svc, dep)
	if complete && dep.Deployment.RolloutState != types.DeploymentRolloutStateCompleted && !view.Halted {
		t.complete(svc, dep)
	}
	if complete && view.Desired > 0 && !view.Halted && svc.Completed != dep.Revision {
		// One that completed with no task has shown nothing: put back, a
		// bootstrap revision would start tasks that can never run.
		svc.Completed = dep.Revision
		t.touchService(svc)
	}
	if complete != svc.Steady {
		svc.Steady = complete
		t.touchService(svc)
		if complete && !view.Halted {
			t.sayf(svc, "has reached a steady state")
		}
	}
	if step.Stuck != svc.Stuck {
		svc.Stuck = step.Stuck
		t.touchService(svc)
		if step.Stuck {
			t.sayf(svc, "was unable to stop or start tasks during a deployment because of the service deployment configuration: "+
				"minimumHealthyPercent and maximumPercent leave no room for a step")
		}
	}
}

// tasksOf lists the service's tasks that have not stopped.
func (t *turn) tasksOf(svc *ledger.Service) []*ledger.Task {
	var out []*ledger.Task
	key := serviceKey(svc)
	for _, row := range t.ledger.Tasks.All {
		if row.Service == key && !row.Over() {
			out = append(out, row)
		}
	}
	return out
}

// planView is the snapshot a strategy plans from.
func (t *turn) planView(svc *ledger.Service, dep *ledger.Deployment, tasks []*ledger.Task) plan.View {
	desired, config := int(svc.Service.DesiredCount), svc.Service.DeploymentConfiguration
	view := plan.View{
		Desired:   desired,
		Bounds:    plan.BoundsOf(desired, *config.MinimumHealthyPercent, *config.MaximumPercent),
		Primary:   svc.Primary,
		Halted:    dep.Deployment.RolloutState == types.DeploymentRolloutStateFailed && !dep.Rollback,
		Throttled: t.now.Before(dep.NotBefore),
		Draining:  *svc.Service.Status == serviceDraining,
	}
	if dep.Shift != nil {
		view.Settled = t.settled(svc)
		view.Moved = cleaning(dep)
		if settled := t.ledger.Deployments.Get(view.Settled); settled != nil {
			view.Rest = t.now.Before(settled.NotBefore)
		}
	}
	for _, row := range tasks {
		healthy, _ := t.healthy(row)
		healthy = healthy && t.serves(svc, row)
		view.Tasks = append(view.Tasks, plan.Task{
			ID: ident.Last(*row.Task.TaskArn), Deployment: row.Deployment, Stopping: !row.Live(),
			Running: row.Status() == statusRunning, Healthy: healthy, Proven: row.Proven && t.serves(svc, row),
			CreatedAt: *row.Task.CreatedAt,
		})
	}
	return view
}

// launch starts tasks of a deployment.
func (t *turn) launch(svc *ledger.Service, dep *ledger.Deployment, n int) {
	revision := t.ledger.Revisions.Get(dep.Revision)
	cluster := t.ledger.Clusters.Get(svc.Cluster)
	if revision == nil || cluster == nil {
		return
	}
	def := t.definitionByARN(*revision.Revision.TaskDefinition)
	if def == nil {
		return
	}
	l := launch{
		cluster: cluster, definition: def, group: "service:" + *svc.Service.ServiceName,
		startedBy: *dep.Deployment.Id, network: revision.Revision.NetworkConfiguration,
		platform: aws.ToString(revision.Revision.PlatformVersion), capacity: capacityOf(revision.Revision.CapacityProviderStrategy),
		exec: svc.Service.EnableExecuteCommand, service: serviceKey(svc), deployment: *dep.Deployment.Id,
		balancers: revision.Revision.LoadBalancers, alternate: dep.Alternate, tags: t.taskTags(svc, def),
	}
	ids := make([]string, 0, n)
	for range n {
		ids = append(ids, ident.Last(*t.create(l).Task.TaskArn))
	}
	t.touch(serviceKey(svc))
	t.sayf(svc, "has started %d tasks: %s", n, taskList(ids))
}

// retire stops tasks the service no longer wants.
func (t *turn) retire(svc *ledger.Service, ids []string) {
	draining := 0
	for _, id := range ids {
		row := t.ledger.Tasks.Get(ledger.Key(svc.Cluster, id))
		t.stop(row, ledger.CauseReplaced, types.TaskStopCodeServiceSchedulerInitiated,
			"Scaling activity initiated by (deployment "+svc.Primary+")")
		if row.Status() == statusDeactivating {
			draining++
		}
	}
	if draining > 0 {
		t.sayf(svc, "has begun draining connections on %d tasks", draining)
	}
	t.sayf(svc, "has stopped %d running tasks: %s", len(ids), taskList(ids))
}

// prune drops the replaced deployments whose last task has stopped.
func (t *turn) prune(svc *ledger.Service) {
	kept := ""
	if dep := t.ledger.Deployments.Get(svc.Primary); dep != nil && dep.Shift != nil && !cleaning(dep) {
		kept = t.settled(svc)
	}
	for _, dep := range t.deploymentsOf(svc) {
		id := *dep.Deployment.Id
		if id == svc.Primary || id == kept {
			continue
		}
		left := slices.ContainsFunc(t.tasksOf(svc), func(row *ledger.Task) bool { return row.Deployment == id })
		if !left {
			t.ledger.Deployments.Delete(id)
			t.written = true
		}
	}
}

func capacityOf(strategy []types.CapacityProviderStrategyItem) string {
	if len(strategy) == 0 {
		return ""
	}
	return aws.ToString(strategy[0].CapacityProvider)
}

// maxEvents is how many events a service keeps, as in ECS.
const maxEvents = 100

// sayf adds a service event, newest first.
func (t *turn) sayf(svc *ledger.Service, format string, args ...any) {
	event := types.ServiceEvent{
		Id:        aws.String(t.names.UUID()),
		CreatedAt: aws.Time(t.now),
		Message:   aws.String(fmt.Sprintf("(service %s) ", *svc.Service.ServiceName) + fmt.Sprintf(format, args...) + "."),
	}
	keep := svc.Service.Events[:min(len(svc.Service.Events), maxEvents-1)]
	svc.Service.Events = append([]types.ServiceEvent{event}, keep...)
	t.touchService(svc)
}

// taskList is "(task a) (task b)".
func taskList(ids []string) string {
	parts := make([]string, len(ids))
	for i, id := range ids {
		parts[i] = "(task " + id + ")"
	}
	return strings.Join(parts, " ")
}

func (t *turn) touchService(svc *ledger.Service) {
	t.ledger.Services.Touch(ledger.Key(svc.Cluster, *svc.Service.ServiceName))
}

func serviceKey(svc *ledger.Service) string { return ledger.Key(svc.Cluster, *svc.Service.ServiceName) }
