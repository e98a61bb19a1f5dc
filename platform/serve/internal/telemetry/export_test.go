package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/slipway-dev/slipway/platform/serve/internal/telemetry"
)

// receiver is an OTLP receiver that keeps what it gets.
type receiver struct {
	*httptest.Server

	mu    sync.Mutex
	got   []*collectorpb.ExportTraceServiceRequest // guarded by mu
	paths []string                                 // guarded by mu
}

func receive(tb testing.TB) *receiver {
	tb.Helper()
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		m := &collectorpb.ExportTraceServiceRequest{}
		if err != nil || proto.Unmarshal(body, m) != nil {
			http.Error(w, "not OTLP", http.StatusBadRequest)
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.got = append(r.got, m)
		r.paths = append(r.paths, req.URL.Path+" "+req.Header.Get("Content-Type"))
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	tb.Cleanup(r.Close)
	return r
}

func attributesOf(all []*commonpb.KeyValue) map[string]string {
	m := make(map[string]string)
	for _, kv := range all {
		m[kv.GetKey()] = kv.GetValue().GetStringValue()
	}
	return m
}

// taskMetadata is the endpoint of one container, as on Fargate.
func taskMetadata(tb testing.TB) string {
	tb.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v4/abc":
			_, _ = io.WriteString(w, `{"DockerId":"cd189a933e5849daa93386466019ab50-2495160603","Name":"catalog","ContainerARN":"arn:aws:ecs:us-west-2:111122223333:container/05966557","LogDriver":"awslogs","LogOptions":{"awslogs-group":"/slipway/catalog","awslogs-stream":"catalog/1"}}`)
		case "/v4/abc/task":
			_, _ = io.WriteString(w, `{"Cluster":"default","TaskARN":"arn:aws:ecs:us-west-2:111122223333:task/default/e9028f8d5d8e4f258373e7b93ce9a3c3","Family":"catalog","Revision":"3","AvailabilityZone":"us-west-2a","LaunchType":"FARGATE"}`)
		default:
			http.NotFound(w, r)
		}
	}))
	tb.Cleanup(s.Close)
	return s.URL + "/v4/abc"
}

