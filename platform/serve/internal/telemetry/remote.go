package telemetry

import (
	"context"
	"strings"

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
	ctx = t.baggage(ctx)
	if len(metadata.ValueFromIncomingContext(ctx, keyTraceparent)) > 0 {
		if found := (propagation.TraceContext{}).Extract(ctx, incoming{ctx}); trace.SpanContextFromContext(found).IsValid() {
			return found, trace.TraceID{}
		}
	}
	if header := (incoming{ctx}).Get(keyAmazon); header != "" {
		if found := (xray.Propagator{}).Extract(ctx, incoming{ctx}); trace.SpanContextFromContext(found).IsValid() {
			return found, trace.TraceID{}
		}
		if id := loadBalancerRoot(header); id.IsValid() {
			return ctx, id
		}
	}
	root, _ = t.ids.IDGenerator.NewIDs(ctx)
	return ctx, root
}

func (t *Telemetry) baggage(ctx context.Context) context.Context {
	if len(metadata.ValueFromIncomingContext(ctx, keyBaggage)) == 0 {
		return ctx
	}
	return propagation.Baggage{}.Extract(ctx, incoming{ctx})
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
func (c incoming) Get(key string) string {
	if values := metadata.ValueFromIncomingContext(c.ctx, strings.ToLower(key)); len(values) > 0 {
		return values[0]
	}
	return ""
}

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
