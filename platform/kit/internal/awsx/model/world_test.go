package model_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/jonboulle/clockwork"

	"github.com/slipway-dev/slipway/platform/kit/contract"
	"github.com/slipway-dev/slipway/platform/kit/internal/awsx"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/ecsapi"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/fake"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/state"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/task"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/wire"
	"github.com/slipway-dev/slipway/platform/kit/rollout"
)

const (
	account = "000000000000"
	region  = "us-east-1"
	blue    = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/web/0123456789abcdef"
	green   = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/web-green/0123456789abcdef"
	rule    = "arn:aws:elasticloadbalancing:us-east-1:000000000000:listener-rule/app/local/1/2/3"
	desired = 2
)

// tb is what testing.T and rapid.T have in common.
type tb interface {
	Helper()
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
}

// world is the embedded cluster's scheduler behind its API, with tasks, load
// balancer and alarms in memory and a clock that moves when it is told to.
// Effects run in the caller's goroutine: when a call returns, nothing is left to
// do but what time brings.
type world struct {
	tb
	dir     string
	clock   *clockwork.FakeClock
	store   *state.Store
	runtime *fake.Runtime
	targets *fake.Targets
	alarms  *fake.Alarms
	sched   *scheduler.Scheduler
	ids     *rand.ChaCha8
	server  *httptest.Server
	handler atomic.Pointer[http.Handler]
	client  *awsx.Client
	shell   contract.Contract
	act     map[string]fake.Behaviour // of a release, by the first digit of its digest, or "migrate"
	sick    map[string]bool           // releases that answer no health check
	kits    []*kit
}

func newWorld(t tb, dir string, strategy *types.DeploymentConfiguration, migrates bool) *world {
	w := &world{
		tb: t, dir: dir, clock: clockwork.NewFakeClockAt(time.Date(2026, 3, 4, 10, 0, 0, 0, time.UTC)),
		runtime: &fake.Runtime{}, targets: &fake.Targets{}, alarms: &fake.Alarms{}, ids: rand.NewChaCha8([32]byte{1}),
		act: map[string]fake.Behaviour{"migrate": fake.Finish}, sick: map[string]bool{},
	}
	w.runtime.Behave = w.behave
	w.targets.Judge = func(_ string, target scheduler.Target) string { return w.fitness(target.ID) }
	w.open()
	w.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { (*w.handler.Load()).ServeHTTP(rw, r) }))
	var err error
	w.client, err = awsx.New(context.Background(), awsx.Config{Region: region, Endpoint: w.server.URL, Local: true})
	w.must(err)
	w.makeShell(strategy, migrates)
	return w
}

func (w *world) close() {
	w.server.Close()
	if err := w.store.Close(); err != nil {
		w.Fatalf("close state: %v", err)
	}
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatalf("unexpected error: %v", err)
	}
}

// open starts a scheduler on the state that is there.
func (w *world) open() {
	w.Helper()
	var err error
	w.store, err = state.Open(w.dir)
	w.must(err)
	w.sched, err = scheduler.New(scheduler.Config{
		Store: w.store, Runtime: w.runtime, Targets: w.targets, Alarms: w.alarms, Clock: w.clock, IDs: w.ids,
		Account: account, Region: region, MetadataBaseURL: "http://127.0.0.1:1", Logger: slog.New(slog.DiscardHandler),
	})
	w.must(err)
	w.runtime.Report, w.targets.Changed = w.sched.Report, w.sched.TargetChanged
	w.must(w.sched.Recover(context.Background()))
	handler := w.handle()
	w.handler.Store(&handler)
}

// handle returns the cluster's ECS API as it is now.
func (w *world) handle() http.Handler { return wire.NewHandler(ecsapi.New(w.sched, region, account)) }

// restart ends the cluster without a word and starts it again with those tasks.
func (w *world) restart(adopt ...string) {
	w.Helper()
	w.must(w.store.Close())
	w.runtime.Adopt(adopt...)
	w.targets.Reset()
	w.open()
}

