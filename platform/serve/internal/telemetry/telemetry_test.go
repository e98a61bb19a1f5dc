package telemetry_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	otelcodes "go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/slipway-dev/slipway/platform/serve/internal/telemetry"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := goleak.Find(); code == 0 && err != nil {
		println(err.Error())
		code = 1
	}
	os.Exit(code)
}

const (
	albRoot  = "1-67891233-abcdef012345678912345678"
	albTrace = "67891233abcdef012345678912345678"
	method   = "/slipway.catalog.v1.CatalogService/GetProduct"
)

// always is a configuration that records everything.
func always() telemetry.Config {
	return telemetry.Config{Sampler: "parentbased_always_on"}
}

// kept collects spans; they are there once the telemetry is shut down.
type kept struct {
	*telemetry.Telemetry

	memory *tracetest.InMemoryExporter
	ended  tracetest.SpanStubs
}

// keep is an exporter that remembers what it got beyond its shutdown.
type keep struct {
	*tracetest.InMemoryExporter

	into *kept
}

func (k keep) Shutdown(ctx context.Context) error {
	k.into.ended = k.GetSpans()
	return k.InMemoryExporter.Shutdown(ctx)
}

func record(tb testing.TB, cfg telemetry.Config) *kept {
	tb.Helper()
	k := &kept{memory: tracetest.NewInMemoryExporter()}
	t, err := telemetry.New(tb.Context(), cfg, telemetry.Options{
		Service: "catalog", Version: "v1", Environment: "test", Log: slog.New(slog.DiscardHandler), Exporter: keep{k.memory, k},
	})
	if err != nil {
		tb.Fatal(err)
	}
	k.Telemetry = t
	tb.Cleanup(func() { _ = t.Shutdown(context.WithoutCancel(tb.Context())) })
	return k
}

// spans ends the recording and gives what was recorded.
func (k *kept) spans(tb testing.TB) tracetest.SpanStubs {
	tb.Helper()
	if err := k.Shutdown(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return k.ended
}

// serve lets one request with the metadata through the interceptor.
func serve(ctx context.Context, s *telemetry.Server, md metadata.MD, handle func(context.Context) error) {
	ctx = metadata.NewIncomingContext(ctx, md)
	_, _ = s.Unary(ctx, nil, &grpc.UnaryServerInfo{FullMethod: method}, func(ctx context.Context, _ any) (any, error) {
		return nil, handle(ctx)
	})
}

// TestTraceIsContinued is the table of what a request may bring along.
func TestTraceIsContinued(t *testing.T) {
	t.Parallel()
	const w3c = "4bf92f3577b34da6a3ce929d0e0e4736"
	const parent = "00f067aa0ba902b7"
	for name, tc := range map[string]struct {
		md            metadata.MD
		trace, parent string // empty: a new one, none
		recorded      bool
	}{
		"nothing":                        {metadata.MD{}, "", "", true},
		"load balancer":                  {metadata.Pairs("x-amzn-trace-id", "Root="+albRoot), albTrace, "", true},
		"load balancer and client":       {metadata.Pairs("x-amzn-trace-id", "Self=1-67891234-12456789abcdef012345678a;Root="+albRoot), albTrace, "", true},
		"load balancer with fields":      {metadata.Pairs("x-amzn-trace-id", "Root="+albRoot+"; CalledFrom=app"), albTrace, "", true},
		"X-Ray, sampled":                 {metadata.Pairs("x-amzn-trace-id", "Root="+albRoot+";Parent=53995c3f42cd8ad8;Sampled=1"), albTrace, "53995c3f42cd8ad8", true},
		"X-Ray, not sampled":             {metadata.Pairs("x-amzn-trace-id", "Root="+albRoot+";Parent=53995c3f42cd8ad8;Sampled=0"), albTrace, "53995c3f42cd8ad8", false},
		"W3C":                            {metadata.Pairs("traceparent", "00-"+w3c+"-"+parent+"-01"), w3c, parent, true},
		"W3C, not sampled":               {metadata.Pairs("traceparent", "00-"+w3c+"-"+parent+"-00"), w3c, parent, false},
		"W3C wins":                       {metadata.Pairs("traceparent", "00-"+w3c+"-"+parent+"-01", "x-amzn-trace-id", "Root="+albRoot), w3c, parent, true},
		"broken W3C leaves the root":     {metadata.Pairs("traceparent", "00-xyz", "x-amzn-trace-id", "Root="+albRoot), albTrace, "", true},
		"Root of the wrong length":       {metadata.Pairs("x-amzn-trace-id", "Root=1-67891233-abc"), "", "", true},
		"Root of another version":        {metadata.Pairs("x-amzn-trace-id", "Root=2-67891233-abcdef012345678912345678"), "", "", true},
		"Root that is not hexadecimal":   {metadata.Pairs("x-amzn-trace-id", "Root=1-67891233-abcdef01234567891234567z"), "", "", true},
		"Root of zeros":                  {metadata.Pairs("x-amzn-trace-id", "Root=1-00000000-000000000000000000000000"), "", "", true},
		"header that is no list at all":  {metadata.Pairs("x-amzn-trace-id", ";;==;"), "", "", true},
		"empty header":                   {metadata.Pairs("x-amzn-trace-id", ""), "", "", true},
		"Self alone is another's header": {metadata.Pairs("x-amzn-trace-id", "Self="+albRoot), "", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := record(t, always())
			var seen trace.SpanContext
			serve(t.Context(), k.Server(nil), tc.md, func(ctx context.Context) error {
				seen = trace.SpanContextFromContext(ctx)
				return nil
			})
			if !seen.IsValid() || seen.IsSampled() != tc.recorded {
				t.Errorf("the handler sees %+v, want recorded %v", seen, tc.recorded)
			}
			if id := seen.TraceID().String(); (tc.trace != "" && id != tc.trace) || (tc.trace == "" && (id == albTrace || id == w3c)) {
				t.Errorf("trace is %s, want %q", id, tc.trace)
			}
			spans := k.spans(t)
			if len(spans) != map[bool]int{true: 1, false: 0}[tc.recorded] {
				t.Fatalf("%d spans, want recorded %v", len(spans), tc.recorded)
			}
			if !tc.recorded {
				return
			}
			got := ""
			if spans[0].Parent.IsValid() {
				got = spans[0].Parent.SpanID().String()
			}
			if got != tc.parent || spans[0].SpanContext.TraceID() != seen.TraceID() {
				t.Errorf("parent is %q, want %q; trace %v", got, tc.parent, spans[0].SpanContext.TraceID())
			}
		})
	}
}

