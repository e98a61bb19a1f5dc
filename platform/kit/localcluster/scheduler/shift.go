package scheduler

import (
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/ledger"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/plan"
)

// whole is all of the production traffic, in percent.
const whole = 100

// Defaults of canary and linear deployments.
// Source: CanaryConfiguration and LinearConfiguration in the ECS API reference.
const (
	defaultCanaryPercent, defaultCanaryBake = 5.0, 10
	defaultStepPercent, defaultStepBake     = 10.0, 6
)

// groupOf is the target group that a load balancer's tasks are registered in.
func groupOf(lb types.LoadBalancer, alternate bool) string {
	if alternate && lb.AdvancedConfiguration != nil && lb.AdvancedConfiguration.AlternateTargetGroupArn != nil {
		return *lb.AdvancedConfiguration.AlternateTargetGroupArn
	}
	return aws.ToString(lb.TargetGroupArn)
}

// choose decides which side a new deployment takes and whether traffic moves
// to it. A service without settled tasks has no traffic to move: its first
// deployment is a rolling one, whatever the strategy.
func (t *turn) choose(svc *ledger.Service, dep *ledger.Deployment) {
	strategy := svc.Service.DeploymentConfiguration.Strategy
	if strategy == types.DeploymentStrategyRolling || !t.serving(svc) {
		return
	}
	dep.Alternate = !svc.Alternate
	dep.Shift = &ledger.Shift{Stage: types.ServiceDeploymentLifecycleStagePreScaleUp, Since: t.now}
	if others := len(t.deploymentsOf(svc)) - 1; others > 1 {
		dep.Shift.Stage = types.ServiceDeploymentLifecycleStageReconcileService
	}
}

// settled is the deployment that carries the traffic which no unfinished
// deployment has: that of the last completed revision. "" without one.
func (t *turn) settled(svc *ledger.Service) string {
	for _, dep := range t.deploymentsOf(svc) {
		if svc.Completed != "" && dep.Revision == svc.Completed && dep.Alternate == svc.Alternate {
			return *dep.Deployment.Id
		}
	}
	return ""
}

// serving reports whether the settled deployment has tasks.
func (t *turn) serving(svc *ledger.Service) bool {
	id := t.settled(svc)
	return id != "" && slices.ContainsFunc(t.tasksOf(svc), func(row *ledger.Task) bool { return row.Deployment == id && row.Live() })
}

// serves reports whether a task is on a side that gets traffic, or will: the
// settled one or the primary deployment's. A task on the side of a deployment
// that was given up serves nobody.
func (t *turn) serves(svc *ledger.Service, row *ledger.Task) bool {
	if row.Deployment == svc.Primary {
		return true
	}
	dep := t.ledger.Deployments.Get(row.Deployment)
	return dep == nil || dep.Alternate == svc.Alternate
}

// cleaning reports whether the old release is being stopped, after which
// nothing can be put back at once.
func cleaning(dep *ledger.Deployment) bool {
	return dep.Shift != nil && dep.Shift.Stage == types.ServiceDeploymentLifecycleStageCleanUp
}

// move takes a deployment through its stages as far as it can go now.
func (t *turn) move(svc *ledger.Service, dep *ledger.Deployment, view plan.View) {
	for dep.Shift != nil && !view.Halted {
		next, ok := t.nextStage(svc, dep, view)
		if !ok {
			return
		}
		if next != dep.Shift.Stage {
			t.sayf(svc, "(deployment %s) lifecycle stage %s", *dep.Deployment.Id, next)
		}
		dep.Shift.Stage, dep.Shift.Since = next, t.now
		t.written = true
		t.touchDeployment(dep)
	}
}

