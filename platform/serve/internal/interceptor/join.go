package interceptor

import (
	"context"

	"google.golang.org/grpc"
)

// Unary joins the chain to one interceptor for unary calls.
func Unary(all []Interceptor) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		return unaryFrom(all, info, handle)(ctx, req)
	}
}

func unaryFrom(all []Interceptor, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) grpc.UnaryHandler {
	if len(all) == 0 {
		return handle
	}
	return func(ctx context.Context, req any) (any, error) {
		return all[0].Unary(ctx, req, info, unaryFrom(all[1:], info, handle))
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
