// Package statement makes and reads signed statements about images: in-toto
// statements (v1) in DSSE envelopes in sigstore bundles (v0.3), signed by a key
// that the bundle names but does not hold, with no transparency log. Any client
// of sigstore that is given the public key can read them. Whether what a
// statement says is true is not known here.
package statement

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	bundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	common "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	"google.golang.org/protobuf/encoding/protojson"
)

// MediaType is that of the bundles, and their artifact type in a registry.
const MediaType = "application/vnd.dev.sigstore.bundle.v0.3+json"

const (
	payloadType   = "application/vnd.in-toto+json"
	statementType = "https://in-toto.io/Statement/v1"
)

// The predicate types that are known of.
const (
	Signature       = "https://sigstore.dev/cosign/sign/v1" // what cosign sign writes: the digest alone
	Provenance      = "https://slsa.dev/provenance/v1"
	SBOM            = "https://cyclonedx.org/bom"
	Vulnerabilities = "https://in-toto.io/attestation/vulns/v0.1"
)

// Statement says something about an image.
type Statement struct {
	Name          string // of the image's repository; for people
	Digest        string // of the image, sha256:...
	PredicateType string
	Predicate     json.RawMessage
	Text          []byte // the statement as it was signed; set by Open
}

type subject struct {
	Name   string            `json:"name,omitempty"`
	Digest map[string]string `json:"digest"`
}

// document is the statement as in-toto's specification has it.
type document struct {
	Type          string          `json:"_type"`
	Subject       []subject       `json:"subject"`
	PredicateType string          `json:"predicateType"`
	Predicate     json.RawMessage `json:"predicate"`
}

const algorithm = "sha256"

// Encode returns the statement's JSON, the same each time.
func (s Statement) Encode() ([]byte, error) {
	hex, ok := strings.CutPrefix(s.Digest, algorithm+":")
	if !ok {
		return nil, fmt.Errorf("encode statement: digest %q is no %s", s.Digest, algorithm)
	}
	text, err := json.Marshal(document{
		Type: statementType, Subject: []subject{{Name: s.Name, Digest: map[string]string{algorithm: hex}}},
		PredicateType: s.PredicateType, Predicate: s.Predicate,
	})
	if err != nil {
		return nil, fmt.Errorf("encode statement: %w", err)
	}
	return text, nil
}

// Signer signs messages; a key does.
type Signer interface {
	Sign(ctx context.Context, message []byte) ([]byte, error)
	ID() string
}

// Verifier verifies signatures; a key does.
type Verifier interface {
	Verify(message, signed []byte) error
}

// Sign returns the bundle of an encoded statement.
func Sign(ctx context.Context, encoded []byte, by Signer) ([]byte, error) {
	signed, err := by.Sign(ctx, preAuth(encoded))
	if err != nil {
		return nil, err
	}
	text, err := protojson.Marshal(&bundle.Bundle{
		MediaType: MediaType,
		VerificationMaterial: &bundle.VerificationMaterial{
			Content: &bundle.VerificationMaterial_PublicKey{PublicKey: &common.PublicKeyIdentifier{Hint: by.ID()}},
		},
		Content: &bundle.Bundle_DsseEnvelope{DsseEnvelope: &dsse.Envelope{
			Payload: encoded, PayloadType: payloadType,
			Signatures: []*dsse.Signature{{Sig: signed}},
		}},
	})
	if err != nil {
		return nil, fmt.Errorf("encode bundle: %w", err)
	}
	var compact bytes.Buffer // protojson varies its spaces on purpose
	if err := json.Compact(&compact, text); err != nil {
		return nil, fmt.Errorf("encode bundle: %w", err)
	}
	return compact.Bytes(), nil
}

// preAuth is what is signed of a payload (DSSE protocol 1.0, "PAE").
func preAuth(payload []byte) []byte {
	return fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(payloadType), payloadType, len(payload), payload)
}

// ErrMalformed says that a text is no bundle of one signed statement.
var ErrMalformed = errors.New("not a bundle of one signed statement")

// Open returns the statement in a bundle when the verifier's key has signed it
// and it is about the image of the digest. Nothing of a bundle that was not
// verified is returned, but KeyOf.
func Open(text []byte, digest string, by Verifier) (Statement, error) {
	envelope, _, err := parse(text)
	if err != nil {
		return Statement{}, err
	}
	if err := by.Verify(preAuth(envelope.GetPayload()), envelope.GetSignatures()[0].GetSig()); err != nil {
		return Statement{}, err
	}
	var d document
	if err := json.Unmarshal(envelope.GetPayload(), &d); err != nil {
		return Statement{}, fmt.Errorf("decode statement: %w: %w", err, ErrMalformed)
	}
	if d.Type != statementType {
		return Statement{}, fmt.Errorf("statement has type %q: %w", d.Type, ErrMalformed)
	}
	for _, s := range d.Subject {
		if is := algorithm + ":" + s.Digest[algorithm]; is == digest {
			return Statement{Name: s.Name, Digest: is, PredicateType: d.PredicateType, Predicate: d.Predicate, Text: envelope.GetPayload()}, nil
		}
	}
	return Statement{}, &SubjectError{Want: digest, Have: firstDigest(d.Subject)}
}

func firstDigest(of []subject) string {
	if len(of) == 0 {
		return "nothing"
	}
	return algorithm + ":" + of[0].Digest[algorithm]
}

// SubjectError says that a statement is about another image.
type SubjectError struct{ Want, Have string }

// Error names both images.
func (e *SubjectError) Error() string {
	return fmt.Sprintf("it was signed for %s, not for %s", e.Have, e.Want)
}

// KeyOf returns the id of the key that a bundle says it was signed with, and
// the predicate type that it says it has. Neither is verified: they are for
// explaining why a bundle was not taken.
func KeyOf(text []byte) (id, predicateType string) {
	envelope, hint, err := parse(text)
	if err != nil {
		return "", ""
	}
	var d document
	if json.Unmarshal(envelope.GetPayload(), &d) != nil {
		return hint, ""
	}
	return hint, d.PredicateType
}

func parse(text []byte) (*dsse.Envelope, string, error) {
	var b bundle.Bundle
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(text, &b); err != nil {
		return nil, "", fmt.Errorf("decode bundle: %w: %w", err, ErrMalformed)
	}
	envelope := b.GetDsseEnvelope()
	switch {
	case b.GetMediaType() != MediaType:
		return nil, "", fmt.Errorf("bundle has media type %q: %w", b.GetMediaType(), ErrMalformed)
	case envelope.GetPayloadType() != payloadType:
		return nil, "", fmt.Errorf("bundle holds %q: %w", envelope.GetPayloadType(), ErrMalformed)
	case len(envelope.GetSignatures()) != 1:
		return nil, "", fmt.Errorf("bundle has %d signatures: %w", len(envelope.GetSignatures()), ErrMalformed)
	}
	return envelope, b.GetVerificationMaterial().GetPublicKey().GetHint(), nil
}
