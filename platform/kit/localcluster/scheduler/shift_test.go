package scheduler_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler"
)

const (
	green = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/web-2/0123456789abcdef"
	rule  = "arn:aws:elasticloadbalancing:us-east-1:000000000000:listener-rule/app/x/1/2/3"
)

// The strategies as the tests use them.
func blueGreen() *types.DeploymentConfiguration {
	return &types.DeploymentConfiguration{Strategy: types.DeploymentStrategyBlueGreen, BakeTimeInMinutes: aws.Int32(2)}
}

func canary() *types.DeploymentConfiguration {
	return &types.DeploymentConfiguration{
		Strategy: types.DeploymentStrategyCanary, BakeTimeInMinutes: aws.Int32(1),
		CanaryConfiguration: &types.CanaryConfiguration{CanaryPercent: aws.Float64(10), CanaryBakeTimeInMinutes: aws.Int32(2)},
	}
}

func linear() *types.DeploymentConfiguration {
	return &types.DeploymentConfiguration{
		Strategy:            types.DeploymentStrategyLinear,
		LinearConfiguration: &types.LinearConfiguration{StepPercent: aws.Float64(40), StepBakeTimeInMinutes: aws.Int32(1)},
	}
}

// besides has the service deploy by a strategy, with everything it needs.
func besides(config *types.DeploymentConfiguration) func(*ecs.CreateServiceInput) {
	return func(in *ecs.CreateServiceInput) {
		config.DeploymentCircuitBreaker = in.DeploymentConfiguration.DeploymentCircuitBreaker
		in.DeploymentConfiguration = config
		in.LoadBalancers[0].AdvancedConfiguration = &types.AdvancedConfiguration{
			AlternateTargetGroupArn: aws.String(green), ProductionListenerRule: aws.String(rule),
		}
	}
}

// split is the production traffic, first group and alternate group.
func (w *world) split() string {
	shares := w.targets.Shares(rule)
	return fmt.Sprintf("%g/%g", shares[group], shares[green])
}

func TestTrafficMovesAsTheStrategySays(t *testing.T) {
	tests := map[string]struct {
		config *types.DeploymentConfiguration
		splits string
		took   time.Duration
	}{
		"blue/green":              {blueGreen(), "0/100", 2 * time.Minute},
		"canary":                  {canary(), "90/10 0/100", 3 * time.Minute},
		"linear":                  {linear(), "60/40 20/80 0/100", 2 * time.Minute},
		"blue/green without bake": {&types.DeploymentConfiguration{Strategy: types.DeploymentStrategyBlueGreen}, "0/100", 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, t.TempDir())
			first, second := w.register("run:1"), w.register("run:2")
			w.create(first, 2, besides(tt.config))
			wantStatus(t, w.rollout(w.service().CurrentServiceDeployment), types.ServiceDeploymentStatusSuccessful)
			began := w.clock.Now()
			rollout := w.deploy(second).CurrentServiceDeployment
			var splits []string
			for w.rollout(rollout).Status == types.ServiceDeploymentStatusInProgress {
				if w.running(first) != 2 || w.running(second) != 2 {
					t.Fatalf("%d old and %d new tasks while both have to run", w.running(first), w.running(second))
				}
				if now := w.split(); !slices.Contains(splits, now) {
					splits = append(splits, now)
				}
				w.pass(time.Second)
			}
			if now := w.split(); !slices.Contains(splits, now) {
				splits = append(splits, now)
			}
			wantStatus(t, w.rollout(rollout), types.ServiceDeploymentStatusSuccessful)
			if got := strings.Join(splits, " "); got != tt.splits {
				t.Errorf("traffic moved by %s, want %s", got, tt.splits)
			}
			if took := w.clock.Since(began); took != tt.took {
				t.Errorf("took %v, want %v", took, tt.took)
			}
			if w.running(first) != 0 || w.running(second) != 2 {
				t.Errorf("%d old and %d new tasks at the end", w.running(first), w.running(second))
			}
			// The next one goes the other way.
			third := w.register("run:3")
			rollout = w.deploy(third).CurrentServiceDeployment
			w.pass(tt.took + time.Second)
			wantStatus(t, w.rollout(rollout), types.ServiceDeploymentStatusSuccessful)
			if w.split() != "100/0" || len(w.targets.Registered(group)) != 2 || len(w.targets.Registered(green)) != 0 {
				t.Errorf("after two deployments the traffic is %s", w.split())
			}
		})
	}
}

