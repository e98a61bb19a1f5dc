package issuer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
	"github.com/jonboulle/clockwork"
	"go.uber.org/goleak"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/issuer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const base = "http://127.0.0.1:4510/issuer"

// memory is a Store and, with the one secret, a Secrets.
type memory struct {
	mu   sync.Mutex
	keys map[string][]byte
}

func (m *memory) Put(key string, v any) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	raw, err := json.Marshal(v)
	m.keys[key] = raw
	return err
}

func (m *memory) List(prefix string, fn func(string, []byte) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(m.keys)) {
		if strings.HasPrefix(key, prefix) {
			if err := fn(key, m.keys[key]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (*memory) Resolve(_ context.Context, valueFrom string) (string, error) {
	if valueFrom != "arn:orders" {
		return "", errors.New("no such secret")
	}
	return "s3 cret%+", nil
}

type bundle struct {
	*issuer.Issuer

	t     *testing.T
	store *memory
	clock *clockwork.FakeClock
}

func setup(t *testing.T) *bundle {
	t.Helper()
	b := &bundle{t: t, store: &memory{keys: map[string][]byte{}}, clock: clockwork.NewFakeClockAt(time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC))}
	b.open()
	err := b.Configure(issuer.Setup{Audience: "slipway-local", Clients: []issuer.Client{
		{ID: "orders", Secret: "arn:orders", Callees: []string{"catalog", "inventory"}},
		{ID: "broken", Secret: "arn:gone", Callees: []string{"catalog"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bundle) open() {
	b.t.Helper()
	i, err := issuer.New(issuer.Config{URL: base, Store: b.store, Secrets: b.store, Clock: b.clock})
	if err != nil {
		b.t.Fatal(err)
	}
	b.Issuer = i
}

// ask sends a request to the handler.
func (b *bundle) ask(method, path, form string, change func(*http.Request)) (int, http.Header, map[string]any) {
	b.t.Helper()
	req := httptest.NewRequestWithContext(b.t.Context(), method, issuer.Prefix+path, strings.NewReader(form))
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if change != nil {
		change(req)
	}
	w := httptest.NewRecorder()
	b.Handler().ServeHTTP(w, req)
	var answer map[string]any
	_ = json.Unmarshal(w.Body.Bytes(), &answer)
	return w.Code, w.Header(), answer
}

// check verifies a token as a service does: by the published keys.
func (b *bundle) check(token string) (jwt.MapClaims, error) {
	b.t.Helper()
	_, _, doc := b.ask(http.MethodGet, issuer.JWKSPath, "", nil)
	raw, err := json.Marshal(doc)
	if err != nil {
		b.t.Fatal(err)
	}
	var set jwkset.JWKSMarshal
	if err := json.Unmarshal(raw, &set); err != nil {
		b.t.Fatal(err)
	}
	keys, err := set.JWKSlice()
	if err != nil {
		b.t.Fatal(err)
	}
	claims := jwt.MapClaims{}
	_, err = jwt.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		for _, k := range keys {
			if k.Marshal().KID == t.Header["kid"] {
				return k.Key(), nil
			}
		}
		return nil, fmt.Errorf("unknown key %v of %d", t.Header["kid"], len(keys))
	}, jwt.WithValidMethods([]string{"ES256"}), jwt.WithTimeFunc(b.clock.Now), jwt.WithIssuer(base),
		jwt.WithAudience("slipway-local"), jwt.WithExpirationRequired())
	return claims, err
}

const grant = "grant_type=client_credentials&scope=catalog.read+inventory.reserve"

func basic(user, password string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(url.QueryEscape(user), url.QueryEscape(password)) }
}

func TestAServiceGetsAToken(t *testing.T) {
	b := setup(t)
	body := grant + "&" + url.Values{"client_id": {"orders"}, "client_secret": {"s3 cret%+"}}.Encode()
	for name, tc := range map[string]struct {
		form   string
		change func(*http.Request)
	}{
		"secret in the header": {grant, basic("orders", "s3 cret%+")},
		"secret in the body":   {body, nil},
	} {
		code, header, answer := b.ask(http.MethodPost, issuer.TokenPath, tc.form, tc.change)
		if code != http.StatusOK || header.Get("Cache-Control") != "no-store" || answer["token_type"] != "Bearer" || answer["expires_in"] != 3600.0 {
			t.Fatalf("%s: %d %v %v", name, code, header, answer)
		}
		token, _ := answer["access_token"].(string)
		claims, err := b.check(token)
		if err != nil || claims["sub"] != "orders" || claims["client_id"] != "orders" || claims["scope"] != "catalog.read inventory.reserve" {
			t.Errorf("%s: claims %v, %v", name, claims, err)
		}
		b.clock.Advance(time.Hour)
		if _, err := b.check(token); !errors.Is(err, jwt.ErrTokenExpired) {
			t.Errorf("%s: after an hour the token is still good: %v", name, err)
		}
	}
}

func TestTokenRequestsThatAreRefused(t *testing.T) {
	b := setup(t)
	good := basic("orders", "s3 cret%+")
	for name, tc := range map[string]struct {
		form   string
		change func(*http.Request)
		code   int
		want   string
		says   string
	}{
		"wrong secret":           {grant, basic("orders", "wrong"), 401, "invalid_client", "do not fit"},
		"empty secret":           {grant, basic("orders", ""), 401, "invalid_client", "do not fit"},
		"unknown client":         {grant, basic("nobody", "s3 cret%+"), 401, "invalid_client", "do not fit"},
		"secret that is gone":    {grant, basic("broken", "s3 cret%+"), 401, "invalid_client", "do not fit"},
		"no credentials":         {grant, nil, 401, "invalid_client", "do not fit"},
		"secret shown twice":     {grant + "&client_secret=x", good, 400, "invalid_request", "twice"},
		"parameter twice":        {grant + "&scope=x", good, 400, "invalid_request", "scope is there twice"},
		"another grant":          {"grant_type=password&scope=catalog.read", good, 400, "unsupported_grant_type", "client_credentials"},
		"no scope":               {"grant_type=client_credentials", good, 400, "invalid_scope", "scope is missing"},
		"scope of a stranger":    {grant + "+billing.read", good, 400, "invalid_scope", `"billing" is not in calls of services/orders/service.yaml`},
		"own scope":              {"grant_type=client_credentials&scope=orders.read", good, 400, "invalid_scope", "not in calls"},
		"prefix of a callee":     {"grant_type=client_credentials&scope=cat.read", good, 400, "invalid_scope", "not in calls"},
		"no form":                {"%zz", good, 400, "invalid_request", "no form"},
		"scope with a quote":     {"grant_type=client_credentials&scope=catalog.%22", good, 400, "invalid_request", "no scope"},
		"a body that is endless": {grant + "&x=" + strings.Repeat("x", 1<<20), good, 400, "invalid_request", "too large"},
	} {
		code, header, answer := b.ask(http.MethodPost, issuer.TokenPath, tc.form, tc.change)
		says, _ := answer["error_description"].(string)
		if code != tc.code || answer["error"] != tc.want || !strings.Contains(says, tc.says) {
			t.Errorf("%s: %d %v; want %d %s with %q", name, code, answer, tc.code, tc.want, tc.says)
		}
		asked := header.Get("WWW-Authenticate") != ""
		if want := tc.code == 401 && tc.change != nil; asked != want {
			t.Errorf("%s: asks for credentials %t, want %t (RFC 6749 section 5.2)", name, asked, want)
		}
	}
	if code, _, _ := b.ask(http.MethodGet, issuer.TokenPath, "", nil); code != http.StatusMethodNotAllowed {
		t.Errorf("GET of the token endpoint: %d", code)
	}
}

func TestDiscoveryLeadsToTheRest(t *testing.T) {
	b := setup(t)
	_, _, doc := b.ask(http.MethodGet, "/.well-known/openid-configuration", "", nil)
	if doc["issuer"] != base || doc["jwks_uri"] != base+issuer.JWKSPath || doc["token_endpoint"] != base+issuer.TokenPath {
		t.Errorf("discovery document %v", doc)
	}
	_, _, keys := b.ask(http.MethodGet, issuer.JWKSPath, "", nil)
	if raw, _ := json.Marshal(keys); strings.Contains(string(raw), `"d":`) {
		t.Errorf("the keys' document holds a private key: %s", raw)
	}
}

func TestKeysOutliveARestartAndRotate(t *testing.T) {
	b := setup(t)
	long, err := b.Mint(issuer.Request{Subject: "me", Scopes: []string{"catalog.read"}, Lifetime: issuer.MaxLifetime})
	if err != nil {
		t.Fatal(err)
	}
	b.open()
	if _, err := b.check(long.Value); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	if _, err := b.Mint(issuer.Request{Subject: "me", Scopes: []string{"catalog.read"}}); err != nil {
		t.Errorf("the audience is lost: %v", err)
	}
	b.clock.Advance(issuer.MaxLifetime - time.Minute)
	last, err := b.Mint(issuer.Request{Subject: "me", Scopes: []string{"catalog.read"}, Lifetime: issuer.MaxLifetime})
	if err != nil {
		t.Fatal(err)
	}
	b.clock.Advance(2 * time.Minute) // the key has had its time
	fresh, err := b.Mint(issuer.Request{Subject: "me", Scopes: []string{"catalog.read"}})
	if err != nil {
		t.Fatal(err)
	}
	_, _, doc := b.ask(http.MethodGet, issuer.JWKSPath, "", nil)
	if keys, _ := doc["keys"].([]any); len(keys) != 2 {
		t.Errorf("%d keys are told, want the new one and the one before", len(keys))
	}
	for name, token := range map[string]string{"of the old key": last.Value, "of the new key": fresh.Value} {
		if _, err := b.check(token); err != nil {
			t.Errorf("token %s: %v", name, err)
		}
	}
	if err := b.Rotate(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.check(last.Value); err == nil || !strings.Contains(err.Error(), "unknown key") {
		t.Errorf("a token of a key that is forgotten: %v", err)
	}
}

func TestMintRefuses(t *testing.T) {
	b := setup(t)
	scopes := []string{"catalog.read"}
	for name, tc := range map[string]struct {
		req  issuer.Request
		want string
	}{
		"no subject":      {issuer.Request{Scopes: scopes}, "the subject is empty"},
		"no scope":        {issuer.Request{Subject: "me"}, "no scope"},
		"a bad scope":     {issuer.Request{Subject: "me", Scopes: []string{"a b"}}, `"a b" is no scope`},
		"too long":        {issuer.Request{Subject: "me", Scopes: scopes, Lifetime: issuer.MaxLifetime + 1}, "is not from"},
		"negative":        {issuer.Request{Subject: "me", Scopes: scopes, Lifetime: -time.Hour}, "is not from"},
		"next to nothing": {issuer.Request{Subject: "me", Scopes: scopes, Lifetime: time.Millisecond}, "less than a second"},
	} {
		if _, err := b.Mint(tc.req); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}
