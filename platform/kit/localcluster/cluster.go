// Package localcluster is the embedded cluster: it joins scheduler, process
// runtime, gateway, registry, logs, secrets, parameters and PostgreSQL into one
// process that speaks the AWS protocols. It is made for one laptop; it never
// pretends to be a production scheduler.
package localcluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/jonboulle/clockwork"
	"golang.org/x/sync/errgroup"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/daemon"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/place"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/runtime/docker"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/state"
)

// Config says where a cluster keeps its state and where it listens.
type Config struct {
	// Checkout is the folder whose services run here; it is only shown.
	Checkout string
	// StateDir keeps everything that outlives the process, CacheDir what can be
	// had again.
	StateDir, CacheDir string
	// Account (12 digits) and Region appear in ARNs.
	Account, Region string
	// GatewayPort, EndpointPort and PostgresPort are on 127.0.0.1; 0 takes a
	// free one.
	GatewayPort, EndpointPort, PostgresPort int
	// MeshPort is the first port that a service may be given to reach another;
	// 0 takes 30000.
	MeshPort int
	// TracingRatio is the share of requests of which the gateway reports a span,
	// 0 to 1.
	TracingRatio float64
	// Runtime says what runs tasks: RuntimeProcess, which is the default, or
	// RuntimeDocker, which needs Ferry, the path of cmd/slipway-ferry built for
	// Linux and linked statically.
	Runtime, Ferry string
	// Build identifies the program, for Info.
	Build string
	// Reporter hears of progress until the cluster is ready.
	Reporter *daemon.Reporter
	Logger   *slog.Logger
}

func (c *Config) validate() error {
	switch {
	case c.StateDir == "" || c.CacheDir == "":
		return errors.New("cluster config: StateDir and CacheDir are needed")
	case len(c.Account) != 12 || c.Region == "":
		return errors.New("cluster config: Account of 12 digits and Region are needed")
	case c.Runtime != "" && c.Runtime != RuntimeProcess && c.Runtime != RuntimeDocker:
		return fmt.Errorf("cluster config: runtime %q is neither %s nor %s", c.Runtime, RuntimeProcess, RuntimeDocker)
	case c.Logger == nil || c.Reporter == nil:
		return errors.New("cluster config: Logger and Reporter are needed")
	}
	return nil
}

// stopLimit bounds the end in good order: tasks get their stop timeout within it.
const stopLimit = 20 * time.Second

// Run runs a cluster until ctx ends. It tells the Reporter when the cluster is
// ready, or why it cannot be (a *daemon.Fault, also returned).
func Run(ctx context.Context, cfg Config) error {
	if err := cfg.validate(); err != nil {
		return err
	}
	err := run(ctx, cfg)
	var fault *daemon.Fault
	switch {
	case ctx.Err() != nil: // the reporter drops it when the cluster was ready
		cfg.Reporter.Fault(daemon.Fault{What: "start the cluster", Why: "it was told to stop before it was ready", Hint: "go tool mage up"})
	case errors.As(err, &fault):
		cfg.Reporter.Fault(*fault)
	case err != nil:
		cfg.Reporter.Fault(daemon.Fault{What: "start the cluster", Why: err.Error(), Hint: "go tool mage doctor"})
	}
	return err
}

func run(ctx context.Context, cfg Config) error {
	if err := place.Prepare(cfg.StateDir); err != nil {
		return stateFault(cfg.StateDir, err)
	}
	if err := place.Prepare(cfg.CacheDir); err != nil {
		return cacheFault(cfg.CacheDir, err)
	}
	records, err := state.Open(cfg.StateDir)
	if err != nil {
		return stateFault(cfg.StateDir, err)
	}
	c := &cluster{cfg: cfg, state: records, clock: clockwork.NewRealClock()}
	err = c.run(ctx)
	return errors.Join(err, records.Close())
}

// cluster is a cluster that has its state.
type cluster struct {
	cfg      Config
	state    *state.Store
	clock    clockwork.Clock
	gateway  net.Listener
	endpoint net.Listener
	engine   *docker.Engine // of the Docker runtime
}

func (c *cluster) run(ctx context.Context) (err error) {
	if c.gateway, err = listen(ctx, "gateway", c.cfg.GatewayPort); err != nil {
		return err
	}
	defer func() { _ = c.gateway.Close() }() // its server has done so, once there is one
	if c.endpoint, err = listen(ctx, "aws", c.cfg.EndpointPort); err != nil {
		return err
	}
	defer func() { _ = c.endpoint.Close() }() // likewise
	if err := c.findEngine(ctx); err != nil {
		return err
	}
	database, err := c.startDatabase(ctx)
	if err != nil {
		return err
	}
	parts, err := c.assemble(ctx, database)
	if err != nil {
		return errors.Join(err, database.Stop(context.WithoutCancel(ctx)))
	}
	// Tasks send their last spans as they end, so that the endpoint ends last.
	tasksEnded, endpoint := make(chan struct{}), make(chan error, 1)
	go func() {
		defer close(endpoint)
		endpoint <- serveHTTP(tasksEnded, c.endpoint, parts)
	}()
	err = c.serve(ctx, parts, endpoint)
	c.cfg.Logger.InfoContext(ctx, "stopping")
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
	defer cancel()
	err = errors.Join(err, parts.runtime.Close(grace))
	close(tasksEnded)
	return errors.Join(err, <-endpoint, parts.close(grace), daemon.RemoveInfo(c.cfg.StateDir))
}

// serve runs all parts until ctx ends or one of them fails; endpoint tells of
// the endpoint's failure.
func (c *cluster) serve(ctx context.Context, p *parts, endpoint <-chan error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return p.gateway.Serve(ctx, c.gateway) })
	group.Go(func() error {
		defer p.stopping.Store(true)
		select {
		case err := <-endpoint:
			return err
		case <-ctx.Done():
			return nil
		}
	})
	group.Go(func() error { return p.scheduler.Run(ctx) })
	group.Go(func() error { p.alarms.Run(ctx); return nil })
	group.Go(func() error { p.database.Supervise(ctx); return nil })
	group.Go(func() error {
		info := p.info
		info.Started = c.clock.Now().UTC()
		if err := daemon.WriteInfo(c.cfg.StateDir, info); err != nil {
			return err
		}
		c.cfg.Logger.InfoContext(ctx, "ready", "gateway", info.Gateway, "endpoint", info.Endpoint, "postgres", info.Postgres)
		c.cfg.Reporter.Ready(info)
		return nil
	})
	return group.Wait()
}

// serveHTTP serves until ended is closed, then lets requests finish for a
// moment.
func serveHTTP(ended <-chan struct{}, l net.Listener, h http.Handler) error {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true) // for OTLP over gRPC
	srv := &http.Server{Handler: h, Protocols: protocols, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve endpoint: %w", err)
	case <-ended:
	}
	grace, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := srv.Shutdown(grace); err != nil {
		_ = srv.Close() // what still runs is cut
	}
	<-failed //nolint:errcheck // it says that it was shut down
	return nil
}

func listen(ctx context.Context, name string, port int) (net.Listener, error) {
	var lc net.ListenConfig
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, portFault(name, port, err)
	}
	return l, nil
}

// pid is this process.
func pid() int { return os.Getpid() }
