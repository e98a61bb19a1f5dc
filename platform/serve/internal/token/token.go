// Package token verifies access tokens: JSON Web Tokens (RFC 7519) signed by an
// issuer whose keys are a JWK set (RFC 7517), as OAuth 2.0 servers hand them out
// (RFC 9068).
package token

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/jonboulle/clockwork"

	"github.com/slipway-dev/slipway/platform/serve/auth"
	"github.com/slipway-dev/slipway/platform/serve/errs"
)

const (
	// cacheSize is how many verified tokens are remembered, at some 300 bytes.
	cacheSize = 8192
	// leeway is how far the issuer's clock may be from ours.
	leeway = 10 * time.Second
	// maxLength is how long a token may be, in bytes.
	maxLength = 16 << 10
)

// algorithms are the signatures that are accepted (RFC 7518, RFC 8037): those
// with a public key, so that no verifier can sign. "none" and HS* are not here,
// which also keeps a public key from being taken for a shared secret (RFC 8725,
// section 2.1).
func algorithms() []string {
	return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
}

// Config says which tokens are good.
type Config struct {
	Issuer   string // the claim "iss"
	Audience string // a value of the claim "aud"
	Keys     *Keys
	Clock    clockwork.Clock
}

// Verifier verifies tokens and remembers those it found good, so that each is
// verified once.
type Verifier struct {
	keys   *Keys
	clock  clockwork.Clock
	parser *jwt.Parser
	cache  *lru.Cache[[sha256.Size]byte, *verified]
}

// verified is a good token.
type verified struct {
	principal auth.Principal
	expires   time.Time
	keys      *keySet // that it was verified with
}

// NewVerifier makes a verifier. Its error is a mistake in this package.
func NewVerifier(cfg Config) (*Verifier, error) {
	cache, err := lru.New[[sha256.Size]byte, *verified](cacheSize)
	if err != nil {
		return nil, err //nolint:wrapcheck // a size of 0 or less
	}
	return &Verifier{
		keys: cfg.Keys, clock: cfg.Clock, cache: cache,
		parser: jwt.NewParser(
			jwt.WithValidMethods(algorithms()), jwt.WithIssuer(cfg.Issuer), jwt.WithAudience(cfg.Audience),
			jwt.WithExpirationRequired(), jwt.WithLeeway(leeway), jwt.WithTimeFunc(cfg.Clock.Now), jwt.WithStrictDecoding()),
	}, nil
}

// Bearer verifies the values of the header Authorization and returns the caller,
// who is read only. Its error is an errs.Unauthenticated that says what is wrong
// with the token, or an errs.Unavailable if the issuer's keys cannot be had.
func (v *Verifier) Bearer(ctx context.Context, authorization []string) (*auth.Principal, error) {
	switch {
	case len(authorization) == 0:
		return nil, refuse(Missing, "the request has no access token")
	case len(authorization) > 1:
		return nil, refuse(Malformed, "the request has more than one header Authorization")
	}
	scheme, raw, ok := strings.Cut(authorization[0], " ")
	raw = strings.TrimSpace(raw)
	if !ok || raw == "" || !strings.EqualFold(scheme, "Bearer") {
		return nil, refuse(Malformed, "the header Authorization is not of the form: Bearer TOKEN")
	}
	if len(raw) > maxLength {
		return nil, refuse(Malformed, "the access token is too long")
	}
	return v.verify(ctx, raw)
}

func (v *Verifier) verify(ctx context.Context, raw string) (*auth.Principal, error) {
	key := sha256.Sum256([]byte(raw))
	if known, ok := v.cache.Get(key); ok {
		if v.clock.Now().Before(known.expires) && known.keys.sameAs(v.keys.current()) {
			return &known.principal, nil
		}
		v.cache.Remove(key)
	}
	var c claims
	var used *keySet
	_, err := v.parser.ParseWithClaims(raw, &c, func(t *jwt.Token) (any, error) {
		if _, ok := t.Header["crit"]; ok { // RFC 7515, section 4.1.11: not understood, so not accepted
			return nil, refuse(Invalid, "the access token asks for an extension that is not supported")
		}
		kid, _ := t.Header["kid"].(string)
		set, found, err := v.keys.find(ctx, kid, t.Method.Alg())
		used = set
		return found, err
	})
	if err != nil {
		return nil, explain(err)
	}
	known := &verified{principal: c.principal(), expires: c.ExpiresAt.Add(leeway), keys: used}
	v.cache.Add(key, known)
	return &known.principal, nil
}

// claims are those of an access token (RFC 9068, section 2.2).
type claims struct {
	jwt.RegisteredClaims

	ClientID string `json:"client_id"`
	Scope    string `json:"scope"`
}

func (c *claims) principal() auth.Principal {
	scopes := strings.Fields(c.Scope)
	slices.Sort(scopes)
	return auth.Principal{Subject: c.Subject, ClientID: c.ClientID, Scopes: slices.Compact(scopes)}
}

// The reasons of refusals.
const (
	Missing     = "TOKEN_MISSING"
	Malformed   = "TOKEN_MALFORMED"
	Expired     = "TOKEN_EXPIRED"
	Invalid     = "TOKEN_INVALID"
	Unreachable = "TOKEN_KEYS_UNAVAILABLE"
)

func refuse(reason, message string) *errs.Error {
	return errs.New(errs.Unauthenticated, reason, message)
}

// explain says what is wrong with a token, in words that help its owner and
// hold nothing of it.
func explain(err error) error {
	if e, ok := errors.AsType[*errs.Error](err); ok {
		return e
	}
	reason, message := Invalid, "the access token is not valid"
	switch {
	case errors.Is(err, jwt.ErrTokenMalformed):
		reason, message = Malformed, "the access token is not a JSON Web Token"
	case errors.Is(err, jwt.ErrTokenExpired):
		reason, message = Expired, "the access token has expired"
	case errors.Is(err, jwt.ErrTokenNotValidYet):
		message = "the access token is not valid yet"
	case errors.Is(err, jwt.ErrTokenInvalidAudience):
		message = "the access token is for another audience"
	case errors.Is(err, jwt.ErrTokenInvalidIssuer):
		message = "the access token is from another issuer"
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		message = "the access token lacks a claim"
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		message = "the access token's signature is not valid"
	}
	return errs.Wrap(err, errs.Unauthenticated, reason, message)
}
