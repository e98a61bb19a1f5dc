package interceptor

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/slipway-dev/slipway/platform/serve/internal/requestid"
)

// requestIDs takes over the caller's request id or makes one, and returns it in
// the header and the trailer.
func requestIDs() Interceptor {
	begin := func(ctx context.Context) (context.Context, metadata.MD) {
		given := ""
		if values := metadata.ValueFromIncomingContext(ctx, requestid.Key); len(values) > 0 {
			given = values[0]
		}
		id := requestid.Or(given)
		return requestid.With(ctx, id), metadata.Pairs(requestid.Key, id)
	}
	return Interceptor{
		Name: "request_id",
		Unary: func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			ctx, md := begin(ctx)
			_ = grpc.SetHeader(ctx, md) // fails only after the call has ended
			_ = grpc.SetTrailer(ctx, md)
			return next(ctx, req)
		},
		Stream: func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			ctx, md := begin(ss.Context())
			_ = ss.SetHeader(md)
			ss.SetTrailer(md)
			return next(srv, &streamContext{ServerStream: ss, ctx: ctx})
		},
	}
}
