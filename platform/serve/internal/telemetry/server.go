package telemetry

import (
	"context"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"go.opentelemetry.io/otel/attribute"
	otelcodes "go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Server makes one span of each request that is sampled.
type Server struct {
	telemetry *Telemetry
	method    func(context.Context) string // of the HTTP request; nil over gRPC
}

// Server makes the server side for one protocol. Over REST, httpMethod is the
// HTTP request's method; over gRPC it is nil.
func (t *Telemetry) Server(httpMethod func(context.Context) string) *Server {
	return &Server{telemetry: t, method: httpMethod}
}

// Unary is the interceptor for unary calls.
func (s *Server) Unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if infrastructure(info.FullMethod) {
		return next(ctx, req)
	}
	ctx, span := s.start(ctx, info.FullMethod)
	if span == nil {
		return next(ctx, req)
	}
	resp, err := next(ctx, req)
	s.end(span, err)
	return resp, err
}

// Stream is the interceptor for streams; the span is as long as the stream.
func (s *Server) Stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if infrastructure(info.FullMethod) {
		return next(srv, ss)
	}
	ctx, span := s.start(ss.Context(), info.FullMethod)
	err := next(srv, &tracedStream{ServerStream: ss, ctx: ctx})
	if span != nil {
		s.end(span, err)
	}
	return err
}

// tracedStream knows its span.
type tracedStream struct {
	grpc.ServerStream

	ctx context.Context //nolint:containedctx // the only way to change a stream's context
}

// Context is the one with the span.
func (s *tracedStream) Context() context.Context { return s.ctx }

// infrastructure reports whether the method belongs to the server itself:
// nobody wants to see probes and reflection in their traces.
func infrastructure(method string) bool {
	return strings.HasPrefix(method, "/grpc.health.") || strings.HasPrefix(method, "/grpc.reflection.")
}

// start finds the request's trace and, if that is sampled, starts a span. A
// request that is not sampled gets nothing but its ids in the context, for the
// log and for the calls it makes, and its span is nil.
func (s *Server) start(ctx context.Context, fullMethod string) (context.Context, trace.Span) {
	t := s.telemetry
	ctx, root := t.remote(ctx)
	parent := trace.SpanContextFromContext(ctx)
	if !t.sampled(parent, root) {
		switch {
		case root.IsValid():
			ctx = trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
				TraceID: root, SpanID: t.ids.NewSpanID(ctx, root),
			}))
		case parent.IsSampled(): // the sampler does not follow callers
			ctx = trace.ContextWithRemoteSpanContext(ctx, parent.WithTraceFlags(parent.TraceFlags().WithSampled(false)))
		}
		return ctx, nil
	}
	if root.IsValid() {
		ctx = withRoot(ctx, root)
	}
	name := strings.TrimPrefix(fullMethod, "/")
	attrs := make([]attribute.KeyValue, 0, 4)
	attrs = append(attrs, semconv.RPCSystemNameGRPC, semconv.RPCMethod(name))
	if s.method != nil {
		verb := s.method(ctx)
		name = verb
		attrs = append(attrs, semconv.HTTPRequestMethodKey.String(verb))
		if route, ok := runtime.HTTPPathPattern(ctx); ok {
			name += " " + route
			attrs = append(attrs, semconv.HTTPRoute(route))
		}
	}
	return t.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attrs...)) //nolint:spancheck // its callers end it
}

// sampled decides as the SDK would, without making a span to find out. The root
// samplers there are look at nothing but the trace id.
func (t *Telemetry) sampled(parent trace.SpanContext, root trace.TraceID) bool {
	id := root
	if parent.IsValid() {
		if t.parentBased {
			return parent.IsSampled()
		}
		id = parent.TraceID()
	}
	result := t.root.ShouldSample(sdktrace.SamplingParameters{ParentContext: context.Background(), TraceID: id})
	return result.Decision == sdktrace.RecordAndSample
}

// end closes a server's span. The error is the one the caller sees: what is
// hidden from callers is in the log, not here.
func (s *Server) end(span trace.Span, err error) {
	st := status.Convert(err)
	if s.method != nil {
		span.SetAttributes(semconv.HTTPResponseStatusCode(runtime.HTTPStatusFromCode(st.Code())))
	}
	finish(span, st, ourFault(st.Code()))
}

// finish records a call's outcome and ends its span. Messages stay out of it:
// they may quote what a customer sent.
func finish(span trace.Span, st *status.Status, failed bool) {
	span.SetAttributes(semconv.RPCResponseStatusCode(codeName(st.Code())))
	if st.Code() != codes.OK {
		reason := reasonOf(st)
		span.SetAttributes(semconv.ErrorTypeKey.String(reason))
		if failed {
			span.SetStatus(otelcodes.Error, reason)
		}
	}
	span.End()
}

// ourFault follows the semantic conventions: a caller's mistake is no error of
// the server's span.
func ourFault(code codes.Code) bool {
	switch code {
	case codes.Unknown, codes.DeadlineExceeded, codes.Unimplemented, codes.Internal, codes.Unavailable, codes.DataLoss:
		return true
	default:
		return false
	}
}

// reasonOf is the reason of the status's ErrorInfo, else its code.
func reasonOf(st *status.Status) string {
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetReason() != "" {
			return info.GetReason()
		}
	}
	return codeName(st.Code())
}

// codeName is the code as gRPC's specification writes it, e.g. NOT_FOUND.
func codeName(code codes.Code) string {
	if code == codes.Canceled {
		return "CANCELLED"
	}
	var b strings.Builder
	text := code.String()
	for i, r := range text {
		if i > 0 && r >= 'A' && r <= 'Z' && text[i-1] >= 'a' {
			b.WriteByte('_')
		}
		b.WriteRune(r)
	}
	return strings.ToUpper(b.String())
}
