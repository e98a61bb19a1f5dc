package registry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"sort"
	"time"

	"cuelabs.dev/go/oci/ociregistry"
	"cuelabs.dev/go/oci/ociregistry/ociref"
	"github.com/opencontainers/go-digest"
)

// ErrNotFound is returned for a manifest, tag or digest that is not in the repository.
var ErrNotFound = errors.New("not found")

// ImageDetail is what ECR's DescribeImages says of a manifest or index.
type ImageDetail struct {
	Digest            string
	MediaType         string
	ArtifactMediaType string // ECR's artifactMediaType: the config's media type
	Tags              []string
	PushedAt          time.Time
	SizeBytes         int64  // compressed size: config and layers; an index sums its manifests
	ManifestBytes     int64  // the manifest document itself
	Subject           string // digest the manifest refers to; empty for an image
}

// Manifest is a stored manifest or index, byte for byte.
type Manifest struct {
	Digest    string
	MediaType string
	Content   []byte
}

// Manifests describes everything in a repository, newest first. A repository
// nobody pushed to has none.
func (r *Registry) Manifests(repo string) ([]ImageDetail, error) {
	if err := checkRepo(repo); err != nil {
		return nil, err
	}
	r.content.RLock()
	defer r.content.RUnlock()
	tags, err := r.tags(repo)
	if err != nil {
		return nil, err
	}
	byDigest := map[string][]string{}
	for tag, d := range tags {
		byDigest[d] = append(byDigest[d], tag)
	}
	var details []ImageDetail
	children := map[string][]ociregistry.Descriptor{}
	err = r.eachManifest(repo, func(desc ociregistry.Descriptor, rec record, o outline) error {
		d := desc.Digest.String()
		detail := ImageDetail{
			Digest: d, MediaType: desc.MediaType, Tags: byDigest[d],
			PushedAt: rec.PushedAt, ManifestBytes: desc.Size,
		}
		sort.Strings(detail.Tags)
		for _, layer := range o.Layers {
			detail.SizeBytes += layer.Size
		}
		if o.Config != nil {
			detail.ArtifactMediaType = o.Config.MediaType
			detail.SizeBytes += o.Config.Size
		}
		if o.Subject != nil {
			detail.Subject = o.Subject.Digest.String()
		}
		children[d] = o.Manifests
		details = append(details, detail)
		return nil
	})
	sumIndexes(details, children)
	sort.SliceStable(details, func(i, j int) bool { return details[i].PushedAt.After(details[j].PushedAt) })
	return details, err
}

// sumIndexes gives each index the size of the manifests it lists.
func sumIndexes(details []ImageDetail, children map[string][]ociregistry.Descriptor) {
	sizes := make(map[string]int64, len(details))
	for _, detail := range details {
		sizes[detail.Digest] = detail.SizeBytes
	}
	for i := range details {
		for _, child := range children[details[i].Digest] {
			details[i].SizeBytes += sizes[child.Digest.String()]
		}
	}
}

// Manifest returns a manifest by tag or by digest, or [ErrNotFound].
func (r *Registry) Manifest(repo, ref string) (Manifest, error) {
	d, err := r.resolve(repo, ref)
	if err != nil {
		return Manifest{}, err
	}
	r.content.RLock()
	defer r.content.RUnlock()
	desc, content, err := r.load(repo, d)
	if err != nil {
		return Manifest{}, absent(repo, ref, err)
	}
	return Manifest{Digest: d, MediaType: desc.MediaType, Content: content}, nil
}

// resolve turns a tag or digest into a digest.
func (r *Registry) resolve(repo, ref string) (string, error) {
	if ociref.IsValidDigest(ref) {
		return ref, nil
	}
	d, err := r.tagged(repo, ref)
	if err != nil {
		return "", absent(repo, ref, err)
	}
	return d, nil
}

// absent makes the protocol's ways of saying "unknown" one Go error.
func absent(repo, ref string, err error) error {
	for _, unknown := range []error{ociregistry.ErrManifestUnknown, ociregistry.ErrNameUnknown, ociregistry.ErrBlobUnknown} {
		if errors.Is(err, unknown) {
			return fmt.Errorf("find %s in %s: %w", ref, repo, ErrNotFound)
		}
	}
	return err
}

// PutManifest stores a manifest whose blobs have been pushed and, unless tag
// is empty, points the tag at it. It returns the manifest's digest.
func (r *Registry) PutManifest(repo, tag, mediaType string, content []byte) (string, error) {
	desc, err := r.pushManifest(context.Background(), repo, tag, content, mediaType)
	return desc.Digest.String(), err
}

