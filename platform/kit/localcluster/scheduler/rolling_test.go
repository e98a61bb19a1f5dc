package scheduler_test

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler"
)

func TestServiceComesUp(t *testing.T) {
	w := newWorld(t, t.TempDir())
	w.create(w.register("run"), 2)
	svc := w.service()
	if svc.RunningCount != 2 || svc.PendingCount != 0 || len(svc.Deployments) != 1 {
		t.Fatalf("running %d, pending %d, deployments %d", svc.RunningCount, svc.PendingCount, len(svc.Deployments))
	}
	if d := svc.Deployments[0]; *d.Status != "PRIMARY" || d.RolloutState != types.DeploymentRolloutStateCompleted || d.RunningCount != 2 {
		t.Errorf("deployment = %s %s, running %d", *d.Status, d.RolloutState, d.RunningCount)
	}
	wantStatus(t, w.rollout(svc.CurrentServiceDeployment), types.ServiceDeploymentStatusSuccessful)
	for _, text := range []string{"has started 2 tasks", "registered 1 targets in", "has reached a steady state", "deployment completed"} {
		if !w.event(text) {
			t.Errorf("no event says %q", text)
		}
	}
	if got := len(w.targets.Registered(group)); got != 2 {
		t.Errorf("%d targets, want 2", got)
	}
}

func TestRollingGivesUpOldForHealthyNew(t *testing.T) {
	w := newWorld(t, t.TempDir())
	first, second := w.register("run:1"), w.register("run:2")
	w.create(first, 2)
	w.targets.Judge = func(string, scheduler.Target) string { return scheduler.TargetInitial }
	svc := w.deploy(second)
	if w.running(first) != 2 || w.running(second) != 2 {
		t.Fatalf("old %d, new %d, want 2 and 2 until the new ones are healthy", w.running(first), w.running(second))
	}
	wantStatus(t, w.rollout(svc.CurrentServiceDeployment), types.ServiceDeploymentStatusInProgress)
	heal := func(n int) {
		for _, task := range w.tasks("RUNNING") {
			if *task.TaskDefinitionArn == second && n > 0 {
				w.targets.Set(group, *task.TaskArn, scheduler.TargetHealthy)
				n--
			}
		}
	}
	heal(1)
	if w.running(first) != 1 {
		t.Errorf("%d old tasks beside one healthy new one, want 1", w.running(first))
	}
	heal(2)
	if w.running(first) != 0 || w.running(second) != 2 {
		t.Errorf("old %d, new %d, want 0 and 2", w.running(first), w.running(second))
	}
	rollout := w.rollout(svc.CurrentServiceDeployment)
	wantStatus(t, rollout, types.ServiceDeploymentStatusSuccessful)
	if len(rollout.SourceServiceRevisions) != 1 || rollout.TargetServiceRevision.RunningTaskCount != 2 {
		t.Errorf("rollout counts = %+v from %+v", rollout.TargetServiceRevision, rollout.SourceServiceRevisions)
	}
}

func TestTaskDrainsBeforeItStops(t *testing.T) {
	w := newWorld(t, t.TempDir())
	w.create(w.register("run"), 1)
	old := w.tasks("RUNNING")[0]
	w.targets.Busy = true
	w.must(w.s.StopTask(context.Background(), &ecs.StopTaskInput{Cluster: aws.String("test"), Task: old.TaskArn, Reason: aws.String("because")}))
	draining := w.tasks("DEACTIVATING")
	if len(draining) != 1 || len(w.runtime.Alive()) != 2 {
		t.Fatalf("%d draining, %d alive, want the old one to drain beside its replacement", len(draining), len(w.runtime.Alive()))
	}
	if len(w.runtime.Stopping()) != 0 {
		t.Fatal("a draining task was told to stop")
	}
	w.targets.Drain()
	w.await(func() bool { return len(w.tasks("STOPPED")) == 1 })
	if got := w.tasks("STOPPED")[0]; got.StopCode != types.TaskStopCodeUserInitiated || *got.StoppedReason != "because" || *got.Containers[0].ExitCode != 143 {
		t.Errorf("stopped task = %s %q exit %d", got.StopCode, *got.StoppedReason, *got.Containers[0].ExitCode)
	}
}

