package serve

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/jonboulle/clockwork"

	"github.com/slipway-dev/slipway/platform/serve/internal/interceptor"
	"github.com/slipway-dev/slipway/platform/serve/internal/token"
)

// completeAuth checks that every method says who may call it, and makes what
// verifies tokens if one of them asks for one.
func (a *App) completeAuth() error {
	if unruled := a.methods.Unruled(); len(unruled) > 0 {
		return fmt.Errorf("nobody may call %s: the proto has no rule for it"+
			"\nnext: add option (slipway.auth.v1.rule).scopes, or .public, to each of these methods", strings.Join(unruled, ", "))
	}
	closed := a.methods.Closed()
	if len(closed) == 0 {
		return nil
	}
	var problems []string
	for name, value := range map[string]string{
		"AUTH_ISSUER": a.cfg.AuthIssuer, "AUTH_AUDIENCE": a.cfg.AuthAudience, "AUTH_JWKS_URL": a.cfg.AuthJWKSURL + a.cfg.AuthJWKS,
	} {
		if value == "" {
			problems = append(problems, name+": is required, as "+closed[0]+" asks for a token")
		}
	}
	keys, err := token.NewKeys(token.KeysConfig{URL: a.cfg.AuthJWKSURL, JSON: a.cfg.AuthJWKS, Log: a.log, Clock: clockwork.NewRealClock()})
	if err != nil {
		problems = append(problems, "AUTH_JWKS: "+err.Error())
	}
	if len(problems) > 0 {
		slices.Sort(problems)
		return &ConfigError{Service: a.cfg.Name, Problems: problems}
	}
	verifier, err := token.NewVerifier(token.Config{
		Issuer: a.cfg.AuthIssuer, Audience: a.cfg.AuthAudience, Keys: keys, Clock: clockwork.NewRealClock(),
	})
	if err != nil {
		return errors.Join(errors.New("make token verifier"), err)
	}
	a.keys, a.tokens = keys, verifier
	return nil
}

var _ interceptor.Tokens = (*token.Verifier)(nil)

// trustworthy reports whether keys from the URL can be believed: whoever can
// change them on the way can sign tokens.
func trustworthy(raw, environment string) bool {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	near := u.Hostname() == "localhost" || (ip != nil && ip.IsLoopback()) || environment == "local"
	return u.Scheme == "https" || (u.Scheme == "http" && near)
}
