package scheduler

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/ecserr"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/ledger"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/plan"
)

// blame counts a failed task against its deployment: once for the back-off,
// and while the deployment is in progress once for the circuit breaker.
func (t *turn) blame(row *ledger.Task) {
	dep, svc := t.ledger.Deployments.Get(row.Deployment), t.ledger.Services.Get(row.Service)
	if dep == nil || svc == nil {
		return
	}
	if started := row.Task.StartedAt; row.Proven && started != nil && t.now.Sub(*started) >= t.cfg.StableAfter {
		dep.Crashes = 0
	}
	dep.Crashes++
	if wait := t.cfg.backoff(int(svc.Service.DesiredCount)).After(dep.Crashes); wait > 0 {
		dep.NotBefore = t.now.Add(wait)
		t.sayf(svc, "is unable to consistently start tasks successfully; the next start is in %s", wait)
	}
	if dep.Deployment.RolloutState == types.DeploymentRolloutStateInProgress {
		dep.Deployment.FailedTasks++
	}
	t.touchDeployment(dep)
}

// prove notes a task's first health. A deployment whose tasks do get healthy has
// its next tasks started at once, and starts its count of failures anew unless the
// service says otherwise; tasks that nothing checks prove nothing.
// Sources: Service throttle logic in the ECS developer guide, and
// DeploymentCircuitBreaker.resetOnHealthyTask in the ECS API reference.
func (t *turn) prove(row *ledger.Task, checked bool) {
	if row.Proven {
		return
	}
	row.Proven = true
	t.touchTask(row)
	dep, svc := t.ledger.Deployments.Get(row.Deployment), t.ledger.Services.Get(row.Service)
	if dep == nil || svc == nil || !checked {
		return
	}
	if dep.Crashes > 0 {
		dep.Crashes = 0
		t.touchDeployment(dep)
	}
	if dep.Deployment.FailedTasks == 0 {
		return
	}
	breaker := svc.Service.DeploymentConfiguration.DeploymentCircuitBreaker
	if breaker == nil || breaker.ResetOnHealthyTask == nil || *breaker.ResetOnHealthyTask {
		dep.Deployment.FailedTasks = 0
		t.touchDeployment(dep)
	}
}

// threshold is how many failed tasks fail a deployment of the service.
func threshold(svc *ledger.Service) int {
	desired := int(svc.Service.DesiredCount)
	breaker := svc.Service.DeploymentConfiguration.DeploymentCircuitBreaker
	if breaker == nil || breaker.ThresholdConfiguration == nil {
		return plan.Threshold(desired)
	}
	value := breaker.ThresholdConfiguration.Value
	switch breaker.ThresholdConfiguration.Type {
	case types.ThresholdTypeCount:
		return int(value)
	case types.ThresholdTypeUnboundedPercent:
		return plan.UnboundedThreshold(desired, value)
	default:
		return plan.BoundedThreshold(desired, value)
	}
}

// trip fails the primary deployment when too many of its tasks have failed.
func (t *turn) trip(svc *ledger.Service, dep *ledger.Deployment) bool {
	breaker := svc.Service.DeploymentConfiguration.DeploymentCircuitBreaker
	if dep.Deployment.RolloutState != types.DeploymentRolloutStateInProgress || breaker == nil || !breaker.Enable {
		return false
	}
	if int(dep.Deployment.FailedTasks) < threshold(svc) || cleaning(dep) {
		return false
	}
	id := *dep.Deployment.Id
	t.sayf(svc, "(deployment %s) deployment failed: tasks failed to start", id)
	if row := t.ledger.Rollouts.Get(dep.Rollout); row != nil {
		monitor := t.breakerState(svc, dep)
		monitor.Status = types.ServiceDeploymentRollbackMonitorsStatusTriggered
		row.Rollout.DeploymentCircuitBreaker = &monitor
		t.touchRollout(row)
	}
	t.fail(svc, dep, verdict{
		reason:    fmt.Sprintf("ECS deployment circuit breaker: tasks failed to start (%d of %d tolerated failures).", dep.Deployment.FailedTasks, threshold(svc)),
		rollout:   "Service deployment failed because the circuit breaker threshold was exceeded.",
		rollback:  breaker.Rollback,
		initiator: "ECS deployment circuit breaker",
		rolled:    "Service deployment rolled back because the circuit breaker threshold was exceeded.",
	})
	return true
}

// breakerState is the breaker as DescribeServiceDeployments shows it.
func (t *turn) breakerState(svc *ledger.Service, dep *ledger.Deployment) types.ServiceDeploymentCircuitBreaker {
	breaker := svc.Service.DeploymentConfiguration.DeploymentCircuitBreaker
	if breaker == nil || !breaker.Enable {
		return types.ServiceDeploymentCircuitBreaker{Status: types.ServiceDeploymentRollbackMonitorsStatusDisabled}
	}
	return types.ServiceDeploymentCircuitBreaker{
		Status:       types.ServiceDeploymentRollbackMonitorsStatusMonitoring,
		FailureCount: dep.Deployment.FailedTasks,
		Threshold:    int32(threshold(svc)), //nolint:gosec // at most 200
	}
}

