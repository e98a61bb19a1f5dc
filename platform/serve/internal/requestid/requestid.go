// Package requestid is the id that follows one request through logs, errors and
// answers.
package requestid

import (
	"context"
	"math/rand/v2"
)

// Key is the id's metadata key in gRPC, Header its header in HTTP, in the form
// that net/http keeps.
const (
	Key    = "x-request-id"
	Header = "X-Request-Id"
)

// maxLength is how long a caller's id may be, in bytes.
const maxLength = 128

// ContextKey is what a context has the id under, as a *string, for contexts that
// hold more than the id.
type ContextKey struct{}

// From is the id of the request ctx belongs to, empty outside of one.
func From(ctx context.Context) string {
	if id, ok := ctx.Value(ContextKey{}).(*string); ok {
		return *id
	}
	return ""
}

// With puts the id into the context.
func With(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, ContextKey{}, &id)
}

// Or is the given id if it is sane, else a new one.
func Or(given string) string {
	if sane(given) {
		return given
	}
	return next()
}

// next makes an id of 26 characters, 128 random bits in the alphabet of RFC 4648
// base32. It is an id, not a secret, and crypto/rand costs a microsecond.
func next() string {
	const alphabet, length = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 26
	var id [length]byte
	high, low := rand.Uint64(), rand.Uint64() //nolint:gosec // see above
	for i := range id {
		id[i] = alphabet[low&31]
		low = low>>5 | high<<59
		high >>= 5
	}
	return string(id[:])
}

// sane accepts what is safe to log and to send back.
func sane(id string) bool {
	if id == "" || len(id) > maxLength {
		return false
	}
	for _, c := range []byte(id) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9',
			c == '-', c == '_', c == '.', c == ':', c == '=', c == '/', c == '+':
		default:
			return false
		}
	}
	return true
}