// TestSamplingIsDecidedByTheTraceID lets two services with the same ratio decide
// on the same traces, and expects the same answers and about the ratio.
func TestSamplingIsDecidedByTheTraceID(t *testing.T) {
	t.Parallel()
	cfg := telemetry.Config{Sampler: "parentbased_traceidratio", SamplerArg: 0.25}
	one, other := record(t, cfg), record(t, cfg)
	sampled := 0
	const requests = 4000
	for range requests {
		var first, second trace.SpanContext
		serve(t.Context(), one.Server(nil), metadata.MD{}, func(ctx context.Context) error {
			first = trace.SpanContextFromContext(ctx)
			return nil
		})
		id := first.TraceID().String()
		serve(t.Context(), other.Server(nil), metadata.Pairs("x-amzn-trace-id", "Root=1-"+id[:8]+"-"+id[8:]), func(ctx context.Context) error {
			second = trace.SpanContextFromContext(ctx)
			return nil
		})
		if first.IsSampled() != second.IsSampled() || first.TraceID() != second.TraceID() {
			t.Fatalf("%+v and %+v", first, second)
		}
		if first.IsSampled() {
			sampled++
		}
	}
	if sampled < requests/5 || sampled > requests*3/10 {
		t.Errorf("%d of %d are sampled, want about a quarter", sampled, requests)
	}
}

