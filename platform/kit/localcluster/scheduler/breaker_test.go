package scheduler_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler"
)

func TestBreakerRollsBack(t *testing.T) {
	sick := func(w *world, bad string) {
		w.targets.Judge = func(_ string, target scheduler.Target) string {
			for _, task := range w.s.Tasks("test") {
				if *task.TaskArn == target.ID && *task.TaskDefinitionArn == bad {
					return scheduler.TargetUnhealthy
				}
			}
			return scheduler.TargetHealthy
		}
	}
	tests := map[string]struct {
		image  string
		set    func(w *world, bad string)
		code   types.TaskStopCode
		reason string
	}{
		"crashes":       {"crash", nil, types.TaskStopCodeEssentialContainerExited, "Essential container in task exited"},
		"image missing": {"noimage", nil, types.TaskStopCodeTaskFailedToStart, "CannotPullContainerError: image not found"},
		"never healthy": {"run:bad", sick, types.TaskStopCodeServiceSchedulerInitiated, "Task failed ELB health checks in (target-group " + group + ")"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, t.TempDir())
			good, bad := w.register("run:good"), w.register(tt.image)
			before := w.create(good, 2)
			kept := w.runtime.Alive()
			if tt.set != nil {
				tt.set(w, bad)
			}
			rollout := w.rollout(w.deploy(bad).CurrentServiceDeployment)
			wantStatus(t, rollout, types.ServiceDeploymentStatusRollbackSuccessful)
			if got := w.runtime.Alive(); !slices.Equal(got, kept) {
				t.Errorf("tasks after the rollback = %v, want the old ones untouched: %v", got, kept)
			}
			if b := rollout.DeploymentCircuitBreaker; b.Status != types.ServiceDeploymentRollbackMonitorsStatusTriggered || b.FailureCount != 3 || b.Threshold != 3 {
				t.Errorf("circuit breaker = %+v", *b)
			}
			if *rollout.Rollback.ServiceRevisionArn != *w.rollout(before.CurrentServiceDeployment).TargetServiceRevision.Arn {
				t.Error("rolled back to another revision than the last completed one")
			}
			svc := w.service()
			if *svc.TaskDefinition != good || len(svc.Deployments) != 1 || svc.RunningCount != 2 {
				t.Errorf("service = %s with %d deployments and %d tasks", *svc.TaskDefinition, len(svc.Deployments), svc.RunningCount)
			}
			told := 0
			for _, task := range w.tasks("STOPPED") {
				if task.StopCode == tt.code && *task.StoppedReason == tt.reason {
					told++
				}
			}
			if told < 3 {
				t.Errorf("%d stopped tasks say %s %q, want 3", told, tt.code, tt.reason)
			}
			if !w.event("deployment failed: tasks failed to start") || !w.event("rolling back to") {
				t.Error("the events do not tell of the rollback")
			}
		})
	}
}

func TestBreakerWithoutRollback(t *testing.T) {
	w := newWorld(t, t.TempDir())
	good, bad := w.register("run:good"), w.register("crash")
	w.create(good, 1, func(in *ecs.CreateServiceInput) { in.DeploymentConfiguration.DeploymentCircuitBreaker.Rollback = false })
	svc := w.deploy(bad)
	wantStatus(t, w.rollout(svc.CurrentServiceDeployment), types.ServiceDeploymentStatusStopped)
	w.pass(time.Hour)
	if got := w.service().Deployments[0]; got.RolloutState != types.DeploymentRolloutStateFailed || w.runtime.Started() != 4 {
		t.Errorf("deployment %s after %d starts, want FAILED after 4", got.RolloutState, w.runtime.Started())
	}
	if w.running(good) != 1 {
		t.Error("the old task did not stay")
	}
}

func TestFirstDeploymentHasNoRollbackCandidate(t *testing.T) {
	w := newWorld(t, t.TempDir())
	svc := w.create(w.register("crash"), 1)
	rollout := w.rollout(svc.CurrentServiceDeployment)
	wantStatus(t, rollout, types.ServiceDeploymentStatusRollbackFailed)
	if !strings.Contains(*rollout.StatusReason, "No rollback candidate was found") {
		t.Errorf("reason = %q", *rollout.StatusReason)
	}
	good := w.deploy(w.register("run"))
	wantStatus(t, w.rollout(good.CurrentServiceDeployment), types.ServiceDeploymentStatusSuccessful)
}

func TestBootstrapRevisionIsNoRollbackCandidate(t *testing.T) {
	w := newWorld(t, t.TempDir())
	bootstrap, bad, good := w.register("noimage"), w.register("crash"), w.register("run")
	w.create(bootstrap, 0)
	first := w.rollout(w.update(scale(bad, 2)).CurrentServiceDeployment)
	wantStatus(t, first, types.ServiceDeploymentStatusRollbackFailed)
	started := w.runtime.Started()
	w.pass(time.Hour)
	w.restart()
	w.pass(time.Hour)
	if n := w.runtime.Started() - started; n != 0 || *w.service().TaskDefinition != bad {
		t.Errorf("%d more starts, service at %s; want none, at the revision that failed", n, *w.service().TaskDefinition)
	}
	wantStatus(t, w.rollout(w.deploy(good).CurrentServiceDeployment), types.ServiceDeploymentStatusSuccessful)
	second := w.rollout(w.deploy(bad).CurrentServiceDeployment)
	wantStatus(t, second, types.ServiceDeploymentStatusRollbackSuccessful)
}

