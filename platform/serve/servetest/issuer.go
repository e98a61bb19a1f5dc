package servetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
)

// Claims are the claims of a token to mint (RFC 9068, section 2.2). They go over
// the issuer's own; a nil value leaves that claim out.
type Claims map[string]any

// What the tokens of a test say, and the services under test expect.
const (
	Issuer   = "https://issuer.test"
	Audience = "slipway-test"
)

const (
	keyID         = "test"
	tokenLifetime = time.Hour
)

// issuer mints tokens that the service under test trusts.
type issuer struct {
	key  *ecdsa.PrivateKey
	jwks string
}

func newIssuer(tb testing.TB) *issuer {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatalf("make signing key: %v", err)
	}
	jwk, err := jwkset.NewJWKFromKey(key.Public(), jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{
		KID: keyID, ALG: jwkset.AlgES256, USE: jwkset.UseSig,
	}})
	if err != nil {
		tb.Fatalf("make key set: %v", err)
	}
	text, err := json.Marshal(jwkset.JWKSMarshal{Keys: []jwkset.JWKMarshal{jwk.Marshal()}})
	if err != nil {
		tb.Fatalf("make key set: %v", err)
	}
	return &issuer{key: key, jwks: string(text)}
}

// token mints a token that holds for an hour unless the claims say otherwise.
func (i *issuer) token(tb testing.TB, claims Claims) string {
	tb.Helper()
	now := time.Now()
	all := jwt.MapClaims{
		"iss": Issuer, "aud": Audience, "sub": "tester", "client_id": "servetest",
		"iat": now.Unix(), "exp": now.Add(tokenLifetime).Unix(),
	}
	maps.Copy(all, claims)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	token := jwt.NewWithClaims(jwt.SigningMethodES256, all)
	token.Header["kid"] = keyID
	text, err := token.SignedString(i.key)
	if err != nil {
		tb.Fatalf("sign token: %v", err)
	}
	return text
}

// environ is what a service needs to trust the issuer.
func (i *issuer) environ() map[string]string {
	return map[string]string{"AUTH_ISSUER": Issuer, "AUTH_AUDIENCE": Audience, "AUTH_JWKS": i.jwks}
}

// endpoint is a token endpoint (RFC 6749, section 4.4) that gives every client
// the scopes it asks for, and what a service needs to use it.
func (i *issuer) endpoint(tb testing.TB, service string) map[string]string {
	tb.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client, _, ok := r.BasicAuth()
		if !ok {
			client = r.FormValue("client_id")
		}
		scopes := strings.Fields(r.FormValue("scope"))
		slices.Sort(scopes)
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"access_token": i.token(tb, Claims{"sub": client, "client_id": client, "scope": strings.Join(scopes, " ")}),
			"token_type":   "Bearer", "expires_in": int(tokenLifetime.Seconds()),
		})
	}))
	tb.Cleanup(s.Close)
	return map[string]string{"AUTH_TOKEN_URL": s.URL, "AUTH_CLIENT_ID": service, "AUTH_CLIENT_SECRET": "test"}
}

// publicKey is the key that verifies the tokens, in the form of a PEM file.
func (i *issuer) publicKey(tb testing.TB) []byte {
	tb.Helper()
	der, err := x509.MarshalPKIXPublicKey(i.key.Public())
	if err != nil {
		tb.Fatalf("encode public key: %v", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}
