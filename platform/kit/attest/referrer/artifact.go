package referrer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"
)

const (
	mediaTypeIndex    = "application/vnd.oci.image.index.v1+json"
	mediaTypeManifest = "application/vnd.oci.image.manifest.v1+json"
	mediaTypeEmpty    = "application/vnd.oci.empty.v1+json"
)

// empty is the config of an artifact that has none (image specification 1.1,
// "guidance for an empty descriptor").
var empty = []byte("{}") //nolint:gochecknoglobals // a constant that Go cannot express

// Subject is what an artifact refers to.
type Subject struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
}

// Artifact is one document that refers to a subject.
type Artifact struct {
	Type        string            // of the artifact, and the media type of its content
	Annotations map[string]string // that the referrers list shows; nobody vouches for them
	Content     []byte
}

type descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       string            `json:"digest"`
	Size         int64             `json:"size"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
}

type manifest struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType"`
	Config        descriptor        `json:"config"`
	Layers        []descriptor      `json:"layers"`
	Subject       *Subject          `json:"subject"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

func describe(mediaType string, content []byte) descriptor {
	return descriptor{MediaType: mediaType, Digest: digest.FromBytes(content).String(), Size: int64(len(content))}
}

// Upload stores the contents of artifacts, and what all artifacts share, so
// that Attach has to write manifests alone. The subject need not be there yet.
func (r *Repository) Upload(ctx context.Context, artifacts ...Artifact) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return r.uploadOnce(ctx, empty) })
	for _, a := range artifacts {
		group.Go(func() error { return r.upload(ctx, a.Content) })
	}
	return r.explain("push artifact", group.Wait())
}

// uploadOnce stores a blob that is most likely there already.
func (r *Repository) uploadOnce(ctx context.Context, content []byte) error {
	_, err := r.send(ctx, http.MethodHead, r.url("blobs/"+digest.FromBytes(content).String()), nil, nil, http.StatusOK)
	if errors.Is(err, ErrNotFound) {
		return r.upload(ctx, content)
	}
	return err
}

// upload stores a blob by POST and PUT (distribution specification 1.1,
// "pushing a blob monolithically").
func (r *Repository) upload(ctx context.Context, content []byte) error {
	begun, err := r.send(ctx, http.MethodPost, r.url("blobs/uploads/"), nil, nil, http.StatusAccepted)
	if err != nil {
		return err
	}
	base, err := url.Parse(r.url("blobs/uploads/"))
	if err != nil {
		return err
	}
	at, err := base.Parse(begun.header.Get("Location"))
	if err != nil {
		return fmt.Errorf("read upload location: %w", err)
	}
	query := at.Query()
	query.Set("digest", digest.FromBytes(content).String())
	at.RawQuery = query.Encode()
	header := http.Header{"Content-Type": {"application/octet-stream"}}
	_, err = r.send(ctx, http.MethodPut, at.String(), header, content, http.StatusCreated)
	return err
}

// Attach writes the manifests of artifacts whose contents were uploaded, and
// returns their digests. An artifact that is there already stays as it is.
func (r *Repository) Attach(ctx context.Context, to Subject, artifacts ...Artifact) ([]string, error) {
	digests := make([]string, len(artifacts))
	group, ctx := errgroup.WithContext(ctx)
	for i, a := range artifacts {
		group.Go(func() error {
			content, err := json.Marshal(manifest{
				SchemaVersion: 2, MediaType: mediaTypeManifest, ArtifactType: a.Type,
				Config: describe(mediaTypeEmpty, empty), Layers: []descriptor{describe(a.Type, a.Content)},
				Subject: &to, Annotations: a.Annotations,
			})
			if err != nil {
				return fmt.Errorf("encode manifest: %w", err)
			}
			digests[i] = digest.FromBytes(content).String()
			header := http.Header{"Content-Type": {mediaTypeManifest}}
			_, err = r.send(ctx, http.MethodPut, r.url("manifests/"+digests[i]), header, content, http.StatusCreated)
			return err
		})
	}
	return digests, r.explain("attach artifact", group.Wait())
}

// Manifest returns a manifest or index by digest, and it as something to
// attach to.
func (r *Repository) Manifest(ctx context.Context, d string) (Subject, []byte, error) {
	header := http.Header{"Accept": {mediaTypeIndex, mediaTypeManifest}}
	got, err := r.send(ctx, http.MethodGet, r.url("manifests/"+d), header, nil, http.StatusOK)
	if errors.Is(err, ErrNotFound) {
		return Subject{}, nil, fmt.Errorf("find image %s@%s: %w", r, d, ErrNotFound)
	}
	if err != nil {
		return Subject{}, nil, r.explain("read image "+d, err)
	}
	if is := digest.FromBytes(got.body).String(); is != d {
		return Subject{}, nil, fmt.Errorf("read image: the registry's content for %s has digest %s", d, is)
	}
	return Subject{MediaType: got.header.Get("Content-Type"), Digest: d, Size: int64(len(got.body))}, got.body, nil
}

// Delete deletes an artifact.
func (r *Repository) Delete(ctx context.Context, artifact string) error {
	_, err := r.send(ctx, http.MethodDelete, r.url("manifests/"+artifact), nil, nil, http.StatusAccepted)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return r.explain("delete artifact "+artifact, err)
}

// Listed is an entry of the referrers list.
type Listed struct {
	Digest      string            // of the artifact's manifest
	Type        string            // of the artifact
	Annotations map[string]string // as its writer chose them
}

// maxPages bounds a list that never ends.
const maxPages = 100

// List lists what refers to a digest; nothing when nobody knows the digest.
func (r *Repository) List(ctx context.Context, subject string) ([]Listed, error) {
	var all []Listed
	next := r.url("referrers/" + subject)
	for range maxPages {
		got, err := r.send(ctx, http.MethodGet, next, http.Header{"Accept": {mediaTypeIndex}}, nil, http.StatusOK)
		if err != nil {
			return nil, r.explain("list what refers to "+subject, err)
		}
		var page struct {
			Manifests []descriptor `json:"manifests"`
		}
		if err := json.Unmarshal(got.body, &page); err != nil {
			return nil, fmt.Errorf("decode what refers to %s: %w", subject, err)
		}
		for _, d := range page.Manifests {
			all = append(all, Listed{Digest: d.Digest, Type: d.ArtifactType, Annotations: d.Annotations})
		}
		if next = following(next, got.header.Get("Link")); next == "" {
			return all, nil
		}
	}
	return nil, fmt.Errorf("list what refers to %s: more than %d pages", subject, maxPages)
}

// following is the address of the next page, from a Link header (RFC 8288).
func following(page, link string) string {
	target, relation, ok := strings.Cut(strings.TrimPrefix(link, "<"), ">")
	if !ok || !strings.Contains(relation, "next") {
		return ""
	}
	base, err := url.Parse(page)
	if err != nil {
		return ""
	}
	at, err := base.Parse(target)
	if err != nil {
		return ""
	}
	return at.String()
}

// ErrBroken says that an artifact is not whole: it is no manifest of one
// document, refers to something else, or its content is not there.
var ErrBroken = errors.New("broken artifact")

// Read returns the document of an artifact that refers to the subject.
func (r *Repository) Read(ctx context.Context, subject, artifact string) (Artifact, error) {
	content, err := r.fetch(ctx, "manifests", artifact, http.Header{"Accept": {mediaTypeManifest}})
	if err != nil {
		return Artifact{}, r.broken("read artifact "+artifact, err)
	}
	var m manifest
	if err := json.Unmarshal(content, &m); err != nil {
		return Artifact{}, fmt.Errorf("decode artifact %s: %w: %w", artifact, err, ErrBroken)
	}
	switch {
	case m.Subject == nil || m.Subject.Digest != subject:
		return Artifact{}, fmt.Errorf("artifact %s does not refer to %s: %w", artifact, subject, ErrBroken)
	case len(m.Layers) != 1:
		return Artifact{}, fmt.Errorf("artifact %s has %d documents: %w", artifact, len(m.Layers), ErrBroken)
	}
	document, err := r.fetch(ctx, "blobs", m.Layers[0].Digest, nil)
	if err != nil {
		return Artifact{}, r.broken("read document of artifact "+artifact, err)
	}
	return Artifact{Type: m.ArtifactType, Annotations: m.Annotations, Content: document}, nil
}

// broken tells what is not there from a registry that does not answer.
func (r *Repository) broken(what string, err error) error {
	if errors.Is(err, ErrNotFound) {
		return fmt.Errorf("%s: it is not in the registry: %w", what, ErrBroken)
	}
	return r.explain(what, err)
}
