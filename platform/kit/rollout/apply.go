package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/contract"
	"github.com/slipway-dev/slipway/platform/kit/event"
)

// Apply carries a plan out and watches it to its end. The verdict says how it
// ended, interruption by ctx included; an error means that there was no
// rollout to judge (a check failed, a call was refused), with nothing begun
// or with what was begun named in it. Applying again continues.
func (d *Deployer) Apply(ctx context.Context, p Plan, sink event.Sink) (Verdict, error) {
	a := &application{
		d: d, plan: p, emit: d.emitter(sink, p.Service), began: d.cfg.Clock.Now(),
		releases: newReleases(d.cfg.ECS, p.Contract.Container), earlier: map[string]bool{},
	}
	if p.Busy != nil {
		a.expected = p.Busy.Revision
	}
	a.emit.Emit(event.Plan{Text: p.String(), Data: p})
	verdict, err := a.run(ctx)
	if err != nil {
		if ctx.Err() == nil {
			return Verdict{}, err
		}
		verdict = a.interrupted(ctx)
	}
	a.emit.Emit(verdict)
	return verdict, nil
}

// application is one run of Apply.
type application struct {
	d        *Deployer
	plan     Plan
	emit     *event.Emitter
	began    time.Time
	releases *releases
	updated  bool   // the service was pointed at the new revision
	unsure   bool   // the update was cut off: it may or may not have arrived
	migrated string // id of the migration task, once there is one
	done     bool   // and it has ended well
	// earlier are the revisions that were on their way when we came: their
	// deployments are taken over, while one that came after us is not.
	earlier  map[string]bool
	expected string // the one that the plan tells of, by family:revision
}

func (a *application) run(ctx context.Context) (Verdict, error) {
	switch a.plan.Action {
	case ActNone:
		return a.alreadyRuns(ctx), nil
	case ActResume:
		return a.watch(ctx, a.plan.Seen, nil, nil)
	case ActDeploy:
	}
	if err := a.verify(ctx); err != nil {
		return Verdict{}, err
	}
	if err := a.register(ctx); err != nil {
		return Verdict{}, err
	}
	if len(a.plan.Migration) > 0 {
		failed, err := a.migrate(ctx)
		if failed != nil || err != nil {
			return deref(failed), err
		}
	}
	return a.shift(ctx)
}

func deref(v *Verdict) Verdict {
	if v == nil {
		return Verdict{}
	}
	return *v
}

// register registers the plan's definition unless it is registered already. ECS
// has no name for a definition that two could ask for at once: of two that were
// registered by two deploys at once both take the first, and the second goes.
func (a *application) register(ctx context.Context) error {
	if a.plan.To.TaskDefinition != "" {
		return nil
	}
	return a.emit.Run("register the revision", func(*event.Step) (string, error) {
		td, err := a.registerOnce(ctx)
		if err != nil {
			return "", fail("register a revision of "+a.plan.Contract.Family, err, a.again())
		}
		a.plan.To.TaskDefinition, a.plan.To.Name = td.ARN, revisionName(td.ARN)
		return a.plan.To.Name, nil
	})
}

func (a *application) registerOnce(ctx context.Context) (TaskDefinition, error) {
	ecs, family := a.d.cfg.ECS, a.plan.Contract.Family
	fingerprint := contract.FingerprintOf(a.plan.Definition)
	last, err := ecs.TaskDefinition(ctx, family)
	if err != nil && !isNotFound(err) {
		return TaskDefinition{}, err
	}
	if last.Active && last.Tags[contract.TagFingerprint] == fingerprint {
		return last, nil
	}
	ours, err := ecs.Register(ctx, a.plan.Definition)
	if err != nil {
		return TaskDefinition{}, err
	}
	for n := max(last.Revision+1, ours.Revision-recent); n < ours.Revision; n++ { // registered between the two calls
		other, err := ecs.TaskDefinition(ctx, fmt.Sprintf("%s:%d", family, n))
		if isNotFound(err) || err == nil && (!other.Active || other.Tags[contract.TagFingerprint] != fingerprint) {
			continue
		}
		if err != nil {
			return TaskDefinition{}, err
		}
		return other, ecs.Deregister(ctx, ours.ARN)
	}
	return ours, nil
}

// watch watches our deployment, if it is known the one of that ARN, and returns
// the verdict.
func (a *application) watch(ctx context.Context, arn string, known map[string]bool, before *Service) (Verdict, error) {
	w := newWatch(a.d, a.plan, a.emit, a.releases, known, before)
	w.began, w.arn = a.began, arn
	step := a.emit.Start("roll out release " + a.plan.To.Release)
	verdict, err := w.run(ctx)
	switch {
	case err != nil:
		step.Fail(err)
	case verdict.Outcome == event.Completed:
		step.Done(a.plan.To.Name)
	default:
		step.Fail(errors.New(verdict.Outcome.Words()))
	}
	return verdict, err
}

func (a *application) alreadyRuns(ctx context.Context) Verdict {
	v := a.verdict(event.Completed)
	v.AlreadyRan = true
	v.Summary = fmt.Sprintf("%s in %s already runs release %s (%s); nothing was changed",
		a.plan.Service, a.plan.Environment, a.plan.To.Release, a.plan.To.Name)
	v.Serving = a.d.serving(ctx, a.plan.Contract, a.releases)
	return v
}

// interrupted is the verdict when ctx ended before the deployment began.
func (a *application) interrupted(ctx context.Context) Verdict {
	v := a.verdict(event.Interrupted)
	switch {
	case a.updated:
		v.Summary = fmt.Sprintf("stopped watching; the rollout of release %s to %s goes on by itself", a.plan.To.Release, a.plan.Environment)
		v.Next = []string{a.d.command("watch", a.plan.Service) + "   # watch it again", a.d.command("rollback", a.plan.Service) + "   # put it back"}
	case a.unsure:
		v.Summary = fmt.Sprintf("stopped while the service was pointed at release %s; it is not known whether that reached %s", a.plan.To.Release, a.plan.Environment)
		v.Next = []string{a.d.command("status", ""), a.again() + "   # continue"}
	case a.done:
		v.Summary = fmt.Sprintf("stopped before traffic moved to release %s, whose migration is done", a.plan.To.Release)
		v.Next = []string{a.again() + "   # continue"}
	case a.migrated != "":
		v.Summary = fmt.Sprintf("stopped before traffic moved to release %s; migration task %s goes on by itself", a.plan.To.Release, a.migrated)
		v.Next = []string{a.again() + "   # continue"}
	default:
		v.Summary = fmt.Sprintf("stopped before anything of release %s was started in %s", a.plan.To.Release, a.plan.Environment)
		v.Next = []string{a.again() + "   # continue"}
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), afterthought)
	defer cancel()
	v.Serving = a.d.serving(bounded, a.plan.Contract, a.releases)
	return v
}

// afterthought bounds the reads that explain an interruption.
const afterthought = 3 * time.Second

// verdict returns a verdict with what is known of the plan.
func (a *application) verdict(outcome event.Outcome) Verdict {
	now := a.d.cfg.Clock.Now()
	return Verdict{
		Outcome: outcome, Service: a.plan.Service, Env: a.plan.Environment, Release: a.plan.To.Release,
		Revision: a.plan.To.Name, URL: a.plan.Contract.URL, Duration: event.Duration(now.Sub(a.began)), FinishedAt: now.UTC(),
	}
}

// again returns the command that continues this plan.
func (a *application) again() string { return a.d.again(a.plan) }
