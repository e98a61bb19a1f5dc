package image

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// userAgent tells registry operators who is calling.
const userAgent = "slipway"

// jobs is how many blobs go out at once.
const jobs = 4

// remoteRepository is the place an image is pushed to.
type remoteRepository struct {
	repo        name.Repository
	credentials func(context.Context) (string, string, error)

	once   sync.Once
	err    error
	pusher *remote.Pusher
	puller *remote.Puller
}

func newRemoteRepository(config Config) (*remoteRepository, error) {
	repo, err := parseRepository(config.Repository, config.Insecure)
	if err != nil {
		return nil, err
	}
	return &remoteRepository{repo: repo, credentials: config.Credentials}, nil
}

func (r *remoteRepository) explain(what string, err error) error {
	return registryFailure(what, r.repo.RegistryStr(), r.repo.RepositoryStr(), err)
}

// connect makes the clients, once.
func (r *remoteRepository) connect(ctx context.Context) error {
	r.once.Do(func() { r.pusher, r.puller, r.err = connect(ctx, r.credentials) })
	return r.err
}

func connect(ctx context.Context, credentials func(context.Context) (string, string, error)) (*remote.Pusher, *remote.Puller, error) {
	options := []remote.Option{remote.WithUserAgent(userAgent), remote.WithJobs(jobs)}
	if credentials != nil {
		user, password, err := credentials(ctx)
		if err != nil {
			return nil, nil, fmt.Errorf("get registry credentials: %w", err)
		}
		options = append(options, remote.WithAuth(&authn.Basic{Username: user, Password: password}))
	}
	pusher, err := remote.NewPusher(options...)
	if err != nil {
		return nil, nil, err
	}
	puller, err := remote.NewPuller(options...)
	return pusher, puller, err
}

// prepare is done beside the compiler: it authenticates and stores the base
// layer, so that bad news comes early and little is left for the end.
func (r *remoteRepository) prepare(ctx context.Context, base *layer) error {
	if err := r.connect(ctx); err != nil {
		return r.explain("log in to registry", err)
	}
	full, err := partial.CompressedToLayer(base)
	if err != nil {
		return fmt.Errorf("open base layer: %w", err)
	}
	if err := r.pusher.Upload(ctx, r.repo, full); err != nil {
		return r.explain("push base layer", err)
	}
	return nil
}

// push sends what the registry lacks and sets the tags. It returns the
// compressed bytes of the layers that may have been sent.
func (r *remoteRepository) push(ctx context.Context, result *Result, d Description) (int64, error) {
	result.Reference = r.repo.String() + "@" + result.Digest
	tagged := len(d.Tags) > 0
	for _, tag := range d.Tags {
		at, err := r.digestAt(ctx, r.repo.Tag(tag))
		if err != nil {
			return 0, r.explain("look up tag "+tag, err)
		}
		tagged = tagged && at == result.Digest
	}
	if tagged {
		result.Existed = true
		return 0, nil
	}
	reference := r.repo.Digest(result.Digest)
	at, err := r.digestAt(ctx, reference)
	if err != nil {
		return 0, r.explain("look up image", err)
	}
	result.Existed = at == result.Digest
	tags, sent := d.Tags, int64(0)
	if !result.Existed {
		tags = append(append([]string(nil), d.Tags...), d.FirstTags...)
		if err := r.pusher.Push(ctx, reference, result.Index); err != nil {
			return 0, r.explain("push image", err)
		}
		for _, built := range result.Images {
			sent += built.AppBytes
		}
	}
	for _, tag := range tags {
		if err := r.pusher.Put(ctx, r.repo.Tag(tag), result.Index); err != nil {
			return sent, r.explain("set tag "+tag, err)
		}
	}
	return sent, nil
}

// digestAt is the digest a reference leads to; empty if to nothing.
func (r *remoteRepository) digestAt(ctx context.Context, ref name.Reference) (string, error) {
	desc, err := r.puller.Head(ctx, ref)
	if isMissing(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return desc.Digest.String(), nil
}

func isMissing(err error) bool {
	var refused *transport.Error
	return errors.As(err, &refused) && refused.StatusCode == http.StatusNotFound
}

// Repository reads images that have been pushed.
type Repository struct{ remote *remoteRepository }

// NewRepository opens config.Repository for reading; of config only the fields
// that concern the registry are used. Nothing is sent yet.
func NewRepository(config Config) (*Repository, error) {
	r, err := newRemoteRepository(config)
	return &Repository{remote: r}, err
}

// Pushed is an image found in a registry.
type Pushed struct {
	Digest    string
	Reference string
	Labels    map[string]string
	Platforms Platforms
}

// ErrNotFound is returned for a tag or digest the repository does not have.
var ErrNotFound = errors.New("not found")

// Inspect reads the labels and platforms of an image by tag or digest.
func (r *Repository) Inspect(ctx context.Context, ref string) (Pushed, error) {
	if err := r.remote.connect(ctx); err != nil {
		return Pushed{}, r.remote.explain("log in to registry", err)
	}
	reference := name.Reference(r.remote.repo.Tag(ref))
	if _, err := v1.NewHash(ref); err == nil {
		reference = r.remote.repo.Digest(ref)
	}
	desc, err := r.remote.puller.Get(ctx, reference)
	if isMissing(err) {
		return Pushed{}, fmt.Errorf("find image %s: %w", reference, ErrNotFound)
	}
	if err != nil {
		return Pushed{}, r.remote.explain("read image "+ref, err)
	}
	pushed := Pushed{Digest: desc.Digest.String(), Reference: r.remote.repo.String() + "@" + desc.Digest.String()}
	if !desc.MediaType.IsIndex() {
		return r.inspectImage(desc, pushed)
	}
	index, err := desc.ImageIndex()
	if err != nil {
		return Pushed{}, fmt.Errorf("read index %s: %w", ref, err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return Pushed{}, fmt.Errorf("decode index %s: %w", ref, err)
	}
	pushed.Labels = manifest.Annotations
	for _, child := range manifest.Manifests {
		if child.Platform != nil && child.MediaType.IsImage() {
			pushed.Platforms = append(pushed.Platforms, Platform{OS: child.Platform.OS, Arch: child.Platform.Architecture})
		}
	}
	return pushed, nil
}

// inspectImage reads an image that was pushed without an index, by docker for example.
func (r *Repository) inspectImage(desc *remote.Descriptor, pushed Pushed) (Pushed, error) {
	img, err := desc.Image()
	if err != nil {
		return Pushed{}, fmt.Errorf("read image %s: %w", pushed.Digest, err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		return Pushed{}, r.remote.explain("read config of "+pushed.Digest, err)
	}
	pushed.Labels = config.Config.Labels
	pushed.Platforms = Platforms{{OS: config.OS, Arch: config.Architecture}}
	return pushed, nil
}

// Tags lists the repository's tags. A repository nobody pushed to has none.
func (r *Repository) Tags(ctx context.Context) ([]string, error) {
	if err := r.remote.connect(ctx); err != nil {
		return nil, r.remote.explain("log in to registry", err)
	}
	tags, err := r.remote.puller.List(ctx, r.remote.repo)
	if err != nil {
		return nil, r.remote.explain("list tags", err)
	}
	return tags, nil
}
