package scheduler_test

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"go.uber.org/goleak"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/state"
)

// run starts another scheduler on the world's state, with Run.
func (w *world) run(t *testing.T) (stop func()) {
	t.Helper()
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
	w.targets.Reset()
	var err error
	if w.store, err = state.Open(w.dir); err != nil {
		t.Fatal(err)
	}
	if w.s, err = scheduler.New(w.config()); err != nil {
		t.Fatal(err)
	}
	w.runtime.Report, w.targets.Changed = w.s.Report, w.s.TargetChanged
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- w.s.Run(ctx) }()
	return func() {
		cancel()
		if err := <-over; err != nil {
			t.Error(err)
		}
	}
}

func TestRunKeepsTime(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	w := newWorld(t, t.TempDir())
	w.targets.Judge = func(string, scheduler.Target) string { return scheduler.TargetUnhealthy }
	w.create(w.register("run"), 1, func(in *ecs.CreateServiceInput) { in.HealthCheckGracePeriodSeconds = aws.Int32(30) })
	stop := w.run(t)
	defer stop()
	w.await(func() bool {
		return len(w.targets.Registered(group)) == 1 && w.running(*w.service().TaskDefinition) == 1
	})
	started := w.runtime.Started()
	// The lost task's hour and the new task's grace period are both awaited;
	// the clock only moves once Run waits for the nearer one.
	w.await(func() bool { return w.s.Idle() && w.s.NextDue() == 30*time.Second })
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := w.clock.BlockUntilContext(ctx, 1); err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(30 * time.Second)
	w.await(func() bool { return w.runtime.Started() > started })
}

func TestNothingFailsWhenTheClusterGoesDown(t *testing.T) {
	w := newWorld(t, t.TempDir())
	w.targets.Judge = func(string, scheduler.Target) string { return scheduler.TargetInitial }
	svc := w.create(w.register("run"), 2)
	stop := w.run(t)
	w.await(func() bool { return len(w.targets.Registered(group)) == 2 })
	stop()
	for _, arn := range w.runtime.Alive() {
		w.runtime.Exit(arn, 137)
	}
	if _, err := w.s.CreateCluster(context.Background(), &ecs.CreateClusterInput{}); err == nil {
		t.Error("a request was taken after the end of Run")
	}
	w.restart()
	rollout := w.rollout(svc.CurrentServiceDeployment)
	wantStatus(t, rollout, types.ServiceDeploymentStatusInProgress)
	if rollout.DeploymentCircuitBreaker.FailureCount != 0 {
		t.Errorf("failure count %d after an orderly end, want 0", rollout.DeploymentCircuitBreaker.FailureCount)
	}
}

func TestRefusedWriteChangesNothing(t *testing.T) {
	w := newWorld(t, t.TempDir())
	def := w.register("run")
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := w.s.RunTask(context.Background(), &ecs.RunTaskInput{Cluster: aws.String("test"), TaskDefinition: aws.String(def)})
	if err == nil {
		t.Fatal("a task was accepted that could not be written down")
	}
	if w.runtime.Started() != 0 {
		t.Error("a task was started that is not written down")
	}
}
