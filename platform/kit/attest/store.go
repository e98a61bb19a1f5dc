package attest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/slipway-dev/slipway/platform/kit/attest/key"
	"github.com/slipway-dev/slipway/platform/kit/attest/referrer"
)

// Registry is where an environment's images are.
type Registry interface {
	// Login returns credentials.
	Login(ctx context.Context) (user, password string, err error)
	// RepositoryURI returns HOST/NAME of a repository, which must exist.
	RepositoryURI(ctx context.Context, name string) (string, error)
}

// Config is an environment's side of signing.
type Config struct {
	// Environment is its name.
	Environment string
	Registry    Registry
	// Key returns the environment's key, once it is needed.
	Key key.Loader
	// Builder is what builds: one of package provenance's builders.
	Builder string
}

func (c Config) validate() error {
	switch {
	case c.Environment == "":
		return errors.New("configure attest: Environment is empty")
	case c.Registry == nil:
		return errors.New("configure attest: Registry is missing")
	case c.Key == nil:
		return errors.New("configure attest: Key is missing")
	case c.Builder == "":
		return errors.New("configure attest: Builder is empty")
	}
	return nil
}

// Store signs and examines the images of one environment. It keeps
// connections, and is safe for concurrent use.
type Store struct {
	cfg Config

	mu   sync.Mutex
	open map[string]*referrer.Repository
}

// New returns the store of an environment. Nothing is sent yet.
func New(cfg Config) (*Store, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg.Key = key.Once(cfg.Key)
	return &Store{cfg: cfg, open: map[string]*referrer.Repository{}}, nil
}

// Repository returns a repository of images by name, such as slipway/catalog.
func (s *Store) Repository(ctx context.Context, name string) (*referrer.Repository, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, ok := s.open[name]; ok {
		return r, nil
	}
	uri, err := s.cfg.Registry.RepositoryURI(ctx, name)
	if err != nil {
		return nil, err
	}
	r, err := referrer.Open(referrer.Config{Repository: uri, Credentials: s.cfg.Registry.Login})
	if err != nil {
		return nil, err
	}
	s.open[name] = r
	return r, nil
}

// Key returns the environment's key.
func (s *Store) Key(ctx context.Context) (*key.Key, error) { return s.cfg.Key(ctx) }

// Warm logs in and loads the key, so that neither has to be waited for later.
func (s *Store) Warm(ctx context.Context, repository string) error {
	r, err := s.Repository(ctx, repository)
	if err != nil {
		return err
	}
	if _, err := s.Key(ctx); err != nil {
		return fmt.Errorf("load the key of %s: %w", s.cfg.Environment, err)
	}
	return r.Connect(ctx)
}

// Find is [Find] with the environment's key.
func (s *Store) Find(ctx context.Context, repository, digest, predicateType string) ([]Verified, error) {
	r, k, err := s.both(ctx, repository)
	if err != nil {
		return nil, err
	}
	return Find(ctx, Image{Repository: r, Digest: digest}, predicateType, k)
}

// Attach is [Attach] with the environment's key.
func (s *Store) Attach(ctx context.Context, repository, digest string, a Attestation) error {
	r, k, err := s.both(ctx, repository)
	if err != nil {
		return err
	}
	return Attach(ctx, Image{Repository: r, Digest: digest}, a, k)
}

func (s *Store) both(ctx context.Context, repository string) (*referrer.Repository, *key.Key, error) {
	r, err := s.Repository(ctx, repository)
	if err != nil {
		return nil, nil, err
	}
	k, err := s.Key(ctx)
	return r, k, err
}
