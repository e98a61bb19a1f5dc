// Package referrer writes and reads the artifacts that refer to an image: OCI
// manifests with a subject (image specification 1.1), listed by the referrers
// API (distribution specification 1.1). It knows neither what an artifact
// means nor whether it is true. What it returns has the digest it was asked
// for by, so a registry cannot hand out other content unnoticed.
package referrer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/opencontainers/go-digest"

	"github.com/slipway-dev/slipway/platform/kit/image"
)

// Config says which repository, and as whom.
type Config struct {
	// Repository is HOST[:PORT]/NAME.
	Repository string
	// Credentials for the registry, asked for once. nil is anonymous.
	Credentials func(context.Context) (user, password string, err error)
}

// Repository is a repository of images and what refers to them. Its methods
// are safe for concurrent use and share connections.
type Repository struct {
	config Config
	repo   name.Repository

	mu     sync.Mutex
	client *http.Client
}

// Open checks the configuration; nothing is sent yet.
func Open(config Config) (*Repository, error) {
	repo, err := name.NewRepository(config.Repository, name.StrictValidation)
	if err != nil {
		return nil, fmt.Errorf("parse repository %q: %w", config.Repository, err)
	}
	return &Repository{config: config, repo: repo}, nil
}

// Name is the repository's name without its host.
func (r *Repository) Name() string { return r.repo.RepositoryStr() }

// String is HOST[:PORT]/NAME.
func (r *Repository) String() string { return r.config.Repository }

// Connect logs in. Other methods do so when needed; calling it early, beside
// other work, saves them the time.
func (r *Repository) Connect(ctx context.Context) error {
	_, err := r.connected(ctx)
	return r.explain("log in to registry", err)
}

func (r *Repository) connected(ctx context.Context) (*http.Client, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client != nil {
		return r.client, nil
	}
	auth := authn.Anonymous
	if r.config.Credentials != nil {
		user, password, err := r.config.Credentials(ctx)
		if err != nil {
			return nil, fmt.Errorf("get registry credentials: %w", err)
		}
		auth = &authn.Basic{Username: user, Password: password}
	}
	base := transport.NewUserAgent(remote.DefaultTransport, "slipway")
	round, err := transport.NewWithContext(ctx, r.repo.Registry, auth, base, []string{r.repo.Scope(transport.PushScope)})
	if err != nil {
		return nil, err
	}
	r.client = &http.Client{Transport: round}
	return r.client, nil
}

func (r *Repository) explain(what string, err error) error {
	return image.RegistryFailure(what, r.repo.RegistryStr(), r.repo.RepositoryStr(), err)
}

func (r *Repository) url(path string) string {
	u := url.URL{Scheme: r.repo.Scheme(), Host: r.repo.RegistryStr(), Path: "/v2/" + r.repo.RepositoryStr() + "/" + path}
	return u.String()
}

const (
	attempts  = 4
	firstWait = 100 * time.Millisecond // before the second attempt; doubled after each
	maxAnswer = 256 << 20              // bytes that are read of one answer
)

// ErrNotFound is returned for what the repository does not have.
var ErrNotFound = image.ErrNotFound

// answer is a response that was read.
type answer struct {
	header http.Header
	body   []byte
}

// send sends a request and reads the answer. What may pass (HTTP 429, 5xx, a
// broken connection) is tried again; every request that is made here can be.
func (r *Repository) send(ctx context.Context, method, target string, header http.Header, content []byte, accept ...int) (answer, error) {
	client, err := r.connected(ctx)
	if err != nil {
		return answer{}, err
	}
	for n, wait := 1, firstWait; ; n, wait = n+1, 2*wait {
		got, again, err := once(ctx, client, method, target, header, content, accept)
		if err == nil || !again || n == attempts || ctx.Err() != nil {
			return got, err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return answer{}, ctx.Err()
		}
	}
}

func once(ctx context.Context, client *http.Client, method, target string, header http.Header, content []byte, accept []int) (got answer, again bool, err error) {
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(content))
	if err != nil {
		return answer{}, false, err
	}
	maps.Copy(req.Header, header)
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, true, err
	}
	defer func() { _ = resp.Body.Close() }()
	if err := transport.CheckError(resp, accept...); err != nil {
		if resp.StatusCode == http.StatusNotFound {
			return answer{}, false, errors.Join(ErrNotFound, err)
		}
		return answer{}, resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= http.StatusInternalServerError, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return answer{}, true, err
	}
	if len(body) > maxAnswer {
		return answer{}, false, fmt.Errorf("the answer has more than %d bytes", maxAnswer)
	}
	return answer{header: resp.Header, body: body}, false, nil
}

// Blob reads a blob by its digest.
func (r *Repository) Blob(ctx context.Context, d string) ([]byte, error) {
	content, err := r.fetch(ctx, "blobs", d, nil)
	return content, r.explain("read blob "+d, err)
}

// fetch reads content by its digest and makes sure that it has it.
func (r *Repository) fetch(ctx context.Context, kind, d string, header http.Header) ([]byte, error) {
	want, err := digest.Parse(d)
	if err != nil {
		return nil, fmt.Errorf("parse digest %q: %w", d, err)
	}
	got, err := r.send(ctx, http.MethodGet, r.url(kind+"/"+d), header, nil, http.StatusOK)
	if err != nil {
		return nil, err
	}
	if is := want.Algorithm().FromBytes(got.body); is != want {
		return nil, fmt.Errorf("the registry's content for %s has digest %s: %w", want, is, ErrBroken)
	}
	return got.body, nil
}
