package serve_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/slipway-dev/slipway/platform/serve"
	"github.com/slipway-dev/slipway/platform/serve/database"
	"github.com/slipway-dev/slipway/platform/serve/servetest"
)

// outage is a way to a database that can be closed and opened again.
type outage struct {
	url string

	mu    sync.Mutex
	down  bool
	conns map[net.Conn]struct{}
}

func newOutage(t *testing.T, database string) *outage {
	t.Helper()
	cfg, err := pgx.ParseConfig(database)
	if err != nil {
		t.Fatal(err)
	}
	network, address := pgconn.NetworkAddress(cfg.Host, cfg.Port)
	l := listen(t)
	host, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(cfg.User, cfg.Password), Path: cfg.Database,
		Host: net.JoinHostPort(host, strconv.FormatUint(number, 10)), RawQuery: "sslmode=disable",
	}
	o := &outage{url: u.String(), conns: make(map[net.Conn]struct{})}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			var d net.Dialer
			server, err := d.DialContext(context.WithoutCancel(t.Context()), network, address)
			if err != nil || !o.keep(client, server) {
				_ = client.Close()
				continue
			}
			for _, pair := range [][2]net.Conn{{client, server}, {server, client}} {
				wg.Go(func() {
					_, _ = io.Copy(pair[0], pair[1])
					_, _ = pair[0].Close(), pair[1].Close()
				})
			}
		}
	})
	t.Cleanup(func() { _ = l.Close(); o.set(true); wg.Wait() })
	return o
}

func (o *outage) keep(conns ...net.Conn) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range conns {
		if o.down {
			_ = c.Close()
			continue
		}
		o.conns[c] = struct{}{}
	}
	return !o.down
}

// set closes the way, and all that is on it, or opens it.
func (o *outage) set(down bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.down = down
	for c := range o.conns {
		_ = c.Close()
	}
	clear(o.conns)
}

// TestDatabaseOutage takes the database away from a service that runs: it is not
// ready, but alive, and ready again by itself when the database is back.
func TestDatabaseOutage(t *testing.T) {
	t.Parallel()
	way := newOutage(t, servetest.Postgres(t))
	s := servetest.Start(t, newEcho().withDatabase(), servetest.Options{Database: way.url})
	health := healthpb.NewHealthClient(s.Conn)
	is := func(web int, rpc healthpb.HealthCheckResponse_ServingStatus) func() bool {
		return func() bool {
			answer, _ := s.Do(t, http.MethodGet, "/healthz", "")
			all := true
			for _, service := range []string{"", "slipway.serve.echo.EchoService"} {
				resp, err := health.Check(t.Context(), &healthpb.HealthCheckRequest{Service: service})
				all = all && err == nil && resp.GetStatus() == rpc
			}
			return all && answer.StatusCode == web
		}
	}
	until(t, "ready", is(http.StatusOK, healthpb.HealthCheckResponse_SERVING))
	way.set(true)
	until(t, "unready", is(http.StatusServiceUnavailable, healthpb.HealthCheckResponse_NOT_SERVING))
	if web, body := s.Do(t, http.MethodGet, "/livez", ""); web.StatusCode != http.StatusOK {
		t.Errorf("without its database it is not alive: %s %s", web.Status, body)
	}
	if web, body := s.Do(t, http.MethodPost, "/v1/echo", `{"text":"x"}`); web.StatusCode != http.StatusOK {
		t.Errorf("what needs no database fails: %s %s", web.Status, body)
	}
	way.set(false)
	until(t, "ready again", is(http.StatusOK, healthpb.HealthCheckResponse_SERVING))
}

// TestBusyIsNotBroken holds every connection of the pool: a load balancer must
// not take the process away for that, or the others get its load and follow.
func TestBusyIsNotBroken(t *testing.T) {
	t.Parallel()
	var pool *pgxpool.Pool
	svc := newEcho().withDatabase()
	open := svc.Setup
	svc.Setup = func(ctx context.Context, b *serve.Builder) error { pool = b.Pool(); return open(ctx, b) }
	s := servetest.Start(t, svc, servetest.Options{Env: map[string]string{"DATABASE_MAX_CONNS": "1"}})
	held, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer held.Release()
	if err := database.Ready(pool)(t.Context()); err != nil { // without the second that an answer stands
		t.Errorf("the check fails: %v", err)
	}
	if web, body := s.Do(t, http.MethodGet, "/healthz", ""); web.StatusCode != http.StatusOK {
		t.Errorf("%s %s", web.Status, body)
	}
}
