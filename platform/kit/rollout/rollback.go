package rollout

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// history is how many deployments and revisions a rollback looks back.
const history = 50

// PlanRollback returns the plan that puts an earlier release on again: the one
// named by to (a release, a revision or family:revision), or, when to is
// empty, the one that was completely rolled out before the one that the
// service aims at. It is a deployment of the revision that ran then, variables
// and secrets included; migrations are not undone. It only reads.
func (d *Deployer) PlanRollback(ctx context.Context, service, to string, opts Options) (Plan, error) {
	what := fmt.Sprintf("plan a rollback of %s in %s", service, d.cfg.Environment)
	b, err := d.begin(ctx, service, opts)
	if err != nil {
		return Plan{}, fail(what, err, d.shell())
	}
	target, err := d.earlier(ctx, b, to)
	if err != nil {
		return Plan{}, fail(what, err, d.command("status", ""))
	}
	b.plan.Rollback = true
	b.plan.To = revisionOf(target, b.plan.Contract.Container)
	if b.plan.Contract.Migration != nil {
		b.plan.Notes = append(b.plan.Notes, "the database stays as it is: migrations are not undone")
	}
	b.settle(target, opts.Force)
	return b.plan, nil
}

// earlier finds the revision to go back to.
func (d *Deployer) earlier(ctx context.Context, b *begun, to string) (TaskDefinition, error) {
	c := b.plan.Contract
	deployments, err := d.cfg.ECS.Deployments(ctx, c.Cluster, c.ECSService, history)
	if err != nil {
		return TaskDefinition{}, err
	}
	if to == "" {
		return d.before(ctx, b, deployments)
	}
	seen := map[string]bool{}
	try := func(arn string) (TaskDefinition, bool, error) {
		if seen[arn] {
			return TaskDefinition{}, false, nil
		}
		seen[arn] = true
		td, err := d.cfg.ECS.TaskDefinition(ctx, arn)
		if isNotFound(err) {
			return td, false, nil
		}
		return td, err == nil && td.Active && named(td, c.Container, to), err
	}
	for _, dep := range deployments {
		if td, ok, err := try(dep.TaskDefinition); ok || err != nil {
			return td, err
		}
	}
	arns, err := d.cfg.ECS.TaskDefinitions(ctx, c.Family, history)
	if err != nil {
		return TaskDefinition{}, err
	}
	for _, arn := range arns {
		td, ok, err := try(arn)
		if err != nil {
			return td, err
		}
		if ok {
			b.plan.Notes = append(b.plan.Notes, "it is not known whether this release was ever completely rolled out here")
			return td, nil
		}
	}
	return TaskDefinition{}, fmt.Errorf("%w: no revision of %s carries release %q", ErrNotFound, c.Family, to)
}

// named reports whether to names the revision: by release, by number, or by
// family:revision.
func named(td TaskDefinition, container, to string) bool {
	return releaseOf(td, container) == to || revisionName(td.ARN) == to || strconv.Itoa(td.Revision) == strings.TrimPrefix(to, ":")
}

// before finds the release that was completely rolled out before the current
// one was for the first time, so that a rollback after a rollback goes further
// back and not forth again.
func (d *Deployer) before(ctx context.Context, b *begun, deployments []Deployment) (TaskDefinition, error) {
	c := b.plan.Contract
	current := b.plan.From.Release
	first := -1
	found := make([]TaskDefinition, len(deployments))
	for i, dep := range deployments { // newest first
		if dep.State != StateSuccessful && dep.TaskDefinition != b.plan.From.TaskDefinition {
			continue
		}
		td, err := d.cfg.ECS.TaskDefinition(ctx, dep.TaskDefinition)
		if err != nil && !isNotFound(err) {
			return td, err
		}
		found[i] = td
		if dep.TaskDefinition == b.plan.From.TaskDefinition || current != "" && releaseOf(td, c.Container) == current {
			first = i
		}
	}
	for i := first + 1; i < len(deployments); i++ {
		td := found[i]
		release := releaseOf(td, c.Container)
		if deployments[i].State == StateSuccessful && td.Active && release != "" && release != current {
			return td, nil
		}
	}
	return TaskDefinition{}, fmt.Errorf("%w: no release was completely rolled out before %s", ErrNotFound, b.plan.From.describe())
}