func (t *turn) touchDeployment(dep *ledger.Deployment) {
	dep.Deployment.UpdatedAt = aws.Time(t.now)
	t.ledger.Deployments.Touch(*dep.Deployment.Id)
	t.touch(dep.Service)
}

func (t *turn) touchRollout(row *ledger.Rollout) {
	row.Rollout.UpdatedAt = aws.Time(t.now)
	t.ledger.Rollouts.Touch(*row.Rollout.ServiceDeploymentArn)
}

// verdict is why a deployment ends badly and what is to happen then.
type verdict struct {
	// reason is the deployment's rolloutStateReason, rollout the service
	// deployment's statusReason when nothing is put back, rolled when it is.
	reason, rollout, rolled string
	// rollback asks for the last completed revision; initiator asked for it.
	rollback  bool
	initiator string
}

// noCandidate is what ECS says when there is nothing to roll back to.
const noCandidate = "No rollback candidate was found to run the rollback."

// fail ends the primary deployment as FAILED and puts the last completed
// revision back where that is wanted and there is one. A failed rollback is
// reported, yet its tasks are tried again: nothing better is known.
func (t *turn) fail(svc *ledger.Service, dep *ledger.Deployment, v verdict) {
	t.written = true
	row := t.ledger.Rollouts.Get(dep.Rollout)
	dep.Deployment.RolloutState = types.DeploymentRolloutStateFailed
	dep.Deployment.RolloutStateReason = aws.String(v.reason)
	t.touchDeployment(dep)
	conclude := func(status types.ServiceDeploymentStatus, reason string) {
		if row != nil && !finished(row.Rollout.Status) {
			t.finish(svc, row, status, reason)
		}
	}
	candidate := t.ledger.Revisions.Get(svc.Completed)
	if !dep.Rollback && v.rollback && candidate != nil {
		t.moveBack(svc)
	}
	switch {
	case dep.Rollback:
		conclude(types.ServiceDeploymentStatusRollbackFailed, "Service deployment rollback failed: "+v.reason)
	case !v.rollback:
		conclude(types.ServiceDeploymentStatusStopped, v.rollout)
	case candidate == nil || svc.Completed == dep.Revision:
		conclude(types.ServiceDeploymentStatusRollbackFailed, v.rollout+" "+noCandidate)
	default:
		t.putBack(svc, dep, candidate, row, v)
	}
}

// putBack makes the last completed revision the service's configuration again
// and its deployment the primary one, anew if its last task is gone.
func (t *turn) putBack(svc *ledger.Service, failed *ledger.Deployment, to *ledger.Revision, row *ledger.Rollout, v verdict) {
	r := to.Revision
	svc.Service.TaskDefinition, svc.Service.LoadBalancers = r.TaskDefinition, r.LoadBalancers
	svc.Service.NetworkConfiguration = r.NetworkConfiguration
	svc.Service.PlatformVersion, svc.Service.PlatformFamily = r.PlatformVersion, r.PlatformFamily
	svc.Service.LaunchType, svc.Service.CapacityProviderStrategy = r.LaunchType, r.CapacityProviderStrategy
	var dep *ledger.Deployment
	for _, d := range t.deploymentsOf(svc) {
		if d.Revision == *r.ServiceRevisionArn {
			dep = d
			break
		}
	}
	if dep == nil {
		dep = t.deploy(svc, "ecs-svc/"+t.names.Number(), *r.ServiceRevisionArn)
	}
	id := *dep.Deployment.Id
	dep.Shift = nil
	t.promote(svc, dep, failed.Rollout)
	dep.Rollback = true
	dep.Deployment.RolloutStateReason = aws.String(rollbackReason(v.initiator, id))
	t.sayf(svc, "rolling back to (deployment %s)", id)
	if row == nil {
		return
	}
	row.Rollout.Status = types.ServiceDeploymentStatusRollbackInProgress
	row.Rollout.StatusReason = aws.String(v.rolled)
	row.Rollout.Rollback = &types.Rollback{
		Reason: aws.String(v.rolled), StartedAt: aws.Time(t.now), ServiceRevisionArn: r.ServiceRevisionArn,
	}
	t.touchRollout(row)
}