// pass lets time go by, a second at a time.
func (w *world) pass(d time.Duration) {
	for ; d > 0; d -= time.Second {
		w.clock.Advance(min(d, time.Second))
		w.sched.Tick()
	}
}

// digitOf is the first digit of an image's digest, "" without one.
func digitOf(image string) string {
	if _, digest, ok := strings.Cut(image, "@sha256:"); ok {
		return digest[:1]
	}
	return ""
}

func (w *world) behave(spec task.Spec) fake.Behaviour {
	for _, o := range spec.Overrides.ContainerOverrides {
		if len(o.Command) > 0 {
			return w.act["migrate"]
		}
	}
	digit := digitOf(*spec.Definition.ContainerDefinitions[0].Image)
	if digit == "" {
		return fake.NoImage // the revision that the shell was made with
	}
	return w.act[digit]
}

// fitness is the health that a target has by its release.
func (w *world) fitness(arn string) string {
	for _, t := range w.sched.Tasks("local") {
		if *t.TaskArn == arn && w.sick[w.digit(*t.TaskDefinitionArn)] {
			return scheduler.TargetUnhealthy
		}
	}
	return scheduler.TargetHealthy
}

// digit is the release of a task definition.
func (w *world) digit(definition string) string {
	def, _, found := w.sched.Definition(definition)
	if !found {
		return ""
	}
	return digitOf(*def.ContainerDefinitions[0].Image)
}

// makeShell makes what the owner of a service's shell makes.
func (w *world) makeShell(strategy *types.DeploymentConfiguration, migrates bool) {
	ctx := context.Background()
	w.shell = contract.Contract{
		Version: 1, Environment: "local", Service: "web", Cluster: "local", ECSService: "web", Family: "web",
		Repository: "slipway/web", Container: "web", LogGroup: "/slipway/local/web", DesiredCount: desired,
		TaskDefinition: json.RawMessage(`{"family":"web","cpu":"256","memory":"512","networkMode":"awsvpc","requiresCompatibilities":["FARGATE"],
			"containerDefinitions":[{"name":"web","image":"slipway:image","essential":true,"portMappings":[{"name":"http","containerPort":8080}]}]}`),
	}
	if migrates {
		w.shell.Migration = &contract.Migration{Command: []string{"migrate"}}
	}
	_, err := w.sched.CreateCluster(ctx, &ecs.CreateClusterInput{ClusterName: aws.String("local")})
	w.must(err)
	first, err := w.sched.RegisterDefinition(ctx, types.TaskDefinition{
		Family: aws.String("web"), Cpu: aws.String("256"), Memory: aws.String("512"),
		ContainerDefinitions: []types.ContainerDefinition{{
			Name: aws.String("web"), Image: aws.String("slipway:image"), Essential: aws.Bool(true),
			PortMappings: []types.PortMapping{{Name: aws.String("http"), ContainerPort: aws.Int32(8080)}},
		}},
	}, nil)
	w.must(err)
	strategy.DeploymentCircuitBreaker = &types.DeploymentCircuitBreaker{Enable: true, Rollback: true}
	strategy.Alarms = &types.DeploymentAlarms{Enable: true, Rollback: true, AlarmNames: []string{"errors"}}
	_, err = w.sched.CreateService(ctx, &ecs.CreateServiceInput{
		Cluster: aws.String("local"), ServiceName: aws.String("web"), TaskDefinition: first.TaskDefinitionArn,
		DesiredCount: aws.Int32(0), DeploymentConfiguration: strategy,
		LoadBalancers: []types.LoadBalancer{{
			TargetGroupArn: aws.String(blue), ContainerName: aws.String("web"), ContainerPort: aws.Int32(8080),
			AdvancedConfiguration: &types.AdvancedConfiguration{AlternateTargetGroupArn: aws.String(green), ProductionListenerRule: aws.String(rule)},
		}},
	})
	w.must(err)
}

