package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/slipway-dev/slipway/platform/serve/errs"
	"github.com/slipway-dev/slipway/platform/serve/internal/requestid"
	"github.com/slipway-dev/slipway/platform/serve/internal/telemetry"
)

// metadataKey is where a job's metadata keeps where it comes from.
const metadataKey = "slipway"

// provenance is what a job remembers of the request that inserted it.
type provenance struct {
	telemetry.Origin

	RequestID string `json:"requestId,omitempty"`
}

// tracer stores the inserting request's trace and id with each job, and makes
// each attempt a span of that trace.
type tracer struct {
	river.MiddlewareDefaults

	telemetry *telemetry.Telemetry
	log       *slog.Logger
}

var (
	_ rivertype.JobInsertMiddleware = (*tracer)(nil)
	_ rivertype.WorkerMiddleware    = (*tracer)(nil)
)

// InsertMany adds the provenance to what is inserted.
func (t *tracer) InsertMany(ctx context.Context, all []*rivertype.JobInsertParams, insert func(context.Context) ([]*rivertype.JobInsertResult, error)) ([]*rivertype.JobInsertResult, error) {
	origin, traced := t.telemetry.Origin(ctx)
	p := provenance{Origin: origin, RequestID: requestid.From(ctx)}
	if traced || p.RequestID != "" {
		for _, params := range all {
			params.Metadata = withProvenance(params.Metadata, p)
		}
	}
	return insert(ctx)
}

// withProvenance adds to a job's metadata, which is a JSON object or empty.
// Metadata that is something else stays as it is: River will say so.
func withProvenance(metadata []byte, p provenance) []byte {
	fields := make(map[string]json.RawMessage)
	if len(metadata) > 0 {
		if err := json.Unmarshal(metadata, &fields); err != nil {
			return metadata
		}
	}
	value, err := json.Marshal(p)
	if err != nil {
		return metadata
	}
	fields[metadataKey] = value
	out, err := json.Marshal(fields)
	if err != nil {
		return metadata
	}
	return out
}

func provenanceOf(metadata []byte) provenance {
	var fields struct {
		Value provenance `json:"slipway"`
	}
	_ = json.Unmarshal(metadata, &fields) // a job of unknown origin is a job all the same
	return fields.Value
}

// Work runs one attempt as a span, with the request's id for the log.
func (t *tracer) Work(ctx context.Context, job *rivertype.JobRow, work func(context.Context) error) (err error) {
	p := provenanceOf(job.Metadata)
	if p.RequestID != "" {
		ctx = requestid.With(ctx, p.RequestID)
	}
	ctx, span := t.telemetry.Job(ctx, p.Origin, job.Kind, job.Queue, job.Attempt)
	defer func() {
		if value := recover(); value != nil {
			t.log.LogAttrs(ctx, slog.LevelError, "panic", slog.String("job", job.Kind), slog.Int64("job_id", job.ID),
				slog.String("panic", fmt.Sprint(value)), slog.String("stack", string(debug.Stack())))
			err = fmt.Errorf("work %s: panic: %v", job.Kind, value)
		}
		t.report(ctx, job, err)
		span.End(reason(err))
	}()
	return work(ctx)
}

// report logs a failed attempt: the last one as an error, as nobody will try
// again.
func (t *tracer) report(ctx context.Context, job *rivertype.JobRow, err error) {
	if err == nil || deliberate(err) {
		return
	}
	level, text := slog.LevelWarn, "job failed; it will be tried again"
	switch {
	case errors.Is(err, context.Canceled):
		level, text = slog.LevelInfo, "job was interrupted; it will be tried again"
	case job.Attempt >= job.MaxAttempts || cancelled(err):
		level, text = slog.LevelError, "job failed for good"
	}
	t.log.LogAttrs(ctx, level, text, slog.String("job", job.Kind), slog.Int64("job_id", job.ID), //nolint:sloglint // one of the three texts above
		slog.Int("attempt", job.Attempt), slog.Int("attempts", job.MaxAttempts), slog.Any("error", err))
}

// deliberate reports whether the worker asked for another time, which is not a
// failure.
func deliberate(err error) bool {
	_, ok := errors.AsType[*rivertype.JobSnoozeError](err)
	return ok
}

// cancelled reports whether the worker gave the job up.
func cancelled(err error) bool {
	_, ok := errors.AsType[*rivertype.JobCancelError](err)
	return ok
}

// reason names a failure without its text, which may tell a customer's data.
func reason(err error) string {
	switch {
	case err == nil, deliberate(err):
		return ""
	case errors.Is(err, context.DeadlineExceeded):
		return "DEADLINE_EXCEEDED"
	case errors.Is(err, context.Canceled):
		return "CANCELLED"
	}
	if e, ok := errors.AsType[*errs.Error](err); ok && e.Reason != "" {
		return e.Reason
	}
	return "JOB_FAILED"
}
