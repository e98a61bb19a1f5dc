// Package image builds a service into an OCI image without Docker and pushes
// what the registry lacks.
//
// An image is an index with one manifest per platform. Each manifest has two
// layers: a base (CA certificates, time zones, the non-root user), the same
// for all services, and the service's static binary. The same source, built by
// the same toolchain, gives the same digest in any folder on any machine.
//
// While the compiler runs, the registry is asked for credentials and given the
// base layer; a build that changes nothing compresses nothing and sends
// nothing. What goes into a release (its version, its labels, its tags) is
// package release's business; signatures and bills of materials refer to the
// finished digest and are not made here.
package image

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/jonboulle/clockwork"
	"golang.org/x/sync/errgroup"
)

// User is the numeric user and group every image runs as.
const User = "65532:65532"

// Config describes one build.
type Config struct {
	// Service names the binary: the entrypoint is /app/SERVICE.
	Service string
	// Dir is the folder of the service's module.
	Dir string
	// Package is the main package relative to Dir; empty means ./cmd/SERVICE.
	Package string
	// Platforms to build, each once. See [Fargate] and [Platforms.WithHost].
	Platforms Platforms
	// CacheDir keeps binaries and compressed layers between builds.
	CacheDir string
	// Compression of the layers; the zero value is [Zstd].
	Compression Compression

	// Repository is where to push, as HOST[:PORT]/NAME. Empty means build only.
	Repository string
	// Insecure speaks plain HTTP to a registry that is not on a loopback address.
	Insecure bool
	// Credentials for the registry, asked for while the compiler runs. nil is anonymous.
	Credentials func(context.Context) (user, password string, err error)

	// Describe yields labels and tags, asked for while the compiler runs. nil means neither.
	Describe func(context.Context) (Description, error)

	// Assembled hears of the finished image before it is pushed, and must not
	// block. nil hears nothing.
	Assembled func(Result)
	// Beside is run beside the push, once the digest is known: for what refers
	// to the image. Result.Existed is not known yet. nil is nothing.
	Beside func(context.Context, Result) error

	// Progress hears of steps as they start and end. nil hears nothing.
	Progress Progress
	// Clock times the steps. nil is the real clock.
	Clock clockwork.Clock
}

// Description is what an image says of itself.
type Description struct {
	// Labels become config labels and manifest annotations. They are part of
	// the digest: a time of building among them would end reproducibility.
	Labels map[string]string
	// Tags always point to the image after a push.
	Tags []string
	// FirstTags are set only if the registry did not have the image yet.
	FirstTags []string
}

// Result is a finished build.
type Result struct {
	Digest    string // of the index
	Reference string // REPOSITORY@DIGEST; empty when nothing was pushed
	Index     v1.ImageIndex
	Images    []Built // one per platform, in the order of Config.Platforms
	Labels    map[string]string
	// Existed tells that the registry had the image already.
	Existed bool
}

// Built is the image of one platform.
type Built struct {
	Platform    Platform
	Digest      string
	Binary      string // path of the binary in the cache
	BinaryBytes int64
	// BinaryDigest is the SHA-256 of the binary.
	BinaryDigest string
	BaseBytes    int64 // compressed
	AppBytes     int64 // compressed
	Cached       bool  // the binary is byte for byte that of an earlier build
}

var serviceName = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)

func (c *Config) validate() error {
	switch {
	case !serviceName.MatchString(c.Service):
		return fmt.Errorf("configure image build: service name %q is not lower-case letters, digits and dashes", c.Service)
	case c.Dir == "":
		return errors.New("configure image build: Dir is empty")
	case c.CacheDir == "":
		return errors.New("configure image build: CacheDir is empty")
	case len(c.Platforms) == 0:
		return errors.New("configure image build: Platforms is empty")
	}
	for i, p := range c.Platforms {
		if err := p.validate(); err != nil {
			return fmt.Errorf("configure image build: %w", err)
		}
		if c.Platforms[:i].Contains(p) {
			return fmt.Errorf("configure image build: platform %s is listed twice", p)
		}
	}
	return c.Compression.validate()
}

// builder is one build under way.
type builder struct {
	Config
	dir   string // Dir, absolute
	cache cache
	repo  *remoteRepository // nil when not pushing
	clock clockwork.Clock
}

// Build compiles the service for every platform, assembles the index and, if a
// repository is configured, pushes it. Errors a user can act upon are [*Error].
func Build(ctx context.Context, config Config) (Result, error) {
	if err := config.validate(); err != nil {
		return Result{}, err
	}
	b := &builder{Config: config, clock: config.Clock}
	if b.clock == nil {
		b.clock = clockwork.NewRealClock()
	}
	if b.Package == "" {
		b.Package = "./cmd/" + b.Service
	}
	var err error
	if b.dir, err = filepath.Abs(config.Dir); err != nil {
		return Result{}, fmt.Errorf("find module folder: %w", err)
	}
	b.cache = newCache(config.CacheDir, b.dir, b.Service, b.clock)
	if b.Repository != "" {
		if b.repo, err = newRemoteRepository(config); err != nil {
			return Result{}, err
		}
	}
	unlock, err := b.cache.lock(ctx)
	if err != nil {
		return Result{}, err
	}
	defer unlock()
	return b.build(ctx)
}

