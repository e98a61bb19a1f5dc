package awsx

import (
	"context"
	"crypto"
	"io"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/sigstore/sigstore/pkg/signature"
	kms "github.com/sigstore/sigstore/pkg/signature/kms/aws"
)

// KeyPrefix is how a reference to a key in AWS KMS begins.
const KeyPrefix = kms.ReferenceScheme

// SigningKey returns a key of AWS KMS by its reference, awskms:///ALIAS, ID or
// ARN; with a host between the slashes that host is asked instead of AWS. The
// private half never leaves KMS: each signature is a call of kms:Sign.
func (c *Client) SigningKey(ctx context.Context, reference string) (signature.SignerVerifier, error) {
	options := []func(*config.LoadOptions) error{config.WithRegion(c.cfg.Region)}
	if c.cfg.Endpoint != "" && !c.cfg.Local { // the embedded cluster has no KMS
		options = append(options, config.WithBaseEndpoint(c.cfg.Endpoint))
	}
	pair, err := kms.LoadSignerVerifier(ctx, reference, options...)
	if err != nil {
		return nil, c.wrap("open signing key "+reference, err)
	}
	return explained{SignerVerifier: pair, client: c, reference: reference}, nil
}

// explained puts the errors of a key into words.
type explained struct {
	signature.SignerVerifier

	client    *Client
	reference string
}

// PublicKey fetches the public half.
func (e explained) PublicKey(opts ...signature.PublicKeyOption) (crypto.PublicKey, error) {
	public, err := e.SignerVerifier.PublicKey(opts...)
	if err != nil {
		return nil, e.client.wrap("read signing key "+e.reference, err)
	}
	return public, nil
}

// SignMessage has KMS sign the digest of a message.
func (e explained) SignMessage(message io.Reader, opts ...signature.SignOption) ([]byte, error) {
	signed, err := e.SignerVerifier.SignMessage(message, opts...)
	if err != nil {
		return nil, e.client.wrap("use signing key "+e.reference, err)
	}
	return signed, nil
}
