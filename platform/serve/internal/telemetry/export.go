package telemetry

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jonboulle/clockwork"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// errStopped ends an export that outlives the process's wish to send.
var errStopped = errors.New("the export has ended")

// stopWait bounds how long a cancelled export is waited for.
const stopWait = time.Second

// reportEvery is how often lost spans are logged at most.
const reportEvery = time.Minute

// exporter sends spans and keeps count of those that are lost: no room, or no
// receiver. It never returns an error, as the SDK would print it.
type exporter struct {
	inner sdktrace.SpanExporter
	log   *slog.Logger
	clock clockwork.Clock
	task  *task
	life  context.Context //nolint:containedctx // ends with the exporter, not with an export
	end   context.CancelCauseFunc
	done  chan struct{} // closed when nothing is exported any more

	waiting atomic.Int64 // spans that ended and are not exported yet
	lost    atomic.Int64 // since the last report

	mu       sync.Mutex
	reported time.Time // guarded by mu; of the last report
}

func newExporter(inner sdktrace.SpanExporter, log *slog.Logger, clock clockwork.Clock, t *task) *exporter {
	e := &exporter{inner: inner, log: log, clock: clock, task: t, done: make(chan struct{})}
	e.life, e.end = context.WithCancelCause(context.Background())
	return e
}

// ExportSpans sends a batch. The SDK calls it on one goroutine of its own.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	defer e.waiting.Add(-int64(len(spans)))
	if e.life.Err() != nil { // the process ends: no time to even encode them
		e.lost.Add(int64(len(spans)))
		return nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(e.life, func() { cancel(errStopped) })()
	if more := e.task.resource(ctx); more != nil {
		spans = withResource(spans, more)
	}
	if err := e.inner.ExportSpans(ctx, spans); err != nil {
		e.lose(ctx, len(spans), err)
	}
	return nil
}

// Shutdown ends the inner exporter. The SDK calls it once, after the last export.
func (e *exporter) Shutdown(ctx context.Context) error {
	defer close(e.done)
	e.report(ctx, nil, true)
	return e.inner.Shutdown(ctx) //nolint:wrapcheck // Telemetry.Shutdown names it
}

// stop cancels what is being exported and waits for it to return, which an
// export that does no more than encode does soon.
func (e *exporter) stop() {
	e.end(errStopped)
	timer := time.NewTimer(stopWait)
	defer timer.Stop()
	select {
	case <-e.done:
	case <-timer.C:
	}
}

// lose counts spans and, once a minute, says so.
func (e *exporter) lose(ctx context.Context, n int, cause error) {
	e.lost.Add(int64(n))
	e.report(ctx, cause, false)
}

func (e *exporter) report(ctx context.Context, cause error, now bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !now && e.clock.Since(e.reported) < reportEvery {
		return
	}
	n := e.lost.Swap(0)
	if n == 0 {
		return
	}
	e.reported = e.clock.Now()
	attrs := []slog.Attr{slog.Int64("spans", n)}
	if cause != nil {
		attrs = append(attrs, slog.Any("error", cause))
	}
	e.log.LogAttrs(context.WithoutCancel(ctx), slog.LevelWarn, "spans were lost; the service is not affected", attrs...)
}

// bounded passes spans on to the SDK's batch processor as long as there is room,
// so that no span is dropped uncounted and no request ever waits.
type bounded struct {
	sdktrace.SpanProcessor

	export *exporter
}

func newBounded(e *exporter) *bounded {
	return &bounded{export: e, SpanProcessor: sdktrace.NewBatchSpanProcessor(e,
		sdktrace.WithMaxQueueSize(queueSize), sdktrace.WithMaxExportBatchSize(batchSize),
		sdktrace.WithBatchTimeout(batchDelay), sdktrace.WithExportTimeout(exportTimeout))}
}

// OnEnd queues the span or counts it as lost.
func (b *bounded) OnEnd(s sdktrace.ReadOnlySpan) {
	if b.export.waiting.Add(1) > queueSize {
		b.export.waiting.Add(-1)
		b.export.lose(context.Background(), 1, nil)
		return
	}
	b.SpanProcessor.OnEnd(s)
}

// enriched is a span whose resource was completed after it began.
type enriched struct {
	sdktrace.ReadOnlySpan

	resource *resource.Resource
}

// Resource is the completed one.
func (s enriched) Resource() *resource.Resource { return s.resource }

// withResource completes the resource, which all spans of a process share.
func withResource(spans []sdktrace.ReadOnlySpan, more *resource.Resource) []sdktrace.ReadOnlySpan {
	out := make([]sdktrace.ReadOnlySpan, len(spans))
	var merged *resource.Resource
	for i, s := range spans {
		if merged == nil {
			var err error
			if merged, err = resource.Merge(s.Resource(), more); err != nil {
				return spans // schemas that do not fit; rather the spans than the task's name
			}
		}
		out[i] = enriched{ReadOnlySpan: s, resource: merged}
	}
	return out
}