// TestExportReachesAReceiver reads spans and their resource back.
func TestExportReachesAReceiver(t *testing.T) {
	t.Parallel()
	r := receive(t)
	cfg := telemetry.Config{Endpoint: r.URL + "/", Sampler: "parentbased_always_on", MetadataURL: taskMetadata(t)}
	tel, err := telemetry.New(t.Context(), cfg, telemetry.Options{Service: "catalog", Version: "v7", Environment: "staging", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	serve(t.Context(), tel.Server(nil), metadata.Pairs("x-amzn-trace-id", "Root="+albRoot), func(context.Context) error { return nil })
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.got) != 1 || r.paths[0] != "/v1/traces application/x-protobuf" || len(r.got[0].GetResourceSpans()) != 1 {
		t.Fatalf("%d requests to %v", len(r.got), r.paths)
	}
	group := r.got[0].GetResourceSpans()[0]
	attrs := attributesOf(group.GetResource().GetAttributes())
	for key, want := range map[string]string{
		"service.name": "catalog", "service.version": "v7", "deployment.environment.name": "staging", "telemetry.sdk.language": "go",
		"cloud.provider": "aws", "cloud.platform": "aws_ecs", "cloud.region": "us-west-2", "cloud.account.id": "111122223333",
		"cloud.availability_zone": "us-west-2a", "aws.ecs.task.family": "catalog", "aws.ecs.task.revision": "3", "aws.ecs.launchtype": "fargate",
		"aws.ecs.task.arn":      "arn:aws:ecs:us-west-2:111122223333:task/default/e9028f8d5d8e4f258373e7b93ce9a3c3",
		"aws.ecs.cluster.arn":   "arn:aws:ecs:us-west-2:111122223333:cluster/default",
		"aws.ecs.container.arn": "arn:aws:ecs:us-west-2:111122223333:container/05966557", "container.name": "catalog",
	} {
		if attrs[key] != want {
			t.Errorf("%s is %q, want %q", key, attrs[key], want)
		}
	}
	spans := group.GetScopeSpans()[0].GetSpans()
	if len(spans) != 1 || !strings.EqualFold(hex(spans[0].GetTraceId()), albTrace) || len(spans[0].GetParentSpanId()) != 0 {
		t.Errorf("%v", spans)
	}
}

func hex(b []byte) string {
	const digits = "0123456789abcdef"
	var s strings.Builder
	for _, c := range b {
		s.WriteByte(digits[c>>4])
		s.WriteByte(digits[c&15])
	}
	return s.String()
}

// TestReceiverIsGone makes far more spans than may wait: nothing blocks, what is
// kept is bounded, the loss is logged once a minute and as a number, and the
// shutdown keeps to its time.
func TestReceiverIsGone(t *testing.T) {
	t.Parallel()
	for name, endpoint := range map[string]string{"refuses": closedPort(t), "is silent": silentPort(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var text lockedBuffer
			clock := clockwork.NewFakeClock()
			tel, err := telemetry.New(t.Context(), telemetry.Config{Endpoint: "http://" + endpoint, Sampler: "always_on"},
				telemetry.Options{Service: "catalog", Log: slog.New(slog.NewJSONHandler(&text, nil)), Clock: clock})
			if err != nil {
				t.Fatal(err)
			}
			s := tel.Server(nil)
			const spans = 60_000
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					for range spans / 4 {
						serve(t.Context(), s, metadata.MD{}, func(context.Context) error { return nil })
					}
				})
			}
			wg.Wait()
			runtime.GC()
			runtime.ReadMemStats(&after)
			if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 32<<20 {
				t.Errorf("%d spans hold %d bytes", spans, grown)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			_ = tel.Shutdown(ctx) // what could not be sent is an error, that is all
			if late := ctx.Err(); late == nil && name == "is silent" {
				t.Error("the shutdown did not try to send")
			}
			if n := strings.Count(text.String(), "spans were lost"); n == 0 || n > 2 {
				t.Errorf("%d log lines: %s", n, text.String())
			}
		})
	}
}

// TestLossIsReportedOnceAMinute moves the clock between losses.
func TestLossIsReportedOnceAMinute(t *testing.T) {
	t.Parallel()
	var text lockedBuffer
	clock := clockwork.NewFakeClock()
	fails := &failing{}
	tel, err := telemetry.New(t.Context(), telemetry.Config{Sampler: "always_on"}, telemetry.Options{
		Log: slog.New(slog.NewJSONHandler(&text, nil)), Clock: clock, Exporter: fails,
	})
	if err != nil {
		t.Fatal(err)
	}
	lose := func() {
		t.Helper()
		n := fails.calls.Load()
		serve(t.Context(), tel.Server(nil), metadata.MD{}, func(context.Context) error { return nil })
		waitFor(t, func() bool { return fails.calls.Load() > n })
	}
	lose()
	waitFor(t, func() bool { return strings.Contains(text.String(), `"spans":1`) })
	lose()
	lose()
	if n := strings.Count(text.String(), "\n"); n != 1 {
		t.Errorf("%d lines within a minute: %s", n, text.String())
	}
	clock.Advance(time.Minute)
	lose()
	waitFor(t, func() bool { return strings.Contains(text.String(), `"spans":3`) })
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(strings.TrimSpace(text.String()), "\n") {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil || fields["error"] != "receiver is full" {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// failing is an exporter whose receiver refuses.
type failing struct{ calls atomic.Int64 }

func (f *failing) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error {
	f.calls.Add(1)
	return errors.New("receiver is full")
}

func (*failing) Shutdown(context.Context) error { return nil }

func closedPort(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// silentPort accepts and never answers.
func silentPort(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	var mu sync.Mutex
	var open []net.Conn
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
		}
	})
	tb.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
		for _, c := range open {
			_ = c.Close()
		}
	})
	return l.Addr().String()
}

func waitFor(tb testing.TB, ok func() bool) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			tb.Fatal("it does not happen")
		case <-tick.C:
		}
	}
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
