package scheduler

import (
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/ledger"
)

// Deployment states in a service's list.
const (
	deploymentPrimary = "PRIMARY"
	deploymentActive  = "ACTIVE"
)

// keptRollouts is how many service deployments of a service are remembered.
const keptRollouts = 100

// begin starts a deployment of the service's present configuration: a new
// revision, a new service deployment, a new primary. One that is still under
// way is superseded.
func (t *turn) begin(svc *ledger.Service) {
	t.supersede(svc)
	revision := t.revise(svc)
	id := "ecs-svc/" + t.names.Number()
	arn := t.names.ARN("service-deployment/" + serviceKey(svc) + "/" + t.names.ServiceDeployment())
	t.ledger.Rollouts.Put(arn, &ledger.Rollout{
		Service: serviceKey(svc), Deployment: id,
		Rollout: types.ServiceDeployment{
			ServiceDeploymentArn: aws.String(arn), ServiceArn: svc.Service.ServiceArn, ClusterArn: svc.Service.ClusterArn,
			CreatedAt: aws.Time(t.now), StartedAt: aws.Time(t.now), UpdatedAt: aws.Time(t.now),
			Status:                  types.ServiceDeploymentStatusInProgress,
			DeploymentConfiguration: svc.Service.DeploymentConfiguration,
			SourceServiceRevisions:  t.sources(svc),
			TargetServiceRevision:   &types.ServiceRevisionSummary{Arn: aws.String(revision)},
			Alarms:                  &types.ServiceDeploymentAlarms{Status: types.ServiceDeploymentRollbackMonitorsStatusDisabled},
		},
	})
	dep := t.deploy(svc, id, revision)
	t.choose(svc, dep)
	t.promote(svc, dep, arn)
	t.watchAlarms(svc, dep)
	t.forget(svc)
}

// deploy adds a deployment record of a revision.
func (t *turn) deploy(svc *ledger.Service, id, revision string) *ledger.Deployment {
	dep := &ledger.Deployment{
		Service: serviceKey(svc), Revision: revision,
		Deployment: types.Deployment{
			Id: aws.String(id), CreatedAt: aws.Time(t.now), UpdatedAt: aws.Time(t.now),
			TaskDefinition: svc.Service.TaskDefinition, LaunchType: svc.Service.LaunchType,
			CapacityProviderStrategy: svc.Service.CapacityProviderStrategy,
			NetworkConfiguration:     svc.Service.NetworkConfiguration,
			PlatformVersion:          svc.Service.PlatformVersion, PlatformFamily: svc.Service.PlatformFamily,
		},
	}
	dep.Alternate = svc.Alternate
	t.ledger.Deployments.Put(id, dep)
	return dep
}

// promote makes a deployment the one that should end up with every task.
func (t *turn) promote(svc *ledger.Service, dep *ledger.Deployment, rollout string) {
	if old := t.ledger.Deployments.Get(svc.Primary); old != nil && old != dep {
		old.Deployment.Status = aws.String(deploymentActive)
		t.touchDeployment(old)
	}
	dep.Rollout = rollout
	dep.Crashes, dep.Deployment.FailedTasks = 0, 0
	dep.NotBefore, dep.Baking = t.now, time.Time{}
	dep.Deployment.Status = aws.String(deploymentPrimary)
	dep.Deployment.RolloutState = types.DeploymentRolloutStateInProgress
	dep.Deployment.RolloutStateReason = aws.String("ECS deployment " + *dep.Deployment.Id + " in progress.")
	svc.Primary, svc.Steady, svc.Stuck = *dep.Deployment.Id, false, false
	svc.Service.CurrentServiceDeployment = aws.String(rollout)
	t.touchDeployment(dep)
	t.touchService(svc)
}

