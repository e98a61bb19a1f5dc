package targets

import (
	"context"

	"github.com/slipway-dev/slipway/platform/kit/manifest"
	"github.com/slipway-dev/slipway/platform/kit/rollout"
	"github.com/slipway-dev/slipway/platform/kit/schema"
	"github.com/slipway-dev/slipway/platform/kit/ship"
)

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
