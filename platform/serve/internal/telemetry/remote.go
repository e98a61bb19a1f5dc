package telemetry

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"time"

	"go.opentelemetry.io/contrib/propagators/aws/xray"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/metadata"
)

// Metadata keys that carry a trace.
const (
	keyTraceparent = "traceparent"
	keyAmazon      = "x-amzn-trace-id"
	keyBaggage     = "baggage"
)

// remote finds out which trace a request belongs to. In this order:
//   - a valid traceparent (W3C Trace Context): our own services and gateways;
//   - X-Amzn-Trace-Id with Root and Parent: a tracing caller of X-Ray;
//   - X-Amzn-Trace-Id with a Root alone, or Self and Root: all that an
//     Application Load Balancer sends. There is no parent span then, but the
//     trace is to have that id: it is returned as root;
//   - nothing: root is a new id.
//
// A parent is in the context that is returned, and root is then zero.
func (t *Telemetry) remote(ctx context.Context) (_ context.Context, root trace.TraceID) {
	if first(ctx, keyBaggage) != "" {
		ctx = propagation.Baggage{}.Extract(ctx, incoming{ctx})
	}
	if first(ctx, keyTraceparent) != "" {
		if found := (propagation.TraceContext{}).Extract(ctx, incoming{ctx}); trace.SpanContextFromContext(found).IsValid() {
			return found, trace.TraceID{}
		}
	}
	if header := first(ctx, keyAmazon); header != "" {
		if strings.Contains(header, "Parent=") {
			if found := (xray.Propagator{}).Extract(ctx, incoming{ctx}); trace.SpanContextFromContext(found).IsValid() {
				return found, trace.TraceID{}
			}
		}
		if id := loadBalancerRoot(header); id.IsValid() {
			return ctx, id
		}
	}
	return ctx, newTraceID()
}

// newTraceID is an id in X-Ray's form: the time in seconds, then 96 random bits.
// It is what xray.IDGenerator makes, but without allocating, as it is made for
// every request, sampled or not.
func newTraceID() (id trace.TraceID) {
	binary.BigEndian.PutUint32(id[:4], uint32(time.Now().Unix())) //nolint:gosec // X-Ray's form ends in 2106
	binary.BigEndian.PutUint32(id[4:8], rand.Uint32())            //nolint:gosec // ids need no secrecy
	binary.BigEndian.PutUint64(id[8:], rand.Uint64())             //nolint:gosec // ids need no secrecy
	return id
}

// first is the first value of a key of the request's metadata.
func first(ctx context.Context, key string) string {
	if values := metadata.ValueFromIncomingContext(ctx, key); len(values) > 0 {
		return values[0]
	}
	return ""
}

// loadBalancerRoot is the trace id of the field Root=1-8hex-24hex, zero if there
// is no such field.
func loadBalancerRoot(header string) trace.TraceID {
	for field := range strings.SplitSeq(header, ";") {
		value, ok := strings.CutPrefix(strings.TrimSpace(field), "Root=")
		if !ok {
			continue
		}
		if len(value) != len("1-01234567-0123456789abcdef01234567") || value[:2] != "1-" || value[10] != '-' {
			return trace.TraceID{}
		}
		id, err := trace.TraceIDFromHex(value[2:10] + value[11:])
		if err != nil {
			return trace.TraceID{}
		}
		return id
	}
	return trace.TraceID{}
}

// incoming reads a request's metadata.
type incoming struct{ ctx context.Context } //nolint:containedctx // a carrier, used at once

var _ propagation.TextMapCarrier = incoming{}

// Get is the first value of the key.
func (c incoming) Get(key string) string { return first(c.ctx, strings.ToLower(key)) }

// Set does nothing: a request is read only.
func (incoming) Set(string, string) {}

// Keys is not used by the propagators we have.
func (incoming) Keys() []string { return nil }

// pairs collects keys and values in turn.
type pairs []string

var _ propagation.TextMapCarrier = (*pairs)(nil)

// Get is not used when injecting.
func (*pairs) Get(string) string { return "" }

// Set appends.
func (p *pairs) Set(key, value string) { *p = append(*p, strings.ToLower(key), value) }

// Keys is not used when injecting.
func (*pairs) Keys() []string { return nil }

// ids makes X-Ray's ids, whose first four bytes are the time; a trace that began
// at the load balancer keeps the id from there.
type ids struct{ *xray.IDGenerator }

var _ sdktrace.IDGenerator = (*ids)(nil)

type rootContext struct{}

// withRoot makes the next span without a parent begin the trace of that id.
func withRoot(ctx context.Context, id trace.TraceID) context.Context {
	return context.WithValue(ctx, rootContext{}, id)
}

// NewIDs is the ids of a trace's first span.
func (g *ids) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	id, span := g.IDGenerator.NewIDs(ctx)
	if root, ok := ctx.Value(rootContext{}).(trace.TraceID); ok {
		id = root
	}
	return id, span
}
