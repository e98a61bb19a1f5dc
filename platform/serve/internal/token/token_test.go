package token

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
	"github.com/jonboulle/clockwork"
	"go.uber.org/goleak"

	"github.com/slipway-dev/slipway/platform/serve/errs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is an issuer with a key server, and a verifier that trusts it.
type bench struct {
	clock    *clockwork.FakeClock
	keys     *Keys
	verifier *Verifier
	signers  map[string]*ecdsa.PrivateKey
	document atomic.Pointer[[]byte]
	down     atomic.Bool
	fetches  atomic.Int64
}

func newBench(tb testing.TB, kids ...string) *bench {
	tb.Helper()
	b := &bench{clock: clockwork.NewFakeClockAt(time.Now()), signers: make(map[string]*ecdsa.PrivateKey)}
	b.publish(tb, kids...)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		b.fetches.Add(1)
		if b.down.Load() {
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		_, _ = w.Write(*b.document.Load())
	}))
	tb.Cleanup(server.Close)
	var err error
	if b.keys, err = NewKeys(KeysConfig{URL: server.URL, Log: slog.New(slog.DiscardHandler), Clock: b.clock}); err != nil {
		tb.Fatal(err)
	}
	if b.verifier, err = NewVerifier(Config{Issuer: "i", Audience: "a", Keys: b.keys, Clock: b.clock}); err != nil {
		tb.Fatal(err)
	}
	return b
}

// publish makes the key server give these keys, new ones where they are new.
func (b *bench) publish(tb testing.TB, kids ...string) {
	tb.Helper()
	var set jwkset.JWKSMarshal
	for _, kid := range kids {
		if b.signers[kid] == nil {
			key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				tb.Fatal(err)
			}
			b.signers[kid] = key
		}
		jwk, err := jwkset.NewJWKFromKey(b.signers[kid].Public(), jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: kid, ALG: jwkset.AlgES256}})
		if err != nil {
			tb.Fatal(err)
		}
		set.Keys = append(set.Keys, jwk.Marshal())
	}
	text, err := json.Marshal(set)
	if err != nil {
		tb.Fatal(err)
	}
	b.document.Store(&text)
}

// sign makes a token that holds for the duration.
func (b *bench) sign(tb testing.TB, kid string, life time.Duration) string {
	tb.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": "i", "aud": "a", "sub": "s", "scope": "b a", "exp": b.clock.Now().Add(life).Unix(),
	})
	if kid != "" {
		token.Header["kid"] = kid
	}
	text, err := token.SignedString(b.signers[kid])
	if err != nil {
		tb.Fatal(err)
	}
	return "Bearer " + text
}

func (b *bench) verify(tb testing.TB, header string) error {
	tb.Helper()
	_, err := b.verifier.Bearer(tb.Context(), []string{header})
	return err
}

func want(t *testing.T, what string, err error, kind errs.Kind, reason string) {
	t.Helper()
	e, ok := err.(*errs.Error) //nolint:errorlint // what the package promises
	if !ok || e.Kind != kind || e.Reason != reason {
		t.Errorf("%s: %v, want %v %s", what, err, kind, reason)
	}
}

