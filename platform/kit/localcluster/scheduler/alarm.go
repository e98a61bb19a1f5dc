package scheduler

import (
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/ledger"
)

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

// weights are the shares of the traffic of a revision, in percent, as
// DescribeServiceDeployments shows them.
func (t *turn) weights(svc *ledger.Service, revision string) (production, test *float64) {
	dep := t.ledger.Deployments.Get(svc.Primary)
	if dep == nil || dep.Shift == nil {
		return nil, nil
	}
	tested := 0.0
	switch dep.Shift.Stage {
	case types.ServiceDeploymentLifecycleStagePreScaleUp, types.ServiceDeploymentLifecycleStageScaleUp,
		types.ServiceDeploymentLifecycleStagePostScaleUp:
	default:
		tested = whole
	}
	if dep.Revision == revision {
		return aws.Float64(svc.Share), aws.Float64(tested)
	}
	return aws.Float64(whole - svc.Share), aws.Float64(whole - tested)
}
