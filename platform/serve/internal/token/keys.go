package token

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"github.com/jonboulle/clockwork"
	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"

	"github.com/slipway-dev/slipway/platform/serve/errs"
)

const (
	refreshEvery = 5 * time.Minute  // while the issuer answers
	retryEvery   = 10 * time.Second // while it does not
	fetchTimeout = 5 * time.Second
	fetchWait    = 3 * time.Second // how long a request waits for a fetch
	maxDocument  = 1 << 20         // bytes of a JWK set

	// Tokens with an unknown key cause at most unknownBurst fetches at once and
	// one in unknownEvery after that, whoever sends them.
	unknownEvery = 5 * time.Second
	unknownBurst = 3
)

// KeysConfig says where an issuer's keys are: at URL, or in JSON.
type KeysConfig struct {
	URL   string
	JSON  string
	Log   *slog.Logger
	Clock clockwork.Clock
}

// Keys are an issuer's public keys. They are fetched in the background and when
// a token names one that is not known. When the issuer is out of reach, those
// fetched last stay good.
type Keys struct {
	url    string
	client *http.Client
	log    *slog.Logger
	clock  clockwork.Clock
	limit  *rate.Limiter
	flight singleflight.Group
	set    atomic.Pointer[keySet]

	fetching, failed atomic.Bool // a fetch is under way; the last one failed
}

// keySet is one version of the keys.
type keySet struct {
	text  string // as it was fetched
	funcs keyfunc.Keyfunc
	kids  map[string]bool
}

// sameAs reports whether a token verified with s is as good with other: keys
// that were taken back must not live on in a cache.
func (s *keySet) sameAs(other *keySet) bool { return s == other || s.text == other.text }

// NewKeys returns the keys. Those of a URL are not fetched yet.
func NewKeys(cfg KeysConfig) (*Keys, error) {
	k := &Keys{
		url: cfg.URL, log: cfg.Log, clock: cfg.Clock, limit: rate.NewLimiter(rate.Every(unknownEvery), unknownBurst),
		client: &http.Client{Timeout: fetchTimeout, Transport: &http.Transport{DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment}},
	}
	if cfg.JSON == "" {
		return k, nil
	}
	k.url = ""
	set, err := parse([]byte(cfg.JSON))
	if err != nil {
		return nil, err
	}
	k.set.Store(set)
	return k, nil
}

// Refresh keeps the keys fresh until ctx ends.
func (k *Keys) Refresh(ctx context.Context) {
	if k.url == "" {
		return
	}
	for {
		wait := refreshEvery
		if k.fetch(ctx) != nil {
			wait = retryEvery
		}
		select {
		case <-ctx.Done():
			return
		case <-k.clock.After(wait):
		}
	}
}

func (k *Keys) current() *keySet { return k.set.Load() }

// find is the key, or keys, that a token with the key id and algorithm may be
// signed with.
func (k *Keys) find(ctx context.Context, kid, alg string) (*keySet, any, error) {
	set := k.current()
	if set == nil || !set.knows(kid) {
		k.ask(ctx)
		if set = k.current(); set == nil || (!set.knows(kid) && k.failed.Load()) {
			return nil, nil, errs.New(errs.Unavailable, Unreachable, "access tokens cannot be verified now: the issuer's keys are out of reach").
				After(time.Second)
		}
	}
	header := map[string]any{"alg": alg}
	if kid != "" {
		header["kid"] = kid
	}
	key, err := set.funcs.Keyfunc(&jwt.Token{Header: header})
	return set, key, err //nolint:wrapcheck // explain does
}

// ask fetches the keys unless that was done a moment ago, and waits for it, but
// not long: many requests wait for one fetch, and none is held up by it for ever.
func (k *Keys) ask(ctx context.Context) {
	if k.url == "" {
		return
	}
	if !k.fetching.Load() && !k.limit.AllowN(k.clock.Now(), 1) {
		return
	}
	done := k.flight.DoChan("fetch", func() (any, error) { return nil, k.fetchNow(context.WithoutCancel(ctx)) })
	timeout := k.clock.NewTimer(fetchWait)
	defer timeout.Stop()
	select {
	case <-done:
	case <-ctx.Done():
	case <-timeout.Chan():
	}
}

// fetch joins a fetch under way, or makes one.
func (k *Keys) fetch(ctx context.Context) error {
	_, err, _ := k.flight.Do("fetch", func() (any, error) { return nil, k.fetchNow(ctx) })
	return err //nolint:wrapcheck // our own
}

func (k *Keys) fetchNow(ctx context.Context) error {
	k.fetching.Store(true)
	defer k.fetching.Store(false)
	set, err := k.download(ctx)
	if err != nil {
		if !k.failed.Swap(true) && ctx.Err() == nil {
			k.log.LogAttrs(ctx, slog.LevelWarn, "token keys are out of reach",
				slog.String("url", k.url), slog.Bool("have_older", k.current() != nil), slog.Any("error", err))
		}
		return err
	}
	if old := k.set.Swap(set); old == nil || old.text != set.text {
		k.log.LogAttrs(ctx, slog.LevelInfo, "token keys", slog.String("url", k.url), slog.Int("keys", len(set.kids)))
	}
	k.failed.Store(false)
	return nil
}

func (k *Keys) download(ctx context.Context) (*keySet, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("fetch keys: %w", err)
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := k.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("fetch keys: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetch keys: %s answers %s", k.url, resp.Status)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument))
	if err != nil {
		return nil, fmt.Errorf("fetch keys: %w", err)
	}
	set, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("fetch keys: %s: %w", k.url, err)
	}
	return set, nil
}

// knows reports whether the set holds the key; a token without a key id is tried
// with every key.
func (s *keySet) knows(kid string) bool { return kid == "" || s.kids[kid] }

// parse reads a JWK set. Keys it cannot use are passed over (RFC 7517, section
// 5): those of unknown types, for encryption, and above all shared secrets.
func parse(text []byte) (*keySet, error) {
	var document jwkset.JWKSMarshal
	if err := json.Unmarshal(text, &document); err != nil {
		return nil, errors.New("not a JSON Web Key set")
	}
	ctx := context.Background()
	storage := jwkset.NewMemoryStorage()
	set := &keySet{text: string(text), kids: make(map[string]bool)}
	for _, m := range document.Keys {
		m.X5U = "" // a document must not make us fetch from elsewhere
		jwk, err := jwkset.NewJWKFromMarshal(m, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
		if err != nil || !verifies(jwk.Key()) || m.USE == jwkset.UseEnc {
			continue
		}
		if err := storage.KeyWrite(ctx, jwk); err != nil {
			return nil, fmt.Errorf("keep key %s: %w", m.KID, err)
		}
		set.kids[m.KID] = true
	}
	if len(set.kids) == 0 {
		return nil, errors.New("the JSON Web Key set holds no public key for signatures")
	}
	var err error
	if set.funcs, err = keyfunc.New(keyfunc.Options{Ctx: ctx, Storage: storage}); err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	return set, nil
}

// verifies reports whether the key is a public one, of RSA, an elliptic curve or
// Ed25519.
func verifies(key any) bool {
	_, ok := key.(interface{ Equal(x crypto.PublicKey) bool })
	return ok
}
