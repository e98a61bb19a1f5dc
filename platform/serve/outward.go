package serve

import (
	"context"
	"errors"

	"google.golang.org/grpc"

	"github.com/slipway-dev/slipway/platform/serve/internal/outbound"
	"github.com/slipway-dev/slipway/platform/serve/jobs"
)

// outward is what the process has open beside its listeners and its pool.
type outward struct {
	cfg     Config
	environ map[string]string
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
		Scopes: scopes, Log: b.log,
	})
	if err != nil {
		return nil, err //nolint:wrapcheck // names the callee and the variable
	}
	b.outward.conns = append(b.outward.conns, conn)
	return conn, nil
}

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
	client, err := jobs.New(jobs.Runtime{Pool: b.pool, Log: b.log}, cfg)
	if err != nil {
		return nil, err //nolint:wrapcheck // names itself
	}
	b.outward.jobs = client
	b.Go("jobs", func(ctx context.Context) error { return client.Run(ctx, b.outward.cfg.ShutdownTimeout/2) })
	return client, nil
}


// close ends the connections; nothing uses them any more.
func (o *outward) close() {
	for _, c := range o.conns {
		_ = c.Close() // fails only if it is closed already
	}
}