// nextStage is the stage that follows, false when the present one is not over.
// Source: ServiceDeployment.lifecycleStage in the ECS API reference.
func (t *turn) nextStage(svc *ledger.Service, dep *ledger.Deployment, view plan.View) (types.ServiceDeploymentLifecycleStage, bool) {
	switch stage := dep.Shift.Stage; stage {
	case types.ServiceDeploymentLifecycleStageReconcileService: // the plan stops the third revision's tasks
		return types.ServiceDeploymentLifecycleStagePreScaleUp, true
	case types.ServiceDeploymentLifecycleStagePreScaleUp:
		return types.ServiceDeploymentLifecycleStageScaleUp, true
	case types.ServiceDeploymentLifecycleStageScaleUp:
		return types.ServiceDeploymentLifecycleStagePostScaleUp, plan.Up(view)
	case types.ServiceDeploymentLifecycleStagePostScaleUp:
		t.sendTest(svc)
		return types.ServiceDeploymentLifecycleStageTestTrafficShift, true
	case types.ServiceDeploymentLifecycleStageTestTrafficShift:
		return types.ServiceDeploymentLifecycleStagePostTestTrafficShift, true
	case types.ServiceDeploymentLifecycleStagePostTestTrafficShift:
		t.send(svc, firstShare(svc.Service.DeploymentConfiguration))
		return types.ServiceDeploymentLifecycleStageProductionTrafficShift, true
	case types.ServiceDeploymentLifecycleStageProductionTrafficShift:
		if svc.Share >= whole {
			return types.ServiceDeploymentLifecycleStagePostProductionTrafficShift, true
		}
		if t.now.Before(t.stageEnd(svc, dep)) || !plan.Up(view) {
			return stage, false
		}
		t.send(svc, nextShare(svc.Service.DeploymentConfiguration, svc.Share))
		return stage, true
	case types.ServiceDeploymentLifecycleStagePostProductionTrafficShift:
		return types.ServiceDeploymentLifecycleStageBakeTime, true
	case types.ServiceDeploymentLifecycleStageBakeTime:
		return types.ServiceDeploymentLifecycleStageCleanUp, !t.now.Before(t.stageEnd(svc, dep)) && plan.Up(view)
	default:
		return stage, false
	}
}

// firstShare is the share of the first step of a traffic shift, in percent.
func firstShare(c *types.DeploymentConfiguration) float64 {
	switch c.Strategy {
	case types.DeploymentStrategyCanary:
		if c.CanaryConfiguration != nil && c.CanaryConfiguration.CanaryPercent != nil {
			return *c.CanaryConfiguration.CanaryPercent
		}
		return defaultCanaryPercent
	case types.DeploymentStrategyLinear:
		return nextShare(c, 0)
	default:
		return whole
	}
}

// nextShare is the share of the step after one.
func nextShare(c *types.DeploymentConfiguration, share float64) float64 {
	if c.Strategy != types.DeploymentStrategyLinear {
		return whole
	}
	step := defaultStepPercent
	if c.LinearConfiguration != nil && c.LinearConfiguration.StepPercent != nil {
		step = *c.LinearConfiguration.StepPercent
	}
	return min(whole, share+step)
}

// stageEnd is when the present stage, or the present step of it, may end.
func (t *turn) stageEnd(svc *ledger.Service, dep *ledger.Deployment) time.Time {
	c, minutes := svc.Service.DeploymentConfiguration, int32(0)
	switch {
	case dep.Shift.Stage == types.ServiceDeploymentLifecycleStageBakeTime:
		minutes = aws.ToInt32(c.BakeTimeInMinutes)
	case c.Strategy == types.DeploymentStrategyCanary:
		minutes = defaultCanaryBake
		if c.CanaryConfiguration != nil && c.CanaryConfiguration.CanaryBakeTimeInMinutes != nil {
			minutes = *c.CanaryConfiguration.CanaryBakeTimeInMinutes
		}
	case c.Strategy == types.DeploymentStrategyLinear:
		minutes = defaultStepBake
		if c.LinearConfiguration != nil && c.LinearConfiguration.StepBakeTimeInMinutes != nil {
			minutes = *c.LinearConfiguration.StepBakeTimeInMinutes
		}
	}
	return dep.Shift.Since.Add(t.cfg.Minute * time.Duration(minutes))
}

// baked reports whether a rolling update that has replaced every task has
// waited its bake time, during which alarms still count. The first deployment
// of a service has nothing to be put back for.
func (t *turn) baked(svc *ledger.Service, dep *ledger.Deployment) bool {
	if dep.Shift != nil {
		return cleaning(dep)
	}
	if svc.Completed == "" || dep.Rollback || dep.Deployment.RolloutState != types.DeploymentRolloutStateInProgress {
		return true
	}
	if dep.Baking.IsZero() {
		dep.Baking = t.now
		t.touchDeployment(dep)
	}
	return !t.now.Before(t.bakeEnd(svc, dep))
}

