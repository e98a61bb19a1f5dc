package interceptor

import (
	"context"

	"google.golang.org/grpc"
)

// Unary joins the chain to one interceptor for unary calls. An interceptor may
// call the next one again once it has returned, but not twice at a time.
func Unary(all []Interceptor) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		place := 0 // one closure for the whole chain, not one for each link
		var next grpc.UnaryHandler
		next = func(ctx context.Context, req any) (any, error) {
			if place == len(all) {
				return handle(ctx, req)
			}
			place++
			defer func() { place-- }()
			return all[place-1].Unary(ctx, req, info, next)
		}
		return next(ctx, req)
	}
}

// Stream joins the chain to one interceptor for streams.
func Stream(all []Interceptor) grpc.StreamServerInterceptor {
	return func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
		return streamFrom(all, info, handle)(srv, ss)
	}
}

func streamFrom(all []Interceptor, info *grpc.StreamServerInfo, handle grpc.StreamHandler) grpc.StreamHandler {
	if len(all) == 0 {
		return handle
	}
	return func(srv any, ss grpc.ServerStream) error {
		return all[0].Stream(srv, ss, info, streamFrom(all[1:], info, handle))
	}
}
