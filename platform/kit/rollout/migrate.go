package rollout

import (
	"context"
	"fmt"
	"strings"

	"github.com/slipway-dev/slipway/platform/kit/event"
)

// migrate runs the migration as a task of the new revision, after those of other
// revisions, and waits for its end. One that an interrupted run left going is
// waited for instead. A failed migration is a verdict: nothing was shifted.
func (a *application) migrate(ctx context.Context) (failed *Verdict, err error) {
	if late, err := a.awaitMigrations(ctx); late != nil || err != nil {
		return late, err
	}
	step := a.emit.Start("migrate")
	task, err := a.migrationTask(ctx)
	if err != nil {
		err = fail("start the migration of "+a.plan.Service, err, a.again())
		step.Fail(err)
		return nil, err
	}
	a.migrated = task.ID
	step.Progress("task "+task.ID, 0, 0, "")
	for n := 0; task.Status != "STOPPED"; n++ {
		if a.d.cfg.Clock.Since(a.began) > a.plan.Timeout {
			v := a.migrationTimedOut(ctx, task)
			step.Fail(fmt.Errorf("still running after %s", a.plan.Timeout))
			return &v, nil
		}
		if err := a.d.wait(ctx, n); err != nil {
			step.Fail(err)
			return nil, err
		}
		next, err := a.d.cfg.ECS.Task(ctx, a.plan.Contract.Cluster, task.ARN)
		if err != nil {
			err = fail("watch migration task "+task.ID, err, a.again())
			step.Fail(err)
			return nil, err
		}
		task = next
	}
	if code := exitCodeOf(task, a.plan.Contract.Container); code == nil || *code != 0 {
		v := a.migrationFailed(ctx, task)
		step.Fail(fmt.Errorf("%s", strings.Join(v.Causes, "; ")))
		return &v, nil
	}
	a.done = true
	step.Done("task " + task.ID)
	return nil, nil //nolint:nilnil // a verdict stands only for a migration that failed
}

// migrationTask returns the migration task of this revision that is running
// already, else a new one.
func (a *application) migrationTask(ctx context.Context) (Task, error) {
	c := a.plan.Contract
	mark := startedBy(a.plan.To.Name)
	running, err := a.d.cfg.ECS.Tasks(ctx, TaskQuery{Cluster: c.Cluster, StartedBy: mark, Limit: 1})
	if err != nil {
		return Task{}, err
	}
	if len(running) > 0 {
		return running[0], nil
	}
	return a.d.cfg.ECS.Run(ctx, Run{
		Cluster: c.Cluster, TaskDefinition: a.plan.To.TaskDefinition, StartedBy: mark,
		Container: c.Container, Command: a.plan.Migration, Network: c.Network,
		Tags: a.plan.tagsOf(),
	})
}

// exitCodeOf returns the exit code of one container. The others do not count:
// a runtime agent beside it (GuardDuty's, say) is killed and exits non-zero.
func exitCodeOf(task Task, container string) *int {
	for _, c := range task.Containers {
		if c.Name == container {
			return c.ExitCode
		}
	}
	return nil
}

func (a *application) migrationFailed(ctx context.Context, task Task) Verdict {
	v := a.verdict(event.Failed)
	v.Summary = fmt.Sprintf("the migration of release %s failed; no traffic was moved and %s in %s runs what it ran before",
		a.plan.To.Release, a.plan.Service, a.plan.Environment)
	v.Causes = []string{"migration " + stoppedText(task)}
	v.Log, v.LogTask = a.d.lastLines(ctx, a.plan, task)
	v.Serving = a.d.serving(ctx, a.plan.Contract, a.releases)
	v.Next = []string{a.d.command("logs", a.plan.Service)}
	return v
}

func (a *application) migrationTimedOut(ctx context.Context, task Task) Verdict {
	v := a.verdict(event.TimedOut)
	v.Summary = fmt.Sprintf("the migration of release %s was still running after %s; no traffic was moved and the migration goes on",
		a.plan.To.Release, event.Duration(a.plan.Timeout))
	v.Log, v.LogTask = a.d.lastLines(ctx, a.plan, task)
	v.Serving = a.d.serving(ctx, a.plan.Contract, a.releases)
	v.Next = []string{a.again() + "   # wait for it and continue"}
	return v
}