func (t *turn) bakeEnd(svc *ledger.Service, dep *ledger.Deployment) time.Time {
	return dep.Baking.Add(t.cfg.Minute * time.Duration(aws.ToInt32(svc.Service.DeploymentConfiguration.BakeTimeInMinutes)))
}

// send moves production traffic: share percent to the primary deployment.
func (t *turn) send(svc *ledger.Service, share float64) {
	svc.Share = share
	t.touchService(svc)
	t.sayf(svc, "sends %g percent of the production traffic to (deployment %s)", share, svc.Primary)
	t.divide(svc)
}

// sendTest moves the test traffic, all of it, to the primary deployment.
func (t *turn) sendTest(svc *ledger.Service) {
	svc.Tested = true
	t.touchService(svc)
	if slices.ContainsFunc(svc.Service.LoadBalancers, func(lb types.LoadBalancer) bool {
		return lb.AdvancedConfiguration != nil && lb.AdvancedConfiguration.TestListenerRule != nil
	}) {
		t.sayf(svc, "sends the test traffic to (deployment %s)", svc.Primary)
	}
	t.divide(svc)
}

// moveBack gives all traffic to the settled tasks again.
func (t *turn) moveBack(svc *ledger.Service) {
	if svc.Share == 0 && !svc.Tested {
		return
	}
	if svc.Share > 0 {
		t.sayf(svc, "sends all production traffic back")
	}
	svc.Share, svc.Tested = 0, false
	t.touchService(svc)
	t.divide(svc)
}

// divide makes the production rules as the service's share says, and the test
// rules: outside of a deployment both lead to the same release.
func (t *turn) divide(svc *ledger.Service) {
	tested := 0.0
	if svc.Tested {
		tested = whole
	}
	for _, lb := range svc.Service.LoadBalancers {
		a := lb.AdvancedConfiguration
		if a == nil || a.AlternateTargetGroupArn == nil {
			continue
		}
		if a.TestListenerRule != nil {
			t.then(t.share(serviceKey(svc), *a.TestListenerRule, t.between(svc, lb, tested)))
		}
		if a.ProductionListenerRule != nil {
			t.then(t.share(serviceKey(svc), *a.ProductionListenerRule, t.between(svc, lb, svc.Share)))
		}
	}
}

// between gives so many percent to the side that is not the settled one.
func (t *turn) between(svc *ledger.Service, lb types.LoadBalancer, share float64) map[string]float64 {
	return map[string]float64{groupOf(lb, svc.Alternate): whole - share, groupOf(lb, !svc.Alternate): share}
}

// unshared fails the deployment whose traffic cannot be moved.
func (t *turn) unshared(service, rule string, err error) {
	svc := t.ledger.Services.Get(service)
	if svc == nil {
		return
	}
	t.sayf(svc, "was unable to modify (listener-rule %s): %s", rule, err)
	dep := t.ledger.Deployments.Get(svc.Primary)
	if dep == nil || dep.Shift == nil || dep.Deployment.RolloutState != types.DeploymentRolloutStateInProgress || cleaning(dep) {
		return
	}
	t.fail(svc, dep, verdict{
		reason:   "ECS deployment could not modify the listener rule " + rule + ": " + err.Error(),
		rollout:  "Service deployment failed because the listener rule could not be modified.",
		rolled:   "Service deployment rolled back because the listener rule could not be modified.",
		rollback: true, initiator: "ECS deployment traffic shift",
	})
	t.touch(service)
}

// nextStep is when time alone takes the deployment further, or its alarms are
// to be looked at again.
func (t *turn) nextStep(svc *ledger.Service, dep *ledger.Deployment) (at time.Time, ok bool) {
	if dep.Deployment.RolloutState != types.DeploymentRolloutStateInProgress {
		return time.Time{}, false
	}
	consider := func(candidate time.Time) {
		if candidate.After(t.now) && (!ok || candidate.Before(at)) {
			at, ok = candidate, true
		}
	}
	switch {
	case dep.Shift != nil:
		consider(t.stageEnd(svc, dep))
	case !dep.Baking.IsZero():
		consider(t.bakeEnd(svc, dep))
	}
	if t.watches(svc, dep) {
		consider(t.now.Add(alarmPeriod))
	}
	return at, ok
}