// build runs the compiler beside everything that does not depend on it.
func (b *builder) build(ctx context.Context) (Result, error) {
	var (
		base        *layer
		description Description
		apps        = make([]app, len(b.Platforms))
	)
	side, sideCtx := errgroup.WithContext(ctx)
	side.Go(func() (err error) {
		base, err = b.prepareBase(sideCtx)
		return err
	})
	side.Go(func() (err error) {
		if b.Describe != nil {
			description, err = b.Describe(sideCtx)
		}
		return err
	})
	side.Go(func() error { return b.compileAll(sideCtx, apps) })
	if err := side.Wait(); err != nil {
		return Result{}, cancelled(ctx, err)
	}
	result, err := assemble(b.Service, base, apps, description.Labels)
	if err != nil {
		return Result{}, err
	}
	if b.Assembled != nil {
		b.Assembled(result)
	}
	if b.repo == nil {
		return result, nil
	}
	err = b.timed(StepPush, Platform{}, func(step *Step) error {
		known := result
		push, pushCtx := errgroup.WithContext(ctx)
		push.Go(func() (err error) {
			step.Bytes, err = b.repo.push(pushCtx, &result, description)
			return err
		})
		push.Go(func() error {
			if b.Beside == nil {
				return nil
			}
			return b.Beside(pushCtx, known)
		})
		err := push.Wait()
		step.Cached = result.Existed
		return err
	})
	return result, cancelled(ctx, err)
}

// cancelled prefers the reason of the caller over what an aborted step made of it.
func cancelled(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// app is one platform's binary and its layer.
type app struct {
	platform Platform
	binary   string
	layer    *layer
}

// compilers is how many go build run at once: each keeps the cores busy while
// compiling, and linking is single-threaded for much of its time.
const compilers = 2

func (b *builder) compileAll(ctx context.Context, apps []app) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(compilers)
	for i, p := range b.Platforms {
		group.Go(func() (err error) {
			apps[i], err = b.app(ctx, p)
			return err
		})
	}
	return group.Wait()
}

func (b *builder) app(ctx context.Context, p Platform) (app, error) {
	binary := b.cache.binary(p)
	err := b.timed(StepCompile, p, func(*Step) error { return b.compile(ctx, p, binary) })
	if err != nil {
		return app{}, err
	}
	built := app{platform: p, binary: binary}
	err = b.timed(StepCompress, p, func(step *Step) error {
		built.layer, err = b.cache.appLayer(p, b.Service, binary, b.Compression)
		if err == nil {
			step.Bytes, step.Cached = built.layer.meta.Size, built.layer.cached
		}
		return err
	})
	return built, err
}

// prepareBase makes the base layer and has the registry store it.
func (b *builder) prepareBase(ctx context.Context) (*layer, error) {
	var base *layer
	err := b.timed(StepBase, Platform{}, func(step *Step) error {
		zones, err := timeZones(ctx, b.dir)
		if err != nil {
			return err
		}
		if base, err = b.cache.baseLayer(zones, b.Compression); err != nil {
			return err
		}
		step.Bytes, step.Cached = base.meta.Size, base.cached
		return nil
	})
	if err != nil || b.repo == nil {
		return base, err
	}
	err = b.timed(StepRegistry, Platform{}, func(*Step) error { return b.repo.prepare(ctx, base) })
	return base, err
}

// timed reports the start and the end of a step.
func (b *builder) timed(name StepName, p Platform, do func(*Step) error) error {
	if b.Progress == nil {
		return do(&Step{})
	}
	step := Step{Name: name, Service: b.Service, Platform: p}
	b.Progress.Step(step)
	start := b.clock.Now()
	step.Err = do(&step)
	step.Done, step.Took = true, b.clock.Since(start)
	b.Progress.Step(step)
	return step.Err
}

// parseRepository checks HOST[:PORT]/NAME.
func parseRepository(repository string, insecure bool) (name.Repository, error) {
	options := []name.Option{name.StrictValidation}
	if insecure {
		options = append(options, name.Insecure)
	}
	repo, err := name.NewRepository(repository, options...)
	if err != nil {
		return name.Repository{}, fmt.Errorf("parse repository %q: %w", repository, err)
	}
	return repo, nil
}

// StepName says what a step does.
type StepName string

// The steps of a build. Compile and compress occur once per platform; base and
// registry run beside them.
const (
	StepCompile  StepName = "compile"
	StepCompress StepName = "compress"
	StepBase     StepName = "base"
	StepRegistry StepName = "registry"
	StepPush     StepName = "push"
)

// Step is a piece of progress. Each step is reported twice: when it starts
// (Done false) and when it ends.
type Step struct {
	Name     StepName
	Service  string
	Platform Platform // zero for steps that concern all platforms
	Done     bool
	Took     time.Duration // once Done
	Bytes    int64         // compressed (compress, base) or sent (push)
	Cached   bool          // nothing had to be done
	Err      error
}

// Progress receives steps, from several goroutines at once.
type Progress interface {
	Step(Step)
}
