package targets

import (
	"context"
	"errors"
	"sync"

	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/invariant"
)

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
