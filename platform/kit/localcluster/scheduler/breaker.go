package scheduler

import (
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

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
	if wait := t.cfg.backoff(int(svc.Service.DesiredCount)).After(dep.Crashes); wait > 0 && svc.Primary == *dep.Deployment.Id {
		dep.NotBefore = t.now.Add(wait)
		t.say(svc, "is unable to consistently start tasks successfully; the next start is in %s", wait)
	}
	if dep.Deployment.RolloutState == types.DeploymentRolloutStateInProgress {
		dep.Deployment.FailedTasks++
	}
	t.touchDeployment(dep)
}

// prove notes a task's first health. A deployment whose tasks do get healthy
// starts its count of failures anew, unless the service says otherwise; tasks
// that nothing checks prove nothing.
// Source: DeploymentCircuitBreaker.resetOnHealthyTask in the ECS API reference.
func (t *turn) prove(row *ledger.Task, checked bool) {
	if row.Proven {
		return
	}
	row.Proven = true
	t.touchTask(row)
	dep, svc := t.ledger.Deployments.Get(row.Deployment), t.ledger.Services.Get(row.Service)
	if dep == nil || svc == nil || !checked || dep.Deployment.FailedTasks == 0 {
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
	if int(dep.Deployment.FailedTasks) < threshold(svc) {
		return false
	}
	id := *dep.Deployment.Id
	t.say(svc, "(deployment %s) deployment failed: tasks failed to start", id)
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
		Threshold:    int32(threshold(svc)),
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
