package attest

import (
	"context"
	"encoding/json"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/slipway-dev/slipway/platform/kit/attest/bom"
	"github.com/slipway-dev/slipway/platform/kit/attest/provenance"
	"github.com/slipway-dev/slipway/platform/kit/attest/referrer"
	"github.com/slipway-dev/slipway/platform/kit/attest/statement"
	"github.com/slipway-dev/slipway/platform/kit/release"
)

// Pending is evidence that has been made and stored, and is yet to be attached
// to its image.
type Pending struct {
	repository *referrer.Repository
	artifacts  []referrer.Artifact
}

// Prepare makes the evidence of a release that is being pushed and stores all
// but the manifests, so it can go on beside the push. What is attached to the
// image already is not made again.
func (s *Store) Prepare(ctx context.Context, repository string, r release.Release, binaries []bom.Binary) (*Pending, error) {
	repo, err := s.Repository(ctx, repository)
	if err != nil {
		return nil, err
	}
	k, err := s.Key(ctx)
	if err != nil {
		return nil, err
	}
	list, err := repo.List(ctx, r.Digest)
	if err != nil {
		return nil, err
	}
	made, err := evidenceOf(repo, r, binaries, s.cfg.Builder)
	if err != nil {
		return nil, err
	}
	p := &Pending{repository: repo}
	if p.artifacts, err = made.artifacts(ctx, k, list); err != nil {
		return nil, err
	}
	if len(p.artifacts) == 0 {
		return p, nil
	}
	return p, repo.Upload(ctx, p.artifacts...)
}

// Attach attaches what was prepared to the image, which is there by now, and
// returns how many artifacts were added.
func (p *Pending) Attach(ctx context.Context, to referrer.Subject) (int, error) {
	_, err := p.repository.Attach(ctx, to, p.artifacts...)
	return len(p.artifacts), err
}

// evidence is what there is to say of a release.
type evidence struct {
	bill       []byte
	statements []encoded
}

type encoded struct {
	predicateType string
	text          []byte
}

// evidenceOf writes the statements, the same for the same release each time.
func evidenceOf(repo *referrer.Repository, r release.Release, binaries []bom.Binary, builder string) (evidence, error) {
	bill, err := bom.Write(bom.Release{
		Service: r.Service, Version: r.Version, Repository: repo.Name(), Digest: r.Digest, Binaries: binaries,
	})
	if err != nil {
		return evidence{}, err
	}
	built := make([]provenance.Binary, 0, len(binaries))
	for _, b := range binaries {
		built = append(built, provenance.Binary{Platform: b.Platform, Info: b.Info})
	}
	origin, err := provenance.Write(provenance.Release{
		Service: r.Service, Version: r.Version, Commit: r.Commit, Dirty: r.Dirty, Inputs: r.Inputs, URL: r.URL,
		Builder: builder, Bill: digest.FromBytes(bill).String(), Binaries: built,
	})
	if err != nil {
		return evidence{}, err
	}
	e := evidence{bill: bill}
	image := Image{Repository: repo, Digest: r.Digest}
	for _, a := range []Attestation{
		{PredicateType: statement.Signature, Predicate: struct{}{}},
		{PredicateType: statement.Provenance, Predicate: origin},
		{PredicateType: statement.SBOM, Predicate: json.RawMessage(bill)},
	} {
		text, err := encode(image, a)
		if err != nil {
			return evidence{}, err
		}
		e.statements = append(e.statements, encoded{predicateType: a.PredicateType, text: text})
	}
	return e, nil
}

// artifacts signs the statements that the list lacks, at once: a key management
// service takes a round trip for each.
func (e evidence) artifacts(ctx context.Context, by Signer, list []referrer.Listed) ([]referrer.Artifact, error) {
	var mu sync.Mutex
	var made []referrer.Artifact
	group, ctx := errgroup.WithContext(ctx)
	for _, one := range e.statements {
		if attached(list, statement.MediaType, one.text, by.ID()) {
			continue
		}
		group.Go(func() error {
			artifact, err := sign(ctx, one.predicateType, one.text, by)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			made = append(made, artifact)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if attached(list, bom.MediaType, e.bill, "") {
		return made, nil
	}
	return append(slices.Clip(made), referrer.Artifact{
		Type: bom.MediaType, Content: e.bill,
		Annotations: map[string]string{annotationStatement: digest.FromBytes(e.bill).String()},
	}), nil
}
