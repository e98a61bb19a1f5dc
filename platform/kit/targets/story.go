package targets

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/manifest"
	"github.com/slipway-dev/slipway/platform/kit/release"
	"github.com/slipway-dev/slipway/platform/kit/rollout"
	"github.com/slipway-dev/slipway/platform/kit/rollout/trail"
	"github.com/slipway-dev/slipway/platform/kit/ship"
)

// Verify checks all that a rollout needs and changes nothing: of the newest release that was pushed, or that of --release=RELEASE. Example: mage verify local catalog.
func Verify(ctx context.Context, env, service string, release *string, json *bool) error {
	return run(ctx, 2, json, func(s *session) error {
		names, err := s.services(service)
		if err != nil {
			return err
		}
		if len(names) > 1 && value(release) != "" {
			return &usageError{
				text: "verify: --release names a release of one service",
				next: "go tool mage verify " + env + " " + names[0] + " --release=" + value(release),
			}
		}
		on, err := s.on(env)
		if err != nil {
			return err
		}
		return s.verify(on, names, value(release))
	})
}

// verify examines services at the same time and tells of them in order.
func (s *session) verify(on *target, names []string, ref string) error {
	found, errs := make([]event.Checks, len(names)), make([]error, len(names))
	var every sync.WaitGroup
	for i, name := range names {
		every.Go(func() { found[i], errs[i] = s.examine(on, name, ref) })
	}
	every.Wait()
	refused := 0
	for i, name := range names {
		if errs[i] != nil {
			return errs[i]
		}
		s.emit.For(on.env.Name, name).Emit(event.Result{Kind: "verify", Text: found[i].String(), Data: found[i]})
		if found[i].Failed > 0 {
			refused++
		}
	}
	if refused > 0 {
		return &refusedError{env: on.env.Name, refused: refused, of: len(names)}
	}
	return nil
}

func (s *session) examine(on *target, service, ref string) (event.Checks, error) {
	var found release.Release
	var err error
	if ref == "" {
		found, err = ship.Newest(s.ctx, on.build, service)
	} else {
		found, err = ship.Find(s.ctx, on.build, service, ref)
	}
	if err != nil {
		return event.Checks{}, err
	}
	return on.deployer.Examine(s.ctx, service, rollout.Release{Version: found.Version, Image: found.Reference}, rollout.Options{})
}

// refusedError ends the command whose checks were printed.
type refusedError struct {
	env         string
	refused, of int
}

func (e *refusedError) Error() string {
	if e.of == 1 {
		return "a deploy to " + e.env + " would be refused"
	}
	return fmt.Sprintf("a deploy to %s would be refused for %d of %d services", e.env, e.refused, e.of)
}

// scaleOf returns the limits that the manifests set in an environment.
func scaleOf(env manifest.Environment) func(string) (int, int, bool) {
	return func(service string) (least, greatest int, known bool) {
		svc, err := env.Service(service)
		return svc.Scale.Min, svc.Scale.Max, err == nil
	}
}

// Status shows what an environment runs and how the last rollouts ended; --watch goes on. Example: mage status local --watch.
func Status(ctx context.Context, env string, watch, json *bool) error {
	return run(ctx, 1, json, func(s *session) error {
		on, err := s.on(env)
		if err != nil {
			return err
		}
		if set(watch) {
			return on.deployer.WatchStatus(s.ctx, s.work.ServiceNames(), s.out)
		}
		status, err := on.deployer.Status(s.ctx, s.work.ServiceNames())
		if err != nil {
			return err
		}
		s.emit.For(on.env.Name, "").Emit(event.Result{Kind: "status", Text: status.String(), Data: status})
		return nil
	})
}

// History lists a service's rollouts as ECS keeps them, newest first, with outcome and reason. Example: mage history local catalog.
func History(ctx context.Context, env, service string, limit *int, json *bool) error {
	return run(ctx, 2, json, func(s *session) error {
		if n := or(limit, trail.DefaultLimit); n < 1 || n > trail.MaxLimit {
			return &usageError{
				text: fmt.Sprintf("history: --limit=%d is not between 1 and %d", n, trail.MaxLimit),
				next: "go tool mage history " + env + " " + service,
			}
		}
		names, err := s.services(service)
		if err != nil {
			return err
		}
		on, err := s.on(env)
		if err != nil {
			return err
		}
		reader, err := on.trail()
		if err != nil {
			return err
		}
		for i, name := range names {
			h, err := reader.History(s.ctx, name, value(limit))
			if err != nil {
				return err
			}
			text := h.String()
			if len(names) > 1 {
				text = name + "\n" + text
			}
			if i > 0 {
				text = "\n" + text
			}
			s.emit.For(on.env.Name, name).Emit(event.Result{Kind: "history", Text: text, Data: h})
		}
		return nil
	})
}

// Logs prints what a service's tasks wrote; --follow goes on, --since=1h goes back, --filter=PATTERN selects. Example: mage logs local catalog.
func Logs(ctx context.Context, env, service string, follow *bool, since *time.Duration, filter *string, json *bool) error {
	return run(ctx, 2, json, func(s *session) error {
		names, err := s.services(service)
		if err != nil {
			return err
		}
		on, err := s.on(env)
		if err != nil {
			return err
		}
		opts := trail.LogsOptions{Follow: set(follow), Since: value(since), Filter: value(filter)}
		if opts.Follow && len(names) > 1 {
			return &usageError{text: "follow logs: name one service", next: "go tool mage logs " + env + " " + names[0] + " --follow"}
		}
		reader, err := on.trail()
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := reader.Logs(s.ctx, name, opts, s.out); err != nil {
				return err
			}
		}
		return nil
	})
}

// trail reads what rollouts and tasks of the environment left behind.
func (t *target) trail() (*trail.Reader, error) {
	return trail.New(trail.Config{Environment: t.env.Name, Local: t.env.IsLocal(), ECS: t.aws, Contracts: t.aws, Logs: t.aws})
}
