// Package soak deploys over and over, by one strategy after another, under a
// steady load by HTTP and gRPC, and tells two things: which requests failed, and
// what of the cluster grew. It does so in a copy of the checkout with a cluster
// of its own. Two releases, built before, take turns: what is looked at is
// rolling out, not compiling.
package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/bench/sandbox"
	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/admin"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/issuer"
	"github.com/slipway-dev/slipway/platform/kit/rollout"
)

// Kit is what the soak needs of the deploy kit, connected to the sandbox.
type Kit interface {
	// Build builds the service as the sandbox holds it, and pushes it.
	Build(ctx context.Context) (rollout.Release, error)
	// Deploy rolls a release out and watches to the end.
	Deploy(ctx context.Context, r rollout.Release) (event.Verdict, error)
}

// Config says how long to soak.
type Config struct {
	// Root is the checkout. Required.
	Root string
	// Deploys, Rate (requests a second, half of them by each protocol) and
	// Requests (at least so many; the load goes on after the last deploy) take
	// 100, 400 and 200,000 when zero.
	Deploys, Rate, Requests int
	// Connect returns a kit for the sandbox, whose cluster runs. Required.
	Connect func(ctx context.Context, box *sandbox.Sandbox) (Kit, error)
	// Progress hears what happens; nil discards.
	Progress io.Writer
}

func (c *Config) complete() {
	for _, v := range []struct {
		value *int
		or    int
	}{{&c.Deploys, 100}, {&c.Rate, 400}, {&c.Requests, 200_000}} {
		if *v.value <= 0 {
			*v.value = v.or
		}
	}
	if c.Progress == nil {
		c.Progress = io.Discard
	}
}

// turns are the strategies, one after another. Those that take long come half as
// often, so that a hundred deploys take nine minutes and not thirteen.
var turns = []string{"rolling", "blue_green", "canary", "rolling", "blue_green", "linear"}

// manifestOf is how a strategy is written in the manifest. No bake time: it is a
// wait in which nothing happens.
func manifestOf(strategy string) string {
	return "{strategy: " + strategy + ", bake: 0m, alarms: [errors]}"
}

const (
	httpPath   = "/v1/products"
	grpcMethod = "/slipway.catalog.v1.CatalogService/ListProducts"
	scope      = "catalog.read"
	lifetime   = 12 * time.Hour
	// settle is how long after a deploy the cluster is looked at, so that the old
	// tasks are mostly gone.
	settle = 500 * time.Millisecond
	// printEvery is after how many deploys a line is printed.
	printEvery = 10
	// maxBad is after how many deploys that did not complete the soak gives up.
	maxBad = 5
)

// soak is a run.
type soak struct {
	cfg      Config
	box      *sandbox.Sandbox
	shape    func(ctx context.Context, how string) error // of the next rollout
	kit      Kit
	releases []rollout.Release
	loads    []*load
	began    time.Time
	report   Report
}

// Run soaks. It ends early, leaving nothing behind, when ctx is done.
func Run(ctx context.Context, cfg Config) (report *Report, err error) {
	cfg.complete()
	box, err := sandbox.New(ctx, sandbox.Config{Root: cfg.Root, Progress: cfg.Progress})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, box.Close(ctx)) }()
	s := &soak{cfg: cfg, box: box, shape: box.Deploy, report: Report{Rate: cfg.Rate, Strategies: map[string]int{}}}
	if err := s.prepare(ctx); err != nil {
		return nil, err
	}
	end, err := s.load(ctx)
	if err != nil {
		return nil, err
	}
	err = s.run(ctx)
	for _, l := range s.loads {
		s.report.Calls = append(s.report.Calls, l.stop())
	}
	end()
	if err != nil {
		return nil, err
	}
	s.report.judge()
	return &s.report, nil
}

// prepare starts the cluster, builds the releases and rolls each out once.
func (s *soak) prepare(ctx context.Context) error {
	if err := s.box.Change(0); err != nil {
		return err
	}
	if err := s.box.Up(ctx); err != nil {
		return err
	}
	var err error
	if s.kit, err = s.cfg.Connect(ctx, s.box); err != nil {
		return err
	}
	for n := range 2 {
		fmt.Fprintf(s.cfg.Progress, "build and roll out release %d\n", n+1)
		if err := s.box.Change(n + 1); err != nil {
			return err
		}
		made, err := s.kit.Build(ctx)
		if err != nil {
			return err
		}
		s.releases = append(s.releases, made)
		v, err := s.kit.Deploy(ctx, made)
		if err != nil {
			return err
		}
		if v.Outcome != event.Completed {
			return fmt.Errorf("roll out release %d: %s", n+1, v.Summary)
		}
	}
	return nil
}

