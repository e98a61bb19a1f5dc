// Package registry is the embedded cluster's OCI registry: images pushed by the
// kit, by docker push or by any client of the OCI distribution specification
// are kept on disk and served back byte for byte.
//
// The protocol (chunked and monolithic uploads, ranges, mounts, paging,
// referrers) is spoken by cuelabs.dev/go/oci/ociregistry/ociserver; this
// package is the durable store behind it, plus the checks ECR adds: Basic
// authentication, repositories that must exist first, immutable tags.
// docs/decisions/2026-11-22-registry.md says why that library.
//
// What has been acknowledged survives a kill at any moment: content is written
// to a temporary file, synced, and renamed into place. It is not a registry
// for more than one process at a time; the cluster's state lock sees to that.
package registry

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"

	"cuelabs.dev/go/oci/ociregistry"
	"cuelabs.dev/go/oci/ociregistry/ociserver"
	"github.com/jonboulle/clockwork"
)

// Config says where a registry keeps its content and whom it serves.
type Config struct {
	// Dir holds everything the registry keeps. It is made if it does not exist.
	Dir string
	// Authorize tells whether a request carries valid credentials. Required:
	// a registry without authentication would let every page a browser opens
	// write to it. [Basic] makes one for docker's "AWS:<token>".
	Authorize func(*http.Request) bool
	// RepositoryExists tells whether a repository has been created. As in ECR,
	// pushing to one that has not is refused. nil accepts every name.
	RepositoryExists func(name string) bool
	// ImmutableTags tells whether a repository refuses to move a tag. nil: none does.
	ImmutableTags func(name string) bool
	// Clock dates pushes and ages uploads. nil is the real clock.
	Clock clockwork.Clock
	// Log receives what goes wrong on the server's side. nil discards it.
	Log *slog.Logger
}

func (c *Config) validate() error {
	if c.Dir == "" {
		return errors.New("configure registry: Dir is empty")
	}
	if c.Authorize == nil {
		return errors.New("configure registry: Authorize is nil")
	}
	return nil
}

// Registry serves /v2/ and gives the ECR endpoint the same content in Go.
// Its methods are safe for concurrent use.
type Registry struct {
	config  Config
	handler http.Handler
	store   store
	clock   clockwork.Clock
	log     *slog.Logger

	// content guards manifests, tags and the decision which blobs are in use.
	// Pushing a manifest and collecting garbage exclude each other.
	content sync.RWMutex

	// subjects remembers what a manifest refers to, by digest; empty for nothing.
	// It follows from the content, so it never has to be forgotten. Without it
	// each look at what refers to one image would read every manifest.
	subjects sync.Map

	mu      sync.Mutex
	uploads map[string]*upload
}

var _ http.Handler = (*Registry)(nil)

// New opens the registry in config.Dir. Uploads that a previous process left
// unfinished are discarded; their clients were never told of a success.
func New(config Config) (*Registry, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	if config.RepositoryExists == nil {
		config.RepositoryExists = func(string) bool { return true }
	}
	if config.ImmutableTags == nil {
		config.ImmutableTags = func(string) bool { return false }
	}
	r := &Registry{
		config:  config,
		store:   store{dir: config.Dir},
		clock:   config.Clock,
		log:     config.Log,
		uploads: map[string]*upload{},
	}
	if r.clock == nil {
		r.clock = clockwork.NewRealClock()
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	if err := r.store.open(); err != nil {
		return nil, fmt.Errorf("open registry: %w", err)
	}
	r.handler = ociserver.New(r.backend(), &ociserver.Options{WriteError: r.writeError})
	return r, nil
}

// Basic authorizes requests with HTTP Basic credentials of the given user
// (ECR's is "AWS") whose password the check accepts.
func Basic(user string, check func(password string) bool) func(*http.Request) bool {
	return func(req *http.Request) bool {
		name, password, ok := req.BasicAuth()
		return ok && subtle.ConstantTimeCompare([]byte(name), []byte(user)) == 1 && check(password)
	}
}

// ServeHTTP answers the OCI distribution protocol under /v2/.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Docker-Distribution-API-Version", "registry/2.0")
	if !r.config.Authorize(req) {
		// The realm's form is ECR's; docker and others answer it with Basic credentials.
		w.Header().Set("WWW-Authenticate", `Basic realm="http://`+req.Host+`/",service="ecr.amazonaws.com"`)
		r.writeError(w, req, ociregistry.ErrUnauthorized)
		return
	}
	if req.Method == http.MethodPut || req.Method == http.MethodPatch {
		if req.Header.Get("Content-Range") == "" {
			req = req.WithContext(context.WithValue(req.Context(), rangeless{}, req.Method))
		}
	}
	if empty, ok := r.emptyReferrers(req); ok {
		w.Header().Set("Content-Type", mediaTypeIndex)
		_, _ = w.Write(empty)
		return
	}
	r.handler.ServeHTTP(w, r.withoutVainMount(req))
}

// rangeless is the context key of an upload request without Content-Range; its
// value is the method. The protocol layer below reports such a request as one
// at offset 0, which is what PATCH means by it and PUT does not.
type rangeless struct{}

var referrersPath = regexp.MustCompile(`^/v2/(.+)/referrers/([^/]+)$`)

// emptyReferrers answers a referrers request that has nothing to list. The
// specification wants "manifests": [] there, which ociserver writes as null.
func (r *Registry) emptyReferrers(req *http.Request) ([]byte, bool) {
	m := referrersPath.FindStringSubmatch(req.URL.Path)
	if m == nil || req.Method != http.MethodGet {
		return nil, false
	}
	repo, digest := m[1], m[2]
	if checkRepo(repo) != nil || checkDigest(digest) != nil || !r.config.RepositoryExists(repo) {
		return nil, false
	}
	found, err := r.referrers(repo, digest, req.URL.Query().Get("artifactType"))
	if err != nil || len(found) > 0 {
		return nil, false
	}
	return []byte(`{"schemaVersion":2,"mediaType":"` + mediaTypeIndex + `","manifests":[]}`), true
}

// withoutVainMount turns a mount of a blob that is nowhere to be found into an
// ordinary upload, which the specification asks of a server in that case.
func (r *Registry) withoutVainMount(req *http.Request) *http.Request {
	query := req.URL.Query()
	mount := query.Get("mount")
	if req.Method != http.MethodPost || mount == "" {
		return req
	}
	if _, err := r.store.blobSize(mount); err == nil && query.Get("from") != "" {
		return req
	}
	plain := req.Clone(req.Context())
	plain.URL.RawQuery = ""
	return plain
}

func (r *Registry) writeError(w http.ResponseWriter, req *http.Request, err error) {
	if _, known := errors.AsType[ociregistry.Error](err); !known {
		r.log.ErrorContext(req.Context(), "registry request", "method", req.Method, "path", req.URL.Path, "error", err)
	}
	_ = ociregistry.WriteError(w, err) // fails only if the client is gone
}

// repoDir is where a repository's manifests and tags are; the underscore names
// below it cannot clash with a repository's own path elements.
func (s store) repoDir(repo string) string {
	return filepath.Join(s.dir, "repositories", filepath.FromSlash(repo))
}

func (r *Registry) checkExists(repo string) error {
	if err := checkRepo(repo); err != nil {
		return err
	}
	if !r.config.RepositoryExists(repo) {
		return ociregistry.NewError(
			fmt.Sprintf("The repository with name '%s' does not exist in the registry", repo),
			ociregistry.ErrNameUnknown.Code(), nil)
	}
	return nil
}

// notExist also holds for a path that runs through a file: it is as absent as any.
func notExist(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}
