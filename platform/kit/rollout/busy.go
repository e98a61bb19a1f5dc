package rollout

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/contract"
	"github.com/slipway-dev/slipway/platform/kit/event"
)

// IfBusy says what a deploy does when a rollout of another release of the
// service is under way.
type IfBusy string

// The ways to go about a rollout that is under way.
const (
	Supersede IfBusy = "supersede" // take its place: it ends as superseded
	Refuse    IfBusy = "refuse"    // leave it alone and change nothing
)

// Busy is a rollout that is under way: a deployment, or before there is one the
// migration of its release.
type Busy struct {
	Release    string    `json:"release"`
	Revision   string    `json:"revision"`             // family:revision
	Deployment string    `json:"deployment,omitempty"` // service deployment id; empty while it migrates
	Migration  string    `json:"migration,omitempty"`  // task id
	Stage      string    `json:"stage,omitempty"`      // lifecycle stage, where the strategy has any
	Weight     float64   `json:"weight,omitempty"`     // percent of the traffic, with a stage
	Since      time.Time `json:"since"`
	By         string    `json:"by,omitempty"` // who registered its revision
}

// String says what is under way: "a rollout of release v2 (catalog:7, deployment
// d1) is under way since 10:00:05Z, at 10 % of the traffic".
func (b Busy) String() string {
	var text strings.Builder
	id := "deployment " + b.Deployment
	if b.Deployment == "" {
		id = "migration task " + b.Migration
	}
	fmt.Fprintf(&text, "a rollout of release %s (%s, %s) is under way since %s", b.Release, b.Revision, id, b.Since.UTC().Format("15:04:05Z"))
	if b.Stage != "" {
		fmt.Fprintf(&text, ", at %g %% of the traffic", b.Weight)
	}
	if b.By != "" {
		fmt.Fprintf(&text, ", of a revision that %s registered", b.By)
	}
	return text.String()
}

// BusyError says that a rollout was refused for one that is under way.
type BusyError struct {
	Busy
	again, watch string
}

// Error says what is under way and how to take its place.
func (e *BusyError) Error() string {
	return fmt.Sprintf("%s; nothing was changed (%s --busy=%s takes its place)", e.Busy, e.again, Supersede)
}

// Next returns the command that watches what is under way.
func (e *BusyError) Next() string { return e.watch }

func (d *Deployer) busyError(p Plan, b Busy) error {
	return &BusyError{Busy: b, again: d.again(p), watch: d.command("watch", p.Service)}
}

// consider looks what is under way besides what the plan leads to, notes it in
// the plan, and refuses the plan if that is what the user wants.
func (d *Deployer) consider(ctx context.Context, b *begun, what string) error {
	p := &b.plan
	if p.Action != ActDeploy {
		return nil
	}
	busy, err := d.underWay(ctx, *p, newest(b.deployments))
	if err != nil {
		return fail(what, err, d.command("status", ""))
	}
	if p.Busy = busy; busy == nil {
		return nil
	}
	if p.IfBusy == Refuse {
		return fail(what, d.busyError(*p, *busy), "")
	}
	p.Notes = append(p.Notes, busy.String()+"; it ends as superseded")
	return nil
}

// underWay returns the rollout of another revision that is going on, nil when
// there is none.
func (d *Deployer) underWay(ctx context.Context, p Plan, last Deployment) (*Busy, error) {
	if last.ARN != "" && !last.Ended() && last.TaskDefinition != p.To.TaskDefinition {
		busy := d.busyOf(ctx, p, last.TaskDefinition, last.CreatedAt)
		busy.Deployment, busy.Stage, busy.Weight = last.ID, last.Stage, last.Weight
		return &busy, nil
	}
	tasks, err := d.migrations(ctx, p)
	if err != nil || len(tasks) == 0 {
		return nil, err
	}
	busy := d.busyOf(ctx, p, tasks[0].TaskDefinition, tasks[0].CreatedAt)
	busy.Migration = tasks[0].ID
	return &busy, nil
}

// busyOf fills in what a revision says.
func (d *Deployer) busyOf(ctx context.Context, p Plan, arn string, since time.Time) Busy {
	busy := Busy{Release: UnknownRelease, Revision: revisionName(arn), Since: since}
	if td, err := d.cfg.ECS.TaskDefinition(ctx, arn); err == nil {
		if release := releaseOf(td, p.Contract.Container); release != "" {
			busy.Release = release
		}
		if !d.cfg.Local { // there it is always the same
			busy.By = td.RegisteredBy
		}
	}
	return busy
}

