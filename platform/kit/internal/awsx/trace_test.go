package awsx_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/slipway-dev/slipway/platform/kit/internal/awsx"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/gateway"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/traces"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/wire"
	"github.com/slipway-dev/slipway/platform/kit/trace"
)

// history is the cluster's part for traces, with a client of it.
type history struct {
	t       *testing.T
	url     string
	client  *awsx.Client
	gateway *traces.Recorder
}

func startHistory(t *testing.T) *history {
	t.Helper()
	store, err := traces.Open(traces.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	receiver, recorder := traces.NewReceiver(store, clockwork.NewRealClock()), traces.NewRecorder(store)
	api, err := wire.New(wire.Config{APIs: []wire.API{store.API()}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if receiver.Takes(r) {
			receiver.ServeHTTP(w, r)
			return
		}
		api.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		server.Close()
		receiver.Close()
		recorder.Close()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	client, err := awsx.New(t.Context(), awsx.Config{Region: "us-east-1", Endpoint: server.URL, Local: true})
	if err != nil {
		t.Fatal(err)
	}
	return &history{t, server.URL, client, recorder}
}

// service returns a tracer of a service that exports to the cluster.
func (h *history) service(name string) (oteltrace.Tracer, func()) {
	h.t.Helper()
	exporter, err := otlptracehttp.New(h.t.Context(), otlptracehttp.WithEndpoint(strings.TrimPrefix(h.url, "http://")), otlptracehttp.WithInsecure())
	if err != nil {
		h.t.Fatal(err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", name))))
	return provider.Tracer("test"), func() {
		if err := provider.Shutdown(context.WithoutCancel(h.t.Context())); err != nil {
			h.t.Error(err)
		}
	}
}

// An order goes through the gateway, two services and a job; the kit reads it
// back as one tree.
func TestATraceIsReadBack(t *testing.T) {
	h := startHistory(t)
	orders, endOrders := h.service("orders")
	catalog, endCatalog := h.service("catalog")
	began := time.Now()
	ctx, root := orders.Start(t.Context(), "POST /v1/orders", oteltrace.WithSpanKind(oteltrace.SpanKindServer))
	callCtx, call := orders.Start(ctx, "GetProduct", oteltrace.WithSpanKind(oteltrace.SpanKindClient))
	served, serve := catalog.Start(callCtx, "GetProduct", oteltrace.WithSpanKind(oteltrace.SpanKindServer))
	_, query := catalog.Start(served, "SELECT", oteltrace.WithSpanKind(oteltrace.SpanKindClient), oteltrace.WithAttributes(attribute.String("db.query.text", "SELECT 1")))
	query.SetStatus(codes.Error, "gone")
	for _, s := range []oteltrace.Span{query, serve, call, root} {
		s.End()
	}
	id := root.SpanContext().TraceID()
	detached := oteltrace.ContextWithSpanContext(t.Context(), oteltrace.SpanContext{})
	_, job := orders.Start(detached, "job confirm", oteltrace.WithSpanKind(oteltrace.SpanKindConsumer), oteltrace.WithLinks(oteltrace.Link{SpanContext: root.SpanContext()}))
	job.End()
	h.gateway.Record(gateway.Span{Trace: id, ID: [8]byte{1}, Began: began, Took: time.Since(began), Method: "POST", Path: "/v1/orders", Status: 201, Group: "orders-http"})
	endOrders()
	endCatalog()

	query5 := trace.Query{From: began.Add(-time.Minute), To: began.Add(time.Minute), Limit: 5}
	got := h.await(id.String(), query5, 5)
	tree := got.Tree()
	if len(tree) != 1 || tree[0].Span.Service != trace.GatewayService {
		t.Fatalf("the tree is\n%s", got.Waterfall(trace.View{}))
	}
	var path []string
	for n := tree[0]; n != nil; {
		path = append(path, n.Span.Service+" "+n.Span.Name)
		if len(n.Children) == 0 {
			break
		}
		n = n.Children[0]
	}
	if want := "gateway POST /v1/orders, orders POST /v1/orders, orders GetProduct, catalog GetProduct, catalog SELECT"; strings.Join(path, ", ") != want {
		t.Errorf("the way is %s", strings.Join(path, ", "))
	}
	for _, text := range []string{got.ID.XRay(), string(got.ID[:20])} {
		if again, err := trace.Find(t.Context(), h.client, text, query5); err != nil || again.ID != got.ID {
			t.Errorf("by %s: %s, %v", text, again.ID, err)
		}
	}
	list, err := trace.List(t.Context(), h.client, query5)
	if err != nil || len(list) != 2 || list[0].Spans[0].Name != "job confirm" || list[0].Spans[0].Links[0].Trace != got.ID {
		t.Errorf("the list is %+v, %v", list, err)
	}
	for name, tc := range map[string]struct {
		query trace.Query
		want  int
	}{
		"a service":     {trace.Query{Service: "catalog"}, 1},
		"another":       {trace.Query{Service: "inventory"}, 0},
		"failed":        {trace.Query{Status: trace.Error}, 1},
		"well":          {trace.Query{Status: trace.OK}, 1},
		"slow":          {trace.Query{Least: time.Hour}, 0},
		"only one":      {trace.Query{Limit: 1}, 1},
		"all of a time": {trace.Query{}, 2},
	} {
		tc.query.From, tc.query.To = query5.From, query5.To
		if list, err := trace.List(t.Context(), h.client, tc.query); err != nil || len(list) != tc.want {
			t.Errorf("%s: %d traces, %v; want %d", name, len(list), err, tc.want)
		}
	}
}

// await polls until a trace has so many spans.
func (h *history) await(id string, q trace.Query, spans int) trace.Trace {
	h.t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(10 * time.Second)
	for {
		got, err := trace.Find(h.t.Context(), h.client, id, q)
		if err == nil && len(got.Spans) == spans {
			return got
		}
		select {
		case <-ticker.C:
		case <-deadline:
			h.t.Fatalf("trace %s has %d spans, %v; want %d", id, len(got.Spans), err, spans)
		}
	}
}

func TestTracesThatAreNotFound(t *testing.T) {
	h := startHistory(t)
	now := time.Now()
	for n := range byte(2) {
		h.gateway.Record(gateway.Span{Trace: [16]byte{0x69, 0x21, 15: n + 1}, ID: [8]byte{1}, Began: now, Method: "GET", Path: "/", Status: 200})
	}
	q := trace.Query{From: now.Add(-time.Minute), To: now.Add(time.Minute)}
	h.await("69210000000000000000000000000002", q, 1)
	var none *trace.NotFoundError
	var several *trace.AmbiguousError
	var wrong *trace.IDError
	if _, err := trace.Find(t.Context(), h.client, "7777", q); !errors.As(err, &none) {
		t.Errorf("an unknown beginning: %v", err)
	}
	if _, err := trace.Find(t.Context(), h.client, "69210000000000000000000000000009", q); !errors.As(err, &none) || none.Next() == "" {
		t.Errorf("an unknown id: %v", err)
	}
	if _, err := trace.Find(t.Context(), h.client, "6921", q); !errors.As(err, &several) || len(several.IDs) != 2 || several.ExitCode() != 2 {
		t.Errorf("an ambiguous beginning: %v", err)
	}
	if _, err := trace.Find(t.Context(), h.client, "catalog", q); !errors.As(err, &wrong) || wrong.ExitCode() != 2 {
		t.Errorf("no id: %v", err)
	}
	q.Service = `say "x"`
	if list, err := trace.List(t.Context(), h.client, q); err != nil || list == nil || len(list) != 0 {
		t.Errorf("an odd service name: %v, %v", list, err)
	}
}
