package serve

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"google.golang.org/grpc"

	"github.com/slipway-dev/slipway/platform/serve/internal/interceptor"
	"github.com/slipway-dev/slipway/platform/serve/internal/outbound"
	"github.com/slipway-dev/slipway/platform/serve/internal/rest"
	"github.com/slipway-dev/slipway/platform/serve/internal/telemetry"
	"github.com/slipway-dev/slipway/platform/serve/jobs"
)

// outward is what the process has open beside its listeners and its pool.
type outward struct {
	cfg     Config
	environ map[string]string
	traces  *telemetry.Telemetry
	hasJobs bool
	conns   []*outbound.Conn
	jobs    *jobs.Client
}

// Conn connects to a service that the manifest's calls name; the scopes are of
// the tokens that this service gets for itself. The address comes from
// CALLEE_GRPC_ADDRESS. A call inherits its context's deadline and trace, is tried
// again only if its method's proto says that it may be (idempotency_level), and
// fails at once while the callee does not answer. The connection is made with the
// first call and closed after the drain.
func (b *Builder) Conn(callee string, scopes ...string) (grpc.ClientConnInterface, error) {
	conn, err := outbound.Dial(outbound.Target{
		Config: b.outward.cfg.Outbound, Callee: callee, Address: b.outward.environ[outbound.Variable(callee)],
		Scopes: scopes, Log: b.log, Telemetry: b.outward.traces,
	})
	if err != nil {
		return nil, err //nolint:wrapcheck // names the callee and the variable
	}
	b.outward.conns = append(b.outward.conns, conn)
	return conn, nil
}

// CalleeError turns the error of a call through Builder.Conn into one that a
// handler may return: the callee's reason, domain and details, where they are
// meant for whoever asked. That our token is refused, that the callee lacks the
// method or failed inside, becomes INTERNAL and is logged. errs.KindOf and
// errors.As work on it. A nil error stays nil.
func CalleeError(callee string, err error) error { return outbound.Answer(callee, err) }

// Jobs makes the service's background jobs, which Service.Jobs allows. They
// start with the listeners. When the process drains they fetch no more, the
// running ones end within the drain, and what is left is tried again elsewhere.
func (b *Builder) Jobs(cfg jobs.Config) (*jobs.Client, error) {
	switch {
	case !b.outward.hasJobs || b.pool == nil:
		return nil, errors.New("make jobs: the service has none\nnext: set Jobs and Migrations in serve.Service")
	case b.outward.jobs != nil:
		return nil, errors.New("make jobs: Builder.Jobs was called before")
	}
	client, err := jobs.New(jobs.Runtime{Pool: b.pool, Log: b.log, Telemetry: b.outward.traces}, cfg)
	if err != nil {
		return nil, err //nolint:wrapcheck // names itself
	}
	b.outward.jobs = client
	return client, nil
}

// work works jobs until ctx ends, which is when the drain begins. Running jobs
// then have most of the drain's time to end by themselves.
func (o *outward) work(ctx context.Context) error {
	if o.jobs == nil {
		return nil
	}
	return o.jobs.Run(ctx, o.cfg.ShutdownTimeout*4/5, o.cfg.ShutdownTimeout/10) //nolint:wrapcheck // names itself
}

// close ends the connections; nothing uses them any more.
func (o *outward) close() {
	for _, c := range o.conns {
		_ = c.Close() // fails only if it is closed already
	}
}

// completeTelemetry makes what traces, before anything that is traced.
func (a *App) completeTelemetry(ctx context.Context) error {
	t, err := telemetry.New(ctx, a.cfg.Telemetry, telemetry.Options{
		Service: a.cfg.Name, Version: a.cfg.Version, Environment: a.cfg.Environment, Log: a.log,
	})
	if err != nil {
		return err //nolint:wrapcheck // names itself
	}
	a.telemetry, a.builder.outward.traces = t, t
	a.cfg.Database.Tracer = t.SQL()
	return nil
}

// tracing is the interceptor for one protocol, nil if nothing is traced.
func (a *App) tracing(protocol string) *interceptor.Interceptor {
	if a.telemetry == nil {
		return nil
	}
	var httpMethod func(context.Context) string
	if protocol == "rest" {
		httpMethod = rest.MethodOf
	}
	s := a.telemetry.Server(httpMethod)
	return &interceptor.Interceptor{Name: "tracing", Unary: s.Unary, Stream: s.Stream}
}

// The flush of traces has what the drain left of its time, within these bounds.
const (
	shortestFlush = 500 * time.Millisecond
	longestFlush  = 3 * time.Second
)

// closeTelemetry sends the last spans.
func (a *App) closeTelemetry(ctx context.Context) {
	left := longestFlush
	if !a.deadline.IsZero() {
		left = min(max(time.Until(a.deadline), shortestFlush), longestFlush)
	}
	ctx, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	if err := a.telemetry.Shutdown(ctx); err != nil {
		a.log.LogAttrs(ctx, slog.LevelWarn, "traces are incomplete", slog.Any("error", err))
	}
}