// supersede ends the service deployment that is under way, if any, because a
// newer one takes its place.
func (t *turn) supersede(svc *ledger.Service) {
	dep := t.ledger.Deployments.Get(svc.Primary)
	if dep == nil {
		return
	}
	dep.Rollback = false
	t.moveBack(svc)
	row := t.ledger.Rollouts.Get(dep.Rollout)
	if row == nil || finished(row.Rollout.Status) {
		return
	}
	if dep.Deployment.RolloutState == types.DeploymentRolloutStateInProgress {
		dep.Deployment.RolloutStateReason = aws.String("ECS deployment " + *dep.Deployment.Id + " was superseded by a newer deployment.")
	}
	t.touchDeployment(dep)
	t.finish(svc, row, types.ServiceDeploymentStatusStopped, "Service deployment was superseded by a newer service deployment.")
}

// complete ends a deployment that has reached its goal.
func (t *turn) complete(svc *ledger.Service, dep *ledger.Deployment) {
	t.written = true
	id := *dep.Deployment.Id
	dep.Deployment.RolloutState = types.DeploymentRolloutStateCompleted
	dep.Deployment.RolloutStateReason = aws.String("ECS deployment " + id + " completed.")
	if dep.Shift != nil {
		svc.Alternate, svc.Share, svc.Tested, dep.Shift = dep.Alternate, 0, false, nil
		t.touchService(svc)
	}
	t.touchDeployment(dep)
	t.sayf(svc, "(deployment %s) deployment completed", id)
	row := t.ledger.Rollouts.Get(dep.Rollout)
	if row == nil || finished(row.Rollout.Status) {
		dep.Rollback = false
		return
	}
	if dep.Rollback {
		dep.Rollback = false
		t.finish(svc, row, types.ServiceDeploymentStatusRollbackSuccessful, aws.ToString(row.Rollout.StatusReason))
		return
	}
	t.finish(svc, row, types.ServiceDeploymentStatusSuccessful, "Service deployment completed.")
}

// finish ends a service deployment with its verdict; the numbers of tasks are
// kept as they are now.
func (t *turn) finish(svc *ledger.Service, row *ledger.Rollout, status types.ServiceDeploymentStatus, reason string) {
	t.written = true
	shown := t.rolloutView(svc, row)
	shown.Status, shown.StatusReason = status, aws.String(reason)
	shown.FinishedAt = aws.Time(t.now)
	if status == types.ServiceDeploymentStatusStopped {
		shown.StoppedAt = aws.Time(t.now)
	}
	if b := shown.DeploymentCircuitBreaker; b != nil && b.Status == types.ServiceDeploymentRollbackMonitorsStatusMonitoring {
		done := *b
		done.Status = types.ServiceDeploymentRollbackMonitorsStatusMonitoringComplete
		shown.DeploymentCircuitBreaker = &done
	}
	if a := shown.Alarms; a != nil && a.Status == types.ServiceDeploymentRollbackMonitorsStatusMonitoring {
		done := *a
		done.Status = types.ServiceDeploymentRollbackMonitorsStatusMonitoringComplete
		shown.Alarms = &done
	}
	row.Rollout = shown
	t.touchRollout(row)
}

// finished reports whether a service deployment has its final status.
func finished(status types.ServiceDeploymentStatus) bool {
	switch status {
	case types.ServiceDeploymentStatusSuccessful, types.ServiceDeploymentStatusStopped,
		types.ServiceDeploymentStatusRollbackSuccessful, types.ServiceDeploymentStatusRollbackFailed:
		return true
	default:
		return false
	}
}

