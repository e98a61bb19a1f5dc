package attest

import (
	"bytes"
	"context"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/slipway-dev/slipway/platform/kit/attest/bom"
	"github.com/slipway-dev/slipway/platform/kit/attest/provenance"
	"github.com/slipway-dev/slipway/platform/kit/attest/referrer"
	"github.com/slipway-dev/slipway/platform/kit/attest/statement"
)

// Signed says what Sign did.
type Signed struct {
	Added   int `json:"added"`   // artifacts that were attached
	Removed int `json:"removed"` // SBOMs on their own that were not the signed one
}

// Sign gives an image that is in the registry the evidence that it lacks, of
// what its labels and its binaries say. It does not take annotations at their
// word, as a build does: what does not verify is made again.
func (s *Store) Sign(ctx context.Context, repository, service, imageDigest string) (Signed, error) {
	c, err := s.collect(ctx, repository, imageDigest)
	if err != nil {
		return Signed{}, err
	}
	if c.release.Service != service {
		return Signed{}, fmt.Errorf("sign %s@%s: the image says that it is of service %s, not of %s", repository, imageDigest, quoted(c.release.Service), service)
	}
	repo, err := s.Repository(ctx, repository)
	if err != nil {
		return Signed{}, err
	}
	binaries, err := binariesOf(ctx, repo, service, imageDigest)
	if err != nil {
		return Signed{}, err
	}
	made, err := evidenceOf(repo, c.release, binaries, provenance.BuilderUnknown)
	if err != nil {
		return Signed{}, err
	}
	p := &Pending{repository: repo}
	if p.artifacts, err = made.artifacts(ctx, c.key, c.sound(made)); err != nil {
		return Signed{}, err
	}
	var done Signed
	right := digest.FromBytes(made.bill).String()
	for _, b := range c.bills {
		if b.digest != right {
			if err := repo.Delete(ctx, b.referrer); err != nil {
				return done, err
			}
			done.Removed++
		}
	}
	if len(p.artifacts) == 0 {
		return done, nil
	}
	if err := repo.Upload(ctx, p.artifacts...); err != nil {
		return done, err
	}
	done.Added, err = p.Attach(ctx, c.subject)
	return done, err
}

// sound lists those of the image's artifacts that need not be made again, as if
// a registry had listed them with true annotations.
func (c *collected) sound(made evidence) []referrer.Listed {
	var list []referrer.Listed
	_, origin := c.origin()
	for _, one := range made.statements {
		signed := one.predicateType == statement.Provenance && origin == nil // may name another builder
		for _, f := range c.found {
			signed = signed || f.err == nil && bytes.Equal(f.statement.Text, one.text)
		}
		if signed {
			list = append(list, referrer.Listed{Type: statement.MediaType, Annotations: map[string]string{
				annotationStatement: digest.FromBytes(one.text).String(), annotationKey: c.key.ID(),
			}})
		}
	}
	right := digest.FromBytes(made.bill).String()
	for _, b := range c.bills {
		if b.digest == right {
			list = append(list, referrer.Listed{Type: bom.MediaType, Annotations: map[string]string{annotationStatement: right}})
		}
	}
	return list
}