func TestSamplers(t *testing.T) {
	t.Parallel()
	yes := metadata.Pairs("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	no := metadata.Pairs("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")
	for name, want := range map[string][3]bool{ // new, sampled parent, other parent
		"always_on": {true, true, true}, "always_off": {false, false, false}, "traceidratio": {false, false, false},
		"parentbased_always_on": {true, true, false}, "parentbased_always_off": {false, true, false}, "parentbased_traceidratio": {false, true, false},
	} {
		k := record(t, telemetry.Config{Sampler: name})
		for i, md := range []metadata.MD{{}, yes, no} {
			serve(t.Context(), k.Server(nil), md, func(ctx context.Context) error {
				if got := trace.SpanContextFromContext(ctx).IsSampled(); got != want[i] {
					t.Errorf("%s: request %d is sampled: %v", name, i, got)
				}
				return nil
			})
		}
		count := 0
		for _, w := range want {
			if w {
				count++
			}
		}
		if n := len(k.spans(t)); n != count {
			t.Errorf("%s: %d spans, want %d", name, n, count)
		}
	}
}

// TestOutcome says what a span keeps of an error, and that it keeps no message.
func TestOutcome(t *testing.T) {
	t.Parallel()
	const secret = "customer 4711"
	withReason, err := status.New(codes.NotFound, secret).WithDetails(&errdetails.ErrorInfo{Reason: "PRODUCT_NOT_FOUND"})
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		err    error
		http   int64
		code   string
		reason string
		status otelcodes.Code
	}{
		"success":   {nil, 200, "OK", "", otelcodes.Unset},
		"caller's":  {withReason.Err(), 404, "NOT_FOUND", "PRODUCT_NOT_FOUND", otelcodes.Unset},
		"ours":      {status.Error(codes.Internal, secret), 500, "INTERNAL", "INTERNAL", otelcodes.Error},
		"deadline":  {status.Error(codes.DeadlineExceeded, secret), 504, "DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED", otelcodes.Error},
		"cancelled": {status.Error(codes.Canceled, secret), 499, "CANCELLED", "CANCELLED", otelcodes.Unset},
		"unclassed": {errors.New(secret), 500, "UNKNOWN", "UNKNOWN", otelcodes.Error},
	} {
		k := record(t, always())
		serve(t.Context(), k.Server(func(context.Context) string { return "GET" }), metadata.MD{}, func(context.Context) error { return tc.err })
		span := k.spans(t)[0]
		attrs := attribute.NewSet(span.Attributes...)
		value := func(key attribute.Key) string { v, _ := attrs.Value(key); return v.AsString() }
		code, _ := attrs.Value("http.response.status_code")
		if code.AsInt64() != tc.http || value("rpc.response.status_code") != tc.code || value("error.type") != tc.reason || span.Status.Code != tc.status {
			t.Errorf("%s: %v, status %v", name, attrs.ToSlice(), span.Status)
		}
		if value("rpc.system.name") != "grpc" || "/"+value("rpc.method") != method || value("http.request.method") != "GET" || span.SpanKind != trace.SpanKindServer {
			t.Errorf("%s: %v", name, attrs.ToSlice())
		}
		if text := strings.Join([]string{span.Status.Description, span.Name, attrs.Encoded(attribute.DefaultEncoder())}, " "); strings.Contains(text, secret) || len(span.Events) > 0 {
			t.Errorf("%s: the span tells %s, events %v", name, text, span.Events)
		}
	}
}

func TestProbesAndReflectionAreNotTraced(t *testing.T) {
	t.Parallel()
	k := record(t, always())
	s := k.Server(nil)
	for _, m := range []string{"/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"} {
		_, err := s.Unary(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: m}, func(ctx context.Context, _ any) (any, error) {
			if trace.SpanContextFromContext(ctx).IsValid() {
				t.Errorf("%s has a trace", m)
			}
			return nil, nil
		})
		err = errors.Join(err, s.Stream(nil, &stream{ctx: t.Context()}, &grpc.StreamServerInfo{FullMethod: m}, func(_ any, ss grpc.ServerStream) error {
			if trace.SpanContextFromContext(ss.Context()).IsValid() {
				t.Errorf("%s has a trace", m)
			}
			return nil
		}))
		if err != nil {
			t.Fatal(err)
		}
	}
	if n := len(k.spans(t)); n != 0 {
		t.Errorf("%d spans", n)
	}
}

type stream struct {
	grpc.ServerStream

	ctx context.Context
}

func (s *stream) Context() context.Context { return s.ctx }

