// Package servetest starts a service inside a test, whole: gRPC over an
// in-memory connection, REST over HTTP, and a fresh database on a real
// PostgreSQL server. It is for tests alone.
package servetest

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"

	"github.com/slipway-dev/slipway/platform/serve"
	"github.com/slipway-dev/slipway/platform/serve/database"
	"github.com/slipway-dev/slipway/platform/serve/jobs"
)

// Server is a running service.
type Server struct {
	Conn     *grpc.ClientConn // to the gRPC server, over memory
	URL      string           // base URL of the REST server, without a final slash
	Handler  http.Handler     // the same REST server without a socket
	Client   *http.Client     // its connections are closed with the test
	Database string           // URL of the service's database; empty without one

	issuer *issuer
	bearer string // the token that Conn and Do send; empty for none
	logs   *lockedBuffer
	stop   func() error
}

// Options adapts Start; the zero value suits most tests.
type Options struct {
	// Env adds to the configuration, e.g. REQUEST_TIMEOUT.
	Env map[string]string
	// Database uses this migrated database instead of a fresh one.
	Database string
	// Token is what Conn and Do send: nil for one with every scope that the
	// service's methods ask for, "" for none.
	Token *string
	// Callees are the addresses of the services this one calls, by name; see
	// Callee.
	Callees map[string]string
}

// stopTimeout bounds the drain at the end of a test.
const stopTimeout = "10s"

// Start completes and runs the service and stops it, with a drain, when the
// test ends. A service with migrations gets a fresh, migrated database. At most
// one Options may be given.
func Start(tb testing.TB, svc serve.Service, options ...Options) *Server {
	tb.Helper()
	var o Options
	if len(options) > 0 {
		o = options[0]
	}
	s := &Server{Database: o.Database, issuer: newIssuer(tb), logs: &lockedBuffer{}}
	environ := map[string]string{"SERVICE_VERSION": "test", "DRAIN_DELAY": "0s", "SHUTDOWN_TIMEOUT": stopTimeout}
	maps.Copy(environ, s.issuer.environ())
	if len(o.Callees) > 0 {
		maps.Copy(environ, s.issuer.endpoint(tb, svc.Name))
	}
	for name, address := range o.Callees {
		environ[strings.ToUpper(strings.ReplaceAll(name, "-", "_"))+"_GRPC_ADDRESS"] = address
	}
	if svc.Migrations != nil {
		if s.Database == "" {
			s.Database = Postgres(tb)
			if svc.Jobs {
				migrateJobs(tb, s.Database)
			}
			migrate(tb, s.Database, svc.Migrations)
		}
		environ["DATABASE_URL"] = s.Database
	}
	maps.Copy(environ, o.Env)
	app, err := serve.Complete(tb.Context(), svc, environ, s.logs)
	if err != nil {
		tb.Fatalf("complete %s: %v", svc.Name, err)
	}
	s.Handler = app.Handler()
	s.bearer = s.Token(tb, Claims{"scope": strings.Join(app.Scopes(), " ")})
	if o.Token != nil {
		s.bearer = *o.Token
	}
	s.run(tb, app)
	return s
}

// run serves on a loopback port for HTTP and on memory for gRPC.
func (s *Server) run(tb testing.TB, app *serve.App) {
	tb.Helper()
	var lc net.ListenConfig
	web, err := lc.Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("listen: %v", err)
	}
	memory := bufconn.Listen(1 << 20)
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	done := make(chan error, 1)
	go func() { done <- app.Serve(ctx, serve.Listeners{HTTP: web, GRPC: memory}) }()
	s.URL = "http://" + web.Addr().String()
	s.Client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	s.stop = sync.OnceValue(func() error { cancel(); return <-done })
	tb.Cleanup(func() {
		s.Client.CloseIdleConnections()
		if s.Conn != nil {
			_ = s.Conn.Close()
		}
		if err := s.stop(); err != nil {
			tb.Errorf("stop service: %v", err)
		}
		if tb.Failed() {
			tb.Logf("the service's log:\n%s", s.Logs())
		}
	})
	s.Conn, err = grpc.NewClient("passthrough:///servetest",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithChainUnaryInterceptor(s.authorizeUnary), grpc.WithChainStreamInterceptor(s.authorizeStream),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return memory.DialContext(ctx) }))
	if err != nil {
		tb.Fatalf("connect: %v", err)
	}
}

// Token mints a token of the issuer that the service trusts. Without claims it
// holds for an hour and has no scope.
func (s *Server) Token(tb testing.TB, claims Claims) string {
	tb.Helper()
	return s.issuer.token(tb, claims)
}

// PublicKey is the key that verifies those tokens, as a PEM file holds it.
func (s *Server) PublicKey(tb testing.TB) []byte {
	tb.Helper()
	return s.issuer.publicKey(tb)
}

// authorize adds the default token unless the caller gave one.
func (s *Server) authorize(ctx context.Context) context.Context {
	md, _ := metadata.FromOutgoingContext(ctx)
	if s.bearer == "" || len(md.Get("authorization")) > 0 {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+s.bearer)
}

func (s *Server) authorizeUnary(ctx context.Context, method string, req, resp any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	return invoke(s.authorize(ctx), method, req, resp, cc, opts...)
}

func (s *Server) authorizeStream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return open(s.authorize(ctx), desc, cc, method, opts...)
}

// Stop drains the service now and returns what Serve returned. Later calls
// return the same.
func (s *Server) Stop() error { return s.stop() }

// Logs is what the service logged so far, a JSON object a line.
func (s *Server) Logs() string { return s.logs.String() }

// Do sends a REST request with a JSON body ("" for none) and returns the answer
// with its body read. Headers come in pairs and win over the default token.
func (s *Server) Do(tb testing.TB, method, path, body string, headers ...string) (*http.Response, string) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, s.URL+path, strings.NewReader(body))
	if err != nil {
		tb.Fatalf("make request: %v", err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if s.bearer != "" {
		req.Header.Set("Authorization", "Bearer "+s.bearer)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := s.Client.Do(req)
	if err != nil {
		tb.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatalf("%s %s: read body: %v", method, path, err)
	}
	return resp, string(text)
}

func migrate(tb testing.TB, url string, migrations fs.FS) {
	tb.Helper()
	if _, _, err := database.Migrate(tb.Context(), database.Defaults(url), migrations); err != nil {
		tb.Fatalf("migrate test database: %v", err)
	}
}

func migrateJobs(tb testing.TB, url string) {
	tb.Helper()
	pool, err := database.Open(tb.Context(), database.Defaults(url))
	if err != nil {
		tb.Fatalf("migrate jobs of test database: %v", err)
	}
	defer pool.Close()
	if _, err := jobs.Migrate(tb.Context(), pool); err != nil {
		tb.Fatalf("migrate jobs of test database: %v", err)
	}
}

// lockedBuffer collects a log that is written and read at once.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p) //nolint:wrapcheck // never fails
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