func TestAReleaseThatFailsGetsNoTrafficForLong(t *testing.T) {
	tests := map[string]struct {
		image string
		hit   func(w *world)
		says  string
	}{
		"crashes at the start": {image: "crash", says: "circuit breaker threshold"},
		"fails its health check": {image: "run:2", hit: func(w *world) {
			w.targets.Judge = func(g string, _ scheduler.Target) string {
				if g == green {
					return scheduler.TargetUnhealthy
				}
				return scheduler.TargetHealthy
			}
		}, says: "circuit breaker threshold"},
		"fires an alarm": {image: "run:2", hit: func(w *world) { w.alarms.Fire("errors") }, says: "alarm errors"},
		"has no listener rule to move": {image: "run:2", hit: func(w *world) {
			w.targets.Fixed = []string{rule}
		}, says: "listener rule"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, t.TempDir())
			first := w.register("run:1")
			config := canary()
			config.Alarms = &types.DeploymentAlarms{Enable: true, Rollback: true, AlarmNames: []string{"errors"}}
			w.create(first, 2, besides(config))
			w.pass(2 * time.Minute)
			if tt.hit != nil && name != "fires an alarm" {
				tt.hit(w)
			}
			rollout := w.deploy(w.register(tt.image)).CurrentServiceDeployment
			if name == "fires an alarm" {
				if w.split() != "90/10" {
					t.Fatalf("traffic is %s before the alarm", w.split())
				}
				tt.hit(w)
			}
			w.pass(30 * time.Second)
			got := w.rollout(rollout)
			wantStatus(t, got, types.ServiceDeploymentStatusRollbackSuccessful)
			if !strings.Contains(aws.ToString(got.StatusReason), tt.says) {
				t.Errorf("reason %q does not say %q", aws.ToString(got.StatusReason), tt.says)
			}
			if s := w.split(); name != "has no listener rule to move" && s != "100/0" && s != "0/0" {
				t.Errorf("traffic is %s after the rollback", s)
			}
			if w.running(first) != 2 || len(w.tasks("RUNNING")) != 2 {
				t.Errorf("%d old tasks of %d", w.running(first), len(w.tasks("RUNNING")))
			}
		})
	}
}

func TestAnAlarmThatFiresAlreadyIsIgnored(t *testing.T) {
	w := newWorld(t, t.TempDir())
	config := &types.DeploymentConfiguration{
		Strategy: types.DeploymentStrategyBlueGreen,
		Alarms:   &types.DeploymentAlarms{Enable: true, Rollback: true, AlarmNames: []string{"errors"}},
	}
	w.create(w.register("run:1"), 1, besides(config))
	w.alarms.Fire("errors")
	rollout := w.deploy(w.register("run:2")).CurrentServiceDeployment
	w.pass(time.Second)
	got := w.rollout(rollout)
	wantStatus(t, got, types.ServiceDeploymentStatusSuccessful)
	if got.Alarms.Status != types.ServiceDeploymentRollbackMonitorsStatusDisabled || !w.event("ignores its alarms") {
		t.Errorf("alarms are %s, and no event says that they are ignored", got.Alarms.Status)
	}
}

func TestANewerDeploymentTakesOverFromAHalfShiftedOne(t *testing.T) {
	for name, strategy := range map[string]*types.DeploymentConfiguration{"canary": canary(), "rolling": {Strategy: types.DeploymentStrategyRolling}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, t.TempDir())
			first, second, third := w.register("run:1"), w.register("run:2"), w.register("run:3")
			w.create(first, 2, besides(canary()))
			one := w.deploy(second).CurrentServiceDeployment
			if w.split() != "90/10" {
				t.Fatalf("traffic is %s", w.split())
			}
			two := w.update(func(in *ecs.UpdateServiceInput) {
				in.TaskDefinition, in.DeploymentConfiguration = aws.String(third), strategy
			}).CurrentServiceDeployment
			wantStatus(t, w.rollout(one), types.ServiceDeploymentStatusStopped)
			if w.running(second) != 0 {
				t.Errorf("%d tasks of the superseded release run", w.running(second))
			}
			w.pass(5 * time.Minute)
			wantStatus(t, w.rollout(two), types.ServiceDeploymentStatusSuccessful)
			if w.running(third) != 2 || len(w.tasks("RUNNING")) != 2 {
				t.Errorf("%d new tasks of %d", w.running(third), len(w.tasks("RUNNING")))
			}
		})
	}
}

func TestAShiftGoesOnAfterARestart(t *testing.T) {
	w := newWorld(t, t.TempDir())
	first, second := w.register("run:1"), w.register("run:2")
	w.create(first, 2, besides(canary()))
	rollout := w.deploy(second).CurrentServiceDeployment
	w.pass(time.Second)
	w.restart()
	if w.running(first) != 2 || w.split() != "90/10" {
		t.Errorf("%d old tasks for %s of the traffic", w.running(first), w.split())
	}
	w.pass(10 * time.Minute)
	if got := w.rollout(rollout); got.Status == types.ServiceDeploymentStatusInProgress {
		t.Fatalf("the deployment hangs in stage %s", got.LifecycleStage)
	}
	wantStatus(t, w.rollout(rollout), types.ServiceDeploymentStatusSuccessful)
	if w.split() != "0/100" || w.running(second) != 2 || len(w.tasks("RUNNING")) != 2 {
		t.Errorf("traffic %s, %d new tasks of %d", w.split(), w.running(second), len(w.tasks("RUNNING")))
	}
}

func TestARollingUpdateBakes(t *testing.T) {
	w := newWorld(t, t.TempDir())
	config := func(in *ecs.CreateServiceInput) {
		in.DeploymentConfiguration.BakeTimeInMinutes = aws.Int32(1)
		in.DeploymentConfiguration.Alarms = &types.DeploymentAlarms{Enable: true, Rollback: true, AlarmNames: []string{"errors"}}
	}
	first := w.register("run:1")
	w.create(first, 2, config)
	w.pass(time.Minute)
	rollout := w.deploy(w.register("run:2")).CurrentServiceDeployment
	w.pass(30 * time.Second)
	wantStatus(t, w.rollout(rollout), types.ServiceDeploymentStatusInProgress)
	w.alarms.Fire("errors")
	w.pass(2 * time.Second)
	wantStatus(t, w.rollout(rollout), types.ServiceDeploymentStatusRollbackSuccessful)
	if w.running(first) != 2 {
		t.Errorf("%d tasks of the first release", w.running(first))
	}
}
