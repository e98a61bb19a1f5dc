package ship

import (
	"context"
	"fmt"

	"github.com/slipway-dev/slipway/platform/kit/image"
	"github.com/slipway-dev/slipway/platform/kit/release"
)

// Find returns a release of the service that was pushed before: by digest,
// version, tag, or the beginning of a version or commit that only one has.
// What is not there is an error that wraps [image.ErrNotFound]. An image that
// the kit did not build, or built of another service, is refused: nobody could
// tell what it is.
func Find(ctx context.Context, cfg Config, service, ref string) (release.Release, error) {
	uri, err := cfg.Registry.RepositoryURI(ctx, Repository(service))
	if err != nil {
		return release.Release{}, err
	}
	store, err := release.NewStore(image.Config{Repository: uri, Credentials: cfg.Registry.Login})
	if err != nil {
		return release.Release{}, err
	}
	found, err := store.Find(ctx, ref)
	if err != nil {
		return release.Release{}, err
	}
	if found.Version == "" || found.Service != service {
		why := "it does not say of which service it is a release"
		if found.Service != "" {
			why = "it is a release of " + found.Service
		}
		return release.Release{}, &image.Error{
			Kind: image.KindNotFound, What: fmt.Sprintf("find release %q of %s", ref, service),
			Why: why, NextStep: "go tool mage build " + service, Err: image.ErrNotFound,
		}
	}
	return found, nil
}

// Newest returns the service's release that was pushed last.
func Newest(ctx context.Context, cfg Config, service string) (release.Release, error) {
	uri, err := cfg.Registry.RepositoryURI(ctx, Repository(service))
	if err != nil {
		return release.Release{}, err
	}
	store, err := release.NewStore(image.Config{Repository: uri, Credentials: cfg.Registry.Login})
	if err != nil {
		return release.Release{}, err
	}
	list, err := store.List(ctx, 1)
	if err != nil {
		return release.Release{}, err
	}
	if len(list) == 0 {
		return release.Release{}, &image.Error{
			Kind: image.KindNotFound, What: "find the newest release of " + service,
			Why: "the repository has none", NextStep: "go tool mage deploy " + cfg.Environment.Name + " " + service, Err: image.ErrNotFound,
		}
	}
	return list[0], nil
}
