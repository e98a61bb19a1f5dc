package targets

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/fleet"
	"github.com/slipway-dev/slipway/platform/kit/image"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/place"
	"github.com/slipway-dev/slipway/platform/kit/manifest"
	"github.com/slipway-dev/slipway/platform/kit/release"
	"github.com/slipway-dev/slipway/platform/kit/rollout"
	"github.com/slipway-dev/slipway/platform/kit/schema"
	"github.com/slipway-dev/slipway/platform/kit/ship"
)

// Build builds a service's image for every platform it may run on, without pushing it. Example: mage build catalog.
func Build(ctx context.Context, service string, json *bool) error {
	return run(ctx, 1, json, func(s *session) error {
		names, err := s.services(service)
		if err != nil {
			return err
		}
		cache, err := place.Cache()
		if err != nil {
			return err
		}
		env, err := s.work.Environment(manifest.Local)
		if err != nil {
			return err
		}
		for _, name := range names {
			cfg := ship.Config{Root: s.root, CacheDir: cache, Environment: env, Platforms: image.Fargate().WithHost()}
			made, err := ship.Build(s.ctx, cfg, name, s.emit.For("", name))
			if err != nil {
				return err
			}
			s.emit.For("", name).Emit(event.Result{Kind: "digest", Text: made.Digest + "\n", Data: made})
		}
		return nil
	})
}

// Watch watches the rollout of a service that is under way. Example: mage watch local catalog.
func Watch(ctx context.Context, env, service string, timeout *time.Duration, json *bool) error {
	return run(ctx, 2, json, func(s *session) error {
		if _, err := s.work.Service(service); err != nil {
			return err
		}
		on, err := s.on(env)
		if err != nil {
			return err
		}
		verdict, err := on.deployer.Watch(s.ctx, service, rollout.Options{Timeout: value(timeout)}, s.out)
		if err != nil {
			return err
		}
		return outcomeOf(verdict)
	})
}

// Deploy builds a service, rolls it out and watches to the end; --release=RELEASE takes what was built before, --busy=refuse leaves a rollout that is under way alone, --plan only says what would happen. Example: mage deploy local catalog.
func Deploy(ctx context.Context, env, service string, release *string, plan, force *bool, busy *string, timeout *time.Duration, json *bool) error {
	return run(ctx, 2, json, func(s *session) error {
		ifBusy, err := ifBusyOf(value(busy))
		if err != nil {
			return err
		}
		names, err := s.services(service)
		if err != nil {
			return err
		}
		on, err := s.on(env)
		if err != nil {
			return err
		}
		return s.deploy(on, names, deployOptions{
			release: value(release), planOnly: set(plan), table: service == all,
			Options: rollout.Options{Force: set(force), Timeout: value(timeout), IfBusy: ifBusy, Named: value(release) != ""},
		})
	})
}

func ifBusyOf(word string) (rollout.IfBusy, error) {
	switch choice := rollout.IfBusy(word); choice {
	case "":
		return rollout.Supersede, nil
	case rollout.Supersede, rollout.Refuse:
		return choice, nil
	}
	return "", &usageError{text: fmt.Sprintf("--busy=%s: it is either supersede or refuse", word), next: "go tool mage -h deploy"}
}

type deployOptions struct {
	rollout.Options

	release  string // one that was built before; empty builds
	planOnly bool
	table    bool // of what became of each service, also when all went well
}

// deploy builds services, one after another, and rolls each out as soon as it
// is built and those that it calls are rolled out.
func (s *session) deploy(on *target, services []string, opts deployOptions) error {
	var mu sync.Mutex
	defer on.guard.Wait()
	made := map[string]release.Release{}
	work := fleet.Work{
		Prepare: func(ctx context.Context, name string) error {
			built, err := s.obtain(ctx, on, name, opts.release)
			if err == nil && opts.release == "" {
				on.guard.Attach(s.ctx, name, built.Digest, s.emit.For(on.env.Name, name))
			}
			mu.Lock()
			defer mu.Unlock()
			made[name] = built
			return err
		},
		Do: func(ctx context.Context, name string) (event.Verdict, error) {
			mu.Lock()
			built := made[name]
			mu.Unlock()
			plan, err := on.deployer.Plan(ctx, name, rollout.Release{Version: built.Version, Image: built.Reference}, opts.Options)
			if err != nil {
				return event.Verdict{}, err
			}
			return s.carryOut(on, plan, opts.planOnly)
		},
	}
	if opts.planOnly {
		work.Limit = 1 // so that the plans are printed in order
	}
	return s.report(on, fleet.Run(s.ctx, s.work, services, work), opts)
}

