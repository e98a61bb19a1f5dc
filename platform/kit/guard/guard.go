// Package guard joins what keeps a release out of an environment besides a
// wrong signature: what is known against it, and where its source came from. It
// ties packages vuln and origin to an environment's registry and key, and to
// builds; what they decide is their own business.
package guard

import (
	"context"
	"path/filepath"
	"strings"
	"sync"

	"github.com/slipway-dev/slipway/platform/kit/attest"
	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/image"
	"github.com/slipway-dev/slipway/platform/kit/origin"
	"github.com/slipway-dev/slipway/platform/kit/rollout"
	"github.com/slipway-dev/slipway/platform/kit/ship"
	"github.com/slipway-dev/slipway/platform/kit/vuln"
)

// Config says what to guard.
type Config struct {
	// Build is how releases of the environment are built; its Attest, when there
	// is one, is asked for statements, and its Registry for images.
	Build ship.Config
	// Database of vulnerabilities instead of the environment's; may be empty.
	// Paths are relative to the checkout.
	Database string
}

// Guard is an environment's, for the length of one command.
type Guard struct {
	// Gate judges by known vulnerabilities.
	Gate *vuln.Gate

	build     ship.Config
	signed    *statements // nil when nothing is signed
	attaching sync.WaitGroup
}

// New returns the guard of an environment.
func New(cfg Config) (*Guard, error) {
	env := cfg.Build.Environment
	location := env.SupplyChain.Vulnerabilities.Database
	if cfg.Database != "" {
		location = cfg.Database
	}
	if location != "" && !filepath.IsAbs(location) && !strings.Contains(location, "://") {
		location = filepath.Join(cfg.Build.Root, filepath.FromSlash(location))
	}
	g := &Guard{build: cfg.Build}
	about := vuln.Config{Environment: env, Source: vuln.Source{Location: location, CacheDir: cfg.Build.CacheDir}}
	if cfg.Build.Registry != nil {
		about.Images = vuln.Registry{Access: cfg.Build.Registry}
	}
	if cfg.Build.Attest != nil {
		g.signed = &statements{cfg.Build.Attest}
		about.Statements = g.signed
	}
	var err error
	g.Gate, err = vuln.New(about)
	return g, err
}

// Evidence is what a rollout to the environment asks for. It needs
// Config.Build.Attest.
func (g *Guard) Evidence() []rollout.Evidence {
	return []rollout.Evidence{
		g.Gate, &origin.Gate{Rule: g.build.Environment.SupplyChain.Dirty, Statements: g.signed, Labels: labels{g.build}},
	}
}

// Assembled returns what a build tells of its finished image: it is scanned
// while it is pushed and signed.
func (g *Guard) Assembled(ctx context.Context) func(image.Result) {
	return func(made image.Result) {
		binaries := make([]vuln.Binary, len(made.Images))
		for i, b := range made.Images {
			binaries[i] = vuln.File(b.Platform.String(), b.Binary)
		}
		g.Gate.Begin(ctx, made.Digest, binaries)
	}
}

// Attach begins to attach what is known against an image that was just pushed,
// beside its rollout. A failure is told and stops nothing: who deploys it next
// scans it anew. Wait waits for all that was begun.
func (g *Guard) Attach(ctx context.Context, service, digest string, emit *event.Emitter) {
	g.attaching.Go(func() {
		err := g.Gate.Attach(ctx, ship.Repository(service), digest)
		if err != nil && ctx.Err() == nil {
			emit.Emit(event.Notice{Level: event.Warning, Message: "the vulnerability report could not be attached: " + err.Error(), Next: event.Next(err)})
		}
	})
}

// Wait waits until everything that Attach began is done.
func (g *Guard) Wait() { g.attaching.Wait() }

// statements are what an environment's key signed, by repository.
type statements struct{ store *attest.Store }

var (
	_ vuln.Statements   = (*statements)(nil)
	_ origin.Statements = (*statements)(nil)
)

func (s *statements) image(ctx context.Context, repository, digest string) (attest.Image, error) {
	repo, err := s.store.Repository(ctx, repository)
	return attest.Image{Repository: repo, Digest: digest}, err
}

// Find returns the statements of a type whose signature holds.
func (s *statements) Find(ctx context.Context, repository, digest, predicateType string) ([]attest.Verified, error) {
	about, err := s.image(ctx, repository, digest)
	if err != nil {
		return nil, err
	}
	by, err := s.store.Key(ctx)
	if err != nil {
		return nil, err
	}
	return attest.Find(ctx, about, predicateType, by)
}

// Attach signs a statement and attaches it.
func (s *statements) Attach(ctx context.Context, repository, digest string, a attest.Attestation) error {
	to, err := s.image(ctx, repository, digest)
	if err != nil {
		return err
	}
	by, err := s.store.Key(ctx)
	if err != nil {
		return err
	}
	return attest.Attach(ctx, to, a, by)
}

// labels tell what images say of themselves.
type labels struct{ build ship.Config }

// Changes names the files that an image says were changed.
func (l labels) Changes(ctx context.Context, repository, digest string) string {
	found, err := ship.Find(ctx, l.build, strings.TrimPrefix(repository, ship.Repository("")), digest)
	if err != nil {
		return ""
	}
	return found.Changes
}
