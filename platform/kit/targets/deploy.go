package targets

import (
	"context"
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

// Deploy builds a service, rolls it out and watches to the end; --release=RELEASE takes what was built before, --plan only says what would happen. Example: mage deploy local catalog.
func Deploy(ctx context.Context, env, service string, release *string, plan, force *bool, timeout *time.Duration, json *bool) error {
	return run(ctx, 2, json, func(s *session) error {
		names, err := s.services(service)
		if err != nil {
			return err
		}
		on, err := s.on(env)
		if err != nil {
			return err
		}
		return s.deploy(on, names, deployOptions{release: value(release), planOnly: set(plan), Options: rollout.Options{Force: set(force), Timeout: value(timeout)}})
	})
}

type deployOptions struct {
	rollout.Options

	release  string // one that was built before; empty builds
	planOnly bool
}

// deploy builds services, one after another, and rolls each out as soon as it
// is built and those that it calls are rolled out.
func (s *session) deploy(on *target, services []string, opts deployOptions) error {
	var mu sync.Mutex
	var reports attaching
	defer reports.wait()
	made := map[string]release.Release{}
	work := fleet.Work{
		Prepare: func(ctx context.Context, name string) error {
			built, err := s.obtain(ctx, on, name, opts.release)
			if err == nil && opts.release == "" {
				reports.begin(s, on, name, built.Digest)
			}
			mu.Lock()
			defer mu.Unlock()
			made[name] = built
			return err
		},
		Do: func(ctx context.Context, name string) error {
			mu.Lock()
			built := made[name]
			mu.Unlock()
			plan, err := on.deployer.Plan(ctx, name, rollout.Release{Version: built.Version, Image: built.Reference}, opts.Options)
			if err != nil {
				return err
			}
			return s.carryOut(on, plan, opts.planOnly)
		},
	}
	if opts.planOnly {
		work.Limit = 1 // so that the plans are printed in order
	}
	return fleet.Run(s.ctx, s.work, services, work)
}

// obtain builds a service, or finds what was built of it before.
func (s *session) obtain(ctx context.Context, on *target, service, ref string) (release.Release, error) {
	if ref == "" {
		return ship.Build(ctx, on.build, service, s.emit.For(on.env.Name, service))
	}
	return ship.Find(ctx, on.build, service, ref)
}

// carryOut prints a plan, or applies it.
func (s *session) carryOut(on *target, plan rollout.Plan, planOnly bool) error {
	if planOnly {
		s.emit.For(on.env.Name, plan.Service).Emit(event.Result{Kind: "plan", Text: plan.String(), Data: plan})
		return nil
	}
	verdict, err := on.deployer.Apply(s.ctx, plan, s.out)
	if err != nil {
		return err
	}
	return outcomeOf(verdict)
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

// Rollback deploys an earlier release: the one before, or that of --to=RELEASE. Example: mage rollback local catalog.
func Rollback(ctx context.Context, env, service string, to *string, plan, json *bool) error {
	return run(ctx, 2, json, func(s *session) error {
		names, err := s.services(service)
		if err != nil {
			return err
		}
		on, err := s.on(env)
		if err != nil {
			return err
		}
		for _, name := range names {
			planned, err := on.deployer.PlanRollback(s.ctx, name, value(to), rollout.Options{})
			if err != nil {
				return err
			}
			if err := s.carryOut(on, planned, set(plan)); err != nil {
				return err
			}
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
