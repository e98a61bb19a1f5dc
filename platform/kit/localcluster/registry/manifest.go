package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"cuelabs.dev/go/oci/ociregistry"
	"cuelabs.dev/go/oci/ociregistry/ociref"
	"github.com/opencontainers/go-digest"
)

// record is what the store keeps beside a manifest's bytes.
type record struct {
	MediaType string    `json:"mediaType"`
	PushedAt  time.Time `json:"pushedAt"`
}

// pointer is a tag.
type pointer struct {
	Digest string `json:"digest"`
}

// outline is the part of a manifest or index the registry looks at.
type outline struct {
	MediaType    string                   `json:"mediaType"`
	ArtifactType string                   `json:"artifactType"`
	Config       *ociregistry.Descriptor  `json:"config"`
	Layers       []ociregistry.Descriptor `json:"layers"`
	Manifests    []ociregistry.Descriptor `json:"manifests"`
	Subject      *ociregistry.Descriptor  `json:"subject"`
	Annotations  map[string]string        `json:"annotations"`
}

// artifact is the type the referrers API lists and filters by: the manifest's
// own, else its config's media type (OCI distribution specification 1.1).
func (o outline) artifact() string {
	if o.ArtifactType == "" && o.Config != nil {
		return o.Config.MediaType
	}
	return o.ArtifactType
}

func (s store) recordPath(repo, d string) string {
	return filepath.Join(s.repoDir(repo), "_manifests", digest.Digest(d).Encoded()+".json")
}

func (s store) tagPath(repo, tag string) string {
	return filepath.Join(s.repoDir(repo), "_tags", tag+".json")
}

// lookup finds a manifest's record by digest.
func (r *Registry) lookup(repo, d string) (record, error) {
	if err := r.checkExists(repo); err != nil {
		return record{}, err
	}
	if err := checkDigest(d); err != nil {
		return record{}, err
	}
	var rec record
	found, err := readJSON(r.store.recordPath(repo, d), &rec)
	if err != nil {
		return record{}, err
	}
	if !found {
		return record{}, ociregistry.ErrManifestUnknown
	}
	return rec, nil
}

// tagged finds the digest a tag points to.
func (r *Registry) tagged(repo, tag string) (string, error) {
	if err := r.checkExists(repo); err != nil {
		return "", err
	}
	if !ociref.IsValidTag(tag) {
		return "", ociregistry.ErrManifestUnknown
	}
	var p pointer
	found, err := readJSON(r.store.tagPath(repo, tag), &p)
	if err != nil {
		return "", err
	}
	if !found {
		return "", ociregistry.ErrManifestUnknown
	}
	return p.Digest, nil
}

func (r *Registry) load(repo, d string) (ociregistry.Descriptor, []byte, error) {
	rec, err := r.lookup(repo, d)
	if err != nil {
		return ociregistry.Descriptor{}, nil, err
	}
	content, err := r.store.readBlob(d)
	if err != nil {
		return ociregistry.Descriptor{}, nil, err
	}
	return ociregistry.Descriptor{MediaType: rec.MediaType, Digest: digest.Digest(d), Size: int64(len(content))}, content, nil
}

func (r *Registry) resolveManifest(_ context.Context, repo string, d ociregistry.Digest) (ociregistry.Descriptor, error) {
	r.content.RLock()
	defer r.content.RUnlock()
	desc, _, err := r.load(repo, d.String())
	return desc, err
}

func (r *Registry) resolveTag(ctx context.Context, repo, tag string) (ociregistry.Descriptor, error) {
	m, err := r.getTag(ctx, repo, tag)
	if err != nil {
		return ociregistry.Descriptor{}, err
	}
	return m.Descriptor(), nil
}

func (r *Registry) getManifest(_ context.Context, repo string, d ociregistry.Digest) (ociregistry.BlobReader, error) {
	r.content.RLock()
	defer r.content.RUnlock()
	desc, content, err := r.load(repo, d.String())
	if err != nil {
		return nil, err
	}
	body := io.NopCloser(bytes.NewReader(content))
	return blobReader{body, body, desc}, nil
}

func (r *Registry) getTag(ctx context.Context, repo, tag string) (ociregistry.BlobReader, error) {
	d, err := r.tagged(repo, tag)
	if err != nil {
		return nil, err
	}
	return r.getManifest(ctx, repo, digest.Digest(d))
}