// revise writes the service's present configuration down as a new revision.
func (t *turn) revise(svc *ledger.Service) string {
	arn := t.names.ARN("service-revision/" + serviceKey(svc) + "/" + t.names.Number())
	s := svc.Service
	revision := types.ServiceRevision{
		ServiceRevisionArn: aws.String(arn), ServiceArn: s.ServiceArn, ClusterArn: s.ClusterArn,
		CreatedAt: aws.Time(t.now), TaskDefinition: s.TaskDefinition, LaunchType: s.LaunchType,
		CapacityProviderStrategy: s.CapacityProviderStrategy, PlatformVersion: s.PlatformVersion,
		PlatformFamily: s.PlatformFamily, LoadBalancers: s.LoadBalancers, NetworkConfiguration: s.NetworkConfiguration,
		ResolvedConfiguration: &types.ResolvedConfiguration{LoadBalancers: []types.ServiceRevisionLoadBalancer{}},
	}
	if def := t.definitionByARN(*s.TaskDefinition); def != nil {
		for _, c := range def.Definition.ContainerDefinitions {
			revision.ContainerImages = append(revision.ContainerImages, containerImage(c))
		}
	}
	for _, lb := range s.LoadBalancers {
		revision.ResolvedConfiguration.LoadBalancers = append(revision.ResolvedConfiguration.LoadBalancers,
			types.ServiceRevisionLoadBalancer{TargetGroupArn: lb.TargetGroupArn})
	}
	t.ledger.Revisions.Put(arn, &ledger.Revision{Service: serviceKey(svc), Revision: revision})
	return arn
}

// sources are the revisions that have tasks now.
func (t *turn) sources(svc *ledger.Service) []types.ServiceRevisionSummary {
	out := []types.ServiceRevisionSummary{}
	for _, dep := range t.deploymentsOf(svc) {
		out = append(out, t.summary(svc, dep.Revision))
	}
	return out
}

// deploymentsOf lists the service's deployments, the primary one first, then
// the youngest.
func (t *turn) deploymentsOf(svc *ledger.Service) []*ledger.Deployment {
	var out []*ledger.Deployment
	key := serviceKey(svc)
	for _, dep := range t.ledger.Deployments.All {
		if dep.Service == key {
			out = append(out, dep)
		}
	}
	slices.SortStableFunc(out, func(a, b *ledger.Deployment) int {
		switch {
		case *a.Deployment.Id == svc.Primary:
			return -1
		case *b.Deployment.Id == svc.Primary:
			return 1
		default:
			return b.Deployment.CreatedAt.Compare(*a.Deployment.CreatedAt)
		}
	})
	return out
}

// forget drops the oldest finished service deployments beyond keptRollouts and
// the revisions that only they referred to.
func (t *turn) forget(svc *ledger.Service) {
	key, kept := serviceKey(svc), map[string]bool{svc.Completed: true}
	var rows []*ledger.Rollout
	for _, row := range t.ledger.Rollouts.All {
		if row.Service == key {
			rows = append(rows, row)
		}
	}
	slices.SortFunc(rows, func(a, b *ledger.Rollout) int { return b.Rollout.CreatedAt.Compare(*a.Rollout.CreatedAt) })
	for i, row := range rows {
		if i >= keptRollouts && finished(row.Rollout.Status) {
			t.ledger.Rollouts.Delete(*row.Rollout.ServiceDeploymentArn)
			continue
		}
		kept[*row.Rollout.TargetServiceRevision.Arn] = true
		for _, source := range row.Rollout.SourceServiceRevisions {
			kept[*source.Arn] = true
		}
	}
	for _, dep := range t.deploymentsOf(svc) {
		kept[dep.Revision] = true
	}
	for arn, row := range t.ledger.Revisions.All {
		if row.Service == key && !kept[arn] {
			t.ledger.Revisions.Delete(arn)
		}
	}
}

func containerImage(c types.ContainerDefinition) types.ContainerImage {
	image := types.ContainerImage{ContainerName: c.Name, Image: c.Image}
	if digest := digestOf(aws.ToString(c.Image)); digest != "" {
		image.ImageDigest = aws.String(digest)
	}
	return image
}

// rollbackReason is the text of a deployment that was put back.
func rollbackReason(initiator, id string) string {
	return fmt.Sprintf("%s: rolling back to deploymentId %s.", initiator, id)
}
