package release

import (
	"context"
	"errors"

	"github.com/jonboulle/clockwork"

	"github.com/slipway-dev/slipway/platform/kit/image"
)

// Config describes the build of a release.
type Config struct {
	// Image is how to build; its Describe and Beside are set here and must be nil.
	Image image.Config
	// Beside is run beside the push with the release that is being pushed; its
	// Created is not known yet. nil is nothing.
	Beside func(context.Context, Release, image.Result) error
	// Root is the checkout the service's module is in.
	Root string
	// Clock dates the release. nil is the real clock.
	Clock clockwork.Clock
}

func (c *Config) validate() error {
	switch {
	case c.Image.Describe != nil:
		return errors.New("configure release: Image.Describe is set; the release describes its image itself")
	case c.Image.Beside != nil:
		return errors.New("configure release: Image.Beside is set; the release has its own")
	case c.Root == "":
		return errors.New("configure release: Root is empty")
	}
	return nil
}

// Build builds the service's image, pushes it if a repository is configured,
// and returns what it is. Git is asked while the compiler runs. Errors are
// those of [image.Build].
func Build(ctx context.Context, config Config) (Release, image.Result, error) {
	if err := config.validate(); err != nil {
		return Release{}, image.Result{}, err
	}
	clock := config.Clock
	if clock == nil {
		clock = clockwork.NewRealClock()
	}
	var source Source
	now := clock.Now()
	build := config.Image
	build.Describe = func(ctx context.Context) (image.Description, error) {
		var err error
		if source, err = Inspect(ctx, config.Root, build.Dir); err != nil {
			return image.Description{}, err
		}
		return image.Description{
			Labels:    source.labels(build.Service),
			Tags:      []string{source.Version()},
			FirstTags: []string{newBuiltTag(now, source.Version())},
		}, nil
	}
	describe := func(result image.Result) Release {
		return Release{
			Service:   build.Service,
			Version:   source.Version(),
			Digest:    result.Digest,
			Reference: result.Reference,
			Platforms: build.Platforms,
			Source:    source,
		}
	}
	if config.Beside != nil {
		build.Beside = func(ctx context.Context, result image.Result) error {
			return config.Beside(ctx, describe(result), result)
		}
	}
	result, err := image.Build(ctx, build)
	if err != nil {
		return Release{}, result, err
	}
	made := describe(result)
	if result.Reference != "" && !result.Existed {
		made.Created = now
	}
	return made, result, nil
}
