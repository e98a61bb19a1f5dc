package localcluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/admin"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/alarms"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/daemon"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/ecr"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/ecsapi"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/gateway"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/issuer"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/logs"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/mesh"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/metadata"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/parameters"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/postgres"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/registry"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/secrets"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/site"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/wire"
)

// parts are the cluster's parts, joined.
type parts struct {
	info      daemon.Info
	database  *postgres.Server
	logs      *logs.Store
	traces    *tracing
	gateway   *gateway.Gateway
	runtime   taskRuntime
	scheduler *scheduler.Scheduler
	alarms    *alarms.Store
	issuer    *issuer.Issuer
	mesh      *mesh.Mesh
	handler   http.Handler
	// stopping says that the endpoint serves nothing any more but what tasks
	// send as they end.
	stopping atomic.Bool
}

// ServeHTTP is the endpoint. While the cluster stops it is, for all but spans,
// as if nobody listened.
func (p *parts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p.stopping.Load() && !p.traces.receiver.Takes(r) {
		panic(http.ErrAbortHandler)
	}
	p.handler.ServeHTTP(w, r)
}

// Folders below the state folder.
const (
	logsFolder     = "logs"
	tracesFolder   = "traces"
	registryFolder = "registry"
	imagesFolder   = "images"
	tasksFolder    = "tasks"
	postgresFolder = "postgres"
)

func (c *cluster) dir(name string) string { return filepath.Join(c.cfg.StateDir, name) }

// startDatabase obtains and starts PostgreSQL.
func (c *cluster) startDatabase(ctx context.Context) (*postgres.Server, error) {
	c.cfg.Reporter.Step("start PostgreSQL", "", false)
	quarter := int64(-1)
	have, err := postgres.Obtain(ctx, c.cfg.CacheDir, func(done, total int64) {
		if now := 4 * done / max(total, 1); now != quarter {
			quarter = now
			c.cfg.Reporter.Step("start PostgreSQL", fmt.Sprintf("fetching version %s: %d of %d MB",
				postgres.FetchedVersion, done>>20, total>>20), false)
		}
	})
	if err != nil {
		return nil, databaseFault(c.cfg.StateDir, c.cfg.PostgresPort, err)
	}
	server, err := postgres.Start(ctx, postgres.Config{
		Dir: c.dir(postgresFolder), Port: c.cfg.PostgresPort, Installations: have, Logger: c.cfg.Logger,
	})
	if err != nil {
		return nil, databaseFault(c.cfg.StateDir, c.cfg.PostgresPort, err)
	}
	c.cfg.Reporter.Step("start PostgreSQL", server.Installation().Version, true)
	return server, nil
}

// assemble makes all parts and joins them; nothing serves yet.
func (c *cluster) assemble(ctx context.Context, database *postgres.Server) (*parts, error) {
	p := &parts{database: database, info: daemon.Info{
		PID: pid(), Build: c.cfg.Build, Checkout: c.cfg.Checkout,
		Gateway:  "http://" + c.gateway.Addr().String(),
		Endpoint: "http://" + c.endpoint.Addr().String(),
		Postgres: database.Addr(), MeshPort: c.cfg.MeshPort, Runtime: c.runtimeName(), Token: rand.Text(),
	}}
	var err error
	p.logs, err = logs.Open(logs.Config{
		Dir: c.dir(logsFolder), Clock: c.clock, Logger: c.cfg.Logger, Region: c.cfg.Region, Account: c.cfg.Account,
	})
	if err != nil {
		return nil, err
	}
	if p.traces, err = c.openTraces(); err != nil {
		return nil, err
	}
	stores, err := c.openStores()
	if err != nil {
		return nil, err
	}
	if err := c.joinScheduler(ctx, p, stores); err != nil {
		return nil, err
	}
	if err := c.joinServices(p, stores); err != nil {
		return nil, err
	}
	p.handler, err = c.routes(p, stores)
	return p, err
}

// stores are the parts that hold what tasks and clients read.
type stores struct {
	secrets    *secrets.Store
	parameters *parameters.Store
	ecr        *ecr.Service
	registry   *registry.Registry
}