// StopServiceDeployment ends a deployment that is under way: ROLLBACK puts the
// last completed revision back, ABORT leaves everything as it is. A rollback
// that is under way already goes on.
// Source: "Stopping Amazon ECS service deployments".
func (s *Scheduler) StopServiceDeployment(ctx context.Context, in *ecs.StopServiceDeploymentInput) (string, error) {
	arn := aws.ToString(in.ServiceDeploymentArn)
	err := s.request(ctx, func(t *turn) error {
		row := t.ledger.Rollouts.Get(arn)
		if row == nil {
			return ecserr.NoServiceDeployment(arn)
		}
		svc := t.ledger.Services.Get(row.Service)
		if svc == nil {
			return ecserr.NoService()
		}
		dep := t.ledger.Deployments.Get(svc.Primary)
		if row.Rollout.Status == types.ServiceDeploymentStatusRollbackInProgress && in.StopType != types.StopServiceDeploymentStopTypeAbort {
			return nil // it goes on
		}
		if row.Rollout.Status != types.ServiceDeploymentStatusInProgress || dep == nil || dep.Rollout != arn {
			return ecserr.Conflict("The service deployment is in status %s and can't be stopped.", row.Rollout.Status)
		}
		rollback := in.StopType != types.StopServiceDeploymentStopTypeAbort
		if rollback && (svc.Completed == "" || svc.Completed == dep.Revision) {
			return ecserr.Conflict("%s", noCandidate)
		}
		t.fail(svc, dep, verdict{
			reason:   "ECS deployment " + *dep.Deployment.Id + " was stopped by request.",
			rollout:  "Service deployment was stopped by request.",
			rolled:   "Service deployment rolled back by request.",
			rollback: rollback, initiator: "ECS deployment stop request",
		})
		t.touch(row.Service)
		return nil
	})
	return arn, err
}

// digestOf is the digest in an image reference, or "".
func digestOf(image string) string {
	if _, digest, found := strings.Cut(image, "@"); found {
		return digest
	}
	return ""
}

// alarmPeriod is how often the alarms of a running deployment are looked at.
const alarmPeriod = 500 * time.Millisecond

// watches reports whether a deployment's alarms count.
func (t *turn) watches(svc *ledger.Service, dep *ledger.Deployment) bool {
	alarms := svc.Service.DeploymentConfiguration.Alarms
	return t.cfg.Alarms != nil && alarms != nil && alarms.Enable && len(alarms.AlarmNames) > 0 &&
		!dep.Deaf && !dep.Rollback && dep.Deployment.RolloutState == types.DeploymentRolloutStateInProgress
}

// watchAlarms begins to watch. An alarm that is firing already would fail any
// deployment, also the one that mends its cause: ECS then ignores all alarms.
// Source: "How CloudWatch alarms detect Amazon ECS deployment failures".
func (t *turn) watchAlarms(svc *ledger.Service, dep *ledger.Deployment) {
	row := t.ledger.Rollouts.Get(dep.Rollout)
	if row == nil || !t.watches(svc, dep) {
		return
	}
	names := svc.Service.DeploymentConfiguration.Alarms.AlarmNames
	state := &types.ServiceDeploymentAlarms{AlarmNames: names, Status: types.ServiceDeploymentRollbackMonitorsStatusMonitoring}
	firing, err := t.cfg.Alarms.Firing(names)
	if err != nil || len(firing) > 0 {
		dep.Deaf = true
		state.Status, state.TriggeredAlarmNames = types.ServiceDeploymentRollbackMonitorsStatusDisabled, firing
		t.sayf(svc, "(deployment %s) ignores its alarms: %s", *dep.Deployment.Id, deafReason(firing, err))
	}
	row.Rollout.Alarms = state
	t.touchRollout(row)
	t.touchDeployment(dep)
}

func deafReason(firing []string, err error) string {
	if err != nil {
		return err.Error()
	}
	return strings.Join(firing, ", ") + " in ALARM when it started"
}

// alarmed fails the primary deployment when one of its alarms fires.
func (t *turn) alarmed(svc *ledger.Service, dep *ledger.Deployment) bool {
	if !t.watches(svc, dep) || cleaning(dep) {
		return false
	}
	alarms := svc.Service.DeploymentConfiguration.Alarms
	firing, err := t.cfg.Alarms.Firing(alarms.AlarmNames)
	if err != nil {
		t.cfg.Logger.Error("read alarms", "service", *svc.Service.ServiceName, "error", err)
		return false
	}
	if len(firing) == 0 {
		return false
	}
	list := strings.Join(firing, ", ")
	t.sayf(svc, "(deployment %s) deployment failed: alarm detected: %s", *dep.Deployment.Id, list)
	if row := t.ledger.Rollouts.Get(dep.Rollout); row != nil {
		row.Rollout.Alarms = &types.ServiceDeploymentAlarms{
			AlarmNames: alarms.AlarmNames, TriggeredAlarmNames: firing,
			Status: types.ServiceDeploymentRollbackMonitorsStatusTriggered,
		}
		t.touchRollout(row)
	}
	t.fail(svc, dep, verdict{
		reason:   "ECS deployment alarm detected: " + list + ".",
		rollout:  "Service deployment failed because the alarm " + list + " was detected.",
		rolled:   "Service deployment rolled back because the alarm " + list + " was detected.",
		rollback: alarms.Rollback, initiator: "ECS deployment alarm",
	})
	return true
}
