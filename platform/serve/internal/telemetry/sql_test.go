package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"google.golang.org/grpc/metadata"
)

var (
	statement = pgx.TraceQueryStartData{SQL: "-- name: GetProduct :one\nSELECT * FROM products WHERE name = 'customer 4711'", Args: []any{"customer 4711"}}
	done      = pgx.TraceQueryEndData{}
)

// TestStatementsTellNoValues runs statements in and out of a request.
func TestStatementsTellNoValues(t *testing.T) {
	t.Parallel()
	const secret = "customer 4711"
	k := record(t, always())
	tracer := k.SQL()
	outside := tracer.TraceQueryStart(t.Context(), nil, statement)
	tracer.TraceQueryEnd(outside, nil, done)
	failures := []error{
		nil,
		&pgconn.PgError{Severity: "ERROR", Code: "22P02", Message: "invalid input syntax for type integer: " + secret, Detail: secret},
		fmt.Errorf("%s: %w", secret, context.DeadlineExceeded),
		errors.New(secret),
	}
	serve(t.Context(), k.Server(nil), metadata.MD{}, func(ctx context.Context) error {
		for _, err := range failures {
			ctx := tracer.TraceQueryStart(ctx, nil, statement)
			tracer.TraceQueryEnd(ctx, nil, pgx.TraceQueryEndData{Err: err})
		}
		ctx = tracer.TraceQueryStart(ctx, nil, pgx.TraceQueryStartData{SQL: "/* by hand */ select " + secret})
		tracer.TraceQueryEnd(ctx, nil, done)
		return nil
	})
	spans := k.spans(t)
	if len(spans) != len(failures)+2 {
		t.Fatalf("%d spans", len(spans))
	}
	request := spans[len(spans)-1]
	for i, span := range spans[:len(spans)-1] {
		if text := fmt.Sprintf("%+v", span); strings.Contains(text, secret) {
			t.Errorf("span %d tells %s", i, text)
		}
		if span.Parent.SpanID() != request.SpanContext.SpanID() {
			t.Errorf("span %d has the parent %v", i, span.Parent.SpanID())
		}
		want := "GetProduct"
		if i == len(failures) {
			want = "SELECT"
		}
		if span.Name != want {
			t.Errorf("span %d is called %q, want %q", i, span.Name, want)
		}
	}
	if text := fmt.Sprintf("%+v", spans[1]); !strings.Contains(text, "22P02") {
		t.Errorf("the SQLSTATE is lost: %s", text)
	}
}