func TestDeploymentWaitsForOldTasksToStop(t *testing.T) {
	w := newWorld(t, t.TempDir())
	w.create(w.register("run:1"), 2)
	w.runtime.Linger = true
	svc := w.deploy(w.register("run:2"))
	wantStatus(t, w.rollout(svc.CurrentServiceDeployment), types.ServiceDeploymentStatusInProgress)
	for i, arn := range w.runtime.Stopping() {
		if got := len(w.service().Deployments); got != 2 {
			t.Errorf("%d deployments with %d old tasks left, want 2", got, 2-i)
		}
		w.runtime.Exit(arn, 0)
	}
	wantStatus(t, w.rollout(svc.CurrentServiceDeployment), types.ServiceDeploymentStatusSuccessful)
	if got := len(w.service().Deployments); got != 1 {
		t.Errorf("%d deployments, want 1", got)
	}
}

func TestNewDeploymentSupersedes(t *testing.T) {
	w := newWorld(t, t.TempDir())
	first, second, third := w.register("run:1"), w.register("wait:2"), w.register("run:3")
	w.create(first, 2)
	middle := w.deploy(second).CurrentServiceDeployment
	last := w.deploy(third).CurrentServiceDeployment
	wantStatus(t, w.rollout(middle), types.ServiceDeploymentStatusStopped)
	wantStatus(t, w.rollout(last), types.ServiceDeploymentStatusSuccessful)
	if w.running(third) != 2 || len(w.runtime.Alive()) != 2 {
		t.Errorf("%d tasks of the last deployment, %d in all, want 2 and 2", w.running(third), len(w.runtime.Alive()))
	}
}

func TestNothingToDeploy(t *testing.T) {
	w := newWorld(t, t.TempDir())
	def := w.register("run")
	before := w.create(def, 1).CurrentServiceDeployment
	if after := w.deploy(def).CurrentServiceDeployment; *after != *before {
		t.Error("the same task definition began a deployment")
	}
	after := w.update(func(in *ecs.UpdateServiceInput) { in.ForceNewDeployment = true }).CurrentServiceDeployment
	if *after == *before {
		t.Error("forceNewDeployment began no deployment")
	}
	wantStatus(t, w.rollout(after), types.ServiceDeploymentStatusSuccessful)
	if w.runtime.Started() != 2 {
		t.Errorf("%d tasks started, want 2", w.runtime.Started())
	}
}

func TestScale(t *testing.T) {
	w := newWorld(t, t.TempDir())
	def := w.register("run")
	rollout := w.create(def, 1).CurrentServiceDeployment
	for _, n := range []int32{4, 2, 0, 3} {
		svc := w.update(func(in *ecs.UpdateServiceInput) { in.DesiredCount = aws.Int32(n) })
		if got := w.service().RunningCount; got != n {
			t.Errorf("%d tasks, want %d", got, n)
		}
		if *svc.CurrentServiceDeployment != *rollout {
			t.Error("scaling began a deployment")
		}
	}
}

func TestGracePeriodHoldsHealthChecksOff(t *testing.T) {
	w := newWorld(t, t.TempDir())
	w.targets.Judge = func(string, scheduler.Target) string { return scheduler.TargetUnhealthy }
	w.create(w.register("run"), 1, func(in *ecs.CreateServiceInput) { in.HealthCheckGracePeriodSeconds = aws.Int32(30) })
	w.pass(29 * time.Second)
	if got := w.runtime.Started(); got != 1 {
		t.Fatalf("%d tasks started within the grace period, want 1", got)
	}
	w.pass(time.Second)
	stopped := w.tasks("STOPPED")
	if len(stopped) != 1 || w.runtime.Started() != 2 {
		t.Fatalf("%d stopped, %d started after the grace period, want 1 and 2", len(stopped), w.runtime.Started())
	}
	if want := "Task failed ELB health checks in (target-group " + group + ")"; *stopped[0].StoppedReason != want {
		t.Errorf("reason %q, want %q", *stopped[0].StoppedReason, want)
	}
}

