package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-dev/slipway/platform/kit/contract"
)

// history is how many deployments and revisions a rollback looks back.
const history = 50

// PlanRollback returns the plan that puts an earlier release on again: the one
// named by to (a release, a revision or family:revision), or, when to is
// empty, the one that was completely rolled out before the one that the
// service aims at. It is a deployment of the revision that ran then, variables
// and secrets included; only a release of which ECS has no revision gets a new
// one, from today's settings. Migrations are not undone: a release that a schema
// change left behind is refused unless opts.Anyway is set. It only reads.
func (d *Deployer) PlanRollback(ctx context.Context, service, to string, opts Options) (Plan, error) {
	what := fmt.Sprintf("plan a rollback of %s in %s", service, d.cfg.Environment)
	b, err := d.begin(ctx, service, opts)
	if err != nil {
		return Plan{}, fail(what, err, d.shell())
	}
	b.plan.Rollback = true
	if last := newest(b.deployments); to == "" && (last.State == StateRollbackRequested || last.State == StateRollbackInProgress) {
		err := fmt.Errorf("ECS is putting %s back by itself (deployment %s); name a release with --to to go elsewhere", b.plan.From.describe(), last.ID)
		return Plan{}, fail(what, err, d.command("watch", service))
	}
	target, err := d.earlier(ctx, b, to)
	if err != nil {
		return Plan{}, fail(what, err, d.command("status", ""))
	}
	if err := d.considerSchema(ctx, b, opts); err != nil {
		return Plan{}, fail(what, err, d.command("rollback", service, "--to="+b.plan.To.Release, "--force"))
	}
	b.settle(target, opts.Force)
	return b.plan, d.consider(ctx, b, what)
}

// earlier finds the revision to go back to and makes it the plan's.
func (d *Deployer) earlier(ctx context.Context, b *begun, to string) (TaskDefinition, error) {
	c := b.plan.Contract
	deployments, err := d.cfg.ECS.Deployments(ctx, c.Cluster, c.ECSService, history)
	if err != nil {
		return TaskDefinition{}, err
	}
	var target TaskDefinition
	switch to {
	case "":
		target, err = d.before(ctx, b, deployments)
	default:
		var found bool
		if target, found, err = d.registeredAs(ctx, b, to, deployments); err == nil && !found {
			return d.built(ctx, b, to, deployments)
		}
	}
	b.plan.To = revisionOf(target, c.Container)
	return target, err
}

// registeredAs finds a revision that ECS has: the last that was completely
// rolled out, else any.
func (d *Deployer) registeredAs(ctx context.Context, b *begun, to string, deployments []Deployment) (td TaskDefinition, found bool, err error) {
	c := b.plan.Contract
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
		if dep.State != StateSuccessful {
			continue
		}
		if td, found, err = try(dep.TaskDefinition); found || err != nil {
			return td, found, err
		}
	}
	arns, err := d.cfg.ECS.TaskDefinitions(ctx, c.Family, history)
	if err != nil {
		return td, false, err
	}
	for _, arn := range arns {
		if td, found, err = try(arn); err != nil {
			return td, false, err
		}
		if !found {
			continue
		}
		note := "it is not known whether this release was ever completely rolled out here"
		if i := slices.IndexFunc(deployments, func(dep Deployment) bool { return dep.TaskDefinition == arn && dep.Ended() }); i >= 0 {
			note = fmt.Sprintf("this release was never completely rolled out here: deployment %s ended as %s", deployments[i].ID, deployments[i].State)
		}
		b.plan.Notes = append(b.plan.Notes, note)
		return td, true, nil
	}
	return TaskDefinition{}, false, nil
}

// built finds a release of which ECS has no revision of that name, in the
// registry.
func (d *Deployer) built(ctx context.Context, b *begun, to string, deployments []Deployment) (TaskDefinition, error) {
	c := b.plan.Contract
	if d.cfg.Releases == nil {
		return TaskDefinition{}, fmt.Errorf("%w: no revision of %s carries release %q", ErrNotFound, c.Family, to)
	}
	release, err := d.cfg.Releases.Find(ctx, b.plan.Service, to)
	if err != nil {
		return TaskDefinition{}, fmt.Errorf("no revision of %s carries release %q: %w", c.Family, to, err)
	}
	if td, found, err := d.registeredAs(ctx, b, release.Version, deployments); found || err != nil {
		b.plan.To = revisionOf(td, c.Container)
		return td, err
	}
	if b.plan.Definition, err = c.Render(contract.Release{Version: release.Version, Image: release.Image}); err != nil {
		return TaskDefinition{}, err
	}
	b.plan.To = Revision{Release: release.Version, Image: release.Image, Digest: release.Digest()}
	b.plan.Notes = append(b.plan.Notes, "ECS has no revision of this release; a new one is made of it with today's settings")
	return definitionOf(b.plan.Definition)
}

// considerSchema holds the release against the schema changes since.
func (d *Deployer) considerSchema(ctx context.Context, b *begun, opts Options) error {
	p := &b.plan
	if p.Contract.Migration == nil {
		return nil
	}
	p.Notes = append(p.Notes, "the database stays as it is: migrations are not undone")
	if d.cfg.Schemas == nil || p.From.Release == "" || p.To.Release == "" {
		return nil
	}
	gone, err := d.cfg.Schemas.Behind(ctx, p.Service, p.From.Release, p.To.Release)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		p.Notes = append(p.Notes, "whether a schema change took away what release "+p.To.Release+" needs is not known: "+err.Error())
		return nil
	}
	if len(gone) == 0 {
		return nil
	}
	left := fmt.Sprintf("migrations since release %s took away what it may need: %s", p.To.Release, strings.Join(gone, ", "))
	if !opts.Anyway {
		return errors.New(left)
	}
	p.Notes = append(p.Notes, left)
	return nil
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
