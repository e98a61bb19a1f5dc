package interceptor

import (
	"context"
	"log/slog"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/slipway-dev/slipway/platform/serve/internal/problem"
)

// logging writes one line a call: method, code, duration and, where the caller
// is told less than we know, the cause.
func logging(log *slog.Logger, protocol string) Interceptor {
	done := func(ctx context.Context, method string, start time.Time, err error) {
		if infrastructure(method) {
			return
		}
		code := status.Code(err)
		level := levelOf(code)
		if !log.Enabled(ctx, level) {
			return
		}
		attrs := make([]slog.Attr, 0, 5)
		attrs = append(attrs,
			slog.String("protocol", protocol), slog.String("method", method), slog.String("code", code.String()),
			slog.Float64("duration_ms", float64(time.Since(start).Microseconds())/1000))
		if err != nil {
			attrs = append(attrs, slog.String("error", problem.Cause(err)))
		}
		log.LogAttrs(ctx, level, "request", attrs...)
	}
	return Interceptor{
		Name: "logging",
		Unary: func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			start := time.Now()
			resp, err := next(ctx, req)
			done(ctx, info.FullMethod, start, err)
			return resp, err
		},
		Stream: func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			start := time.Now()
			err := next(srv, ss)
			done(ss.Context(), info.FullMethod, start, err)
			return err
		},
	}
}

// levelOf is ERROR for our own faults, WARN for what an operator may want to
// know, INFO for the rest: a caller's mistake is not our problem.
func levelOf(code codes.Code) slog.Level {
	switch code {
	case codes.Internal, codes.Unknown, codes.DataLoss:
		return slog.LevelError
	case codes.Unavailable, codes.DeadlineExceeded, codes.ResourceExhausted:
		return slog.LevelWarn
	default:
		return slog.LevelInfo
	}
}
