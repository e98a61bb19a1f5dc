// Package auth tells a handler who calls it. The runtime has verified the
// caller's token and its scopes before a handler runs; this package only reads
// what was found.
package auth

import (
	"context"
	"slices"
)

// Principal is the caller of a request, as its access token names it (RFC 9068,
// section 2.2). It is shared by all requests with the same token: read only.
type Principal struct {
	Subject  string   // "sub": the user, or the client that acts for itself
	ClientID string   // "client_id": the program that asked for the token
	Scopes   []string // "scope", split and sorted
}

// Has reports whether the token holds the scope.
func (p Principal) Has(scope string) bool {
	_, ok := slices.BinarySearch(p.Scopes, scope)
	return ok
}

type contextKey struct{}

// FromContext is the caller of the request that ctx belongs to; false in a
// public method, whose callers are not asked, and outside of a request.
func FromContext(ctx context.Context) (Principal, bool) {
	p, ok := ctx.Value(contextKey{}).(*Principal)
	if !ok {
		return Principal{}, false
	}
	return *p, true
}

// NewContext puts the caller into the context; tests of handlers use it. The
// scopes must be sorted.
func NewContext(ctx context.Context, p *Principal) context.Context {
	return context.WithValue(ctx, contextKey{}, p)
}
