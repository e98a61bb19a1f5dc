// Package rootfs turns an image in a registry into a folder that processes can
// be started from: it pulls by reference, checks digests, and unpacks each
// image once into a shared, read-only folder. It does not run anything.
package rootfs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/jonboulle/clockwork"
	"golang.org/x/sync/singleflight"
)

// Config says what a Store needs.
type Config struct {
	// Dir is where images are unpacked. Every user must be able to pass through
	// its parents, for tasks run as users of their own.
	Dir string
	// Auth logs in to the registry. Nil is anonymous.
	Auth authn.Authenticator
	// Transport reaches the registry. Nil is http.DefaultTransport.
	Transport http.RoundTripper
	// Platform is what images must run on. The zero value is this machine.
	Platform v1.Platform
	// Clock tells which images were used last. Nil is the real one.
	Clock clockwork.Clock
}

// Image is an unpacked image.
type Image struct {
	// Digest is what the reference resolved to: the index's where there is one.
	Digest string
	// Dir is the root of its files.
	Dir string
	// Config is the image's own configuration.
	Config v1.Config
}

// Store keeps unpacked images.
type Store struct {
	cfg    Config
	flight singleflight.Group

	mu     sync.Mutex
	pulled map[string]Image // by reference with a digest
}

// keep is how many unpacked images that no task uses are kept.
const keep = 8

// New makes the folder and removes what a crash left half done.
func New(cfg Config) (*Store, error) {
	if cfg.Platform.OS == "" {
		cfg.Platform = v1.Platform{OS: runtime.GOOS, Architecture: runtime.GOARCH}
	}
	if cfg.Auth == nil {
		cfg.Auth = authn.Anonymous
	}
	if cfg.Transport == nil {
		cfg.Transport = http.DefaultTransport
	}
	if cfg.Clock == nil {
		cfg.Clock = clockwork.NewRealClock()
	}
	if err := os.MkdirAll(cfg.Dir, 0o755); err != nil { //nolint:gosec // tasks run from here as users of their own
		return nil, fmt.Errorf("make image folder: %w", err)
	}
	left, err := filepath.Glob(filepath.Join(cfg.Dir, partial+"*"))
	if err != nil {
		return nil, fmt.Errorf("find half unpacked images: %w", err)
	}
	for _, dir := range left {
		if err := remove(dir); err != nil {
			return nil, fmt.Errorf("remove half unpacked image: %w", err)
		}
	}
	return &Store{cfg: cfg, pulled: map[string]Image{}}, nil
}

// Pull resolves the reference and returns the unpacked image. Callers that ask
// for one image at a time share the work. Its errors are worded as the stopped
// reasons of ECS and begin with CannotPullContainerError.
func (s *Store) Pull(ctx context.Context, ref string) (Image, error) {
	parsed, err := name.ParseReference(ref)
	if err != nil {
		return Image{}, fmt.Errorf("CannotPullContainerError: invalid reference %q: %w", ref, err)
	}
	_, byDigest := parsed.(name.Digest)
	if byDigest {
		if img, ok := s.known(ref); ok {
			return img, nil
		}
	}
	// The pull is shared, so that it must not end with whoever came first.
	type result = singleflight.Result
	shared := s.flight.DoChan(ref, func() (any, error) {
		return s.pull(context.WithoutCancel(ctx), parsed)
	})
	var res result
	select {
	case <-ctx.Done():
		return Image{}, fmt.Errorf("CannotPullContainerError: %w", ctx.Err())
	case res = <-shared:
	}
	if res.Err != nil {
		return Image{}, fmt.Errorf("CannotPullContainerError: %s", explain(parsed, s.cfg.Platform, res.Err))
	}
	img, _ := res.Val.(Image) // pull returns nothing else
	if byDigest {
		s.mu.Lock()
		s.pulled[ref] = img
		s.mu.Unlock()
	}
	return img, nil
}

// known is an image that has been pulled by this digest and is still there.
func (s *Store) known(ref string) (Image, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	img, ok := s.pulled[ref]
	if !ok {
		return Image{}, false
	}
	if !s.touch(img.Dir) {
		delete(s.pulled, ref)
		return Image{}, false
	}
	return img, true
}

// errPlatform marks an image that has nothing for this platform.
var errPlatform = errors.New("no descriptor for the platform")

func (s *Store) pull(ctx context.Context, ref name.Reference) (Image, error) {
	desc, err := remote.Get(ref, remote.WithContext(ctx), remote.WithAuth(s.cfg.Auth), remote.WithTransport(s.cfg.Transport))
	if err != nil {
		return Image{}, err
	}
	img, err := s.choose(desc)
	if err != nil {
		return Image{}, err
	}
	file, err := img.ConfigFile()
	if err != nil {
		return Image{}, fmt.Errorf("read image configuration: %w", err)
	}
	if file.OS != s.cfg.Platform.OS || file.Architecture != s.cfg.Platform.Architecture {
		return Image{}, errPlatform
	}
	digest, err := img.Digest()
	if err != nil {
		return Image{}, err
	}
	dir := filepath.Join(s.cfg.Dir, digest.Hex)
	_, err, _ = s.flight.Do("unpack "+digest.Hex, func() (any, error) { return nil, s.unpackOnce(img, dir) })
	if err != nil {
		return Image{}, err
	}
	return Image{Digest: desc.Digest.String(), Dir: dir, Config: file.Config}, nil
}

// choose picks this platform's image out of an index.
func (s *Store) choose(desc *remote.Descriptor) (v1.Image, error) {
	if !desc.MediaType.IsIndex() {
		if desc.MediaType == types.DockerManifestSchema1 || !desc.MediaType.IsImage() {
			return nil, fmt.Errorf("media type %s is not an image", desc.MediaType)
		}
		return desc.Image()
	}
	index, err := desc.ImageIndex()
	if err != nil {
		return nil, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, fmt.Errorf("read image index: %w", err)
	}
	for _, d := range manifest.Manifests {
		if d.Platform != nil && d.MediaType.IsImage() && d.Platform.Satisfies(s.cfg.Platform) {
			return index.Image(d.Digest)
		}
	}
	return nil, errPlatform
}

// explain words an error as ECS does in a stopped reason.
func explain(ref name.Reference, platform v1.Platform, err error) string {
	var status *transport.Error
	switch {
	case errors.Is(err, errPlatform):
		return fmt.Sprintf("image Manifest does not contain descriptor matching platform '%s/%s' (%s)", platform.OS, platform.Architecture, ref)
	case errors.As(err, &status) && status.StatusCode == http.StatusNotFound:
		return fmt.Sprintf("failed to resolve ref %s: not found", ref)
	case errors.As(err, &status) && (status.StatusCode == http.StatusUnauthorized || status.StatusCode == http.StatusForbidden):
		return fmt.Sprintf("pull image manifest: %s: authorization failed: no basic auth credentials", ref)
	default:
		return fmt.Sprintf("pull image %s: %s", ref, strings.TrimSpace(err.Error()))
	}
}
