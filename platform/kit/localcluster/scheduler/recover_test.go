package scheduler_test

import (
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler"
)

func TestRestartReplacesLostTasks(t *testing.T) {
	w := newWorld(t, t.TempDir())
	def := w.register("run")
	w.create(def, 2)
	before := w.service()
	w.restart()
	if w.running(def) != 2 || w.runtime.Started() != 4 {
		t.Fatalf("%d tasks, %d starts after a restart, want 2 and 4", w.running(def), w.runtime.Started())
	}
	for _, task := range w.tasks("STOPPED") {
		if *task.StoppedReason != "Task stopped because the cluster restarted" || task.StopCode != types.TaskStopCodeInfrastructureHealth {
			t.Errorf("lost task = %s %q", task.StopCode, *task.StoppedReason)
		}
	}
	after := w.service()
	if len(after.Deployments) != 1 || *after.Deployments[0].Id != *before.Deployments[0].Id {
		t.Error("the restart began a deployment")
	}
	if got := w.targets.Registered(group); len(got) != 2 {
		t.Errorf("%d targets, want 2", len(got))
	}
}

func TestRestartKeepsAdoptedTasks(t *testing.T) {
	w := newWorld(t, t.TempDir())
	w.create(w.register("run"), 2)
	tasks := w.runtime.Alive()
	w.restart(tasks...)
	if got := w.runtime.Alive(); !slices.Equal(got, tasks) || w.runtime.Started() != 2 {
		t.Errorf("tasks %v after %d starts, want %v", got, w.runtime.Started(), tasks)
	}
	if got := w.targets.Registered(group); !slices.Equal(got, tasks) {
		t.Errorf("targets = %v, want the adopted tasks", got)
	}
}

func TestRestartContinuesDeployment(t *testing.T) {
	w := newWorld(t, t.TempDir())
	good, next := w.register("run"), w.register("wait")
	w.create(good, 2)
	arn := w.deploy(next).CurrentServiceDeployment
	w.restart()
	wantStatus(t, w.rollout(arn), types.ServiceDeploymentStatusInProgress)
	for _, task := range w.runtime.Alive() {
		w.runtime.Up(task)
	}
	wantStatus(t, w.rollout(arn), types.ServiceDeploymentStatusSuccessful)
	if w.running(next) != 2 || len(w.runtime.Alive()) != 2 {
		t.Errorf("%d new tasks of %d, want 2 of 2", w.running(next), len(w.runtime.Alive()))
	}
}

func TestRestartKeepsTheFailureCount(t *testing.T) {
	w := newWorld(t, t.TempDir())
	good, bad := w.register("run"), w.register("wait")
	w.create(good, 1)
	arn := w.deploy(bad).CurrentServiceDeployment
	crash := func() {
		for _, task := range w.tasks("PENDING") {
			w.runtime.Exit(*task.TaskArn, 1)
		}
	}
	crash()
	crash()
	for range 3 {
		w.restart()
		if got := w.rollout(arn).DeploymentCircuitBreaker.FailureCount; got != 2 {
			t.Fatalf("failure count %d after a restart, want 2", got)
		}
	}
	crash()
	wantStatus(t, w.rollout(arn), types.ServiceDeploymentStatusRollbackSuccessful)
	if w.running(good) != 1 {
		t.Errorf("%d old tasks after the rollback, want 1", w.running(good))
	}
}

func TestRestartFinishesRollback(t *testing.T) {
	w := newWorld(t, t.TempDir())
	good, bad := w.register("run"), w.register("crash")
	w.create(good, 2)
	w.runtime.Linger = true
	w.targets.Judge = func(string, scheduler.Target) string { return scheduler.TargetInitial }
	arn := w.deploy(bad).CurrentServiceDeployment
	w.restart()
	for _, target := range w.targets.Registered(group) {
		w.targets.Set(group, target, scheduler.TargetHealthy)
	}
	wantStatus(t, w.rollout(arn), types.ServiceDeploymentStatusRollbackSuccessful)
	if w.running(good) != 2 || *w.service().TaskDefinition != good {
		t.Errorf("%d old tasks, service runs %s", w.running(good), *w.service().TaskDefinition)
	}
}

// TestRestartBeforeActing ends the process between the commit of a deployment
// and its first effect.
func TestRestartBeforeActing(t *testing.T) {
	w := newWorld(t, t.TempDir())
	good, next := w.register("run:1"), w.register("run:2")
	w.create(good, 2)
	w.runtime.Deaf, w.targets.Deaf = true, true
	arn := w.deploy(next).CurrentServiceDeployment
	w.runtime.Deaf, w.targets.Deaf = false, false
	w.restart(w.runtime.Alive()...)
	wantStatus(t, w.rollout(arn), types.ServiceDeploymentStatusSuccessful)
	if w.running(next) != 2 || len(w.runtime.Alive()) != 2 {
		t.Errorf("%d new tasks of %d, want 2 of 2", w.running(next), len(w.runtime.Alive()))
	}
}

func TestMissingTargetGroupFailsTheDeployment(t *testing.T) {
	w := newWorld(t, t.TempDir())
	w.targets.Missing = []string{group}
	svc := w.create(w.register("run"), 1)
	wantStatus(t, w.rollout(svc.CurrentServiceDeployment), types.ServiceDeploymentStatusRollbackFailed)
	if !w.event("was unable to register") {
		t.Error("no event names the target group")
	}
	if got := w.update(func(in *ecs.UpdateServiceInput) { in.DesiredCount = aws.Int32(0) }); got.DesiredCount != 0 {
		t.Errorf("desired count %d", got.DesiredCount)
	}
}
