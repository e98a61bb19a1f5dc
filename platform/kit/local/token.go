package local

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/admin"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/issuer"
	"github.com/slipway-dev/slipway/platform/kit/manifest"
)

// TokenError says why no token was asked for.
type TokenError struct{ why, next string }

// Error says what is wrong with the request.
func (e *TokenError) Error() string { return "get a token: " + e.why }

// Next is the command with it mended.
func (e *TokenError) Next() string { return e.next }

// ExitCode returns 2: bad input.
func (*TokenError) ExitCode() int { return 2 }

// Scopes reads a list of scopes, separated by commas or spaces. Each must begin
// with the name of a service and a dot: nobody checks any other.
func Scopes(work *manifest.Workspace, list string) ([]string, error) {
	scopes := strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
	names := work.ServiceNames()
	if len(scopes) == 0 {
		example := "SERVICE.read"
		if len(names) > 0 {
			example = names[0] + ".read"
		}
		return nil, &TokenError{"it needs a scope", "go tool mage token --scope=" + example}
	}
	for _, scope := range scopes {
		service, right, ok := strings.Cut(scope, ".")
		if !ok || right == "" {
			return nil, &TokenError{fmt.Sprintf("%q is no scope; one is written SERVICE.RIGHT", scope), "go tool mage token --scope=" + service + ".read"}
		}
		if !slices.Contains(names, service) {
			_, err := work.Service(service)
			return nil, &TokenError{fmt.Sprintf("scope %q: %v", scope, err), "go tool mage graph   # lists the services"}
		}
	}
	return scopes, nil
}

// Token has the running cluster mint a token.
func (c *Cluster) Token(ctx context.Context, req issuer.Request) (issuer.Token, error) {
	if req.Lifetime < 0 || req.Lifetime > issuer.MaxLifetime {
		return issuer.Token{}, &TokenError{
			fmt.Sprintf("it cannot last for %s; the longest is %s", req.Lifetime, issuer.MaxLifetime),
			"go tool mage token --scope=" + strings.Join(req.Scopes, ",") + " --expires=1h",
		}
	}
	info, err := c.Find(ctx)
	if err != nil {
		if _, down := errors.AsType[DownError](err); down {
			return issuer.Token{}, fmt.Errorf("get a token: %w", err)
		}
		return issuer.Token{}, err
	}
	token, err := admin.NewClient(info).Token(ctx, req)
	if err != nil {
		return issuer.Token{}, fmt.Errorf("get a token: %w", err)
	}
	return token, nil
}
