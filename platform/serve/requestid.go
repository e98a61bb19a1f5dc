package serve

import (
	"context"
	"crypto/rand"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// requestIDKey is the metadata key; over HTTP the header X-Request-Id.
const (
	requestIDKey    = "x-request-id"
	requestIDHeader = "X-Request-ID"
	requestIDMax    = 128
)

type requestIDContext struct{}

// RequestID is the id of the request ctx belongs to, empty outside of one.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDContext{}).(string)
	return id
}

// saneRequestID accepts what is safe to log and to send back.
func saneRequestID(id string) bool {
	if id == "" || len(id) > requestIDMax {
		return false
	}
	for _, c := range []byte(id) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9',
			c == '-', c == '_', c == '.', c == ':', c == '=', c == '/', c == '+':
		default:
			return false
		}
	}
	return true
}

// requestIDOr is the given id if it is sane, else a new one.
func requestIDOr(given string) string {
	if saneRequestID(given) {
		return given
	}
	return rand.Text()
}

// requestIDs takes over the caller's request id or makes one, and returns it in
// the header and the trailer.
func requestIDs() interceptor {
	begin := func(ctx context.Context) (context.Context, metadata.MD) {
		given := ""
		if values := metadata.ValueFromIncomingContext(ctx, requestIDKey); len(values) > 0 {
			given = values[0]
		}
		id := requestIDOr(given)
		return context.WithValue(ctx, requestIDContext{}, id), metadata.Pairs(requestIDKey, id)
	}
	return interceptor{
		name: "request_id",
		unary: func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			ctx, md := begin(ctx)
			_ = grpc.SetHeader(ctx, md) // fails only after the call has ended
			_ = grpc.SetTrailer(ctx, md)
			return next(ctx, req)
		},
		stream: func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			ctx, md := begin(ss.Context())
			_ = ss.SetHeader(md)
			ss.SetTrailer(md)
			return next(srv, &streamContext{ServerStream: ss, ctx: ctx})
		},
	}
}
