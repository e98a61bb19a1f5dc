package attest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/slipway-dev/slipway/platform/kit/attest/bom"
	"github.com/slipway-dev/slipway/platform/kit/attest/key"
	"github.com/slipway-dev/slipway/platform/kit/attest/provenance"
	"github.com/slipway-dev/slipway/platform/kit/attest/referrer"
	"github.com/slipway-dev/slipway/platform/kit/attest/statement"
	"github.com/slipway-dev/slipway/platform/kit/release"
)

// collected is an image with all that refers to it, each bundle judged.
type collected struct {
	release release.Release // by the image's labels, which its digest covers
	subject referrer.Subject
	key     *key.Key
	found   []candidate
	bills   []bill
}

// candidate is a bundle that is there, taken or not.
type candidate struct {
	referrer  string
	predicate string // as verified; else as the bundle or its annotations say
	statement statement.Statement
	signer    string // id of the key that the bundle says it was signed with
	err       error  // why it is not taken; nil when the key signed it for this image
}

// bill is an SBOM that is attached on its own.
type bill struct{ referrer, digest string }

// examined are the predicate types that are read here; other parts read theirs.
func examined(predicateType string) bool {
	switch predicateType {
	case statement.Signature, statement.Provenance, statement.SBOM, "":
		return true
	}
	return false
}

// readers is how many artifacts are read at once.
const readers = 8

// collect reads an image and its evidence.
func (s *Store) collect(ctx context.Context, repository, imageDigest string) (*collected, error) {
	repo, err := s.Repository(ctx, repository)
	if err != nil {
		return nil, err
	}
	var (
		c    collected
		list []referrer.Listed
	)
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		c.key, err = s.Key(groupCtx)
		return err
	})
	group.Go(func() (err error) {
		c.subject, c.release, err = s.labelled(groupCtx, repo, imageDigest)
		return err
	})
	group.Go(func() (err error) {
		list, err = repo.List(groupCtx, imageDigest)
		return err
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(l referrer.Listed) bool {
		return l.Type != bom.MediaType && (l.Type != statement.MediaType || !examined(l.Annotations[annotationPredicate]))
	})
	return &c, c.read(ctx, repo, list)
}

func (s *Store) labelled(ctx context.Context, repo *referrer.Repository, imageDigest string) (referrer.Subject, release.Release, error) {
	subject, content, err := repo.Manifest(ctx, imageDigest)
	if err != nil {
		return referrer.Subject{}, release.Release{}, err
	}
	var index struct {
		Annotations map[string]string `json:"annotations"`
	}
	if err := json.Unmarshal(content, &index); err != nil {
		return referrer.Subject{}, release.Release{}, fmt.Errorf("decode index %s: %w", imageDigest, err)
	}
	r := release.FromLabels(index.Annotations)
	r.Digest, r.Reference = imageDigest, repo.String()+"@"+imageDigest
	return subject, r, nil
}

// read reads the listed artifacts, in the order of the list.
func (c *collected) read(ctx context.Context, repo *referrer.Repository, list []referrer.Listed) error {
	documents := make([]referrer.Artifact, len(list))
	failures := make([]error, len(list))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	for i, l := range list {
		group.Go(func() error {
			documents[i], failures[i] = repo.Read(ctx, c.release.Digest, l.Digest)
			if failures[i] != nil && !errors.Is(failures[i], referrer.ErrBroken) {
				return failures[i]
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for i, l := range list {
		if l.Type == bom.MediaType {
			one := bill{referrer: l.Digest}
			if failures[i] == nil {
				one.digest = digest.FromBytes(documents[i].Content).String()
			}
			c.bills = append(c.bills, one)
			continue
		}
		c.found = append(c.found, c.judge(l, documents[i], failures[i]))
	}
	return nil
}

func (c *collected) judge(l referrer.Listed, document referrer.Artifact, err error) candidate {
	one := candidate{referrer: l.Digest, predicate: l.Annotations[annotationPredicate], err: err}
	if err != nil {
		return one
	}
	signer, says := statement.KeyOf(document.Content)
	one.signer = signer
	if says != "" {
		one.predicate = says
	}
	one.statement, one.err = statement.Open(document.Content, c.release.Digest, c.key)
	return one
}

// has returns nil when there is a statement of a predicate type that is taken
// and fits, else why there is none.
func (c *collected) has(predicateType string, fits func(json.RawMessage) error) error {
	var why error
	for _, one := range c.found {
		if one.predicate != predicateType {
			continue
		}
		err := one.err
		if err == nil {
			err = fits(one.statement.Predicate)
		}
		if err == nil {
			return nil
		}
		if why == nil || one.err == nil { // what our key said is the better explanation
			why = c.refused(one, err)
		}
	}
	if why == nil {
		why = errAbsent
	}
	return why
}

var errAbsent = errors.New("there is none")

// refused puts into words why a bundle is not taken.
func (c *collected) refused(one candidate, err error) error {
	switch {
	case errors.Is(err, key.ErrSignature) && one.signer != c.key.ID():
		return fmt.Errorf("it was signed with another key (%s) than this environment's (%s, %s)", one.signer, c.key.ID(), c.key.Source())
	case errors.Is(err, key.ErrSignature):
		return errors.New("it was changed after it was signed: the signature does not fit")
	case errors.Is(err, statement.ErrMalformed), errors.Is(err, referrer.ErrBroken):
		return fmt.Errorf("it is damaged: %w", err)
	}
	return err
}

// origin is the provenance that the key vouches for and the image's labels
// agree with.
func (c *collected) origin() (provenance.Origin, error) {
	var o provenance.Origin
	err := c.has(statement.Provenance, func(text json.RawMessage) (err error) {
		if o, err = provenance.Read(text); err != nil {
			return err
		}
		return agrees(o, c.release)
	})
	return o, err
}

// agrees compares what provenance says with the image's labels.
func agrees(o provenance.Origin, r release.Release) error {
	for _, fact := range []struct{ what, said, label string }{
		{"service", o.Service, r.Service},
		{"version", o.Version, r.Version},
		{"commit", o.Commit, r.Commit},
		{"inputs", o.Inputs, r.Inputs},
		{"repository", o.URL, r.URL},
		{"dirty flag", strconv.FormatBool(o.Dirty), strconv.FormatBool(r.Dirty)},
	} {
		if fact.said != fact.label {
			return fmt.Errorf("it says %s %q, the image %q", fact.what, fact.said, fact.label)
		}
	}
	return nil
}

// bill is the summary of the SBOM that the key vouches for, that is of this
// image, and that every SBOM attached on its own is equal to.
func (c *collected) bill() (bom.Summary, error) {
	var s bom.Summary
	err := c.has(statement.SBOM, func(text json.RawMessage) (err error) {
		if s, err = bom.Read(text); err != nil {
			return err
		}
		switch {
		case s.Service != c.release.Service || s.Version != c.release.Version:
			return fmt.Errorf("it is of %s %s", s.Service, s.Version)
		case s.Digest != c.release.Digest:
			return fmt.Errorf("it is of image %s", s.Digest)
		}
		signed := digest.FromBytes(text).String()
		for _, b := range c.bills {
			if b.digest != signed {
				return fmt.Errorf("artifact %s is an SBOM that nobody signed", b.referrer)
			}
		}
		return nil
	})
	return s, err
}
