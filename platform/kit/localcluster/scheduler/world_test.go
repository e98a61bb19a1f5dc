package scheduler_test

import (
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/jonboulle/clockwork"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/fake"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/state"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/task"
)

const group = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/web/0123456789abcdef"

// tb is what testing.T and rapid.T have in common.
type tb interface {
	Helper()
	Fatalf(format string, args ...any)
}

// world is a cluster on fakes. Effects run in the caller's goroutine, so every
// call returns when nothing is left to do.
type world struct {
	tb
	dir     string
	store   *state.Store
	clock   *clockwork.FakeClock
	runtime *fake.Runtime
	targets *fake.Targets
	alarms  *fake.Alarms
	s       *scheduler.Scheduler
	ids     io.Reader
}

func newWorld(t tb, dir string) *world {
	w := &world{
		tb: t, dir: dir, clock: clockwork.NewFakeClock(),
		runtime: &fake.Runtime{}, targets: &fake.Targets{}, alarms: &fake.Alarms{}, ids: rand.NewChaCha8([32]byte{1}),
	}
	w.runtime.Behave = behave
	w.open()
	w.must(w.s.CreateCluster(context.Background(), &ecs.CreateClusterInput{ClusterName: aws.String("test")}))
	return w
}

// behave reads a task's behaviour from its image: "run:2" runs.
func behave(spec task.Spec) fake.Behaviour {
	name, _, _ := strings.Cut(*spec.Definition.ContainerDefinitions[0].Image, ":")
	switch name {
	case "crash":
		return fake.Crash
	case "noimage":
		return fake.NoImage
	case "wait":
		return fake.Wait
	case "finish":
		return fake.Finish
	default:
		return fake.Run
	}
}

// open starts a scheduler on the state that is there.
func (w *world) open() {
	w.Helper()
	var err error
	if w.store, err = state.Open(w.dir); err != nil {
		w.Fatalf("open state: %v", err)
	}
	w.s, err = scheduler.New(w.config())
	if err != nil {
		w.Fatalf("open scheduler: %v", err)
	}
	w.runtime.Report = w.s.Report
	w.targets.Changed = w.s.TargetChanged
	if err := w.s.Recover(context.Background()); err != nil {
		w.Fatalf("recover: %v", err)
	}
}

func (w *world) config() scheduler.Config {
	return scheduler.Config{
		Store: w.store, Runtime: w.runtime, Targets: w.targets, Alarms: w.alarms, Clock: w.clock, IDs: w.ids,
		Account: "000000000000", Region: "us-east-1", MetadataBaseURL: "http://127.0.0.1:1",
		Logger: slog.New(slog.DiscardHandler),
	}
}

// restart ends the cluster without a word and starts it again.
func (w *world) restart(adopt ...string) {
	w.Helper()
	if err := w.store.Close(); err != nil {
		w.Fatalf("close state: %v", err)
	}
	w.runtime.Adopt(adopt...)
	w.targets.Reset()
	w.open()
}

func (w *world) must(_ any, err error) {
	w.Helper()
	if err != nil {
		w.Fatalf("unexpected error: %v", err)
	}
}

// register adds a definition that runs an image.
func (w *world) register(image string, edit ...func(*types.ContainerDefinition)) string {
	w.Helper()
	c := types.ContainerDefinition{
		Name: aws.String("web"), Image: aws.String(image), Essential: aws.Bool(true),
		PortMappings: []types.PortMapping{{Name: aws.String("http"), ContainerPort: aws.Int32(8080)}, {Name: aws.String("grpc"), ContainerPort: aws.Int32(9090)}},
	}
	for _, e := range edit {
		e(&c)
	}
	def, err := w.s.RegisterDefinition(context.Background(), types.TaskDefinition{
		Family: aws.String("web"), Cpu: aws.String("256"), Memory: aws.String("512"),
		ContainerDefinitions: []types.ContainerDefinition{c},
	}, nil)
	w.must(nil, err)
	return *def.TaskDefinitionArn
}

// create adds the service "web" behind the target group, with the circuit
// breaker on.
func (w *world) create(definition string, desired int32, edit ...func(*ecs.CreateServiceInput)) types.Service {
	w.Helper()
	in := &ecs.CreateServiceInput{
		Cluster: aws.String("test"), ServiceName: aws.String("web"),
		TaskDefinition: aws.String(definition), DesiredCount: aws.Int32(desired),
		DeploymentConfiguration: &types.DeploymentConfiguration{
			DeploymentCircuitBreaker: &types.DeploymentCircuitBreaker{Enable: true, Rollback: true},
		},
		LoadBalancers: []types.LoadBalancer{{
			TargetGroupArn: aws.String(group), ContainerName: aws.String("web"), ContainerPort: aws.Int32(8080),
		}},
	}
	for _, e := range edit {
		e(in)
	}
	svc, err := w.s.CreateService(context.Background(), in)
	w.must(nil, err)
	return svc
}

func (w *world) update(edit func(*ecs.UpdateServiceInput)) types.Service {
	w.Helper()
	in := &ecs.UpdateServiceInput{Cluster: aws.String("test"), Service: aws.String("web")}
	edit(in)
	svc, err := w.s.UpdateService(context.Background(), in)
	w.must(nil, err)
	return svc
}

func (w *world) deploy(definition string) types.Service {
	w.Helper()
	return w.update(func(in *ecs.UpdateServiceInput) { in.TaskDefinition = aws.String(definition) })
}

func (w *world) service() types.Service {
	w.Helper()
	for _, svc := range w.s.Services("test") {
		return svc
	}
	w.Fatalf("no service")
	return types.Service{}
}

func (w *world) rollout(arn *string) types.ServiceDeployment {
	w.Helper()
	out, found := w.s.ServiceDeployment(*arn)
	if !found {
		w.Fatalf("no service deployment %s", *arn)
	}
	return out
}

// tasks lists the tasks in a status.
func (w *world) tasks(status string) []types.Task {
	var out []types.Task
	for _, t := range w.s.Tasks("test") {
		if *t.LastStatus == status {
			out = append(out, t)
		}
	}
	return out
}

// images counts the tasks that should run by definition.
func (w *world) running(definition string) int {
	n := 0
	for _, t := range w.tasks("RUNNING") {
		if *t.TaskDefinitionArn == definition {
			n++
		}
	}
	return n
}

// pass lets time go by, a second at a time.
func (w *world) pass(d time.Duration) {
	for ; d > 0; d -= time.Second {
		w.clock.Advance(time.Second)
		w.s.Tick()
	}
}

func (w *world) event(part string) bool {
	for _, e := range w.service().Events {
		if strings.Contains(*e.Message, part) {
			return true
		}
	}
	return false
}

func wantStatus(t *testing.T, got types.ServiceDeployment, want types.ServiceDeploymentStatus) {
	t.Helper()
	if got.Status != want {
		t.Fatalf("service deployment is %s (%s), want %s", got.Status, aws.ToString(got.StatusReason), want)
	}
}

// await polls for what another goroutine does.
func (w *world) await(done func() bool) {
	w.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for !done() {
		if ctx.Err() != nil {
			w.Fatalf("did not happen in time")
		}
		runtime.Gosched()
	}
}
