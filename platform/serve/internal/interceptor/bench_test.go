package interceptor

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/slipway-dev/slipway/platform/serve/auth"
	"github.com/slipway-dev/slipway/platform/serve/internal/access"
	"github.com/slipway-dev/slipway/platform/serve/internal/drain"
	"github.com/slipway-dev/slipway/platform/serve/internal/echopb"
)

type friend struct{ p auth.Principal }

func (f *friend) Bearer(context.Context, []string) (*auth.Principal, error) { return &f.p, nil }

// BenchmarkChain is what every interceptor but tracing costs a call together,
// with and without its log line, and without the verification of its token.
func BenchmarkChain(b *testing.B) {
	for name, level := range map[string]slog.Level{"logged": slog.LevelInfo, "quiet": slog.LevelWarn} {
		b.Run(name, func(b *testing.B) {
			chain := Chain(Config{
				Log:      slog.New(slog.NewJSONHandler(io.Discard, &slog.HandlerOptions{Level: level})), //nolint:sloglint // the encoding is part of the cost
				Protocol: "grpc", Domain: "echo.slipway", Methods: access.Of(&echopb.GuardedService_ServiceDesc), Validator: NewValidator(),
				Load: NewLoad(256, 1000), Limits: Limits{Unary: time.Second, UnaryMax: time.Minute, Stream: time.Hour, StreamAge: time.Hour}, Streams: drain.NewStreams(),
				Tokens: &friend{auth.Principal{Subject: "s", Scopes: []string{"guarded.read"}}},
			})
			call := Unary(chain)
			info := &grpc.UnaryServerInfo{FullMethod: echopb.GuardedService_Read_FullMethodName}
			ctx := metadata.NewIncomingContext(b.Context(), metadata.Pairs("authorization", "Bearer x", "x-request-id", "abc"))
			ctx = grpc.NewContextWithServerTransportStream(ctx, discard{})
			request, response := &echopb.EchoRequest{Text: "x"}, &echopb.EchoResponse{}
			handler := func(context.Context, any) (any, error) { return response, nil }
			b.ReportAllocs()
			for b.Loop() {
				if _, err := call(ctx, proto.Message(request), info, handler); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// discard is a call whose metadata nobody reads.
type discard struct{}

func (discard) Method() string               { return "" }
func (discard) SetHeader(metadata.MD) error  { return nil }
func (discard) SendHeader(metadata.MD) error { return nil }
func (discard) SetTrailer(metadata.MD) error { return nil }
