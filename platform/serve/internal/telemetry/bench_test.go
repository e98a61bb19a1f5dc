package telemetry_test

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/slipway-dev/slipway/platform/serve/internal/telemetry"
)

// BenchmarkRequest measures what tracing adds to one request. "bare" is the
// interceptor left out.
func BenchmarkRequest(b *testing.B) {
	alb := metadata.Pairs("x-amzn-trace-id", "Root="+albRoot)
	w3c := metadata.Pairs("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")
	handle := func(context.Context, any) (any, error) { return nil, nil }
	info := &grpc.UnaryServerInfo{FullMethod: method}
	for _, bc := range []struct {
		name  string
		ratio float64
		md    metadata.MD
	}{
		{"unsampled/new", 0, metadata.MD{}},
		{"unsampled/load balancer", 0, alb},
		{"unsampled/parent", 0, w3c},
		{"sampled/new", 1, metadata.MD{}},
		{"sampled/load balancer", 1, alb},
	} {
		b.Run(bc.name, func(b *testing.B) {
			k := record(b, telemetry.Config{Sampler: "parentbased_traceidratio", SamplerArg: bc.ratio})
			s := k.Server(nil)
			ctx := metadata.NewIncomingContext(b.Context(), bc.md)
			b.ReportAllocs()
			for b.Loop() {
				_, _ = s.Unary(ctx, nil, info, handle)
			}
		})
	}
	b.Run("bare", func(b *testing.B) {
		ctx := metadata.NewIncomingContext(b.Context(), alb)
		b.ReportAllocs()
		for b.Loop() {
			_, _ = handle(ctx, nil)
		}
	})
}

// BenchmarkCall measures what tracing adds to one call to another service.
func BenchmarkCall(b *testing.B) {
	for name, ratio := range map[string]float64{"unsampled": 0, "sampled": 1} {
		b.Run(name, func(b *testing.B) {
			k := record(b, telemetry.Config{Sampler: "parentbased_traceidratio", SamplerArg: ratio})
			serve(b.Context(), k.Server(nil), metadata.MD{}, func(ctx context.Context) error {
				b.ReportAllocs()
				for b.Loop() {
					ctx, call := k.Call(ctx, "inventory", method)
					_ = k.Inject(ctx, nil)
					call.End(nil)
				}
				return nil
			})
		})
	}
}

// BenchmarkSQL measures what the tracer costs a statement of a request that is
// not sampled.
func BenchmarkSQL(b *testing.B) {
	k := record(b, telemetry.Config{Sampler: "parentbased_traceidratio"})
	tracer := k.SQL()
	serve(b.Context(), k.Server(nil), metadata.MD{}, func(ctx context.Context) error {
		b.ReportAllocs()
		for b.Loop() {
			ctx := tracer.TraceQueryStart(ctx, nil, statement)
			tracer.TraceQueryEnd(ctx, nil, done)
		}
		return nil
	})
}
