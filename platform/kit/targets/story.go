package targets

import (
	"context"
	"fmt"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/rollout/trail"
)

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
