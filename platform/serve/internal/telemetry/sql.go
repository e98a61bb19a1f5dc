package telemetry

import (
	"context"
	"errors"
	"strings"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
)

// sqlTracer makes a span of each statement of a recorded request. Statements of
// nobody's request (pings, the jobs' own polling) and of one that is not sampled
// never reach otelpgx, which would allocate for them. A span is named after the
// statement's sqlc name; the text is left out, as are all values: a statement
// made by hand might hold a customer's data, and so might an error's text.
type sqlTracer struct{ inner *otelpgx.Tracer }

var (
	_ pgx.QueryTracer    = (*sqlTracer)(nil)
	_ pgx.BatchTracer    = (*sqlTracer)(nil)
	_ pgx.CopyFromTracer = (*sqlTracer)(nil)
)

// SQL is the tracer for a database pool, nil if nothing is traced.
func (t *Telemetry) SQL() pgx.QueryTracer {
	if t == nil {
		return nil
	}
	return &sqlTracer{otelpgx.NewTracer(
		otelpgx.WithTracerProvider(t.provider), otelpgx.WithMeterProvider(noop.NewMeterProvider()),
		otelpgx.WithDisableConnectionDetailsInAttributes(), otelpgx.WithDisableSQLStatementInAttributes(),
		otelpgx.WithSpanNameFunc(statementName))}
}

// statementName is the name that sqlc writes above a statement, else its verb.
func statementName(statement string) string {
	if rest, ok := strings.CutPrefix(strings.TrimSpace(statement), "-- name: "); ok {
		name, _, _ := strings.Cut(rest, " ")
		return name
	}
	return otelpgx.SQLOperationName(context.Background(), statement)
}

func recording(ctx context.Context) bool { return trace.SpanFromContext(ctx).IsRecording() }

// TraceQueryStart begins a statement.
func (s *sqlTracer) TraceQueryStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if !recording(ctx) {
		return ctx
	}
	return s.inner.TraceQueryStart(ctx, conn, data)
}

// TraceQueryEnd ends a statement.
func (s *sqlTracer) TraceQueryEnd(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryEndData) {
	if !recording(ctx) {
		return
	}
	data.Err = withoutValues(data.Err)
	s.inner.TraceQueryEnd(ctx, conn, data)
}

// TraceBatchStart begins a batch.
func (s *sqlTracer) TraceBatchStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	if !recording(ctx) {
		return ctx
	}
	return s.inner.TraceBatchStart(ctx, conn, data)
}

// TraceBatchQuery notes one statement of a batch.
func (s *sqlTracer) TraceBatchQuery(ctx context.Context, conn *pgx.Conn, data pgx.TraceBatchQueryData) {
	if !recording(ctx) {
		return
	}
	data.Err = withoutValues(data.Err)
	s.inner.TraceBatchQuery(ctx, conn, data)
}

// TraceBatchEnd ends a batch.
func (s *sqlTracer) TraceBatchEnd(ctx context.Context, conn *pgx.Conn, data pgx.TraceBatchEndData) {
	if !recording(ctx) {
		return
	}
	data.Err = withoutValues(data.Err)
	s.inner.TraceBatchEnd(ctx, conn, data)
}

// TraceCopyFromStart begins a COPY.
func (s *sqlTracer) TraceCopyFromStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceCopyFromStartData) context.Context {
	if !recording(ctx) {
		return ctx
	}
	return s.inner.TraceCopyFromStart(ctx, conn, data)
}

// TraceCopyFromEnd ends a COPY.
func (s *sqlTracer) TraceCopyFromEnd(ctx context.Context, conn *pgx.Conn, data pgx.TraceCopyFromEndData) {
	if !recording(ctx) {
		return
	}
	data.Err = withoutValues(data.Err)
	s.inner.TraceCopyFromEnd(ctx, conn, data)
}

// withoutValues keeps of an error what is no customer's data: the SQLSTATE, or
// that the time was up.
func withoutValues(err error) error {
	if err == nil {
		return nil
	}
	for _, known := range []error{context.Canceled, context.DeadlineExceeded, pgx.ErrNoRows} {
		if errors.Is(err, known) {
			return known
		}
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return &pgconn.PgError{Severity: pg.Severity, Code: pg.Code, Message: "statement refused"}
	}
	return errors.New("statement did not complete")
}
