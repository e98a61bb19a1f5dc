package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"github.com/slipway-dev/slipway/platform/serve/database"
	"github.com/slipway-dev/slipway/platform/serve/internal/access"
	"github.com/slipway-dev/slipway/platform/serve/internal/accesslog"
	"github.com/slipway-dev/slipway/platform/serve/internal/docs"
	"github.com/slipway-dev/slipway/platform/serve/internal/drain"
	"github.com/slipway-dev/slipway/platform/serve/internal/interceptor"
	"github.com/slipway-dev/slipway/platform/serve/internal/probe"
	"github.com/slipway-dev/slipway/platform/serve/internal/rest"
	"github.com/slipway-dev/slipway/platform/serve/internal/telemetry"
	"github.com/slipway-dev/slipway/platform/serve/internal/token"
)

// App is a completed service: its configuration is valid, everything is
// registered, nothing listens yet.
type App struct {
	cfg       Config
	log       *slog.Logger
	access    *accesslog.Writer
	pool      *pgxpool.Pool
	ready     *probe.Readiness
	validator *interceptor.Validator
	builder   *Builder
	methods   access.Methods
	load      *interceptor.Load
	streams   *drain.Streams
	keys      *token.Keys     // that verify tokens; nil if no method asks for one
	tokens    *token.Verifier // likewise
	settings  slog.Value      // the configuration without its secrets

	public   *grpc.Server  // the gRPC port
	internal *rest.Channel // the gateway's way to the same methods
	http     *http.Server
	inspect  *http.Server // the internal port
	fresh    *drain.Conns

	telemetry *telemetry.Telemetry // nil if nothing is traced
	deadline  time.Time            // of the drain, once it has begun
}

// Listeners are the ports an App serves on; Internal may be nil.
type Listeners struct {
	HTTP, GRPC, Internal net.Listener
}

// Complete decodes and validates the configuration, runs the service's Setup
// and builds the servers. It binds no port and opens no connection. Its error is
// a *ConfigError if the configuration is at fault. Logs go to logs as JSON.
func Complete(ctx context.Context, svc Service, environ map[string]string, logs io.Writer) (*App, error) {
	if svc.Name == "" || svc.Setup == nil {
		return nil, errors.New("complete service: Name and Setup are required")
	}
	cfg, err := decode(svc, environ)
	if err != nil {
		return nil, err
	}
	log, access := newLogger(logs, cfg)
	a := &App{
		cfg: cfg, log: log, access: access, validator: interceptor.NewValidator(), fresh: drain.NewConns(), streams: drain.NewStreams(),
		load:     interceptor.NewLoad(cfg.MaxConcurrentRequests, cfg.MaxConcurrentStreams),
		settings: describe(&cfg, &cfg.Outbound, &cfg.Telemetry, &cfg.Database, svc.Config),
	}
	if err := a.complete(ctx, svc, environ); err != nil {
		a.close(ctx)
		return nil, err
	}
	a.log.LogAttrs(ctx, slog.LevelInfo, "configured", slog.Attr{Key: "config", Value: a.settings})
	return a, nil
}

func (a *App) complete(ctx context.Context, svc Service, environ map[string]string) error {
	b := &Builder{log: a.log, outward: outward{cfg: a.cfg, environ: environ, hasJobs: svc.Jobs}}
	a.builder = b
	if err := a.completeTelemetry(ctx); err != nil {
		return err
	}
	if svc.Migrations != nil {
		pool, err := database.Open(ctx, a.cfg.Database)
		if err != nil {
			return fmt.Errorf("open database: %w", err)
		}
		a.pool, b.pool = pool, pool
		b.Ready("database", database.Ready(pool))
	}
	if err := svc.Setup(ctx, b); err != nil {
		return fmt.Errorf("set up %s: %w", svc.Name, err)
	}
	a.methods = b.methods()
	if err := a.completeAuth(); err != nil {
		return err
	}
	a.ready = probe.NewReadiness(b.checks, a.log)
	chain := a.buildGRPC(domainOf(svc))
	if err := a.buildHTTP(ctx, svc); err != nil {
		return err
	}
	a.buildInspect(chain)
	return nil
}

