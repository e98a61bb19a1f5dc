package outbound_test

import (
	"log/slog"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/slipway-dev/slipway/platform/serve/internal/access"
	"github.com/slipway-dev/slipway/platform/serve/internal/drain"
	"github.com/slipway-dev/slipway/platform/serve/internal/echopb"
	"github.com/slipway-dev/slipway/platform/serve/internal/interceptor"
	"github.com/slipway-dev/slipway/platform/serve/internal/outbound"
	"github.com/slipway-dev/slipway/platform/serve/servetest"
)

// TestCalleeOfOursIsRetried has the runtime's own interceptors at the other end.
// gRPC retries only an answer that is nothing but trailers, so a failed call must
// not send a header.
func TestCalleeOfOursIsRetried(t *testing.T) {
	t.Parallel()
	c := &callee{answer: failing(2, codes.Unavailable)}
	methods := access.Of(&echopb.GuardedService_ServiceDesc)
	for _, m := range methods {
		m.Public, m.Scopes = true, nil
	}
	chain := interceptor.Chain(interceptor.Config{
		Log: slog.New(slog.DiscardHandler), Protocol: "grpc", Domain: "guarded.slipway", Methods: methods, Load: interceptor.NewLoad(9, 9),
		Limits: interceptor.Limits{Unary: time.Minute, UnaryMax: time.Minute, Stream: time.Minute, StreamAge: time.Minute}, Streams: drain.NewStreams(),
		Validator: interceptor.NewValidator(),
	})
	address := servetest.Callee(t, func(r grpc.ServiceRegistrar) { echopb.RegisterGuardedServiceServer(r, c) }, interceptor.Options(chain)...)
	client, _ := dial(t, outbound.Target{Address: address, Breaker: never})
	if err := read(t.Context(), client); err != nil || c.reads.Load() != 3 {
		t.Errorf("%v after %d attempts", err, c.reads.Load())
	}
	var header, trailer metadata.MD
	if _, err := client.Read(t.Context(), &echopb.EchoRequest{Text: "x"}, grpc.Header(&header), grpc.Trailer(&trailer)); err != nil || len(header["x-request-id"]) != 1 {
		t.Errorf("%v, header %v", err, header)
	}
	c.writes.Store(0)
	_, err := client.Write(t.Context(), &echopb.EchoRequest{Text: "x"}, grpc.Trailer(&trailer))
	if status.Code(err) != codes.Unavailable || len(trailer["x-request-id"]) != 1 {
		t.Errorf("%v, trailer %v", err, trailer)
	}
}
