package interceptor

import (
	"context"
	"log/slog"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/slipway-dev/slipway/platform/serve/internal/accesslog"
	"github.com/slipway-dev/slipway/platform/serve/internal/problem"
)

// logging writes one line a call: method, code, duration and, where the caller
// is told less than we know, the cause.
// A call that came over REST is noted for the HTTP side instead, which writes
// the line once it knows the answer's status.
func logging(cfg Config) Interceptor {
	log := cfg.Log
	done := func(ctx context.Context, method string, start time.Time, err error) {
		if cfg.Methods.Find(method).Infrastructure {
			return
		}
		code := status.Code(err)
		if note := accesslog.From(ctx); note != nil {
			call := accesslog.Call{Method: method, Code: code, Context: ctx}
			if err != nil {
				call.Cause = problem.Cause(err)
			}
			note.Set(call)
			return
		}
		level := accesslog.LevelOf(code)
		if !log.Enabled(ctx, level) {
			return
		}
		attrs := make([]slog.Attr, 0, 5)
		attrs = append(attrs,
			slog.String("protocol", cfg.Protocol), slog.String("method", method), slog.String("code", code.String()),
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
