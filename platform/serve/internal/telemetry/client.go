package telemetry

import (
	"context"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	otelcodes "go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Call is a call to another service that is under way.
type Call struct{ span trace.Span }

// Call starts the span of a call to the callee, a child of the request's if that
// is recorded. It must be ended.
//
//nolint:spancheck // Call.End ends it
func (t *Telemetry) Call(ctx context.Context, callee, fullMethod string) (context.Context, Call) {
	if t == nil || !trace.SpanFromContext(ctx).IsRecording() {
		return ctx, Call{}
	}
	method := strings.TrimPrefix(fullMethod, "/")
	ctx, span := t.tracer.Start(ctx, method, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		semconv.RPCSystemNameGRPC, semconv.RPCMethod(method), semconv.ServerAddress(callee)))
	return ctx, Call{span: span}
}

// End records how the call went.
func (c Call) End(err error) {
	if c.span == nil {
		return
	}
	st := status.Convert(err)
	finish(c.span, st, st.Code() != codes.OK)
}

// Inject appends the metadata, keys and values in turn, that carry the context's
// trace to a callee.
func (t *Telemetry) Inject(ctx context.Context, to []string) []string {
	if t == nil {
		return to
	}
	carrier := pairs(to)
	t.propagator.Inject(ctx, &carrier)
	return carrier
}

// Origin is where a job comes from, as it is stored with the job: the W3C form
// of the span that inserted it.
type Origin struct {
	Traceparent string `json:"traceparent,omitempty"`
	Tracestate  string `json:"tracestate,omitempty"`
}

// Origin is the context's span, false if it has none.
func (t *Telemetry) Origin(ctx context.Context) (Origin, bool) {
	if t == nil || !trace.SpanContextFromContext(ctx).IsValid() {
		return Origin{}, false
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return Origin{Traceparent: carrier["traceparent"], Tracestate: carrier["tracestate"]}, true
}

// Job is an attempt at a job that is under way.
type Job struct{ span trace.Span }

// Job starts the span of an attempt at a job. It belongs to the trace of the
// request that inserted the job, as that span's child, so that one order is one
// trace; it also carries a link to that span, for tools that show a job apart
// from its request. A job without an origin begins a trace.
//
//nolint:spancheck // Job.End ends it
func (t *Telemetry) Job(ctx context.Context, origin Origin, kind, queue string, attempt int) (context.Context, Job) {
	if t == nil {
		return ctx, Job{}
	}
	options := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
		semconv.MessagingSystemKey.String("river"), semconv.MessagingDestinationName(queue),
		semconv.MessagingOperationTypeProcess, semconv.MessagingOperationName(kind), attribute.Int("job.attempt", attempt))}
	if origin.Traceparent != "" {
		ctx = propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": origin.Traceparent, "tracestate": origin.Tracestate})
		options = append(options, trace.WithLinks(trace.LinkFromContext(ctx)))
	}
	ctx, span := t.tracer.Start(ctx, "job "+kind, options...)
	return ctx, Job{span: span}
}

// End records how the attempt went: the reason of its failure, empty for
// success. The error's text is in the log.
func (j Job) End(reason string) {
	if j.span == nil {
		return
	}
	if reason != "" {
		j.span.SetAttributes(semconv.ErrorTypeKey.String(reason))
		j.span.SetStatus(otelcodes.Error, reason)
	}
	j.span.End()
}
