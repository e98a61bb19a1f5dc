package targets

import (
	"context"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/image"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/place"
	"github.com/slipway-dev/slipway/platform/kit/manifest"
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
