package targets

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/magefile/mage/mg"

	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/guard"
	"github.com/slipway-dev/slipway/platform/kit/invariant"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/place"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/postgres"
	"github.com/slipway-dev/slipway/platform/kit/manifest"
	"github.com/slipway-dev/slipway/platform/kit/schema"
	"github.com/slipway-dev/slipway/platform/kit/ship"
	"github.com/slipway-dev/slipway/platform/kit/vuln"
)

// Check holds checks of what must be true of data, schemas and binaries.
type Check mg.Namespace

// Vuln holds what concerns the database of known vulnerabilities.
type Vuln mg.Namespace

// Fetch downloads the database of known vulnerabilities, so that deploys at home and without a network are checked. Example: mage vuln:fetch.
func (Vuln) Fetch(ctx context.Context, json *bool) error {
	return run(ctx, 0, json, func(s *session) error {
		cache, err := place.Cache()
		if err != nil {
			return err
		}
		var db *vuln.Database
		err = s.emit.Run("fetch vulnerability database", func(*event.Step) (string, error) {
			db, err = vuln.Fetch(s.ctx, vuln.Source{Location: os.Getenv(vuln.DatabaseVariable), CacheDir: cache})
			if err != nil {
				return "", err
			}
			return "of " + db.Modified.Format(time.DateOnly), nil
		})
		if err != nil {
			return err
		}
		s.emit.Emit(event.Result{Kind: "vulnerability database", Text: fmt.Sprintf("%s of %s\n", db.Location, db.Modified.Format(time.RFC3339)), Data: map[string]any{
			"location": db.Location, "modified": db.Modified,
		}})
		return nil
	})
}

// Vuln builds a service and tells what is known against its binaries, by the rules of --env=local. Example: mage check:vuln all --env=staging.
func (Check) Vuln(ctx context.Context, service string, env *string, json *bool) error {
	return run(ctx, 1, json, func(s *session) error {
		names, err := s.services(service)
		if err != nil {
			return err
		}
		on, err := s.work.Environment(or(env, manifest.Local))
		if err != nil {
			return err
		}
		var refused error
		for _, name := range names {
			if err := s.checkVuln(on, name); err != nil && refused == nil {
				refused = err
			}
		}
		return refused
	})
}

// checkVuln builds one service for an environment and scans it.
func (s *session) checkVuln(env manifest.Environment, service string) error {
	cache, err := place.Cache()
	if err != nil {
		return err
	}
	emit := s.emit.For(env.Name, service)
	build := ship.Config{Root: s.root, CacheDir: cache, Environment: env}
	guarded, err := guard.New(guard.Config{Build: build, Database: os.Getenv(vuln.DatabaseVariable)})
	if err != nil {
		return err
	}
	gate := guarded.Gate
	build.Assembled = guarded.Assembled(s.ctx)
	made, err := ship.Build(s.ctx, build, service, emit)
	if err != nil {
		return err
	}
	report, err := gate.Report(s.ctx, ship.Repository(service), made.Digest)
	if err != nil {
		return err
	}
	policy, now := gate.Policy(service), gate.Now()
	judgement := policy.Judge(report, now)
	emit.Emit(event.Result{Kind: "vulnerabilities", Text: policy.Listing(report, judgement, now), Data: map[string]any{
		"report": report, "judgement": judgement,
	}})
	return policy.Refuse(report, now)
}

// Schema runs the release before a service's newest migration on the schema after it, beside the new one. Example: mage check:schema all.
func (Check) Schema(ctx context.Context, service string, json *bool) error {
	return run(ctx, 1, json, func(s *session) error {
		names, err := s.services(service)
		if err != nil {
			return err
		}
		cache, err := place.Cache()
		if err != nil {
			return err
		}
		if err := place.Prepare(cache); err != nil {
			return err
		}
		servers, err := postgres.Obtain(s.ctx, cache, nil)
		if err != nil {
			return err
		}
		for _, name := range names {
			svc, err := s.work.Service(name)
			if err != nil {
				return err
			}
			result, err := schema.Check(s.ctx, schema.Config{Root: s.root, Servers: servers, Emit: s.emit.For("", name)}, svc)
			if err != nil {
				return err
			}
			s.emit.For("", name).Emit(event.Result{Kind: "schema", Text: fmt.Sprintf("%s: %s\n", name, result.Said), Data: result})
		}
		return nil
	})
}

// Invariants runs the check of the release that runs, as a task, for the service behind the environment or for all, and prints what its data breaks. Example: mage check:invariants local.
func (Check) Invariants(ctx context.Context, env string, service *string, json *bool) error {
	return run(ctx, 1, json, func(s *session) error {
		names, err := s.services(or(service, all))
		if err != nil {
			return err
		}
		on, err := s.on(env)
		if err != nil {
			return err
		}
		checker, err := invariant.New(invariant.Config{
			Environment: on.env.Name, Local: on.env.IsLocal(), Contracts: on.aws, ECS: on.aws, Logs: on.aws,
		})
		if err != nil {
			return err
		}
		reports, errs := make([]invariant.Report, len(names)), make([]error, len(names))
		var every sync.WaitGroup
		for i, name := range names {
			every.Go(func() { reports[i], errs[i] = checker.Check(s.ctx, name, s.emit.For(on.env.Name, name)) })
		}
		every.Wait()
		told := make([]invariant.Report, 0, len(names))
		for i, r := range reports {
			if errs[i] == nil {
				told = append(told, r)
			}
		}
		if len(told) > 0 {
			s.emit.For(on.env.Name, "").Emit(event.Result{Kind: "invariants", Text: invariant.Text(told), Data: told})
		}
		return errors.Join(errors.Join(errs...), invariant.Broken(on.env.Name, told))
	})
}
