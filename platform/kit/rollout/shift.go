package rollout

import (
	"context"
	"errors"
	"fmt"

	"github.com/slipway-dev/slipway/platform/kit/event"
)

// shift points the service at the revision and watches the deployment that
// follows. ECS takes whatever update comes last. So the plan is held against the
// service once more: what began since it was made is joined when it is the same
// revision, taken over when it was on its way already, and else left alone.
func (a *application) shift(ctx context.Context) (Verdict, error) {
	ecs, c := a.d.cfg.ECS, a.plan.Contract
	before, err := ecs.Service(ctx, c.Cluster, c.ECSService)
	if err != nil {
		return Verdict{}, fail("read service "+c.ECSService, err, a.again())
	}
	deployments, err := ecs.Deployments(ctx, c.Cluster, c.ECSService, recent)
	if err != nil {
		return Verdict{}, fail("list deployments of "+c.ECSService, err, a.again())
	}
	last := newest(deployments)
	going := !last.Ended() || last.State == StateSuccessful
	switch {
	case last.TaskDefinition == a.plan.To.TaskDefinition && !a.plan.Insist && (last.ARN != a.plan.Seen || going && !a.plan.Force):
		return a.watch(ctx, last.ARN, nil, nil) // somebody was quicker with the same
	case last.ARN == a.plan.Seen:
	case !a.precedes(last):
		return a.yield(ctx, last)
	}
	if before.TaskDefinition == a.plan.To.TaskDefinition {
		a.plan.Force = true // put back meanwhile: ECS would see no change
	}
	known := map[string]bool{}
	for _, dep := range deployments {
		known[dep.ARN] = true
	}
	arn, err := a.update(ctx, known)
	if err != nil {
		return Verdict{}, err
	}
	return a.watch(ctx, arn, known, &before)
}

// precedes reports whether a deployment is of a rollout that was under way
// before ours and has only now got this far.
func (a *application) precedes(dep Deployment) bool {
	if a.plan.IfBusy == Refuse {
		return false
	}
	return a.earlier[dep.TaskDefinition] || a.expected != "" && revisionName(dep.TaskDefinition) == a.expected
}

// yield gives way to a deployment that began after ours was planned.
func (a *application) yield(ctx context.Context, to Deployment) (Verdict, error) {
	if a.plan.IfBusy == Refuse && !to.Ended() {
		busy := a.d.busyOf(ctx, a.plan, to.TaskDefinition, to.CreatedAt)
		busy.Deployment, busy.Stage, busy.Weight = to.ID, to.Stage, to.Weight
		return Verdict{}, fail(fmt.Sprintf("roll out release %s of %s", a.plan.To.Release, a.plan.Service), a.d.busyError(a.plan, busy), "")
	}
	v := a.verdict(event.Superseded)
	v.Summary = fmt.Sprintf("before traffic moved to release %s of %s, a rollout of release %s began in %s (%s, %s); nothing was shifted",
		a.plan.To.Release, a.plan.Service, a.releases.of(ctx, to.TaskDefinition), a.plan.Environment, revisionName(to.TaskDefinition), to.ID)
	v.Serving = a.d.serving(ctx, a.plan.Contract, a.releases)
	v.Next = []string{a.d.command("status", ""), a.again() + "   # roll it out after all"}
	return v, nil
}

// update asks ECS for the deployment. It returns its ARN, or "" when ECS does
// not tell. An update whose answer is lost may have arrived: then ECS is asked.
func (a *application) update(ctx context.Context, known map[string]bool) (arn string, err error) {
	ecs, c := a.d.cfg.ECS, a.plan.Contract
	err = a.emit.Run("update the service", func(*event.Step) (string, error) {
		after, err := ecs.Update(ctx, Update{
			Cluster: c.Cluster, Service: c.ECSService,
			TaskDefinition: a.plan.To.TaskDefinition, DesiredCount: a.plan.DesiredCount, Force: a.plan.Force,
		})
		if errors.Is(err, ErrUncertain) && a.arrived(ctx, known) {
			after, err = Service{}, nil
		}
		if err != nil {
			return "", fail("update service "+c.ECSService, err, a.again())
		}
		if !known[after.Current] {
			arn = after.Current
		}
		return a.plan.To.Name, nil
	})
	a.updated, a.unsure = err == nil, err != nil && ctx.Err() != nil
	return arn, err
}

// arrived looks for the deployment of an update that brought no answer.
func (a *application) arrived(ctx context.Context, known map[string]bool) bool {
	c := a.plan.Contract
	began := a.d.cfg.Clock.Now()
	for n := 0; a.d.cfg.Clock.Since(began) <= blind; n++ {
		deployments, err := a.d.cfg.ECS.Deployments(ctx, c.Cluster, c.ECSService, recent)
		for _, dep := range deployments {
			if !known[dep.ARN] && dep.TaskDefinition == a.plan.To.TaskDefinition {
				return true
			}
		}
		if err == nil && a.d.cfg.Clock.Since(began) > settleFor {
			return false
		}
		if a.d.wait(ctx, n) != nil {
			return false
		}
	}
	return false
}
