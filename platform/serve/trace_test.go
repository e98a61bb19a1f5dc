package serve_test

import (
	"context"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/slipway-dev/slipway/platform/serve"
	"github.com/slipway-dev/slipway/platform/serve/database"
	"github.com/slipway-dev/slipway/platform/serve/internal/echopb"
	"github.com/slipway-dev/slipway/platform/serve/jobs"
	"github.com/slipway-dev/slipway/platform/serve/servetest"
)

// receiver is an OTLP receiver that keeps the spans it gets, by name.
type receiver struct {
	*httptest.Server

	mu    sync.Mutex
	spans map[string]*tracepb.Span
}

func receive(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{spans: make(map[string]*tracepb.Span)}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		m := &collectorpb.ExportTraceServiceRequest{}
		if err != nil || proto.Unmarshal(body, m) != nil {
			http.Error(w, "not OTLP", http.StatusBadRequest)
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, rs := range m.GetResourceSpans() {
			for _, ss := range rs.GetScopeSpans() {
				for _, s := range ss.GetSpans() {
					r.spans[s.GetName()] = s
				}
			}
		}
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) environ(ratio string) map[string]string {
	return map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": r.URL, "OTEL_TRACES_SAMPLER_ARG": ratio}
}

func (r *receiver) names() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for name := range r.spans {
		all = append(all, name)
	}
	return all
}

const (
	albHeader = "Self=1-67891234-12456789abcdef012345678a;Root=1-67891233-abcdef012345678912345678"
	albTrace  = "67891233abcdef012345678912345678"
)

// shop is a service that writes a row, inserts a job and calls another service.
type shop struct {
	echopb.UnimplementedEchoServiceServer

	jobs   *jobs.Client
	db     database.Beginner
	callee echopb.GuardedServiceClient
	worked chan string
}

type shopArgs struct{}

func (shopArgs) Kind() string { return "ship" }

type shopWorker struct {
	river.WorkerDefaults[shopArgs]

	shop *shop
}

func (w *shopWorker) Work(ctx context.Context, _ *river.Job[shopArgs]) error {
	defer func() { w.shop.worked <- serve.RequestID(ctx) }()
	return database.InTx(ctx, w.shop.db, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "-- name: MarkShipped :exec\nINSERT INTO notes VALUES ($1)", "x")
		return err
	})
}

func (s *shop) Echo(ctx context.Context, req *echopb.EchoRequest) (*echopb.EchoResponse, error) {
	err := database.InTx(ctx, s.db, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "-- name: InsertNote :exec\nINSERT INTO notes VALUES ($1)", req.GetText()); err != nil {
			return err
		}
		_, err := s.jobs.InsertTx(ctx, tx, shopArgs{}, nil)
		return err
	})
	if err != nil {
		return nil, err
	}
	if _, err := s.callee.Read(ctx, &echopb.EchoRequest{Text: "x"}); err != nil {
		return nil, serve.CalleeError("guarded", err)
	}
	return &echopb.EchoResponse{Text: req.GetText()}, nil
}

func (s *shop) service() serve.Service {
	return serve.Service{
		Name: "shop", Jobs: true,
		Migrations: fstest.MapFS{"1_init.sql": {Data: []byte("-- +goose Up\nCREATE TABLE notes (text text NOT NULL);\n")}},
		Setup: func(_ context.Context, b *serve.Builder) error {
			echopb.RegisterEchoServiceServer(b, s)
			b.Gateway(func(ctx context.Context, mux *runtime.ServeMux, conn grpc.ClientConnInterface) error {
				return echopb.RegisterEchoServiceHandlerClient(ctx, mux, echopb.NewEchoServiceClient(conn))
			})
			conn, err := b.Conn("guarded", "guarded.read")
			if err != nil {
				return err
			}
			s.callee, s.db = echopb.NewGuardedServiceClient(conn), b.Pool()
			workers := river.NewWorkers()
			river.AddWorker(workers, &shopWorker{shop: s})
			s.jobs, err = b.Jobs(jobs.Config{Workers: workers})
			return err
		},
	}
}

// shopCallee is the callee. It notes what it is sent.
type shopCallee struct {
	echopb.UnimplementedGuardedServiceServer

	mu   sync.Mutex
	sent metadata.MD
}

func (g *shopCallee) Read(ctx context.Context, _ *echopb.EchoRequest) (*echopb.EchoResponse, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sent, _ = metadata.FromIncomingContext(ctx)
	return &echopb.EchoResponse{}, nil
}

func (g *shopCallee) first(key string) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if values := g.sent.Get(key); len(values) > 0 {
		return values[0]
	}
	return ""
}

