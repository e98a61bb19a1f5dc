package jobs_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/riverqueue/river"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"

	"github.com/slipway-dev/slipway/platform/serve/internal/requestid"
	"github.com/slipway-dev/slipway/platform/serve/internal/telemetry"
	"github.com/slipway-dev/slipway/platform/serve/jobs"
)

// kept remembers the spans beyond the exporter's end.
type kept struct {
	*tracetest.InMemoryExporter

	spans tracetest.SpanStubs
}

func (k *kept) Shutdown(ctx context.Context) error {
	k.spans = k.GetSpans()
	return k.InMemoryExporter.Shutdown(ctx)
}

var _ sdktrace.SpanExporter = (*kept)(nil)

// TestJobIsInTheTraceOfItsRequest inserts from a request, and reads back which
// trace the attempts belong to and what the worker knew.
func TestJobIsInTheTraceOfItsRequest(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	k := &kept{InMemoryExporter: tracetest.NewInMemoryExporter()}
	tel, err := telemetry.New(t.Context(), telemetry.Config{Sampler: "always_on"}, telemetry.Options{Service: "x", Log: slog.New(slog.DiscardHandler), Exporter: k})
	if err != nil {
		t.Fatal(err)
	}
	seen := make(chan string, 9)
	c := b.client(t, jobs.Runtime{Telemetry: tel}, jobs.Config{}, func(ctx context.Context, job *river.Job[note]) error {
		seen <- trace.SpanContextFromContext(ctx).TraceID().String() + " " + requestid.From(ctx)
		if job.Attempt == 1 {
			return errors.New("customer 4711")
		}
		return nil
	})
	stop := run(t, c, 10*time.Second)
	var traceID string
	_, err = tel.Server(nil).Unary(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: "/orders/Create"}, func(ctx context.Context, _ any) (any, error) {
		traceID = trace.SpanContextFromContext(ctx).TraceID().String()
		_, err := c.Insert(requestid.With(ctx, "req-1"), note{}, &river.InsertOpts{Metadata: []byte(`{"own":"kept"}`)})
		return nil, err
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got := <-seen; got != traceID+" req-1" {
			t.Errorf("the worker sees %q, want trace %s of req-1", got, traceID)
		}
	}
	stop()
	var own string
	if err := b.pool.QueryRow(t.Context(), "SELECT metadata->>'own' FROM river_job").Scan(&own); err != nil || own != "kept" {
		t.Errorf("the job's own metadata is %q, %v", own, err)
	}
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	request := k.spans[0]
	attempts := k.spans[1:]
	if len(attempts) != 2 {
		t.Fatalf("%d attempts", len(attempts))
	}
	for i, a := range attempts {
		if a.Name != "job note" || a.Parent.SpanID() != request.SpanContext.SpanID() || len(a.Links) != 1 || a.Links[0].SpanContext.SpanID() != request.SpanContext.SpanID() {
			t.Errorf("attempt %d: %+v", i, a)
		}
		if want := []string{"JOB_FAILED", ""}[i]; a.Status.Description != want || strings.Contains(a.Status.Description, "4711") {
			t.Errorf("attempt %d: status %+v", i, a.Status)
		}
	}
	if log := b.log.String(); !strings.Contains(log, "customer 4711") {
		t.Error("the log lacks the cause")
	}
}
