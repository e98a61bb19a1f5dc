package serve

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"

	"github.com/jonboulle/clockwork"
	"go.opentelemetry.io/otel/trace"

	"github.com/slipway-dev/slipway/platform/serve/internal/accesslog"
	"github.com/slipway-dev/slipway/platform/serve/internal/requestid"
)

// newLogger writes one JSON object a line; records logged with a request's
// context carry its id and those of its trace. Lines of requests have a writer of
// their own beside it.
func newLogger(out io.Writer, cfg Config) (*slog.Logger, *accesslog.Writer) {
	w := &lockedWriter{out: out}
	constant := []slog.Attr{
		slog.String("service", cfg.Name), slog.String("version", cfg.Version), slog.String("environment", cfg.Environment),
	}
	handler := slog.NewJSONHandler(w, &slog.HandlerOptions{Level: cfg.LogLevel}).WithAttrs(constant)
	return slog.New(contextHandler{handler, w}), accesslog.NewWriter(accesslog.Config{
		Out: w, Level: cfg.LogLevel, Clock: clockwork.NewRealClock(), Constant: constant,
	})
}

// lockedWriter lets both write lines to one output.
type lockedWriter struct {
	mu  sync.Mutex
	out io.Writer
}

// Write writes whole lines.
func (w *lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.out.Write(p) //nolint:wrapcheck // a writer's error passes as it is
}

// Flush waits until everything is written, if the output keeps lines back.
func (w *lockedWriter) Flush() error {
	if buffered, ok := w.out.(interface{ Flush() error }); ok {
		return buffered.Flush() //nolint:wrapcheck // a writer's error passes as it is
	}
	return nil
}

// contextHandler adds what the context knows to each record, and sees to it that
// a line that may be a process's last is written before it goes on.
type contextHandler struct {
	slog.Handler

	out *lockedWriter
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
	if r.Level >= slog.LevelError {
		err = errors.Join(err, h.out.Flush())
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