// DeleteManifest removes a manifest and its tags when ref is a digest, and
// only the tag when ref is a tag, as ECR's BatchDeleteImage does for a tag of
// an image that has others. Blobs stay until [Registry.GC].
func (r *Registry) DeleteManifest(repo, ref string) error {
	var err error
	if ociref.IsValidDigest(ref) {
		err = r.deleteManifest(context.Background(), repo, digest.Digest(ref))
	} else {
		err = r.deleteTag(context.Background(), repo, ref)
	}
	return absent(repo, ref, err)
}

// DeleteRepository forgets all manifests and tags of a repository. Blobs stay until [Registry.GC].
func (r *Registry) DeleteRepository(repo string) error {
	if err := checkRepo(repo); err != nil {
		return err
	}
	r.content.Lock()
	defer r.content.Unlock()
	// Tags first: a crash in between leaves untagged manifests, never a tag of nothing.
	for _, part := range []string{"_tags", "_manifests"} {
		if err := os.RemoveAll(filepath.Join(r.store.repoDir(repo), part)); err != nil {
			return fmt.Errorf("delete repository %s: %w", repo, err)
		}
	}
	return nil
}

// Repositories lists, in order, the repositories that hold a manifest.
func (r *Registry) Repositories() ([]string, error) {
	root := filepath.Join(r.store.dir, "repositories")
	var names []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch entry.Name() {
		case "_tags":
			return fs.SkipDir
		case "_manifests":
			name, err := filepath.Rel(root, filepath.Dir(path))
			if err != nil {
				return err
			}
			names = append(names, filepath.ToSlash(name))
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list repositories: %w", err)
	}
	sort.Strings(names)
	return names, nil
}

func (r *Registry) listRepositories(_ context.Context, after string) iter.Seq2[string, error] {
	all, err := r.Repositories()
	if err != nil {
		return ociregistry.ErrorSeq[string](err)
	}
	var names []string
	for _, name := range all {
		if name > after && r.config.RepositoryExists(name) {
			names = append(names, name)
		}
	}
	return ociregistry.SliceSeq(names)
}

// GC removes blobs that no manifest names and that are older than grace, which
// protects layers whose manifest is still on its way. It returns the bytes freed.
func (r *Registry) GC(ctx context.Context, grace time.Duration) (int64, error) {
	r.content.Lock()
	defer r.content.Unlock()
	used, err := r.inUse()
	if err != nil {
		return 0, err
	}
	entries, err := os.ReadDir(r.store.blobs())
	if err != nil {
		return 0, fmt.Errorf("list blobs: %w", err)
	}
	var freed int64
	for _, entry := range entries {
		if ctx.Err() != nil {
			return freed, ctx.Err()
		}
		info, err := entry.Info()
		if err != nil || used[entry.Name()] || r.clock.Since(info.ModTime()) < grace {
			continue
		}
		if err := os.Remove(filepath.Join(r.store.blobs(), entry.Name())); err != nil {
			return freed, fmt.Errorf("remove blob: %w", err)
		}
		freed += info.Size()
	}
	return freed, syncDir(r.store.blobs())
}

// inUse collects the hex digests of all manifests and of the blobs they name.
func (r *Registry) inUse() (map[string]bool, error) {
	repos, err := r.Repositories()
	if err != nil {
		return nil, err
	}
	used := map[string]bool{}
	for _, repo := range repos {
		err := r.eachManifest(repo, func(desc ociregistry.Descriptor, _ record, o outline) error {
			used[desc.Digest.Encoded()] = true
			if o.Config != nil {
				used[o.Config.Digest.Encoded()] = true
			}
			for _, layer := range o.Layers {
				used[layer.Digest.Encoded()] = true
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return used, nil
}

// backend hands the protocol layer this registry's operations.
func (r *Registry) backend() ociregistry.Interface {
	return &ociregistry.Funcs{
		GetBlob_:               r.getBlob,
		GetBlobRange_:          r.getBlobRange,
		GetManifest_:           r.getManifest,
		GetTag_:                r.getTag,
		ResolveBlob_:           r.resolveBlob,
		ResolveManifest_:       r.resolveManifest,
		ResolveTag_:            r.resolveTag,
		PushBlob_:              r.pushBlob,
		PushBlobChunked_:       r.startUpload,
		PushBlobChunkedResume_: r.resumeUpload,
		MountBlob_:             r.mountBlob,
		PushManifest_:          r.pushManifest,
		DeleteBlob_:            r.deleteBlob,
		DeleteManifest_:        r.deleteManifest,
		DeleteTag_:             r.deleteTag,
		Repositories_:          r.listRepositories,
		Tags_:                  r.listTags,
		Referrers_:             r.listReferrers,
	}
}