// load puts the load on; end closes its connections.
func (s *soak) load(ctx context.Context) (end func(), err error) {
	info, err := s.box.Info(ctx)
	if err != nil {
		return nil, err
	}
	token, err := admin.NewClient(info).Token(ctx, issuer.Request{Subject: "bench", Scopes: []string{scope}, Lifetime: lifetime})
	if err != nil {
		return nil, err
	}
	http, endHTTP := byHTTP(info.Gateway+httpPath, token.Value)
	grpc, endGRPC, err := byGRPC(strings.TrimPrefix(info.Gateway, "http://"), grpcMethod, token.Value)
	if err != nil {
		return nil, err
	}
	end = func() { endHTTP(); endGRPC() }
	for name, call := range map[string]func(context.Context) error{"HTTP": http, "gRPC": grpc} {
		if err := call(ctx); err != nil {
			end()
			return nil, fmt.Errorf("the first request by %s: %w", name, err)
		}
	}
	s.began = time.Now()
	half := float64(s.cfg.Rate) / 2
	s.loads = []*load{start(ctx, "HTTP", half, http), start(ctx, "gRPC", half, grpc)}
	return end, nil
}

// run deploys, looks at the cluster after each, and waits for the last requests.
func (s *soak) run(ctx context.Context) error {
	fmt.Fprintf(s.cfg.Progress, "%d deploys at %d requests a second\n%s\n", s.cfg.Deploys, s.cfg.Rate, heading)
	if err := s.sample(ctx, 0); err != nil {
		return err
	}
	for n := 1; n <= s.cfg.Deploys; n++ {
		if err := s.deploy(ctx, n); err != nil {
			return err
		}
		if err := s.wait(ctx, func() bool { return false }, settle); err != nil {
			return err
		}
		if err := s.sample(ctx, n); err != nil {
			return err
		}
	}
	fmt.Fprintln(s.cfg.Progress, "wait for the rest of the requests")
	enough := func() bool { requests, _ := s.seen(); return requests >= s.cfg.Requests }
	limit := time.Duration(float64(s.cfg.Requests)/float64(s.cfg.Rate)*float64(time.Second))*2 + time.Minute
	return s.wait(ctx, enough, limit)
}

// deploy rolls the next release out by the next strategy. One that does not
// complete is noted; too many end the soak.
func (s *soak) deploy(ctx context.Context, n int) error {
	strategy := turns[(n-1)%len(turns)]
	if err := s.shape(ctx, manifestOf(strategy)); err != nil {
		return err
	}
	began := time.Now()
	v, err := s.kit.Deploy(ctx, s.releases[(n-1)%len(s.releases)])
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s.report.Deploys++
	s.report.Strategies[strategy]++
	s.report.took = append(s.report.took, deployed{strategy, time.Since(began).Seconds()})
	var bad string
	switch {
	case err != nil:
		bad = err.Error()
	case v.Outcome != event.Completed || v.AlreadyRan:
		bad = v.Summary + "; " + strings.Join(v.Causes, "; ")
	default:
		return nil
	}
	s.report.Bad = append(s.report.Bad, fmt.Sprintf("deploy %d, %s: %s", n, strategy, bad))
	fmt.Fprintln(s.cfg.Progress, s.report.Bad[len(s.report.Bad)-1])
	if len(s.report.Bad) > maxBad {
		return fmt.Errorf("%d of %d deploys did not complete, the last: %s", len(s.report.Bad), n, bad)
	}
	return nil
}

func (s *soak) seen() (requests, failures int) {
	for _, l := range s.loads {
		r, f := l.seen()
		requests, failures = requests+r, failures+f
	}
	return requests, failures
}

// sample looks at the cluster after the n-th deploy.
func (s *soak) sample(ctx context.Context, n int) error {
	u, err := s.box.Usage(ctx)
	if err != nil {
		return err
	}
	requests, failures := s.seen()
	row := Sample{Deploy: n, Seconds: time.Since(s.began).Seconds(), Requests: requests, Failures: failures, Usage: u}
	s.report.Samples = append(s.report.Samples, row)
	if n%printEvery == 0 || n == s.cfg.Deploys {
		fmt.Fprintln(s.cfg.Progress, row.String())
	}
	return nil
}

// wait waits until done says so, for at most limit.
func (s *soak) wait(ctx context.Context, done func() bool, limit time.Duration) error {
	over := time.NewTimer(limit)
	defer over.Stop()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-over.C:
			return nil
		case <-tick.C:
		}
	}
	return nil
}
