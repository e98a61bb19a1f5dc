package scheduler_test

import (
	"context"
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

const testRule = "arn:aws:elasticloadbalancing:us-east-1:000000000000:listener-rule/app/x/1/2/4"

// tested has a service deploy by a strategy, with a test rule besides.
func tested(config *types.DeploymentConfiguration) func(*ecs.CreateServiceInput) {
	return func(in *ecs.CreateServiceInput) {
		besides(config)(in)
		in.LoadBalancers[0].AdvancedConfiguration.TestListenerRule = aws.String(testRule)
	}
}

// The gRPC side of a service that has both.
const (
	grpcGroup    = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/web-grpc/0123456789abcdef"
	grpcGreen    = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/web-grpc-2/0123456789abcdef"
	grpcRule     = "arn:aws:elasticloadbalancing:us-east-1:000000000000:listener-rule/app/x/1/2/5"
	grpcTestRule = "arn:aws:elasticloadbalancing:us-east-1:000000000000:listener-rule/app/x/1/2/6"
)

// twoPorts has a service deploy by a strategy, for REST and gRPC.
func twoPorts(config *types.DeploymentConfiguration) func(*ecs.CreateServiceInput) {
	return func(in *ecs.CreateServiceInput) {
		tested(config)(in)
		in.LoadBalancers = append(in.LoadBalancers, types.LoadBalancer{
			TargetGroupArn: aws.String(grpcGroup), ContainerName: aws.String("web"), ContainerPort: aws.Int32(9090),
			AdvancedConfiguration: &types.AdvancedConfiguration{
				AlternateTargetGroupArn: aws.String(grpcGreen), ProductionListenerRule: aws.String(grpcRule), TestListenerRule: aws.String(grpcTestRule),
			},
		})
	}
}

// moves records how the rules divide their requests, as "test 0" or
// "production 10": the alternate group's percent.
func (w *world) moves() *[]string {
	var seen []string
	w.targets.Shared = func(r string, percent map[string]float64) {
		name := map[string]string{rule: "production", testRule: "test"}[r]
		if now := fmt.Sprintf("%s %g", name, percent[green]); !slices.Contains(seen, now) {
			seen = append(seen, now)
		}
	}
	return &seen
}

func TestTestTrafficMovesBeforeProductionTraffic(t *testing.T) {
	for name, tt := range map[string]struct {
		config *types.DeploymentConfiguration
		moves  string
	}{
		"blue/green": {blueGreen(), "test 100, production 0, production 100"},
		"canary":     {canary(), "test 100, production 0, production 10, production 100"},
		"linear":     {linear(), "test 100, production 0, production 40, production 80, production 100"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, t.TempDir())
			w.create(w.register("run:1"), 2, tested(tt.config))
			moves := w.moves()
			w.targets.Judge = func(g string, _ scheduler.Target) string {
				if g == green {
					return scheduler.TargetInitial
				}
				return scheduler.TargetHealthy
			}
			rollout := w.deploy(w.register("run:2")).CurrentServiceDeployment
			w.pass(10 * time.Second)
			if len(*moves) > 0 {
				t.Fatalf("traffic moves to targets that are not healthy: %v", *moves)
			}
			for _, id := range w.targets.Registered(green) {
				w.targets.Set(green, id, scheduler.TargetHealthy)
			}
			d := w.rollout(rollout)
			if got := aws.ToFloat64(d.TargetServiceRevision.RequestedTestTrafficWeight); got != 100 {
				t.Errorf("%g percent of the test traffic in stage %s", got, d.LifecycleStage)
			}
			w.pass(10 * time.Minute)
			wantStatus(t, w.rollout(rollout), types.ServiceDeploymentStatusSuccessful)
			if got := strings.Join(*moves, ", "); got != tt.moves {
				t.Errorf("the alternate group's traffic: %s; want %s", got, tt.moves)
			}
			w.deploy(w.register("run:3"))
			w.pass(10 * time.Minute)
			if p, q := w.targets.Shares(rule), w.targets.Shares(testRule); p[group] != 100 || q[group] != 100 {
				t.Errorf("after the next one production is %v, test %v", p, q)
			}
		})
	}
}

// TestTestTrafficComesBack when the deployment does not stay.
func TestTestTrafficComesBack(t *testing.T) {
	for name, end := range map[string]func(w *world, rollout *string){
		"rolled back by an alarm": func(w *world, _ *string) { w.alarms.Fire("errors") },
		"rolled back by request": func(w *world, rollout *string) {
			w.must(w.s.StopServiceDeployment(context.Background(), &ecs.StopServiceDeploymentInput{
				ServiceDeploymentArn: rollout, StopType: types.StopServiceDeploymentStopTypeRollback,
			}))
		},
		"superseded": func(w *world, _ *string) {
			w.targets.Judge = func(_ string, _ scheduler.Target) string { return scheduler.TargetInitial }
			w.deploy(w.register("run:3"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, t.TempDir())
			config := canary()
			config.Alarms = &types.DeploymentAlarms{Enable: true, Rollback: true, AlarmNames: []string{"errors"}}
			w.create(w.register("run:1"), 2, tested(config))
			rollout := w.deploy(w.register("run:2")).CurrentServiceDeployment
			w.pass(time.Second)
			if w.targets.Shares(testRule)[green] != 100 || w.targets.Shares(rule)[green] != 10 {
				t.Fatalf("test %v, production %v", w.targets.Shares(testRule), w.targets.Shares(rule))
			}
			end(w, rollout)
			w.pass(2 * time.Second)
			if w.targets.Shares(testRule)[green] != 0 || w.targets.Shares(rule)[green] != 0 {
				t.Errorf("test %v, production %v", w.targets.Shares(testRule), w.targets.Shares(rule))
			}
		})
	}
}

// TestAThirdRevisionIsReconciled: a deployment that finds tasks of more than one
// revision says so.
func TestAThirdRevisionIsReconciled(t *testing.T) {
	w := newWorld(t, t.TempDir())
	w.create(w.register("run:1"), 1, tested(canary()))
	w.deploy(w.register("run:2"))
	w.pass(time.Second)
	w.runtime.Linger = true // the second one's task is slow to end
	w.deploy(w.register("run:3"))
	w.pass(time.Second)
	if w.runtime.Linger = false; !w.event("lifecycle stage PRE_SCALE_UP") {
		t.Errorf("no stage before PRE_SCALE_UP")
	}
}

// TestARollbackUnderWayGoesOn when it is asked for once more.
func TestARollbackUnderWayGoesOn(t *testing.T) {
	w := newWorld(t, t.TempDir())
	w.create(w.register("run:1"), 1, tested(canary()))
	rollout := w.deploy(w.register("run:2")).CurrentServiceDeployment
	w.runtime.Linger = true // the new task is slow to end
	stop := &ecs.StopServiceDeploymentInput{ServiceDeploymentArn: rollout, StopType: types.StopServiceDeploymentStopTypeRollback}
	w.must(w.s.StopServiceDeployment(context.Background(), stop))
	wantStatus(t, w.rollout(rollout), types.ServiceDeploymentStatusRollbackInProgress)
	w.must(w.s.StopServiceDeployment(context.Background(), stop))
	stop.StopType = types.StopServiceDeploymentStopTypeAbort
	if _, err := w.s.StopServiceDeployment(context.Background(), stop); err == nil {
		t.Error("a rollback was aborted")
	}
	for _, arn := range w.runtime.Stopping() {
		w.runtime.Exit(arn, 143)
	}
	w.pass(time.Second)
	wantStatus(t, w.rollout(rollout), types.ServiceDeploymentStatusRollbackSuccessful)
}