// TestStreamAndItsCall also covers the calls it makes.
func TestStreamAndItsCall(t *testing.T) {
	t.Parallel()
	k := record(t, always())
	ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("x-amzn-trace-id", "Root="+albRoot))
	var sent []string
	err := k.Server(nil).Stream(nil, &stream{ctx: ctx}, &grpc.StreamServerInfo{FullMethod: method}, func(_ any, ss grpc.ServerStream) error {
		ctx, call := k.Call(ss.Context(), "inventory", "/slipway.inventory.v1.InventoryService/GetStockItem")
		sent = k.Inject(ctx, []string{"x-request-id", "7"})
		call.End(status.Error(codes.NotFound, "secret"))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	spans := k.spans(t)
	if len(spans) != 2 || spans[0].Parent.SpanID() != spans[1].SpanContext.SpanID() || spans[0].SpanKind != trace.SpanKindClient ||
		spans[0].SpanContext.TraceID().String() != albTrace || spans[0].Status.Code != otelcodes.Error || spans[0].Status.Description != "NOT_FOUND" {
		t.Fatalf("%+v", spans)
	}
	id := spans[0].SpanContext.SpanID().String()
	want := "x-request-id 7 x-amzn-trace-id Root=" + albRoot + ";Parent=" + id + ";Sampled=1 traceparent 00-" + albTrace + "-" + id + "-01"
	if got := strings.Join(sent, " "); got != want {
		t.Errorf("sent\n%s, want\n%s", got, want)
	}
}

// TestUnsampledIsPassedOn sees that a request nobody records is not recorded by
// those it calls either.
func TestUnsampledIsPassedOn(t *testing.T) {
	t.Parallel()
	k := record(t, telemetry.Config{Sampler: "parentbased_traceidratio", SamplerArg: 0})
	var sent []string
	serve(t.Context(), k.Server(nil), metadata.Pairs("x-amzn-trace-id", "Root="+albRoot), func(ctx context.Context) error {
		ctx, call := k.Call(ctx, "inventory", method)
		defer call.End(nil)
		sent = k.Inject(ctx, nil)
		if _, ok := k.Origin(ctx); !ok {
			t.Error("a job would lose its origin")
		}
		return nil
	})
	if text := strings.Join(sent, " "); !strings.Contains(text, "traceparent 00-"+albTrace+"-") || !strings.HasSuffix(text, "-00") {
		t.Errorf("sent %s", text)
	}
	if n := len(k.spans(t)); n != 0 {
		t.Errorf("%d spans", n)
	}
}

func TestJobIsChildAndLinked(t *testing.T) {
	t.Parallel()
	k := record(t, always())
	var origin telemetry.Origin
	serve(t.Context(), k.Server(nil), metadata.MD{}, func(ctx context.Context) error {
		origin, _ = k.Origin(ctx)
		return nil
	})
	_, job := k.Job(t.Context(), origin, "confirm_order", "default", 2)
	job.End("TIMEOUT")
	_, alone := k.Job(t.Context(), telemetry.Origin{}, "expire", "default", 1)
	alone.End("")
	spans := k.spans(t)
	request, child, other := spans[0], spans[1], spans[2]
	if child.Name != "job confirm_order" || child.Parent.SpanID() != request.SpanContext.SpanID() || child.SpanContext.TraceID() != request.SpanContext.TraceID() ||
		len(child.Links) != 1 || child.Links[0].SpanContext.SpanID() != request.SpanContext.SpanID() || child.Status.Description != "TIMEOUT" {
		t.Errorf("%+v", child)
	}
	if other.Parent.IsValid() || len(other.Links) != 0 || other.SpanContext.TraceID() == request.SpanContext.TraceID() || other.Status.Code != otelcodes.Unset {
		t.Errorf("%+v", other)
	}
}

// TestOffIsOff calls everything on nil.
func TestOffIsOff(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]telemetry.Config{"no endpoint": {}, "disabled": {Endpoint: "http://127.0.0.1:1", Disabled: true}} {
		off, err := telemetry.New(t.Context(), cfg, telemetry.Options{})
		if err != nil || off != nil {
			t.Fatalf("%s: %v, %v", name, off, err)
		}
		ctx, call := off.Call(t.Context(), "x", method)
		call.End(errors.New("x"))
		_, job := off.Job(ctx, telemetry.Origin{}, "x", "x", 1)
		job.End("x")
		if _, ok := off.Origin(ctx); ok || off.SQL() != nil || off.Inject(ctx, nil) != nil || off.Shutdown(ctx) != nil {
			t.Errorf("%s: not off", name)
		}
	}
}

var _ sdktrace.SpanExporter = keep{}
