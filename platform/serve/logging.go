package serve

import (
	"context"
	"errors"
	"io"
	"log/slog"

	"go.opentelemetry.io/otel/trace"

	"github.com/slipway-dev/slipway/platform/serve/internal/requestid"
)

// newLogger writes one JSON object a line; records logged with a request's
// context carry its id and those of its trace.
func newLogger(w io.Writer, cfg Config) *slog.Logger {
	handler := slog.NewJSONHandler(w, &slog.HandlerOptions{Level: cfg.LogLevel})
	return slog.New(contextHandler{handler, w}).With(
		slog.String("service", cfg.Name), slog.String("version", cfg.Version), slog.String("environment", cfg.Environment))
}

// contextHandler adds what the context knows to each record, and sees to it that
// a line that may be a process's last is written before it goes on.
type contextHandler struct {
	slog.Handler

	out io.Writer
}

// Handle adds the ids of the request, its trace and its span.
func (h contextHandler) Handle(ctx context.Context, r slog.Record) error {
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		r.AddAttrs(slog.String("trace_id", span.TraceID().String()), slog.String("span_id", span.SpanID().String()))
	}
	if id := requestid.From(ctx); id != "" {
		r.AddAttrs(slog.String("request_id", id))
	}
	err := h.Handler.Handle(ctx, r)
	if buffered, ok := h.out.(interface{ Flush() error }); ok && r.Level >= slog.LevelError {
		err = errors.Join(err, buffered.Flush())
	}
	return err //nolint:wrapcheck // a handler's error passes as it is
}

// WithAttrs keeps the wrapping.
func (h contextHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return contextHandler{h.Handler.WithAttrs(attrs), h.out}
}

// WithGroup keeps the wrapping.
func (h contextHandler) WithGroup(name string) slog.Handler {
	return contextHandler{h.Handler.WithGroup(name), h.out}
}
