package interceptor

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"

	"google.golang.org/grpc"
)

// recovery turns a panic into an error and logs it with its stack. The error is
// an unclassed one, so callers see INTERNAL and nothing of the panic.
func recovery(log *slog.Logger) Interceptor {
	caught := func(ctx context.Context, method string, value any) error {
		log.LogAttrs(ctx, slog.LevelError, "panic",
			slog.String("method", method), slog.String("panic", fmt.Sprint(value)), slog.String("stack", string(debug.Stack())))
		return fmt.Errorf("handle %s: panic: %v", method, value)
	}
	return Interceptor{
		Name: "recovery",
		Unary: func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (resp any, err error) {
			defer func() {
				if value := recover(); value != nil {
					err = caught(ctx, info.FullMethod, value)
				}
			}()
			return next(ctx, req)
		},
		Stream: func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
			defer func() {
				if value := recover(); value != nil {
					err = caught(ss.Context(), info.FullMethod, value)
				}
			}()
			return next(srv, ss)
		},
	}
}