// scale is an update to a definition and a number of tasks.
func scale(definition string, desired int32) func(*ecs.UpdateServiceInput) {
	return func(in *ecs.UpdateServiceInput) {
		in.TaskDefinition, in.DesiredCount = aws.String(definition), aws.Int32(desired)
	}
}

func TestRevisionThatCompletedWithNoTaskIsACandidateOnceItRan(t *testing.T) {
	w := newWorld(t, t.TempDir())
	good, bad := w.register("run"), w.register("crash")
	w.create(good, 0)
	w.update(scale(good, 2))
	wantStatus(t, w.rollout(w.deploy(bad).CurrentServiceDeployment), types.ServiceDeploymentStatusRollbackSuccessful)
	if w.running(good) != 2 {
		t.Errorf("%d tasks run after the rollback, want 2", w.running(good))
	}
}

func TestFailingTasksBackOff(t *testing.T) {
	w := newWorld(t, t.TempDir())
	w.create(w.register("crash"), 1, func(in *ecs.CreateServiceInput) { in.DeploymentConfiguration = nil })
	starts := []int{w.runtime.Started()}
	for range 7 {
		w.pass(time.Second)
		starts = append(starts, w.runtime.Started())
	}
	// Three at once, then after 1, 2 and 4 seconds.
	if want := []int{3, 4, 4, 5, 5, 5, 5, 6}; !slices.Equal(starts, want) {
		t.Errorf("starts by second = %v, want %v", starts, want)
	}
	if !w.event("is unable to consistently start tasks successfully") {
		t.Error("no event tells of the back-off")
	}
}

func TestTasksThatServedAreReplacedAtOnce(t *testing.T) {
	w := newWorld(t, t.TempDir())
	w.create(w.register("run"), 2)
	for round := range 12 {
		started := w.runtime.Started()
		w.runtime.Exit(w.runtime.Alive()[0], 137)
		w.pass(time.Second)
		if n := w.runtime.Started() - started; n != 1 {
			t.Fatalf("round %d: %d tasks started in place of a killed one, want 1", round, n)
		}
	}
	if w.event("is unable to consistently start tasks successfully") {
		t.Error("an event tells of a back-off")
	}
}

func TestHealthyTaskClearsTheCount(t *testing.T) {
	w := newWorld(t, t.TempDir())
	w.targets.Judge = func(string, scheduler.Target) string { return scheduler.TargetInitial }
	svc := w.create(w.register("run"), 2)
	tasks := w.runtime.Alive()
	w.runtime.Exit(tasks[0], 1)
	w.targets.Set(group, tasks[1], scheduler.TargetHealthy)
	if got := w.rollout(svc.CurrentServiceDeployment).DeploymentCircuitBreaker.FailureCount; got != 0 {
		t.Errorf("failure count %d after a healthy task, want 0", got)
	}
}

func TestStopServiceDeployment(t *testing.T) {
	for stop, want := range map[types.StopServiceDeploymentStopType]types.ServiceDeploymentStatus{
		types.StopServiceDeploymentStopTypeRollback: types.ServiceDeploymentStatusRollbackSuccessful,
		types.StopServiceDeploymentStopTypeAbort:    types.ServiceDeploymentStatusStopped,
	} {
		t.Run(string(stop), func(t *testing.T) {
			w := newWorld(t, t.TempDir())
			good := w.register("run")
			w.create(good, 2)
			arn := w.deploy(w.register("wait")).CurrentServiceDeployment
			in := &ecs.StopServiceDeploymentInput{ServiceDeploymentArn: arn, StopType: stop}
			w.must(w.s.StopServiceDeployment(context.Background(), in))
			wantStatus(t, w.rollout(arn), want)
			if w.running(good) != 2 {
				t.Errorf("%d old tasks, want 2", w.running(good))
			}
			if _, err := w.s.StopServiceDeployment(context.Background(), in); err == nil {
				t.Error("a finished service deployment was stopped")
			}
		})
	}
}

func TestUserStopsAreNoFailures(t *testing.T) {
	w := newWorld(t, t.TempDir())
	w.targets.Judge = func(string, scheduler.Target) string { return scheduler.TargetInitial }
	svc := w.create(w.register("run"), 1)
	for range 5 {
		w.must(w.s.StopTask(context.Background(), &ecs.StopTaskInput{Cluster: aws.String("test"), Task: aws.String(w.runtime.Alive()[0])}))
	}
	rollout := w.rollout(svc.CurrentServiceDeployment)
	wantStatus(t, rollout, types.ServiceDeploymentStatusInProgress)
	if rollout.DeploymentCircuitBreaker.FailureCount != 0 {
		t.Errorf("failure count = %d", rollout.DeploymentCircuitBreaker.FailureCount)
	}
}