// strategies are those that a service can have.
func strategies() map[string]func() *types.DeploymentConfiguration {
	return map[string]func() *types.DeploymentConfiguration{
		"rolling": func() *types.DeploymentConfiguration {
			return &types.DeploymentConfiguration{Strategy: types.DeploymentStrategyRolling}
		},
		"blue_green": func() *types.DeploymentConfiguration {
			return &types.DeploymentConfiguration{Strategy: types.DeploymentStrategyBlueGreen, BakeTimeInMinutes: aws.Int32(1)}
		},
		"canary": func() *types.DeploymentConfiguration {
			return &types.DeploymentConfiguration{
				Strategy: types.DeploymentStrategyCanary, BakeTimeInMinutes: aws.Int32(0),
				CanaryConfiguration: &types.CanaryConfiguration{CanaryPercent: aws.Float64(10), CanaryBakeTimeInMinutes: aws.Int32(1)},
			}
		},
		"linear": func() *types.DeploymentConfiguration {
			return &types.DeploymentConfiguration{
				Strategy:            types.DeploymentStrategyLinear,
				LinearConfiguration: &types.LinearConfiguration{StepPercent: aws.Float64(50), StepBakeTimeInMinutes: aws.Int32(1)},
			}
		},
	}
}

// release is a release whose image's digest consists of one digit.
func release(digit string) rollout.Release {
	return rollout.Release{Version: "v" + digit, Image: "127.0.0.1:4510/slipway/web@sha256:" + strings.Repeat(digit, 64)}
}

// live lists the service's tasks that should be running.
func (w *world) live() []types.Task {
	return slices.DeleteFunc(w.sched.Tasks("local"), func(t types.Task) bool {
		return *t.DesiredStatus != "RUNNING" || strings.HasPrefix(aws.ToString(t.StartedBy), "slipway/")
	})
}

// answering counts the tasks that get traffic and answer it.
func (w *world) answering() int {
	n, shares := 0, w.targets.Shares(rule)
	for _, t := range w.live() {
		for _, group := range []string{blue, green} {
			if shares[group] > 0 && *t.LastStatus == "RUNNING" && w.targets.Health(group, *t.TaskArn).State == scheduler.TargetHealthy {
				n++
			}
		}
	}
	return n
}

// deployments are the service's, oldest first.
func (w *world) deployments() []types.ServiceDeployment {
	list := w.sched.ServiceDeployments("local", "web")
	slices.SortStableFunc(list, func(a, b types.ServiceDeployment) int { return a.CreatedAt.Compare(*b.CreatedAt) })
	return list
}

func (w *world) service() types.Service {
	for _, svc := range w.sched.Services("local") {
		return svc
	}
	w.Fatalf("no service")
	return types.Service{}
}

// steady lets time pass until no deployment is under way and every task is up.
func (w *world) steady() {
	w.Helper()
	w.alarms.Fire()
	for range 120 {
		open := slices.ContainsFunc(w.deployments(), func(d types.ServiceDeployment) bool { return d.FinishedAt == nil })
		svc := w.service()
		if !open && len(svc.Deployments) == 1 && (svc.RunningCount == svc.DesiredCount || svc.Deployments[0].RolloutState == types.DeploymentRolloutStateFailed) {
			return
		}
		w.clock.Advance(20 * time.Second)
		w.sched.Tick()
	}
	w.Fatalf("no end state\n%s", w.story())
}

// story tells what there is, for a failed test.
func (w *world) story() string {
	var b strings.Builder
	svc := w.service()
	fmt.Fprintf(&b, "desired %d, running %d, aims at release %q, traffic %v\n", svc.DesiredCount, svc.RunningCount, w.digit(*svc.TaskDefinition), w.targets.Shares(rule))
	for _, d := range w.deployments() {
		fmt.Fprintf(&b, "deployment %s %s %s\n", last(*d.ServiceDeploymentArn), d.Status, aws.ToString(d.StatusReason))
	}
	for _, k := range w.kits {
		fmt.Fprintf(&b, "%s\n", k)
	}
	return b.String()
}

func last(arn string) string { return arn[strings.LastIndex(arn, "/")+1:] }