func TestContainerHealthCounts(t *testing.T) {
	w := newWorld(t, t.TempDir())
	def := w.register("run", func(c *types.ContainerDefinition) {
		c.HealthCheck = &types.HealthCheck{Command: []string{"CMD", "/app/web", "healthcheck"}}
	})
	svc := w.create(def, 1)
	wantStatus(t, w.rollout(svc.CurrentServiceDeployment), types.ServiceDeploymentStatusInProgress)
	arn := *w.tasks("RUNNING")[0].TaskArn
	w.runtime.Health(arn, "HEALTHY")
	wantStatus(t, w.rollout(svc.CurrentServiceDeployment), types.ServiceDeploymentStatusSuccessful)
	w.runtime.Health(arn, "UNHEALTHY")
	if stopped := w.tasks("STOPPED"); len(stopped) != 1 || *stopped[0].StoppedReason != "Task failed container health checks" {
		t.Errorf("stopped tasks = %+v", stopped)
	}
}

func TestDeleteServiceDrains(t *testing.T) {
	w := newWorld(t, t.TempDir())
	w.create(w.register("run"), 2)
	in := &ecs.DeleteServiceInput{Cluster: aws.String("test"), Service: aws.String("web")}
	if _, err := w.s.DeleteService(context.Background(), in); err == nil {
		t.Error("a service that wants tasks was deleted without force")
	}
	in.Force = aws.Bool(true)
	w.runtime.Linger = true
	w.must(w.s.DeleteService(context.Background(), in))
	if got := *w.service().Status; got != "DRAINING" {
		t.Errorf("status %s while tasks stop, want DRAINING", got)
	}
	for _, arn := range w.runtime.Alive() {
		w.runtime.Exit(arn, 0)
	}
	if got := *w.service().Status; got != "INACTIVE" {
		t.Errorf("status %s, want INACTIVE", got)
	}
	w.runtime.Linger = false
	w.create(w.register("run"), 1)
	if got := w.service(); *got.Status != "ACTIVE" || got.RunningCount != 1 {
		t.Errorf("created again: %s with %d tasks", *got.Status, got.RunningCount)
	}
}

func TestStandaloneTaskRunsOnce(t *testing.T) {
	w := newWorld(t, t.TempDir())
	def := w.register("finish")
	in := &ecs.RunTaskInput{
		Cluster: aws.String("test"), TaskDefinition: aws.String(def), StartedBy: aws.String("deploy"),
		ClientToken: aws.String("once"),
		Overrides:   &types.TaskOverride{ContainerOverrides: []types.ContainerOverride{{Name: aws.String("web"), Command: []string{"migrate"}}}},
	}
	tasks, err := w.s.RunTask(context.Background(), in)
	w.must(tasks, err)
	again, err := w.s.RunTask(context.Background(), in)
	w.must(again, err)
	if *again[0].TaskArn != *tasks[0].TaskArn || w.runtime.Started() != 1 {
		t.Error("the same client token started another task")
	}
	got := w.tasks("STOPPED")[0]
	if got.StopCode != types.TaskStopCodeEssentialContainerExited || *got.StoppedReason != "Essential container in task exited" ||
		*got.Containers[0].ExitCode != 0 || *got.Group != "family:web" || *got.StartedBy != "deploy" {
		t.Errorf("task = %s %q %s %s", got.StopCode, *got.StoppedReason, *got.Group, *got.StartedBy)
	}
	w.pass(time.Minute)
	if w.runtime.Started() != 1 {
		t.Error("a standalone task was restarted")
	}
	w.pass(time.Hour)
	if left := len(w.s.Tasks("test")); left != 0 {
		t.Errorf("%d stopped tasks after an hour, want none", left)
	}
}

func TestTooTightBoundsAreSaid(t *testing.T) {
	w := newWorld(t, t.TempDir())
	w.create(w.register("run:1"), 1, func(in *ecs.CreateServiceInput) {
		in.DeploymentConfiguration.MinimumHealthyPercent = aws.Int32(50)
		in.DeploymentConfiguration.MaximumPercent = aws.Int32(100)
	})
	w.deploy(w.register("run:2"))
	if !w.event("was unable to stop or start tasks during a deployment") {
		t.Errorf("no event says that the deployment cannot go on")
	}
}