func (r *Registry) pushManifest(_ context.Context, repo, tag string, content []byte, mediaType string) (ociregistry.Descriptor, error) {
	if err := r.checkExists(repo); err != nil {
		return ociregistry.Descriptor{}, err
	}
	if tag != "" && !ociref.IsValidTag(tag) {
		return ociregistry.Descriptor{}, ociregistry.NewError("invalid tag "+tag, "TAG_INVALID", nil)
	}
	r.content.Lock()
	defer r.content.Unlock()
	if err := r.checkReferences(repo, content, mediaType); err != nil {
		return ociregistry.Descriptor{}, err
	}
	d := digest.FromBytes(content).String()
	if err := r.checkTag(repo, tag, d); err != nil {
		return ociregistry.Descriptor{}, err
	}
	if _, err := r.store.writeBlob(content); err != nil {
		return ociregistry.Descriptor{}, err
	}
	if _, err := r.lookup(repo, d); err != nil {
		rec := record{MediaType: mediaType, PushedAt: r.clock.Now().UTC()}
		if err := r.store.writeJSON(r.store.recordPath(repo, d), rec); err != nil {
			return ociregistry.Descriptor{}, err
		}
	}
	if tag != "" {
		if err := r.store.writeJSON(r.store.tagPath(repo, tag), pointer{Digest: d}); err != nil {
			return ociregistry.Descriptor{}, err
		}
	}
	return ociregistry.Descriptor{MediaType: mediaType, Digest: digest.Digest(d), Size: int64(len(content))}, nil
}

// checkTag refuses to move a tag in a repository that says its tags stay put.
func (r *Registry) checkTag(repo, tag, d string) error {
	if tag == "" || !r.config.ImmutableTags(repo) {
		return nil
	}
	if old, err := r.tagged(repo, tag); err == nil && old != d {
		return ociregistry.NewError(fmt.Sprintf(
			"The image tag '%s' already exists in the '%s' repository and cannot be overwritten because the tag is immutable.",
			tag, repo), "TAG_INVALID", nil)
	}
	return nil
}

// checkReferences makes sure everything a manifest names is here, as ECR does;
// a subject may come later (OCI distribution specification, "pushing manifests
// with subject").
func (r *Registry) checkReferences(repo string, content []byte, mediaType string) error {
	var o outline
	if err := json.Unmarshal(content, &o); err != nil {
		return fmt.Errorf("decode manifest: %w: %w", err, ociregistry.ErrManifestInvalid)
	}
	if o.MediaType != "" && o.MediaType != mediaType {
		return fmt.Errorf("manifest says it is %s, the request %s: %w", o.MediaType, mediaType, ociregistry.ErrManifestInvalid)
	}
	blobs := o.Layers
	if o.Config != nil {
		blobs = append([]ociregistry.Descriptor{*o.Config}, blobs...)
	}
	for _, blob := range blobs {
		if strings.Contains(blob.MediaType, "foreign") || strings.Contains(blob.MediaType, "nondistributable") {
			continue
		}
		size, err := r.store.blobSize(blob.Digest.String())
		if err != nil {
			return missing("blob", blob.Digest.String())
		}
		if size != blob.Size {
			return fmt.Errorf("blob %s has %d bytes, the manifest says %d: %w", blob.Digest, size, blob.Size, ociregistry.ErrManifestInvalid)
		}
	}
	for _, m := range o.Manifests {
		if _, err := r.lookup(repo, m.Digest.String()); err != nil {
			return missing("manifest", m.Digest.String())
		}
	}
	return nil
}

func missing(what, d string) error {
	return fmt.Errorf("%s %s: %w", what, d, ociregistry.ErrManifestBlobUnknown)
}

func (r *Registry) deleteManifest(_ context.Context, repo string, d ociregistry.Digest) error {
	r.content.Lock()
	defer r.content.Unlock()
	if _, err := r.lookup(repo, d.String()); err != nil {
		return err
	}
	tags, err := r.tags(repo)
	if err != nil {
		return err
	}
	for tag, target := range tags {
		if target == d.String() {
			if err := remove(r.store.tagPath(repo, tag)); err != nil {
				return err
			}
		}
	}
	return remove(r.store.recordPath(repo, d.String()))
}

func (r *Registry) deleteTag(_ context.Context, repo, tag string) error {
	r.content.Lock()
	defer r.content.Unlock()
	if _, err := r.tagged(repo, tag); err != nil {
		return err
	}
	return remove(r.store.tagPath(repo, tag))
}