// obtain builds a service, or finds what was built of it before.
func (s *session) obtain(ctx context.Context, on *target, service, ref string) (release.Release, error) {
	if ref == "" {
		return ship.Build(ctx, on.build, service, s.emit.For(on.env.Name, service))
	}
	return ship.Find(ctx, on.build, service, ref)
}

// carryOut prints a plan, or applies it.
func (s *session) carryOut(on *target, plan rollout.Plan, planOnly bool) (event.Verdict, error) {
	if planOnly {
		s.emit.For(on.env.Name, plan.Service).Emit(event.Result{Kind: "plan", Text: plan.String(), Data: plan})
		return event.Verdict{Outcome: event.Completed}, nil
	}
	return on.deployer.Apply(s.ctx, plan, s.out)
}

// report prints what became of several services and returns the command's end.
func (s *session) report(on *target, report fleet.Report, opts deployOptions) error {
	err := report.Err()
	if len(report) > 1 && !opts.planOnly && (opts.table || err != nil) {
		s.emit.For(on.env.Name, "").Emit(event.Result{Kind: "report", Text: report.String(), Data: report})
	}
	return err
}

// outcomeError ends the command with the code of a verdict that was printed.
type outcomeError struct{ verdict rollout.Verdict }

func (e *outcomeError) Error() string {
	return fmt.Sprintf("%s in %s: %s", e.verdict.Service, e.verdict.Env, e.verdict.Outcome.Words())
}

func (e *outcomeError) ExitCode() int { return e.verdict.ExitCode() }

func outcomeOf(v rollout.Verdict) error {
	if v.ExitCode() == 0 {
		return nil
	}
	return &outcomeError{verdict: v}
}

// Rollback deploys an earlier release: the one before, or that of --to=RELEASE; --force also one that a schema change left behind. Example: mage rollback local catalog.
func Rollback(ctx context.Context, env, service string, to *string, plan, force *bool, json *bool) error {
	return run(ctx, 2, json, func(s *session) error {
		names, err := s.services(service)
		if err != nil {
			return err
		}
		on, err := s.on(env)
		if err != nil {
			return err
		}
		return s.rollback(on, names, value(to), deployOptions{planOnly: set(plan), table: service == all, Options: rollout.Options{Anyway: set(force)}})
	})
}

// rollback plans for every service before it touches one, then puts callers
// back before those that they call: they may need what the callee still has.
func (s *session) rollback(on *target, services []string, to string, opts deployOptions) error {
	plans := map[string]rollout.Plan{}
	var errs []error
	for _, name := range services {
		plan, err := on.deployer.PlanRollback(s.ctx, name, to, opts.Options)
		plans[name], errs = plan, append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	work := fleet.Work{Reverse: true, Do: func(_ context.Context, name string) (event.Verdict, error) {
		return s.carryOut(on, plans[name], opts.planOnly)
	}}
	if opts.planOnly {
		work.Limit = 1
	}
	return s.report(on, fleet.Run(s.ctx, s.work, services, work), opts)
}

// pushed tells a deployer what the registry has.
type pushed struct{ build ship.Config }

// Find implements [rollout.Releases].
func (p pushed) Find(ctx context.Context, service, ref string) (rollout.Release, error) {
	found, err := ship.Find(ctx, p.build, service, ref)
	return rollout.Release{Version: found.Version, Image: found.Reference}, err
}

// migrated tells a deployer what the checkout's history knows of schemas.
type migrated struct {
	root string
	work *manifest.Workspace
}

// Behind implements [rollout.Schemas].
func (m migrated) Behind(ctx context.Context, service, from, to string) ([]string, error) {
	svc, err := m.work.Service(service)
	if err != nil {
		return nil, err
	}
	gone, err := schema.Behind(ctx, m.root, svc, from, to)
	var words []string
	for _, c := range gone {
		words = append(words, c.String())
	}
	return words, err
}
