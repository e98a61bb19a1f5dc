package release

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/slipway-dev/slipway/platform/kit/image"
)

// Store finds the releases of one service in its repository.
type Store struct{ repository *image.Repository }

// NewStore opens the repository of config for reading; only the fields that
// concern the registry are used.
func NewStore(config image.Config) (*Store, error) {
	repository, err := image.NewRepository(config)
	if err != nil {
		return nil, err
	}
	return &Store{repository: repository}, nil
}

// entry is a release as its built tag tells it.
type entry struct {
	tag     string
	version string
	created time.Time
}

func (s *Store) entries(ctx context.Context) ([]entry, []string, error) {
	tags, err := s.repository.Tags(ctx)
	if err != nil {
		return nil, nil, err
	}
	var entries []entry
	for _, tag := range tags {
		if at, version, ok := parseBuiltTag(tag); ok {
			entries = append(entries, entry{tag: tag, version: version, created: at})
		}
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(b.tag, a.tag) })
	return entries, tags, nil
}

// readers is how many manifests are read at once.
const readers = 4

// List returns up to limit releases, newest first; 0 means all.
func (s *Store) List(ctx context.Context, limit int) ([]Release, error) {
	entries, _, err := s.entries(ctx)
	if err != nil {
		return nil, err
	}
	if limit > 0 && len(entries) > limit {
		entries = entries[:limit]
	}
	found := make([]*Release, len(entries))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	for i, e := range entries {
		group.Go(func() error {
			pushed, err := s.repository.Inspect(ctx, e.tag)
			if errors.Is(err, image.ErrNotFound) {
				return nil // deleted since the tags were listed
			}
			if err != nil {
				return err
			}
			r := fromImage(pushed)
			r.Created = e.created
			found[i] = &r
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return earliest(found), nil
}

// earliest keeps, of several entries for one digest (two machines that built
// it at the same time), the one that came first.
func earliest(found []*Release) []Release {
	var out []Release
	for i, r := range found {
		later := func(other *Release) bool { return other != nil && r != nil && other.Digest == r.Digest }
		if r != nil && !slices.ContainsFunc(found[i+1:], later) {
			out = append(out, *r)
		}
	}
	return out
}

// Find returns the release meant by a digest, a version, any other tag, or the
// beginning of a version or commit that only one release has.
func (s *Store) Find(ctx context.Context, ref string) (Release, error) {
	entries, tags, err := s.entries(ctx)
	if err != nil {
		return Release{}, err
	}
	tag := ref
	if _, err := v1.NewHash(ref); err != nil && !slices.Contains(tags, ref) {
		if tag, err = expand(ref, entries); err != nil {
			return Release{}, err
		}
	}
	pushed, err := s.repository.Inspect(ctx, tag)
	if errors.Is(err, image.ErrNotFound) {
		return Release{}, unknown(ref, entries)
	}
	if err != nil {
		return Release{}, err
	}
	r := fromImage(pushed)
	for _, e := range entries { // newest first: the earliest entry wins
		if e.version == r.Version && r.Version != "" {
			r.Created = e.created
		}
	}
	return r, nil
}

var fullCommit = regexp.MustCompile(`^[0-9a-f]{40}$`)

// expand turns the beginning of a version or of a commit into a version.
func expand(ref string, entries []entry) (string, error) {
	var versions []string
	for _, e := range entries {
		if ref == "" || slices.Contains(versions, e.version) {
			continue
		}
		commit := strings.TrimPrefix(e.version, "v0-")
		whole := fullCommit.MatchString(ref) && strings.HasPrefix(ref, commit)
		if whole || strings.HasPrefix(e.version, ref) || strings.HasPrefix(commit, ref) {
			versions = append(versions, e.version)
		}
	}
	switch len(versions) {
	case 0:
		return "", unknown(ref, entries)
	case 1:
		return versions[0], nil
	}
	return "", &image.Error{
		Kind: image.KindNotFound, What: fmt.Sprintf("find release %q", ref),
		Why:      "it could be any of " + strings.Join(versions, ", "),
		NextStep: "use a whole version, or a digest", Err: image.ErrNotFound,
	}
}

// unknown names the newest releases instead.
func unknown(ref string, entries []entry) error {
	failure := &image.Error{
		Kind: image.KindNotFound, What: fmt.Sprintf("find release %q", ref),
		Why: "the repository has no release", NextStep: "go tool mage build SERVICE", Err: image.ErrNotFound,
	}
	if len(entries) > 0 {
		names := make([]string, 0, 3)
		for _, e := range entries[:min(3, len(entries))] {
			names = append(names, e.version)
		}
		failure.Why = "the repository has no such digest, version or tag"
		failure.NextStep = "use one of the newest: " + strings.Join(names, ", ")
	}
	return failure
}
