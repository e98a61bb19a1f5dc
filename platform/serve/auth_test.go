package serve_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/slipway-dev/slipway/platform/serve"
	"github.com/slipway-dev/slipway/platform/serve/internal/echopb"
	"github.com/slipway-dev/slipway/platform/serve/servetest"
)

// credentials are what a caller may send; header is the whole Authorization.
type credentials struct {
	header string
	code   codes.Code // of reading
	reason string
}

// TestAuthentication sends every kind of bad token over both protocols, to a
// unary method and to a stream: both must say the same.
func TestAuthentication(t *testing.T) {
	t.Parallel()
	e := newEcho()
	close(e.release)
	s := servetest.Start(t, e.guarded(), servetest.Options{Token: new(string)})
	for name, c := range badTokens(t, s) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			if c.header != "" {
				ctx = metadata.AppendToOutgoingContext(ctx, "authorization", c.header)
			}
			client := echopb.NewGuardedServiceClient(s.Conn)
			_, err := client.Read(ctx, &echopb.EchoRequest{Text: "x"})
			c.check(t, "gRPC", status.Convert(err))
			c.check(t, "gRPC stream", status.Convert(watchOnce(ctx, client)))

			headers := []string{}
			if c.header != "" {
				headers = []string{"Authorization", c.header}
			}
			web, body := s.Do(t, http.MethodGet, "/v1/guarded/x", "", headers...)
			c.checkREST(t, web, body)
			web, body = s.Do(t, http.MethodGet, "/v1/guarded/x:watch", "", headers...)
			c.checkREST(t, web, body)
		})
	}
	if strings.Contains(s.Logs(), "eyJ") {
		t.Error("a token is in the log")
	}
}

// watchOnce opens a stream and returns its first error, nil at its end.
func watchOnce(ctx context.Context, client echopb.GuardedServiceClient) error {
	stream, err := client.Watch(ctx, &echopb.EchoRequest{Text: "x"})
	for err == nil {
		_, err = stream.Recv()
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func badTokens(t *testing.T, s *servetest.Server) map[string]credentials {
	t.Helper()
	read := servetest.Claims{"scope": "guarded.read"}
	with := func(key string, value any) string {
		return "Bearer " + s.Token(t, servetest.Claims{"scope": "guarded.read", key: value})
	}
	good := s.Token(t, read)
	head, rest, _ := strings.Cut(good, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	part := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	// The public key taken for a shared secret, as the verifier must not.
	hmacToken := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"iss": servetest.Issuer, "aud": servetest.Audience, "exp": time.Now().Add(time.Hour).Unix(), "scope": "guarded.read",
	})
	hmacToken.Header["kid"] = "test"
	confused, err := hmacToken.SignedString(s.PublicKey(t))
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	foreign := func(kid string) string {
		token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
			"iss": servetest.Issuer, "aud": servetest.Audience, "exp": time.Now().Add(time.Hour).Unix(), "scope": "guarded.read",
		})
		token.Header["kid"] = kid
		text, err := token.SignedString(stranger)
		if err != nil {
			t.Fatal(err)
		}
		return "Bearer " + text
	}
	const no = codes.Unauthenticated
	return map[string]credentials{
		"good":                 {"Bearer " + good, codes.OK, ""},
		"lower case scheme":    {"bearer " + good, codes.OK, ""},
		"audience in a list":   {with("aud", []string{"other", servetest.Audience}), codes.OK, ""},
		"no token":             {"", no, "TOKEN_MISSING"},
		"another scheme":       {"Basic dXNlcjpwYXNz", no, "TOKEN_MALFORMED"},
		"scheme alone":         {"Bearer ", no, "TOKEN_MALFORMED"},
		"not a token":          {"Bearer hello", no, "TOKEN_MALFORMED"},
		"three odd parts":      {"Bearer a.b.c", no, "TOKEN_MALFORMED"},
		"far too long":         {"Bearer " + strings.Repeat("x", 17<<10), no, "TOKEN_MALFORMED"},
		"expired":              {with("exp", time.Now().Add(-time.Minute).Unix()), no, "TOKEN_EXPIRED"},
		"never expires":        {with("exp", nil), no, "TOKEN_INVALID"},
		"not yet valid":        {with("nbf", time.Now().Add(time.Hour).Unix()), no, "TOKEN_INVALID"},
		"wrong audience":       {with("aud", "somebody-else"), no, "TOKEN_INVALID"},
		"no audience":          {with("aud", nil), no, "TOKEN_INVALID"},
		"wrong issuer":         {with("iss", "https://evil.test"), no, "TOKEN_INVALID"},
		"no issuer":            {with("iss", nil), no, "TOKEN_INVALID"},
		"wrong signature":      {foreign("test"), no, "TOKEN_INVALID"},
		"unknown key":          {foreign("other"), no, "TOKEN_INVALID"},
		"changed claims":       {"Bearer " + head + "." + part(map[string]any{"scope": "guarded.write"}) + "." + signature, no, "TOKEN_INVALID"},
		"no signature":         {"Bearer " + head + "." + payload + ".", no, "TOKEN_INVALID"},
		"alg none":             {"Bearer " + part(map[string]any{"alg": "none", "typ": "JWT"}) + "." + payload + ".", no, "TOKEN_INVALID"},
		"alg None":             {"Bearer " + part(map[string]any{"alg": "None", "typ": "JWT"}) + "." + payload + "." + signature, no, "TOKEN_INVALID"},
		"public key as secret": {"Bearer " + confused, no, "TOKEN_INVALID"},
		"extension":            {"Bearer " + part(map[string]any{"alg": "ES256", "kid": "test", "crit": []string{"b64"}, "b64": false}) + "." + payload + "." + signature, no, "TOKEN_INVALID"},
		"no scope":             {with("scope", nil), codes.PermissionDenied, "MISSING_SCOPE"},
		"another scope":        {with("scope", "guarded.reader guarded"), codes.PermissionDenied, "MISSING_SCOPE"},
	}
}

