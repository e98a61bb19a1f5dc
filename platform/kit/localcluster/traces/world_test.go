package traces

import (
	"encoding/binary"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/goleak"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/wire"
	"github.com/slipway-dev/slipway/platform/kit/trace"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var began = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

func open(t *testing.T, cfg Config) *Store {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// serve serves a store as the cluster does.
func serve(t *testing.T, s *Store) (*Receiver, *httptest.Server) {
	t.Helper()
	r := NewReceiver(s, clockwork.NewRealClock())
	api, err := wire.New(wire.Config{APIs: []wire.API{s.API()}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if r.Takes(req) {
			r.ServeHTTP(w, req)
			return
		}
		api.ServeHTTP(w, req)
	}))
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	t.Cleanup(r.Close)
	return r, server
}

// eventually polls until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(10 * time.Second)
	for !holds() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("after 10 s still not so: %s", what)
		}
	}
}

// flushed waits until everything that was added is written.
func flushed(t *testing.T, s *Store) {
	t.Helper()
	eventually(t, "the queue is written", func() bool {
		s.queueMu.Lock()
		defer s.queueMu.Unlock()
		return s.queued == 0
	})
}

func numbered(n uint64) traceID {
	var id traceID
	id[0] = 0x69
	binary.BigEndian.PutUint64(id[8:], n)
	return id
}

// spans makes a service's spans of one trace, one after another, each the
// child of the one before.
func spans(service string, trace traceID, count, padding int) *tracepb.ResourceSpans {
	scope := &tracepb.ScopeSpans{}
	for i := range count {
		s := &tracepb.Span{
			TraceId: trace[:], SpanId: binary.BigEndian.AppendUint64(nil, uint64(i+1)), Name: "work",
			StartTimeUnixNano: uint64(began.Add(time.Duration(binary.BigEndian.Uint64(trace[8:])) * time.Second).UnixNano()),
			Attributes:        []*commonpb.KeyValue{text("padding", strings.Repeat("x", padding))},
		}
		if i > 0 {
			s.ParentSpanId = binary.BigEndian.AppendUint64(nil, uint64(i))
		}
		s.EndTimeUnixNano = s.GetStartTimeUnixNano() + 1e6
		scope.Spans = append(scope.Spans, s)
	}
	return &tracepb.ResourceSpans{
		Resource:   &resourcepb.Resource{Attributes: []*commonpb.KeyValue{text("service.name", service)}},
		ScopeSpans: []*tracepb.ScopeSpans{scope},
	}
}

// put adds spans and waits until they are written.
func put(t *testing.T, s *Store, list ...*tracepb.ResourceSpans) {
	t.Helper()
	records, refused, err := split(list)
	if err != nil || refused.spans > 0 {
		t.Fatalf("split: %v, %+v", err, refused)
	}
	if err := s.add(records); err != nil {
		t.Fatal(err)
	}
	flushed(t, s)
}

// read returns a trace that must be there.
func read(t *testing.T, s *Store, id traceID) trace.Trace {
	t.Helper()
	got, found, err := s.Trace(idOf(id[:]))
	if err != nil || !found {
		t.Fatalf("trace %x: found %v, %v", id, found, err)
	}
	return got
}
