// Package issuer is the embedded cluster's token issuer, so that nothing about
// authentication is switched off at home: an OAuth 2.0 token endpoint for
// services that call others (client credentials, RFC 6749 section 4.4), the
// public keys (RFC 7517) and a discovery document. It has no users and no login
// page; a developer's token is minted by the cluster's administration.
package issuer

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/jonboulle/clockwork"
)

// Store keeps keys and clients between runs.
type Store interface {
	// Put writes v as JSON.
	Put(key string, v any) error
	// List calls fn for every key that begins with prefix, in key order.
	List(prefix string, fn func(key string, raw []byte) error) error
}

// Secrets reads the secrets of clients.
type Secrets interface {
	// Resolve returns the value of what an ECS secret names in valueFrom.
	Resolve(ctx context.Context, valueFrom string) (string, error)
}

// Config says what an Issuer needs.
type Config struct {
	// URL is the issuer's name and the base of its addresses, such as
	// http://127.0.0.1:4510/issuer.
	URL     string
	Store   Store
	Secrets Secrets
	Clock   clockwork.Clock // nil takes the real one
	Logger  *slog.Logger    // nil discards
}

// Client is a service that may ask for tokens in its own name.
type Client struct {
	// ID is the service's name.
	ID string `json:"id"`
	// Secret is the ARN of the secret that the service shows.
	Secret string `json:"secret"`
	// Callees are the services whose scopes it may have: those that begin with
	// a callee's name and a dot.
	Callees []string `json:"callees"`
}

// Setup is what the owner of the environment decides.
type Setup struct {
	// Audience is the aud claim of tokens that name no other.
	Audience string   `json:"audience"`
	Clients  []Client `json:"clients"`
}

// Request asks for a token.
type Request struct {
	Subject string `json:"subject"`
	// ClientID is the client that the token is for; empty for a person.
	ClientID string `json:"client_id,omitempty"`
	// Audience is the environment's when empty.
	Audience string   `json:"audience,omitempty"`
	Scopes   []string `json:"scopes"`
	// Lifetime is at most MaxLifetime; 0 takes an hour.
	Lifetime time.Duration `json:"lifetime,omitempty"`
}

// Token is an access token (RFC 9068).
type Token struct {
	Value   string    `json:"token"`
	Subject string    `json:"subject"`
	Expires time.Time `json:"expires"`
	// Audience and Scopes are what the token says.
	Audience string   `json:"audience"`
	Scopes   []string `json:"scopes"`
}

// MaxLifetime is how long a token may live at most: as long as a key that no
// longer signs is still told.
const MaxLifetime = keyLifetime

// serviceLifetime is that of a service's token, and of any that names none.
const serviceLifetime = time.Hour

// Issuer issues tokens. Its methods may be called by many at once.
type Issuer struct {
	cfg Config

	mu    sync.Mutex
	keys  []key // newest first; the first one signs
	setup Setup
}

// New returns an issuer with the keys and clients its store kept, or with a
// first key.
func New(cfg Config) (*Issuer, error) {
	if cfg.URL == "" || cfg.Store == nil || cfg.Secrets == nil {
		return nil, errors.New("issuer: URL, Store and Secrets must be set")
	}
	if cfg.Clock == nil {
		cfg.Clock = clockwork.NewRealClock()
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	i := &Issuer{cfg: cfg}
	if err := i.load(); err != nil {
		return nil, fmt.Errorf("load issuer: %w", err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if _, err := i.signingKey(); err != nil {
		return nil, err
	}
	return i, nil
}

// Keys in the store.
const (
	keysKey  = "keys"
	setupKey = "setup"
)

func (i *Issuer) load() error {
	return i.cfg.Store.List("", func(name string, raw []byte) (err error) {
		switch name {
		case keysKey:
			i.keys, err = decodeKeys(raw)
		case setupKey:
			err = json.Unmarshal(raw, &i.setup)
		}
		if err != nil {
			return fmt.Errorf("decode %s: %w", name, err)
		}
		return nil
	})
}

// Configure replaces audience and clients.
func (i *Issuer) Configure(setup Setup) error {
	if setup.Audience == "" {
		return errors.New("configure issuer: the audience is empty")
	}
	for _, c := range setup.Clients {
		if c.ID == "" || c.Secret == "" {
			return fmt.Errorf("configure issuer: client %q needs an id and a secret", c.ID)
		}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if err := i.cfg.Store.Put(setupKey, setup); err != nil {
		return fmt.Errorf("keep issuer's clients: %w", err)
	}
	i.setup = setup
	return nil
}

// client returns a client by its id.
func (i *Issuer) client(id string) (Client, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	at := slices.IndexFunc(i.setup.Clients, func(c Client) bool { return c.ID == id })
	if at < 0 {
		return Client{}, false
	}
	return i.setup.Clients[at], true
}

// claims of an access token: RFC 9068, with scope as in RFC 8693 section 4.2.
type claims struct {
	jwt.RegisteredClaims

	ClientID string `json:"client_id"`
	Scope    string `json:"scope"`
}

// Mint issues a token.
func (i *Issuer) Mint(req Request) (Token, error) {
	if err := req.validate(); err != nil {
		return Token{}, fmt.Errorf("mint token: %w", err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	audience := cmp.Or(req.Audience, i.setup.Audience)
	if audience == "" {
		return Token{}, errors.New("mint token: no audience is given and the environment has none yet")
	}
	signer, err := i.signingKey()
	if err != nil {
		return Token{}, fmt.Errorf("mint token: %w", err)
	}
	now := i.cfg.Clock.Now()
	expires := now.Add(cmp.Or(req.Lifetime, serviceLifetime)).Truncate(time.Second)
	token := jwt.NewWithClaims(jwt.SigningMethodES256, claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: i.cfg.URL, Subject: req.Subject, Audience: jwt.ClaimStrings{audience},
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(expires), ID: rand.Text(),
		},
		ClientID: cmp.Or(req.ClientID, req.Subject),
		Scope:    strings.Join(req.Scopes, " "),
	})
	token.Header["kid"], token.Header["typ"] = signer.id, "at+jwt"
	signed, err := token.SignedString(signer.private)
	if err != nil {
		return Token{}, fmt.Errorf("sign token: %w", err)
	}
	return Token{Value: signed, Subject: req.Subject, Expires: expires.UTC(), Audience: audience, Scopes: req.Scopes}, nil
}

func (r Request) validate() error {
	switch {
	case r.Subject == "":
		return errors.New("the subject is empty")
	case len(r.Scopes) == 0:
		return errors.New("no scope is given")
	case r.Lifetime < 0 || r.Lifetime > MaxLifetime:
		return fmt.Errorf("a lifetime of %s is not from 1s to %s", r.Lifetime, MaxLifetime)
	case r.Lifetime > 0 && r.Lifetime < time.Second:
		return fmt.Errorf("a lifetime of %s is less than a second", r.Lifetime)
	}
	for _, s := range r.Scopes {
		if !wellFormed(s) {
			return fmt.Errorf("%q is no scope: it must be printable ASCII without spaces, quotes and backslashes", s)
		}
	}
	return nil
}

// wellFormed reports whether s is a scope-token (RFC 6749 section 3.3).
func wellFormed(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return s != ""
}