// migrationMark begins the startedBy of migration tasks; the revision follows.
const migrationMark = "slipway/migrate/"

// startedBy marks the migration tasks of a revision.
func startedBy(revision string) string {
	const limit = 128 // of ECS
	if most := limit - len(migrationMark); len(revision) > most {
		revision = revision[len(revision)-most:]
	}
	return migrationMark + revision
}

// migrations returns the migration tasks of other revisions of the service
// that have not ended.
func (d *Deployer) migrations(ctx context.Context, p Plan) ([]Task, error) {
	if p.Contract.Migration == nil {
		return nil, nil
	}
	tasks, err := d.cfg.ECS.Tasks(ctx, TaskQuery{Cluster: p.Contract.Cluster, Family: p.Contract.Family})
	if err != nil {
		return nil, err
	}
	var others []Task
	for _, t := range tasks {
		if strings.HasPrefix(t.StartedBy, migrationMark) && t.Status != "STOPPED" && t.TaskDefinition != p.To.TaskDefinition {
			others = append(others, t)
		}
	}
	return others, nil
}

// awaitMigrations waits until no other revision's migration runs: two at once
// would wait for one another in the database, and each would count the other's
// time as its own.
func (a *application) awaitMigrations(ctx context.Context) (late *Verdict, err error) {
	var step *event.Step
	for n := 0; ; n++ {
		others, err := a.d.migrations(ctx, a.plan)
		switch {
		case err != nil:
			err = fail("look for other migrations of "+a.plan.Service, err, a.again())
		case len(others) == 0 && step == nil:
			return nil, nil //nolint:nilnil // a verdict stands only for waiting in vain
		case len(others) == 0:
			step.Done("")
			return nil, nil //nolint:nilnil // as above
		case a.plan.IfBusy == Refuse:
			busy := a.d.busyOf(ctx, a.plan, others[0].TaskDefinition, others[0].CreatedAt)
			busy.Migration = others[0].ID
			err = fail("migrate "+a.plan.Service, a.d.busyError(a.plan, busy), "")
		}
		if err != nil {
			return nil, stepFailed(step, err)
		}
		if step == nil {
			step = a.emit.Start("wait for the migration of " + revisionName(others[0].TaskDefinition))
			step.Progress("task "+others[0].ID, 0, 0, "")
		}
		for _, t := range others {
			a.earlier[t.TaskDefinition] = true
		}
		if a.d.cfg.Clock.Since(a.began) > a.plan.Timeout {
			step.Fail(fmt.Errorf("still running after %s", a.plan.Timeout))
			v := a.waitedInVain(ctx, others[0])
			return &v, nil
		}
		if err := a.d.wait(ctx, n); err != nil {
			return nil, stepFailed(step, err)
		}
	}
}

// waitedInVain is the verdict when another revision's migration did not end.
func (a *application) waitedInVain(ctx context.Context, other Task) Verdict {
	v := a.verdict(event.TimedOut)
	v.Summary = fmt.Sprintf("migration task %s of %s was still running after %s; nothing of release %s was started",
		other.ID, revisionName(other.TaskDefinition), event.Duration(a.plan.Timeout), a.plan.To.Release)
	v.Serving = a.d.serving(ctx, a.plan.Contract, a.releases)
	v.Next = []string{a.again() + "   # wait for it and continue"}
	return v
}

func stepFailed(step *event.Step, err error) error {
	if step != nil {
		step.Fail(err)
	}
	return err
}

// again returns the command that continues a plan.
func (d *Deployer) again(p Plan) string {
	switch {
	case p.Rollback:
		return d.command("rollback", p.Service, "--to="+p.To.Release)
	case p.Named:
		return d.command("deploy", p.Service, "--release="+p.To.Release)
	default:
		return d.command("deploy", p.Service)
	}
}

// tagsOf are the tags of a plan's migration task.
func (p Plan) tagsOf() map[string]string {
	return map[string]string{contract.TagService: p.Service, contract.TagEnvironment: p.Environment, contract.TagRelease: p.To.Release}
}
