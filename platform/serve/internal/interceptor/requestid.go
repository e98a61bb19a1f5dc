package interceptor

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/slipway-dev/slipway/platform/serve/internal/requestid"
)

// requestIDs takes over the caller's request id or makes one, and returns it in
// the header and the trailer. An answer that fails has no header: gRPC clients
// retry only what consists of trailers alone (gRPC proposal A6). A call that came
// over REST has its id already, and the HTTP side returns it.
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
			if requestid.From(ctx) != "" {
				return next(ctx, req)
			}
			ctx, md := begin(ctx)
			_ = grpc.SetTrailer(ctx, md) // fails only after the call has ended
			resp, err := next(ctx, req)
			if err == nil {
				_ = grpc.SetHeader(ctx, md) // fails if the handler has sent its own already
			}
			return resp, err
		},
		Stream: func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			if requestid.From(ss.Context()) != "" {
				return next(srv, ss)
			}
			ctx, md := begin(ss.Context())
			ss.SetTrailer(md)
			return next(srv, &identifiedStream{streamContext: streamContext{ServerStream: ss, ctx: ctx}, header: md})
		},
	}
}

// identifiedStream sends the request id with its first message.
type identifiedStream struct {
	streamContext

	header metadata.MD // nil once it is set
}

// SendMsg sends a message.
func (s *identifiedStream) SendMsg(m any) error {
	if s.header != nil {
		_ = s.SetHeader(s.header) // fails if the handler has sent its own already
		s.header = nil
	}
	return s.ServerStream.SendMsg(m) //nolint:wrapcheck // transport statuses pass as they are
}
