package serve

import (
	"context"

	"google.golang.org/grpc/metadata"

	"github.com/slipway-dev/slipway/platform/serve/internal/drain"
	"github.com/slipway-dev/slipway/platform/serve/internal/requestid"
)

// RequestID is the id of the request ctx belongs to, empty outside of one.
func RequestID(ctx context.Context) string { return requestid.From(ctx) }

// idempotencyKey is the metadata key of the header Idempotency-Key.
const idempotencyKey = "idempotency-key"

// IdempotencyKey is the key the caller gave the request so that it may be sent
// again without being carried out twice: the header Idempotency-Key over REST,
// the metadata key idempotency-key over gRPC. Empty means none.
func IdempotencyKey(ctx context.Context) string {
	if values := metadata.ValueFromIncomingContext(ctx, idempotencyKey); len(values) > 0 {
		return values[0]
	}
	return ""
}

// Draining is closed when the process wants the stream to end: it drains, or the
// stream is as old as STREAM_MAX_AGE. A handler that sends until its client goes
// away selects on it and returns Reconnect; the client resumes elsewhere. A stream
// that ends by itself soon need not care: the drain waits for it. Outside of a
// stream it is nil and never closed.
func Draining(ctx context.Context) <-chan struct{} { return drain.From(ctx) }

// Reconnect is what a stream's handler returns when Draining is closed: an
// errs.Unavailable with the reason RECONNECT and a pause of up to a second, so
// that the clients do not all come back at once.
func Reconnect() error { return drain.Reconnect() }