func openShop(t *testing.T, environ map[string]string) (*shop, *shopCallee, *servetest.Server) {
	t.Helper()
	g, s := &shopCallee{}, &shop{worked: make(chan string, 9)}
	address := servetest.Callee(t, func(r grpc.ServiceRegistrar) { echopb.RegisterGuardedServiceServer(r, g) })
	return s, g, servetest.Start(t, s.service(), servetest.Options{Env: environ, Callees: map[string]string{"guarded": address}})
}

// TestOneRequestIsOneTrace follows a REST request from the load balancer's header
// over SQL, a call and a job, as a receiver gets it.
func TestOneRequestIsOneTrace(t *testing.T) {
	t.Parallel()
	r := receive(t)
	shop, callee, s := openShop(t, r.environ("1"))
	web, body := s.Do(t, http.MethodPost, "/v1/echo", `{"text":"x"}`, "X-Amzn-Trace-Id", albHeader, "X-Request-Id", "req-1")
	if web.StatusCode != http.StatusOK {
		t.Fatalf("%s %s", web.Status, body)
	}
	if id := <-shop.worked; id != "req-1" {
		t.Errorf("the job's request is %q", id)
	}
	askHealth(t, s)
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, parent := range map[string]string{
		"POST /v1/echo": "", "InsertNote": "POST /v1/echo",
		"slipway.serve.echo.GuardedService/Read": "POST /v1/echo", "job ship": "POST /v1/echo", "MarkShipped": "job ship",
	} {
		span := r.spans[name]
		if span == nil {
			t.Errorf("there is no span %s", name)
			continue
		}
		if id := hex.EncodeToString(span.GetTraceId()); id != albTrace {
			t.Errorf("%s is in trace %s", name, id)
		}
		if got, want := string(span.GetParentSpanId()), string(r.spans[parent].GetSpanId()); got != want {
			t.Errorf("%s has not the parent %q", name, parent)
		}
	}
	if links := r.spans["job ship"].GetLinks(); len(links) != 1 || string(links[0].GetSpanId()) != string(r.spans["POST /v1/echo"].GetSpanId()) {
		t.Errorf("the job is linked to %v", links)
	}
	if got, want := callee.first("traceparent"), "00-"+albTrace+"-"+hex.EncodeToString(r.spans["slipway.serve.echo.GuardedService/Read"].GetSpanId())+"-01"; got != want {
		t.Errorf("the callee got %s, want %s", got, want)
	}
	if callee.first("x-request-id") != "req-1" || !strings.HasPrefix(callee.first("authorization"), "Bearer ey") {
		t.Errorf("the callee got %v", callee.sent)
	}
	attributes := make(map[string]string)
	for _, kv := range r.spans["POST /v1/echo"].GetAttributes() {
		attributes[kv.GetKey()] = strings.Trim(kv.GetValue().String(), `"`)
	}
	for key, want := range map[string]string{
		"http.request.method": `string_value:"POST"`, "http.route": `string_value:"/v1/echo"`, "http.response.status_code": "int_value:200",
		"rpc.system.name": `string_value:"grpc"`, "rpc.method": `string_value:"slipway.serve.echo.EchoService/Echo"`,
	} {
		if got := attributes[key]; strings.ReplaceAll(got, " ", "") != strings.Trim(want, `"`) {
			t.Errorf("%s is %s, want %s", key, got, want)
		}
	}
	for name := range r.spans {
		if strings.Contains(strings.ToLower(name), "health") || strings.Contains(name, "livez") || strings.Contains(name, "ping") {
			t.Errorf("%s is traced", name)
		}
	}
}

// askHealth asks for the service's health in every way there is.
func askHealth(t *testing.T, s *servetest.Server) {
	t.Helper()
	for _, path := range []string{"/healthz", "/livez"} {
		if web, body := s.Do(t, http.MethodGet, path, ""); web.StatusCode != http.StatusOK {
			t.Errorf("%s: %s %s", path, web.Status, body)
		}
	}
	if _, err := healthpb.NewHealthClient(s.Conn).Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil {
		t.Error(err)
	}
}

// TestUnsampledRequestIsNotExported sees that it is passed on all the same.
func TestUnsampledRequestIsNotExported(t *testing.T) {
	t.Parallel()
	r := receive(t)
	shop, callee, s := openShop(t, r.environ("0"))
	if web, body := s.Do(t, http.MethodPost, "/v1/echo", `{"text":"x"}`, "X-Amzn-Trace-Id", albHeader); web.StatusCode != http.StatusOK {
		t.Fatalf("%s %s", web.Status, body)
	}
	<-shop.worked
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if names := r.names(); len(names) > 0 {
		t.Errorf("exported %v", names)
	}
	if got := callee.first("traceparent"); !strings.HasPrefix(got, "00-"+albTrace+"-") || !strings.HasSuffix(got, "-00") {
		t.Errorf("the callee got %q", got)
	}
}
