package targets

import (
	"context"
	"fmt"

	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/place"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/postgres"
	"github.com/slipway-dev/slipway/platform/kit/schema"
)

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
