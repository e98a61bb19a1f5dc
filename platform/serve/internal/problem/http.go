package problem

import (
	"net/http"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// MissingScope is the reason when a token lacks a scope, which the metadata
	// names under ScopeKey.
	MissingScope = "MISSING_SCOPE"
	// ScopeKey is the metadata key of the missing scopes, separated by blanks.
	ScopeKey = "scope"

	// overloadedKey marks a process's own overload in the metadata, which over
	// HTTP is not the caller's quota, 429, but 503.
	overloadedKey = "overloaded"
)

// HTTPStatus is the HTTP status of a status.
func HTTPStatus(st *status.Status) int {
	if st.Code() == codes.ResourceExhausted && infoOf(st).GetMetadata()[overloadedKey] == "true" {
		return http.StatusServiceUnavailable
	}
	return runtime.HTTPStatusFromCode(st.Code())
}

// Challenge is the header WWW-Authenticate of a status, empty for none: which
// error it is where the request had a token, and nothing where it had none
// (RFC 6750, section 3).
func Challenge(st *status.Status) string {
	info := infoOf(st)
	switch {
	case st.Code() == codes.Unauthenticated && info.GetReason() == tokenMissing:
		return "Bearer"
	case st.Code() == codes.Unauthenticated:
		return `Bearer error="invalid_token", error_description="` + quoted(st.Message()) + `"`
	case st.Code() == codes.PermissionDenied && info.GetReason() == MissingScope:
		return `Bearer error="insufficient_scope", scope="` + quoted(info.GetMetadata()[ScopeKey]) + `"`
	default:
		return ""
	}
}

// tokenMissing is the reason of the package token when there is no token at all.
const tokenMissing = "TOKEN_MISSING"

// quoted keeps what a parameter of the header may hold (RFC 6750, section 3).
func quoted(s string) string {
	kept := make([]byte, 0, len(s))
	for _, c := range []byte(s) {
		if c >= ' ' && c <= '~' && c != '"' && c != '\\' {
			kept = append(kept, c)
		}
	}
	return string(kept)
}

// infoOf is the status's ErrorInfo, nil if it has none.
func infoOf(st *status.Status) *errdetails.ErrorInfo {
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			return info
		}
	}
	return nil
}