func (c credentials) check(t *testing.T, over string, st *status.Status) {
	t.Helper()
	if st.Code() != c.code {
		t.Errorf("%s: %v, want %v", over, st, c.code)
		return
	}
	if c.code == codes.OK {
		return
	}
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			if info.GetReason() != c.reason || info.GetDomain() != "echo.slipway" {
				t.Errorf("%s: reason %s/%s, want %s", over, info.GetDomain(), info.GetReason(), c.reason)
			}
			if c.reason == "MISSING_SCOPE" && info.GetMetadata()["scope"] != "guarded.read" {
				t.Errorf("%s: metadata %v", over, info.GetMetadata())
			}
			return
		}
	}
	t.Errorf("%s: no ErrorInfo in %v", over, st)
}

// checkREST checks the status and the challenge (RFC 6750, section 3).
func (c credentials) checkREST(t *testing.T, web *http.Response, body string) {
	t.Helper()
	want, challenge := http.StatusOK, ""
	switch {
	case c.reason == "TOKEN_MISSING":
		want, challenge = http.StatusUnauthorized, "Bearer"
	case c.code == codes.Unauthenticated:
		want, challenge = http.StatusUnauthorized, `Bearer error="invalid_token"`
	case c.code == codes.PermissionDenied:
		want, challenge = http.StatusForbidden, `Bearer error="insufficient_scope", scope="guarded.read"`
	}
	got := web.Header.Get("WWW-Authenticate")
	if web.StatusCode != want || !strings.HasPrefix(got, challenge) || (challenge == "Bearer") != (got == "Bearer") {
		t.Errorf("REST: %s, WWW-Authenticate %q, want %d and %q: %s", web.Status, got, want, challenge, body)
	}
	if c.reason != "" && !strings.Contains(body, `"reason":"`+c.reason+`"`) {
		t.Errorf("REST: %s, want reason %s", body, c.reason)
	}
}

// TestEveryScopeIsAskedFor calls a method that names two.
func TestEveryScopeIsAskedFor(t *testing.T) {
	t.Parallel()
	s := servetest.Start(t, newEcho().guarded(), servetest.Options{Token: new(string)})
	for scopes, want := range map[string]int{"guarded.read": 403, "guarded.write": 403, "guarded.write guarded.read": 200} {
		token := s.Token(t, servetest.Claims{"scope": scopes, "sub": "alice"})
		web, body := s.Do(t, http.MethodPost, "/v1/guarded", `{"text":"x"}`, "Authorization", "Bearer "+token)
		if web.StatusCode != want {
			t.Errorf("with %q: %s %s", scopes, web.Status, body)
		}
		if want == http.StatusOK && !strings.Contains(body, "alice servetest guarded.read,guarded.write") {
			t.Errorf("the handler's caller is %s", body)
		}
	}
	// A stranger learns nothing from validation.
	if web, body := s.Do(t, http.MethodPost, "/v1/guarded", `{"text":""}`); web.StatusCode != http.StatusUnauthorized {
		t.Errorf("an invalid request without a token: %s %s", web.Status, body)
	}
	for _, path := range []string{"/healthz", "/livez", "/openapi.json", "/docs", "/v1/echo/x"} {
		if web, body := s.Do(t, http.MethodGet, path, ""); web.StatusCode != http.StatusOK {
			t.Errorf("%s asks for a token: %s %s", path, web.Status, body)
		}
	}
}

func TestServiceWithoutRulesDoesNotStart(t *testing.T) {
	t.Parallel()
	svc := newEcho().service()
	svc.Setup = func(_ context.Context, b *serve.Builder) error {
		echopb.RegisterUnruledServiceServer(b, echopb.UnimplementedUnruledServiceServer{})
		return nil
	}
	_, err := serve.Complete(t.Context(), svc, nil, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "/slipway.serve.echo.UnruledService/Read") || !strings.Contains(err.Error(), "next: ") {
		t.Errorf("got %v", err)
	}
}

func TestTokensNeedConfiguration(t *testing.T) {
	t.Parallel()
	const keys = `{"keys":[{"kty":"oct","kid":"a","k":"c2VjcmV0"}]}`
	for name, tc := range map[string]struct {
		env  map[string]string
		want []string
	}{
		"nothing": {nil, []string{"AUTH_ISSUER: is required", "AUTH_AUDIENCE: is required", "AUTH_JWKS_URL: is required", "/slipway.serve.echo.GuardedService/Read asks for a token"}},
		"a shared secret for a key": {
			map[string]string{"AUTH_ISSUER": "i", "AUTH_AUDIENCE": "a", "AUTH_JWKS": keys},
			[]string{"AUTH_JWKS: the JSON Web Key set holds no public key for signatures"},
		},
		"keys that anybody on the way can change": {
			map[string]string{"AUTH_ISSUER": "i", "AUTH_AUDIENCE": "a", "AUTH_JWKS_URL": "http://issuer.example/jwks", "ENVIRONMENT": "production"},
			[]string{"AUTH_JWKS_URL: must be an https URL"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := serve.Complete(t.Context(), newEcho().guarded(), tc.env, io.Discard)
			if _, ok := errors.AsType[*serve.ConfigError](err); !ok {
				t.Fatalf("got %v", err)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v lacks %q", err, want)
				}
			}
		})
	}
}
