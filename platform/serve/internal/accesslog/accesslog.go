// Package accesslog brings what the gRPC side knows of a call to the HTTP side
// it came from, so that one request is one line in the log.
package accesslog

import (
	"context"
	"log/slog"
	"sync/atomic"

	"google.golang.org/grpc/codes"
)

// Note is where the gRPC side leaves what it says of a call. A stream's handler
// may still be at it when the HTTP side has given up.
type Note struct {
	call atomic.Pointer[Call]
}

// Call is how a call went.
type Call struct {
	Method  string
	Code    codes.Code
	Cause   string          // of a failure, as the log may know it
	Context context.Context //nolint:containedctx // which knows the trace, for the log line alone
}

// Set leaves the call.
func (n *Note) Set(c Call) { n.call.Store(&c) }

// ContextKey is what a context has the *Note under that is to be written.
type ContextKey struct{}

// From is the note to write, nil if nobody wants one.
func From(ctx context.Context) *Note {
	n, _ := ctx.Value(ContextKey{}).(*Note)
	return n
}

// LevelOf is ERROR for our own faults, WARN for what an operator may want to
// know, INFO for the rest: a caller's mistake is not our problem.
func LevelOf(code codes.Code) slog.Level {
	switch code {
	case codes.Internal, codes.Unknown, codes.DataLoss:
		return slog.LevelError
	case codes.Unavailable, codes.DeadlineExceeded, codes.ResourceExhausted:
		return slog.LevelWarn
	default:
		return slog.LevelInfo
	}
}