// tags maps every tag of a repository to its digest.
func (r *Registry) tags(repo string) (map[string]string, error) {
	entries, err := os.ReadDir(filepath.Join(r.store.repoDir(repo), "_tags"))
	if err != nil && !notExist(err) {
		return nil, fmt.Errorf("list tags: %w", err)
	}
	tags := make(map[string]string, len(entries))
	for _, entry := range entries {
		var p pointer
		path := filepath.Join(r.store.repoDir(repo), "_tags", entry.Name())
		if found, err := readJSON(path, &p); err != nil {
			return nil, err
		} else if found {
			tags[strings.TrimSuffix(entry.Name(), ".json")] = p.Digest
		}
	}
	return tags, nil
}

func (r *Registry) listTags(_ context.Context, repo, after string) iter.Seq2[string, error] {
	if err := r.checkExists(repo); err != nil {
		return ociregistry.ErrorSeq[string](err)
	}
	tags, err := r.tags(repo)
	if err != nil {
		return ociregistry.ErrorSeq[string](err)
	}
	names := make([]string, 0, len(tags))
	for tag := range tags {
		if tag > after {
			names = append(names, tag)
		}
	}
	sort.Strings(names)
	return ociregistry.SliceSeq(names)
}

// referrers lists the manifests of a repository whose subject is d.
func (r *Registry) referrers(repo, d, artifactType string) ([]ociregistry.Descriptor, error) {
	r.content.RLock()
	defer r.content.RUnlock()
	var found []ociregistry.Descriptor
	elsewhere := func(manifest string) bool {
		subject, known := r.subjects.Load(manifest)
		return known && subject != d
	}
	err := r.eachManifestBut(repo, elsewhere, func(desc ociregistry.Descriptor, _ record, o outline) error {
		subject := ""
		if o.Subject != nil {
			subject = o.Subject.Digest.String()
		}
		r.subjects.Store(desc.Digest.String(), subject)
		if subject != d {
			return nil
		}
		if artifactType != "" && o.artifact() != artifactType {
			return nil
		}
		desc.ArtifactType, desc.Annotations = o.artifact(), o.Annotations
		found = append(found, desc)
		return nil
	})
	return found, err
}

func (r *Registry) listReferrers(_ context.Context, repo string, d ociregistry.Digest, artifactType string) iter.Seq2[ociregistry.Descriptor, error] {
	if err := r.checkExists(repo); err != nil {
		return ociregistry.ErrorSeq[ociregistry.Descriptor](err)
	}
	found, err := r.referrers(repo, d.String(), artifactType)
	if err != nil {
		return ociregistry.ErrorSeq[ociregistry.Descriptor](err)
	}
	return ociregistry.SliceSeq(found)
}

// eachManifest visits a repository's manifests in the order of their digests.
func (r *Registry) eachManifest(repo string, visit func(ociregistry.Descriptor, record, outline) error) error {
	return r.eachManifestBut(repo, func(string) bool { return false }, visit)
}

// eachManifestBut passes over the manifests of the digests that skip accepts,
// without reading them.
func (r *Registry) eachManifestBut(repo string, skip func(d string) bool, visit func(ociregistry.Descriptor, record, outline) error) error {
	entries, err := os.ReadDir(filepath.Join(r.store.repoDir(repo), "_manifests"))
	if err != nil && !notExist(err) {
		return fmt.Errorf("list manifests: %w", err)
	}
	for _, entry := range entries {
		d := "sha256:" + strings.TrimSuffix(entry.Name(), ".json")
		if skip(d) {
			continue
		}
		var rec record
		if found, err := readJSON(r.store.recordPath(repo, d), &rec); err != nil {
			return err
		} else if !found {
			continue
		}
		content, err := r.store.readBlob(d)
		if err != nil {
			return fmt.Errorf("read manifest %s of %s: %w", d, repo, err)
		}
		var o outline
		if err := json.Unmarshal(content, &o); err != nil {
			return fmt.Errorf("decode manifest %s of %s: %w", d, repo, err)
		}
		desc := ociregistry.Descriptor{MediaType: rec.MediaType, Digest: digest.Digest(d), Size: int64(len(content))}
		if err := visit(desc, rec, o); err != nil {
			return err
		}
	}
	return nil
}
