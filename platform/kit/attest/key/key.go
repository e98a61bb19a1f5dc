// Package key holds the keys that releases are signed with: a file on a
// laptop, or any key that sigstore's signature library reaches, such as one in
// a key management service. It does not say what is signed.
package key

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/options"
)

// Key signs and verifies. It is safe for concurrent use.
type Key struct {
	pair   signature.SignerVerifier
	public crypto.PublicKey
	local  signature.Verifier // by the public key, with no one asked
	id     string
	source string
}

// New returns the key of a pair. source names it to people, for example
// awskms:///alias/slipway-signing. The public key is fetched once; what is
// verified later is verified here, not by the service that holds the key.
func New(ctx context.Context, pair signature.SignerVerifier, source string) (*Key, error) {
	public, err := pair.PublicKey(options.WithContext(ctx))
	if err != nil {
		return nil, explain("read public key of "+source, err, "see that the key exists and may be used: "+source)
	}
	local, err := signature.LoadDefaultVerifier(public)
	if err != nil {
		return nil, fmt.Errorf("use public key of %s: %w", source, err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("encode public key of %s: %w", source, err)
	}
	sum := sha256.Sum256(der)
	return &Key{pair: pair, public: public, local: local, id: base64.StdEncoding.EncodeToString(sum[:]), source: source}, nil
}

// ID is the hash of the public key as sigstore's bundles name it: the SHA-256
// of its PKIX form, in base64. It is a hint, not a proof.
func (k *Key) ID() string { return k.id }

// Source says where the key is.
func (k *Key) Source() string { return k.source }

// PublicPEM is the public key in PEM, which cosign verify --key takes.
func (k *Key) PublicPEM() ([]byte, error) {
	text, err := cryptoutils.MarshalPublicKeyToPEM(k.public)
	if err != nil {
		return nil, fmt.Errorf("encode public key of %s: %w", k.source, err)
	}
	return text, nil
}

// Sign signs a message.
func (k *Key) Sign(ctx context.Context, message []byte) ([]byte, error) {
	signed, err := k.pair.SignMessage(bytes.NewReader(message), options.WithContext(ctx))
	if err != nil {
		return nil, explain("sign with "+k.source, err, "see that the key may be used to sign: "+k.source)
	}
	if err := k.Verify(message, signed); err != nil {
		return nil, &Error{What: "sign with " + k.source, Err: err, Do: "use a key for ECDSA on P-256 (in KMS: ECC_NIST_P256, SIGN_VERIFY)"}
	}
	return signed, nil
}

// ErrSignature says that a signature is not that of the key over the message.
var ErrSignature = errors.New("the signature is not that of the key")

// Verify returns nil when signed is the key's signature of the message.
func (k *Key) Verify(message, signed []byte) error {
	if err := k.local.VerifySignature(bytes.NewReader(signed), bytes.NewReader(message)); err != nil {
		return fmt.Errorf("%w: %w", ErrSignature, err)
	}
	return nil
}

// explain adds what to do, unless the error says so itself.
func explain(what string, err error, do string) error {
	if hint, ok := errors.AsType[interface {
		error
		Next() string
	}](err); ok && hint.Next() != "" {
		do = hint.Next()
	}
	return &Error{What: what, Err: err, Do: do}
}

// Error is a failure that somebody can act upon.
type Error struct {
	What string
	Err  error
	Do   string
}

// Error is "what: why".
func (e *Error) Error() string { return e.What + ": " + e.Err.Error() }

// Next is what to do.
func (e *Error) Next() string { return e.Do }

func (e *Error) Unwrap() error { return e.Err }
