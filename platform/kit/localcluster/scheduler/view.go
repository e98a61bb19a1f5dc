package scheduler

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/ident"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/ledger"
)

// Services lists the services of a cluster by name, INACTIVE ones too.
func (s *Scheduler) Services(cluster string) []types.Service {
	var out []types.Service
	s.read(func(t *turn) {
		for _, svc := range t.ledger.Services.All {
			if svc.Cluster == cluster {
				out = append(out, t.serviceView(svc))
			}
		}
	})
	return out
}

// Tasks lists the tasks of a cluster by id, stopped ones too.
func (s *Scheduler) Tasks(cluster string) []types.Task {
	var out []types.Task
	s.read(func(t *turn) {
		for _, row := range t.ledger.Tasks.All {
			if row.Cluster == cluster {
				out = append(out, row.Task)
			}
		}
	})
	return out
}

// Task finds a task by id, in any cluster, with its definition.
func (s *Scheduler) Task(id string) (found types.Task, def types.TaskDefinition, ok bool) {
	s.read(func(t *turn) {
		for _, row := range t.ledger.Tasks.All {
			if ident.Last(*row.Task.TaskArn) == id {
				found, ok = row.Task, true
				if d := t.ledger.Definitions.Get(row.Definition); d != nil {
					def = d.Definition
				}
			}
		}
	})
	return found, def, ok
}

// Cluster finds an ACTIVE cluster by name or ARN.
func (s *Scheduler) Cluster(name *string) (types.Cluster, error) {
	var out types.Cluster
	var err error
	s.read(func(t *turn) {
		var row *ledger.Cluster
		if row, err = t.activeCluster(name); err == nil {
			out = t.clusterView(row)
		}
	})
	return out, err
}

// ServiceDeployments lists the service deployments of a service, by cluster
// name and service name, in no particular order.
func (s *Scheduler) ServiceDeployments(cluster, service string) []types.ServiceDeployment {
	var out []types.ServiceDeployment
	key := ledger.Key(cluster, service)
	s.read(func(t *turn) {
		svc := t.ledger.Services.Get(key)
		for _, row := range t.ledger.Rollouts.All {
			if row.Service == key {
				out = append(out, t.rolloutView(svc, row))
			}
		}
	})
	return out
}

// ServiceDeployment finds a service deployment by ARN.
func (s *Scheduler) ServiceDeployment(arn string) (out types.ServiceDeployment, found bool) {
	s.read(func(t *turn) {
		if row := t.ledger.Rollouts.Get(arn); row != nil {
			out, found = t.rolloutView(t.ledger.Services.Get(row.Service), row), true
		}
	})
	return out, found
}

// ServiceRevision finds a service revision by ARN.
func (s *Scheduler) ServiceRevision(arn string) (out types.ServiceRevision, found bool) {
	s.read(func(t *turn) {
		if row := t.ledger.Revisions.Get(arn); row != nil {
			out, found = row.Revision, true
		}
	})
	return out, found
}

// counts are the tasks of a service or a part of it.
type counts struct{ running, pending int32 }

// count counts the service's tasks for which keep holds.
func (t *turn) count(svc *ledger.Service, keep func(*ledger.Task) bool) counts {
	var c counts
	for _, row := range t.tasksOf(svc) {
		switch {
		case !keep(row):
		case row.Status() == statusRunning:
			c.running++
		case row.Live():
			c.pending++
		}
	}
	return c
}

// serviceView is a service with its deployments and counts as they are now.
func (t *turn) serviceView(svc *ledger.Service) types.Service {
	out := svc.Service
	all := t.count(svc, func(*ledger.Task) bool { return true })
	out.RunningCount, out.PendingCount = all.running, all.pending
	out.Deployments = []types.Deployment{}
	for _, dep := range t.deploymentsOf(svc) {
		shown, id := dep.Deployment, *dep.Deployment.Id
		c := t.count(svc, func(row *ledger.Task) bool { return row.Deployment == id })
		shown.RunningCount, shown.PendingCount = c.running, c.pending
		if id == svc.Primary {
			shown.DesiredCount = out.DesiredCount
		}
		out.Deployments = append(out.Deployments, shown)
		out.CurrentServiceRevisions = append(out.CurrentServiceRevisions, types.ServiceCurrentRevisionSummary{
			Arn: aws.String(dep.Revision), RequestedTaskCount: shown.DesiredCount,
			RunningTaskCount: c.running, PendingTaskCount: c.pending,
		})
	}
	if out.Events == nil {
		out.Events = []types.ServiceEvent{}
	}
	return out
}

// summary counts the tasks of a revision.
func (t *turn) summary(svc *ledger.Service, revision string) types.ServiceRevisionSummary {
	c := t.count(svc, func(row *ledger.Task) bool {
		dep := t.ledger.Deployments.Get(row.Deployment)
		return dep != nil && dep.Revision == revision
	})
	out := types.ServiceRevisionSummary{
		Arn: aws.String(revision), RunningTaskCount: c.running, PendingTaskCount: c.pending,
	}
	if dep := t.ledger.Deployments.Get(svc.Primary); dep != nil && dep.Revision == revision {
		out.RequestedTaskCount = svc.Service.DesiredCount
	}
	out.RequestedProductionTrafficWeight, out.RequestedTestTrafficWeight = t.weights(svc, revision)
	return out
}

// rolloutView is a service deployment; while it lasts, with the numbers of now.
func (t *turn) rolloutView(svc *ledger.Service, row *ledger.Rollout) types.ServiceDeployment {
	out := row.Rollout
	if svc == nil || finished(out.Status) {
		return out
	}
	target := t.summary(svc, *out.TargetServiceRevision.Arn)
	out.TargetServiceRevision = &target
	sources := make([]types.ServiceRevisionSummary, 0, len(out.SourceServiceRevisions))
	for _, source := range out.SourceServiceRevisions {
		sources = append(sources, t.summary(svc, *source.Arn))
	}
	out.SourceServiceRevisions = sources
	if dep := t.ledger.Deployments.Get(row.Deployment); dep != nil && dep.Shift != nil {
		out.LifecycleStage = dep.Shift.Stage
	}
	if dep := t.ledger.Deployments.Get(row.Deployment); dep != nil && out.DeploymentCircuitBreaker == nil {
		state := t.breakerState(svc, dep)
		out.DeploymentCircuitBreaker = &state
	}
	return out
}

// Now is the scheduler's time.
func (s *Scheduler) Now() time.Time { return s.now() }

// weights are the shares of the traffic of a revision, in percent, as
// DescribeServiceDeployments shows them.
func (t *turn) weights(svc *ledger.Service, revision string) (production, test *float64) {
	dep := t.ledger.Deployments.Get(svc.Primary)
	if dep == nil || dep.Shift == nil {
		return nil, nil
	}
	tested := 0.0
	if svc.Tested {
		tested = whole
	}
	if dep.Revision == revision {
		return aws.Float64(svc.Share), aws.Float64(tested)
	}
	return aws.Float64(whole - svc.Share), aws.Float64(whole - tested)
}