// buildGRPC makes the gRPC server and the gateway's own way to its methods, so
// that REST requests are answered while the server already says goodbye. It
// returns the interceptors of the latter.
func (a *App) buildGRPC(domain string) []interceptor.Interceptor {
	limits := interceptor.Limits{Unary: a.cfg.RequestTimeout, UnaryMax: a.cfg.RequestTimeoutMax, Stream: a.cfg.StreamTimeout, StreamAge: a.cfg.StreamMaxAge}
	chain := func(protocol string) []interceptor.Interceptor {
		cfg := interceptor.Config{
			Log: a.log, Protocol: protocol, Domain: domain, Methods: a.methods, Validator: a.validator,
			Load: a.load, Limits: limits, Streams: a.streams, Tracing: a.tracing(protocol),
		}
		if a.tokens != nil {
			cfg.Tokens = a.tokens
		}
		return interceptor.Chain(cfg)
	}
	options := append(interceptor.Options(chain("grpc")),
		interceptor.Admission(a.methods, a.load, limits),
		grpc.MaxConcurrentStreams(uint32(2*(a.cfg.MaxConcurrentRequests+a.cfg.MaxConcurrentStreams))), //nolint:gosec // Validate bounds it
		grpc.MaxRecvMsgSize(a.cfg.MaxRequestBytes),
		grpc.MaxHeaderListSize(uint32(a.cfg.MaxHeaderBytes)), //nolint:gosec // Validate bounds it
		grpc.ConnectionTimeout(5*time.Second),                // a silent connection must not hold up the drain
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionAge:      a.cfg.MaxConnectionAge,
			MaxConnectionAgeGrace: a.cfg.StreamTimeout,
			Time:                  time.Minute,
			Timeout:               20 * time.Second,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
	)
	a.public = grpc.NewServer(options...)
	overREST := chain("rest")
	a.internal = rest.NewChannel(rest.ChannelConfig{Unary: interceptor.Unary(overREST), Stream: interceptor.Stream(overREST)})
	for _, r := range a.builder.registrations {
		a.public.RegisterService(r.desc, r.impl)
		a.internal.RegisterService(r.desc, r.impl)
	}
	healthpb.RegisterHealthServer(a.public, probe.NewHealth(a.ready, a.builder.services(), a.streams.Stopping()))
	reflection.Register(a.public)
	return overREST
}

// domainOf names who defines the reasons of a service's errors (AIP-193): a name
// that is one in the world, not only among our services.
func domainOf(svc Service) string { return svc.Name + ".slipway" }

func (a *App) buildHTTP(ctx context.Context, svc Service) error {
	mux := rest.NewMux(domainOf(svc))
	for _, register := range a.builder.gateways {
		if err := register(ctx, mux, a.internal); err != nil {
			return fmt.Errorf("register REST routes: %w", err)
		}
	}
	cfg := rest.Config{
		Domain: domainOf(svc), API: mux, Ready: a.ready, Log: a.log, Access: a.access,
		BodyLimit: a.cfg.MaxRequestBytes, BodyTimeout: a.cfg.RequestTimeout,
	}
	if svc.OpenAPI != nil {
		cfg.OpenAPI = docs.WithScopes(svc.OpenAPI, a.methods, a.cfg.AuthIssuer)
	}
	handler := rest.NewHandler(cfg)
	if svc.OpenAPI != nil {
		handler = docs.NewHandler(a.cfg.Name, handler)
	}
	a.http = &http.Server{
		Handler:           handler,
		BaseContext:       func(net.Listener) context.Context { return a.internal.Context() },
		ReadHeaderTimeout: a.cfg.HeaderTimeout,
		WriteTimeout:      a.cfg.StreamTimeout + a.cfg.RequestTimeoutMax, // a reader that stopped reading
		IdleTimeout:       2 * time.Minute,                               // longer than a load balancer's 60 s, so that it closes first
		MaxHeaderBytes:    a.cfg.MaxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(a.log.Handler(), slog.LevelWarn),
	}
	return nil
}

// Handler is the HTTP side. It answers API requests until the App has drained.
func (a *App) Handler() http.Handler { return a.http.Handler }

// Scopes lists every scope that a method of the service asks for.
func (a *App) Scopes() []string { return a.methods.Scopes() }

// close releases what Complete made. Servers that never served need nothing.
func (a *App) close(ctx context.Context) {
	if a.internal != nil {
		_ = a.internal.Stop(ctx) // nothing runs any more
	}
	if a.builder != nil {
		a.builder.outward.close()
	}
	if a.pool != nil {
		a.pool.Close()
	}
	a.closeTelemetry(ctx)
}
