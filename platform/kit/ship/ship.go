// Package ship builds a service's release for an environment and pushes it to
// the environment's registry, telling of progress as events. What goes into an
// image is package image's business, putting it to work package rollout's.
package ship

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/slipway-dev/slipway/platform/kit/attest"
	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/image"
	"github.com/slipway-dev/slipway/platform/kit/manifest"
	"github.com/slipway-dev/slipway/platform/kit/release"
)

// Registry is where an environment's images are.
type Registry interface {
	// Login returns credentials for a push.
	Login(ctx context.Context) (user, password string, err error)
	// RepositoryURI returns HOST/NAME of a repository, which must exist.
	RepositoryURI(ctx context.Context, name string) (string, error)
}

// Config says what to build for.
type Config struct {
	// Root is the checkout, CacheDir keeps binaries and layers between builds.
	Root, CacheDir string
	Environment    manifest.Environment
	// Registry takes the image; nil builds only.
	Registry Registry
	// Attest signs what is pushed; nil pushes without a signature.
	Attest *attest.Store
	// Platforms overrides those of the environment.
	Platforms image.Platforms
	// Assembled hears of the finished image before it is pushed, and must not
	// block; nil hears nothing.
	Assembled func(image.Result)
}

// Repository returns the name of a service's image repository.
func Repository(service string) string { return "slipway/" + service }

// Build builds the service and pushes what the registry lacks.
func Build(ctx context.Context, cfg Config, service string, emit *event.Emitter) (release.Release, error) {
	svc, err := cfg.Environment.Service(service)
	if err != nil {
		return release.Release{}, err
	}
	platforms := cfg.Platforms
	if len(platforms) == 0 {
		if platforms, err = platformsOf(cfg.Environment, svc); err != nil {
			return release.Release{}, err
		}
	}
	build := image.Config{
		Service: service, Dir: filepath.Join(cfg.Root, filepath.FromSlash(svc.Dir)),
		Platforms: platforms, CacheDir: filepath.Join(cfg.CacheDir, "image"),
		Assembled: cfg.Assembled,
	}
	var made release.Release
	err = emit.Run("build "+service, func(step *event.Step) (string, error) {
		if cfg.Registry != nil {
			build.Credentials = cfg.Registry.Login
			if build.Repository, err = cfg.Registry.RepositoryURI(ctx, Repository(service)); err != nil {
				return "", err
			}
		}
		told := &progress{step: step}
		build.Progress = told
		sign := &signing{store: cfg.Attest, repository: Repository(service)}
		if cfg.Registry == nil {
			sign.store = nil
		}
		if made, err = sign.build(ctx, release.Config{Image: build, Root: cfg.Root}); err != nil {
			return made.Version, err
		}
		return fmt.Sprintf("%s  %s%s", made.Version, told.summary(), sign.summary()), nil
	})
	return made, err
}

// platformsOf returns what the environment's images run on: what its file
// lists, else what the service's tasks need.
func platformsOf(env manifest.Environment, svc manifest.Service) (image.Platforms, error) {
	var platforms image.Platforms
	for _, name := range env.Platforms {
		p := image.Host()
		if name != "host" {
			var err error
			if p, err = image.ParsePlatform(name); err != nil {
				return nil, fmt.Errorf("read platforms of environment %s: %w", env.Name, err)
			}
		}
		if !platforms.Contains(p) {
			platforms = append(platforms, p)
		}
	}
	if len(platforms) == 0 {
		platforms = image.Platforms{{OS: "linux", Arch: string(svc.Size.Arch)}}
	}
	return platforms, nil
}

// progress turns a build's steps into an event step's.
type progress struct {
	step *event.Step

	mu      sync.Mutex
	pushed  int64
	existed bool
}

// Step hears of one step of the build.
func (p *progress) Step(s image.Step) {
	if !s.Done {
		message := string(s.Name)
		if s.Platform.OS != "" {
			message += " " + s.Platform.String()
		}
		p.step.Progress(message, 0, 0, "")
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.Name == image.StepPush {
		p.pushed, p.existed = s.Bytes, s.Cached
	}
}

// summary says in a few words what was pushed.
func (p *progress) summary() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.existed:
		return "nothing new to push"
	case p.pushed > 0:
		return fmt.Sprintf("%.1f MB pushed", float64(p.pushed)/1e6)
	}
	return ""
}