// TestKeysRotate follows an issuer that adds a key, takes one back and goes away.
func TestKeysRotate(t *testing.T) {
	t.Parallel()
	b := newBench(t, "one")
	first := b.sign(t, "one", time.Hour)
	if err := b.verify(t, first); err != nil || b.fetches.Load() != 1 {
		t.Fatalf("first: %v after %d fetches", err, b.fetches.Load())
	}
	b.publish(t, "one", "two")
	second := b.sign(t, "two", time.Hour)
	if err := b.verify(t, second); err != nil || b.fetches.Load() != 2 {
		t.Errorf("an added key: %v after %d fetches", err, b.fetches.Load())
	}
	b.publish(t, "two")
	b.publish(t, "two", "three")
	if err := b.verify(t, b.sign(t, "three", time.Hour)); err != nil {
		t.Errorf("another: %v", err)
	}
	want(t, "a token whose key was taken back", b.verify(t, first), errs.Unauthenticated, Invalid)

	b.down.Store(true)
	b.clock.Advance(time.Minute)
	if err := b.verify(t, second); err != nil {
		t.Errorf("a known token without its issuer: %v", err)
	}
	if err := b.verify(t, b.sign(t, "two", 2*time.Hour)); err != nil {
		t.Errorf("a new token of a known key without its issuer: %v", err)
	}
	b.signers["four"] = b.signers["one"]
	want(t, "an unknown key without its issuer", b.verify(t, b.sign(t, "four", time.Hour)), errs.Unavailable, Unreachable)
}

// TestKeysOutOfReachIsNotTheCallersFault has had no keys at all yet.
func TestKeysOutOfReachIsNotTheCallersFault(t *testing.T) {
	t.Parallel()
	b := newBench(t, "one")
	b.down.Store(true)
	header := b.sign(t, "one", time.Hour)
	for range 10 {
		want(t, "without keys", b.verify(t, header), errs.Unavailable, Unreachable)
	}
	if n := b.fetches.Load(); n > unknownBurst {
		t.Errorf("%d fetches for ten requests", n)
	}
	b.down.Store(false)
	b.clock.Advance(unknownEvery)
	if err := b.verify(t, header); err != nil {
		t.Errorf("with the issuer back: %v", err)
	}
}

// TestUnknownKeysDoNotFloodTheIssuer sends many tokens with made-up keys.
func TestUnknownKeysDoNotFloodTheIssuer(t *testing.T) {
	t.Parallel()
	b := newBench(t, "one")
	b.signers["made up"] = b.signers["one"]
	for range 50 {
		want(t, "an unknown key", b.verify(t, b.sign(t, "made up", time.Hour)), errs.Unauthenticated, Invalid)
	}
	if n := b.fetches.Load(); n > unknownBurst {
		t.Errorf("%d fetches for 50 requests", n)
	}
}

// TestRefresh fetches without being asked, sooner when that failed.
func TestRefresh(t *testing.T) {
	t.Parallel()
	b := newBench(t, "one")
	b.down.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { b.keys.Refresh(ctx); close(ended) }()
	for i, wait := range []time.Duration{0, retryEvery, refreshEvery, refreshEvery} {
		b.clock.Advance(wait)
		if err := b.clock.BlockUntilContext(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		if n := b.fetches.Load(); n != int64(i+1) {
			t.Errorf("%d fetches, want %d", n, i+1)
		}
		b.down.Store(false)
	}
	cancel()
	<-ended
}

func TestVerifiedOnceUntilItExpires(t *testing.T) {
	t.Parallel()
	b := newBench(t, "one")
	header := b.sign(t, "one", time.Minute)
	for range 3 {
		p, err := b.verifier.Bearer(t.Context(), []string{header})
		if err != nil || p.Subject != "s" || len(p.Scopes) != 2 || p.Scopes[0] != "a" || !p.Has("b") {
			t.Fatalf("%+v, %v", p, err)
		}
	}
	if n := b.verifier.cache.Len(); n != 1 {
		t.Errorf("%d tokens are remembered", n)
	}
	b.clock.Advance(time.Minute + leeway + time.Second)
	want(t, "an expired token", b.verify(t, header), errs.Unauthenticated, Expired)
	if n := b.verifier.cache.Len(); n != 0 {
		t.Errorf("%d expired tokens are remembered", n)
	}
}

// BenchmarkKnownToken is what a request with a token pays that was seen before.
func BenchmarkKnownToken(b *testing.B) {
	s := newBench(b, "one")
	header := []string{s.sign(b, "one", time.Hour)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.verifier.Bearer(b.Context(), header); err != nil {
			b.Fatal(err)
		}
	}
}
