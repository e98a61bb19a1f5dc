package issuer

import (
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Prefix is the path of the issuer on the cluster's endpoint.
const Prefix = "/issuer"

// Paths below the issuer's URL.
const (
	JWKSPath      = "/.well-known/jwks.json"
	TokenPath     = "/oauth2/token" //nolint:gosec // a path, no credential
	discoveryPath = "/.well-known/openid-configuration"
)

// maxForm bounds the body of a token request, in bytes.
const maxForm = 16 << 10

// Handler serves the issuer below Prefix.
func (i *Issuer) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+Prefix+discoveryPath, func(w http.ResponseWriter, _ *http.Request) { i.show(w, i.discovery()) })
	mux.HandleFunc("GET "+Prefix+JWKSPath, func(w http.ResponseWriter, r *http.Request) {
		keys, err := i.jwks()
		if err != nil {
			i.cfg.Logger.ErrorContext(r.Context(), "keys not told", "error", err)
			http.Error(w, "the keys cannot be told", http.StatusInternalServerError)
			return
		}
		i.show(w, keys)
	})
	mux.HandleFunc("POST "+Prefix+TokenPath, i.token)
	return mux
}

// discovery is the document of OpenID Connect Discovery and RFC 8414, as far as
// an issuer without users has something to say.
func (i *Issuer) discovery() map[string]any {
	return map[string]any{
		"issuer": i.cfg.URL, "jwks_uri": i.cfg.URL + JWKSPath, "token_endpoint": i.cfg.URL + TokenPath,
		"grant_types_supported": []string{"client_credentials"}, "response_types_supported": []string{},
		"subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"ES256"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post"},
	}
}

func (i *Issuer) show(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, max-age=60")
	_ = json.NewEncoder(w).Encode(v) //nolint:errchkjson // the client may be gone; the types are ours
}

// refusal is an error answer of the token endpoint (RFC 6749 section 5.2).
type refusal struct {
	Code        string `json:"error"`
	Description string `json:"error_description"`
	basic       bool   // the client showed its secret in the Authorization header
}

// token answers a token request (RFC 6749 section 4.4.2).
func (i *Issuer) token(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "application/json")
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	granted, no := i.grant(r)
	if no != nil {
		i.cfg.Logger.WarnContext(r.Context(), "token refused", "error", no.Code, "description", no.Description)
		code := http.StatusBadRequest
		if no.Code == "invalid_client" {
			code = http.StatusUnauthorized
			if no.basic {
				w.Header().Set("WWW-Authenticate", `Basic realm="slipway"`)
			}
		}
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(no) //nolint:errchkjson // as above
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{ //nolint:errchkjson // as above
		"access_token": granted.Value, "token_type": "Bearer",
		"expires_in": int(serviceLifetime.Seconds()), "scope": strings.Join(granted.Scopes, " "),
	})
}

func (i *Issuer) grant(r *http.Request) (Token, *refusal) {
	if err := r.ParseForm(); err != nil {
		return Token{}, &refusal{Code: "invalid_request", Description: "the body is no form: " + err.Error()}
	}
	for name, values := range r.PostForm {
		if len(values) > 1 {
			return Token{}, &refusal{Code: "invalid_request", Description: name + " is there twice"}
		}
	}
	id, secret, no := credentials(r)
	if no != nil {
		return Token{}, no
	}
	client, no := i.authenticate(r, id, secret)
	if no != nil {
		return Token{}, no
	}
	if grant := r.PostForm.Get("grant_type"); grant != "client_credentials" {
		return Token{}, &refusal{Code: "unsupported_grant_type", Description: fmt.Sprintf("grant_type is %q; it must be client_credentials", grant)}
	}
	scopes := strings.Fields(r.PostForm.Get("scope"))
	if len(scopes) == 0 {
		return Token{}, &refusal{Code: "invalid_scope", Description: "scope is missing: name what the token is for"}
	}
	for _, scope := range scopes {
		if owner, _, _ := strings.Cut(scope, "."); !slices.Contains(client.Callees, owner) {
			return Token{}, &refusal{Code: "invalid_scope", Description: fmt.Sprintf(
				"%s may not have scope %q: %q is not in calls of services/%s/service.yaml", client.ID, scope, owner, client.ID)}
		}
	}
	granted, err := i.Mint(Request{Subject: client.ID, ClientID: client.ID, Scopes: scopes})
	if err != nil {
		return Token{}, &refusal{Code: "invalid_request", Description: err.Error()}
	}
	return granted, nil
}

// credentials are the client's, from the header or from the body, not from
// both (RFC 6749 section 2.3).
func credentials(r *http.Request) (id, secret string, no *refusal) {
	user, password, basic := r.BasicAuth()
	inBody := r.PostForm.Has("client_secret")
	switch {
	case basic && inBody:
		return "", "", &refusal{Code: "invalid_request", Description: "the client shows its secret twice, in the header and in the body"}
	case basic: // both parts are form-encoded (section 2.3.1)
		id, errID := url.QueryUnescape(user)
		secret, errSecret := url.QueryUnescape(password)
		if errID != nil || errSecret != nil {
			return "", "", &refusal{Code: "invalid_client", Description: "the Authorization header is not form-encoded", basic: true}
		}
		return id, secret, nil
	}
	return r.PostForm.Get("client_id"), r.PostForm.Get("client_secret"), nil
}

// authenticate compares the secret with the one in the secrets' store. It does
// not say whether the client or the secret is wrong.
func (i *Issuer) authenticate(r *http.Request, id, secret string) (Client, *refusal) {
	_, _, basic := r.BasicAuth()
	no := &refusal{Code: "invalid_client", Description: "client id and secret do not fit", basic: basic}
	client, ok := i.client(id)
	if !ok || secret == "" {
		return Client{}, no
	}
	want, err := i.cfg.Secrets.Resolve(r.Context(), client.Secret)
	if err != nil {
		i.cfg.Logger.WarnContext(r.Context(), "client's secret not read", "client", id, "error", err)
		return Client{}, no
	}
	if subtle.ConstantTimeCompare([]byte(secret), []byte(want)) != 1 {
		return Client{}, no
	}
	return client, nil
}
