package attest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/slipway-dev/slipway/platform/kit/attest/key"
	"github.com/slipway-dev/slipway/platform/kit/attest/referrer"
	"github.com/slipway-dev/slipway/platform/kit/attest/statement"
)

// Signer signs statements; [key.Key] does.
type Signer = statement.Signer

// Verifier verifies what a Signer signed; [key.Key] does.
type Verifier = statement.Verifier

var (
	_ Signer   = (*key.Key)(nil)
	_ Verifier = (*key.Key)(nil)
)

// Image is an image in a registry.
type Image struct {
	Repository *referrer.Repository
	Digest     string // of the index: sha256:...
}

// Attestation is something to say about an image.
type Attestation struct {
	PredicateType string
	Predicate     any // encoded as JSON; json.RawMessage is taken as it is
}

// Verified is a statement that the key has signed, about the image asked for.
type Verified struct {
	PredicateType string
	Predicate     json.RawMessage
	Referrer      string // digest of the artifact that holds it
}

// The annotations of a bundle. The first two are those that cosign writes and
// selects by; the others tell what need not be attached again.
const (
	annotationContent   = "dev.sigstore.bundle.content"
	annotationPredicate = "dev.sigstore.bundle.predicateType"
	annotationStatement = "dev.slipway.statement" // digest of the statement
	annotationKey       = "dev.slipway.key"       // id of the key
)

// Attach signs a statement about the image and attaches it. The same statement
// by the same key is attached once: doing it again changes nothing.
func Attach(ctx context.Context, to Image, a Attestation, by Signer) error {
	text, err := encode(to, a)
	if err != nil {
		return err
	}
	list, err := to.Repository.List(ctx, to.Digest)
	if err != nil {
		return err
	}
	if attached(list, statement.MediaType, text, by.ID()) {
		return nil
	}
	subject, _, err := to.Repository.Manifest(ctx, to.Digest)
	if err != nil {
		return err
	}
	artifact, err := sign(ctx, a.PredicateType, text, by)
	if err != nil {
		return err
	}
	if err := to.Repository.Upload(ctx, artifact); err != nil {
		return err
	}
	_, err = to.Repository.Attach(ctx, subject, artifact)
	return err
}

// encode returns the statement's text.
func encode(about Image, a Attestation) ([]byte, error) {
	predicate, err := json.Marshal(a.Predicate)
	if err != nil {
		return nil, fmt.Errorf("encode predicate %s: %w", a.PredicateType, err)
	}
	return statement.Statement{
		Name: about.Repository.Name(), Digest: about.Digest, PredicateType: a.PredicateType, Predicate: predicate,
	}.Encode()
}

// sign makes the artifact of a statement.
func sign(ctx context.Context, predicateType string, text []byte, by Signer) (referrer.Artifact, error) {
	bundle, err := statement.Sign(ctx, text, by)
	if err != nil {
		return referrer.Artifact{}, err
	}
	return referrer.Artifact{Type: statement.MediaType, Content: bundle, Annotations: map[string]string{
		annotationContent: "dsse-envelope", annotationPredicate: predicateType,
		annotationStatement: digest.FromBytes(text).String(), annotationKey: by.ID(),
	}}, nil
}

// attached tells whether the list has an artifact made of a text, signed by the
// key of the id, as far as annotations can tell.
func attached(list []referrer.Listed, artifactType string, text []byte, id string) bool {
	want := digest.FromBytes(text).String()
	for _, l := range list {
		if l.Type == artifactType && l.Annotations[annotationStatement] == want && l.Annotations[annotationKey] == id {
			return true
		}
	}
	return false
}

// Find returns what the key has signed about the image with the given predicate
// type; none, with no error, when there is nothing. What somebody else signed,
// or what is damaged, is passed over.
func Find(ctx context.Context, about Image, predicateType string, by Verifier) ([]Verified, error) {
	list, err := about.Repository.List(ctx, about.Digest)
	if err != nil {
		return nil, err
	}
	var found []Verified
	for _, l := range list {
		if !mayBe(l, predicateType) {
			continue
		}
		artifact, err := about.Repository.Read(ctx, about.Digest, l.Digest)
		if errors.Is(err, referrer.ErrBroken) {
			continue
		}
		if err != nil {
			return nil, err
		}
		s, err := statement.Open(artifact.Content, about.Digest, by)
		if err == nil && s.PredicateType == predicateType {
			found = append(found, Verified{PredicateType: predicateType, Predicate: s.Predicate, Referrer: l.Digest})
		}
	}
	return found, nil
}

// mayBe tells whether a listed artifact can be a bundle of that predicate type.
func mayBe(l referrer.Listed, predicateType string) bool {
	says := l.Annotations[annotationPredicate]
	return l.Type == statement.MediaType && (says == "" || says == predicateType)
}
