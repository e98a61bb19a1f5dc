package accesslog_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"reflect"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/codes"

	"github.com/slipway-dev/slipway/platform/serve/internal/accesslog"
	"github.com/slipway-dev/slipway/platform/serve/internal/requestid"
)

// flushed is an output that counts what is flushed.
type flushed struct {
	bytes.Buffer

	times int
}

func (f *flushed) Flush() error { f.times++; return nil }

func write(ctx context.Context, level slog.Level, r accesslog.Request, call *accesslog.Call) *flushed {
	out := &flushed{}
	at := time.Date(2026, time.May, 4, 12, 30, 0, 123456000, time.UTC)
	w := accesslog.NewWriter(accesslog.Config{
		Out: out, Level: level, Clock: clockwork.NewFakeClockAt(at),
		Constant: []slog.Attr{slog.String("service", "echo"), slog.String("version", `r"7`)},
	})
	note := &accesslog.Note{}
	if call != nil {
		note.Set(*call)
	}
	w.Write(ctx, r, note)
	return out
}

// TestLine is the form of a line, to the byte.
func TestLine(t *testing.T) {
	t.Parallel()
	ctx := trace.ContextWithSpanContext(requestid.With(t.Context(), "req-1"),
		trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1, 0xab}, SpanID: trace.SpanID{2}}))
	for name, tc := range map[string]struct {
		level   slog.Level
		request accesslog.Request
		call    *accesslog.Call
		want    string
		flushed int
	}{
		"a call": {
			request: accesslog.Request{Method: "GET", Path: "/v1/a", Status: 200, Took: 1234567 * time.Nanosecond},
			call:    &accesslog.Call{Method: "/p.S/Get", Code: codes.OK, Context: ctx},
			want: `{"time":"2026-05-04T12:30:00.123456Z","level":"INFO","msg":"request","service":"echo","version":"r\"7",` +
				`"protocol":"rest","http_method":"GET","path":"/v1/a","status":200,"method":"/p.S/Get","code":"OK","duration_ms":1.234,` +
				`"trace_id":"01ab0000000000000000000000000000","span_id":"0200000000000000","request_id":"req-1"}` + "\n",
		},
		"our fault": {
			request: accesslog.Request{Method: "GET", Path: "/", Status: 500},
			call:    &accesslog.Call{Method: "/p.S/Get", Code: codes.Internal, Cause: "no \"row\"\n", Context: t.Context()},
			want: `{"time":"2026-05-04T12:30:00.123456Z","level":"ERROR","msg":"request","service":"echo","version":"r\"7",` +
				`"protocol":"rest","http_method":"GET","path":"/","status":500,"method":"/p.S/Get","code":"Internal","duration_ms":0,` +
				`"error":"no \"row\"\n"}` + "\n",
			flushed: 1,
		},
		"no call": {
			request: accesslog.Request{Method: "GET", Path: "/none", Status: 404, Took: 2 * time.Second},
			want: `{"time":"2026-05-04T12:30:00.123456Z","level":"INFO","msg":"request","service":"echo","version":"r\"7",` +
				`"protocol":"rest","http_method":"GET","path":"/none","status":404,"duration_ms":2000,"request_id":"req-2"}` + "\n",
		},
		"below the level": {
			level: slog.LevelError, request: accesslog.Request{Status: 200}, call: &accesslog.Call{Context: ctx},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := write(requestid.With(t.Context(), "req-2"), tc.level, tc.request, tc.call)
			if out.String() != tc.want || out.times != tc.flushed {
				t.Errorf("flushed %d times, got\n%swant\n%s", out.times, out.String(), tc.want)
			}
		})
	}
}

// FuzzText writes any text as slog does.
func FuzzText(f *testing.F) {
	for _, text := range []string{"", "/v1/products/a b", "ä\u2028😀", "\x00\x1f\x7f<&>\"\\", "a\xffb", "\b\f\n\r\t", `back\slash`, `quo"te`} {
		f.Add(text, int64(1500))
	}
	f.Fuzz(func(t *testing.T, text string, micros int64) {
		took := time.Duration(micros%1e12) * time.Microsecond
		out := write(t.Context(), slog.LevelInfo, accesslog.Request{Method: text, Path: text, Status: 200, Took: took}, nil)
		var want bytes.Buffer
		slog.New(slog.NewJSONHandler(&want, nil)).LogAttrs(t.Context(), slog.LevelInfo, "request", slog.String("service", "echo"),
			slog.String("version", `r"7`), slog.String("protocol", "rest"), slog.String("http_method", text), slog.String("path", text),
			slog.Int("status", 200), slog.Float64("duration_ms", float64(took.Microseconds())/1000))
		if got, want := decode(t, out.Bytes()), decode(t, want.Bytes()); !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, slog says %v", got, want)
		}
	})
}

func decode(t *testing.T, line []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(line, &m); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	delete(m, "time")
	return m
}