func (c *cluster) openStores() (*stores, error) {
	s := &stores{}
	var err error
	here := site.Config{State: c.state, Clock: c.clock, Region: c.cfg.Region, Account: c.cfg.Account}
	if s.secrets, err = secrets.New(here); err != nil {
		return nil, err
	}
	if s.parameters, err = parameters.New(here); err != nil {
		return nil, err
	}
	if s.ecr, err = ecr.New(here); err != nil {
		return nil, err
	}
	// The registry asks the API whom to let in, the API the registry what there is.
	s.registry, err = registry.New(registry.Config{
		Dir: c.dir(registryFolder), Clock: c.clock, Log: c.cfg.Logger,
		Authorize:        registry.Basic(registryUser, s.ecr.ValidToken),
		RepositoryExists: s.ecr.Exists, ImmutableTags: s.ecr.Immutable,
	})
	if err != nil {
		return nil, err
	}
	s.ecr.Attach(s.registry, c.endpoint.Addr().String())
	return s, nil
}

// joinScheduler makes gateway, runtime and scheduler, which call one another.
func (c *cluster) joinScheduler(ctx context.Context, p *parts, s *stores) (err error) {
	p.gateway, err = gateway.New(gateway.Config{
		Clock: c.clock, Logger: c.cfg.Logger, Store: bucket{c.state, gatewayBucket},
		Tracing:        gateway.Tracing{Ratio: c.cfg.TracingRatio, Record: p.traces.gateway.Record},
		OnHealthChange: func(group, id string, _ gateway.TargetHealth) { p.scheduler.TargetChanged(group, id) },
	})
	if err != nil {
		return err
	}
	if p.runtime, err = c.openRuntime(ctx, p, s); err != nil {
		return err
	}
	if p.alarms, err = c.openAlarms(p.gateway); err != nil {
		return err
	}
	p.scheduler, err = scheduler.New(scheduler.Config{
		Store: c.state, Runtime: p.runtime, Targets: targets{p.gateway}, Alarms: p.alarms, Clock: c.clock, IDs: rand.Reader, Minute: minute,
		Account: c.cfg.Account, Region: c.cfg.Region, MetadataBaseURL: p.info.Endpoint + "/v4", Logger: c.cfg.Logger,
	})
	return err
}

// routes shares the endpoint out: registry, task metadata and administration
// have paths of their own, all else is the AWS protocol.
func (c *cluster) routes(p *parts, s *stores) (http.Handler, error) {
	aws, err := wire.New(wire.Config{
		Logger: c.cfg.Logger, Clock: c.clock,
		APIs: []wire.API{
			ecsapi.New(p.scheduler, c.cfg.Region, c.cfg.Account), s.ecr.API(), p.logs.API(), s.secrets.API(), s.parameters.API(),
			p.alarms.API(),
			p.traces.store.API(),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("serve the AWS protocols: %w", err)
	}
	tasks := metadata.New(p.scheduler)
	administration := admin.NewHandler(admin.Config{
		Info: p.info, Gateway: p.gateway, Databases: p.database, Mesh: p.mesh, Issuer: p.issuer, Logger: c.cfg.Logger,
	})
	tokens := p.issuer.Handler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path := r.URL.Path; {
		case path == "/v2" || strings.HasPrefix(path, "/v2/"):
			s.registry.ServeHTTP(w, r)
		case p.traces.receiver.Takes(r):
			p.traces.receiver.ServeHTTP(w, r)
		case strings.HasPrefix(path, "/v4/"):
			tasks.ServeHTTP(w, r)
		case strings.HasPrefix(path, issuer.Prefix+"/"):
			tokens.ServeHTTP(w, r)
		case strings.HasPrefix(path, admin.Prefix):
			administration.ServeHTTP(w, r)
		default:
			aws.ServeHTTP(w, r)
		}
	}), nil
}

// close ends the parts, but for tasks and endpoint, which have ended before, in
// the order in which they need one another: tasks may
// log, call each other and use the database to their end.
func (p *parts) close(ctx context.Context) error {
	err := p.mesh.Close(ctx)
	p.gateway.Close()
	return errors.Join(err, p.traces.close(), p.logs.Close(), p.database.Stop(context.WithoutCancel(ctx)))
}
