package serve

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// newLogger writes one JSON object a line; records logged with a request's
// context carry its id.
func newLogger(w io.Writer, cfg Config) *slog.Logger {
	handler := slog.NewJSONHandler(w, &slog.HandlerOptions{Level: cfg.LogLevel})
	return slog.New(contextHandler{handler}).With(
		slog.String("service", cfg.Name), slog.String("version", cfg.Version), slog.String("environment", cfg.Environment))
}

// contextHandler adds what the context knows to each record.
type contextHandler struct{ slog.Handler }

// Handle adds the request id.
func (h contextHandler) Handle(ctx context.Context, r slog.Record) error {
	if id := RequestID(ctx); id != "" {
		r.AddAttrs(slog.String("request_id", id))
	}
	return h.Handler.Handle(ctx, r) //nolint:wrapcheck // a handler's error passes as it is
}

// WithAttrs keeps the wrapping.
func (h contextHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return contextHandler{h.Handler.WithAttrs(attrs)}
}

// WithGroup keeps the wrapping.
func (h contextHandler) WithGroup(name string) slog.Handler {
	return contextHandler{h.Handler.WithGroup(name)}
}

// logging writes one line a call: method, code, duration and, where the caller
// is told less than we know, the cause.
func logging(log *slog.Logger, protocol string) interceptor {
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
			attrs = append(attrs, slog.String("error", causeOf(err)))
		}
		log.LogAttrs(ctx, level, "request", attrs...)
	}
	return interceptor{
		name: "logging",
		unary: func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			start := time.Now()
			resp, err := next(ctx, req)
			done(ctx, info.FullMethod, start, err)
			return resp, err
		},
		stream: func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			start := time.Now()
			err := next(srv, ss)
			done(ss.Context(), info.FullMethod, start, err)
			return err
		},
	}
}

// causeOf is the text for the log: what lies behind the status.
func causeOf(err error) string {
	if e, ok := errors.AsType[*statusError](err); ok && e.cause != nil {
		return e.cause.Error()
	}
	return err.Error()
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
