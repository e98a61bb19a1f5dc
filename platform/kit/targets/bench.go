package targets

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/magefile/mage/mg"

	"github.com/slipway-dev/slipway/platform/kit/bench/build"
	benchdeploy "github.com/slipway-dev/slipway/platform/kit/bench/deploy"
	"github.com/slipway-dev/slipway/platform/kit/bench/orders"
	"github.com/slipway-dev/slipway/platform/kit/bench/request"
	"github.com/slipway-dev/slipway/platform/kit/bench/rollout"
	"github.com/slipway-dev/slipway/platform/kit/bench/sandbox"
	"github.com/slipway-dev/slipway/platform/kit/bench/soak"
	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/local"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/issuer"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/place"
	"github.com/slipway-dev/slipway/platform/kit/manifest"
	kitrollout "github.com/slipway-dev/slipway/platform/kit/rollout"
)

// Bench holds measurements. They print figures and never judge.
type Bench mg.Namespace

// Build measures build and push of a change, and of no change, against bare go build. Example: mage bench:build --runs=7.
func (Bench) Build(ctx context.Context, runs *int) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	root, err := os.Getwd() // mage runs at the root of the checkout
	if err != nil {
		return failure(ctx, err)
	}
	return failure(ctx, build.Build(ctx, os.Stdout, root, or(runs, benchRuns)))
}

// Defaults of the options.
const (
	benchRuns     = 5
	benchService  = "catalog"
	benchRate     = 400
	benchDeploys  = 3
	benchRequests = 20000
	tokenLifetime = 12 * time.Hour // of the load's token
)

// Rollout counts failed requests while releases roll out on the local cluster under steady load. Example: mage bench:rollout --rate=400.
func (Bench) Rollout(ctx context.Context, service *string, rate, deploys, requests *int) error {
	return run(ctx, 0, nil, func(s *session) error {
		name := or(service, benchService)
		on, err := s.on(manifest.Local)
		if err != nil {
			return err
		}
		svc, err := on.env.Service(name)
		if err != nil {
			return err
		}
		if svc.HTTP == nil {
			return &usageError{text: "bench " + name + ": it serves no HTTP", next: "go tool mage bench:rollout --service=catalog"}
		}
		releases, err := rollout.NewReleases(s.root, svc.Dir, name)
		if err != nil {
			return err
		}
		defer func() { _ = releases.Close() }()
		on.build.Root = releases.Root
		status, err := on.deployer.Status(s.ctx, []string{name})
		if err != nil {
			return err
		}
		path, _, _ := strings.Cut(svc.HTTP.Routes[0], "*")
		token, err := s.benchToken(on, name+".read")
		if err != nil {
			return err
		}
		report, err := rollout.Run(s.ctx, rollout.Config{
			URL: status.Services[0].URL + path, Token: token, Rate: or(rate, benchRate),
			Deploys: or(deploys, benchDeploys), MinRequests: or(requests, benchRequests),
			Deploy: func(_ context.Context, n int) error {
				if err := releases.Next(n); err != nil {
					return err
				}
				return s.deploy(on, []string{name}, deployOptions{})
			},
		})
		if err != nil {
			return err
		}
		// What the checkout holds serves again, not a release of the bench.
		on.build.Root = s.root
		if err := s.deploy(on, []string{name}, deployOptions{}); err != nil {
			return err
		}
		var text strings.Builder
		fmt.Fprintf(&text, "%s of %s at %d requests per second\n", path, name, or(rate, benchRate))
		report.Print(&text)
		s.emit.Emit(event.Result{Kind: "bench", Text: text.String(), Data: report})
		return nil
	})
}

// benchToken has the running cluster mint a token for a load.
func (s *session) benchToken(on *target, scopes ...string) (string, error) {
	cluster, err := local.New(s.root, on.env)
	if err != nil {
		return "", err
	}
	token, err := cluster.Token(s.ctx, issuer.Request{Subject: "bench", Scopes: scopes, Lifetime: tokenLifetime})
	return token.Value, err
}

// Deploy measures a deploy, from a changed line to all traffic and back again, beside bare go build, on a cluster of its own. Example: mage bench:deploy --runs=5.
func (Bench) Deploy(ctx context.Context, runs *int, json *bool) error {
	return run(ctx, 0, json, func(s *session) error {
		report, err := benchdeploy.Run(s.ctx, benchdeploy.Config{Root: s.root, Runs: or(runs, 0), Progress: os.Stderr})
		if err != nil {
			return err
		}
		var text strings.Builder
		report.Print(&text)
		s.emit.Emit(event.Result{Kind: "bench", Text: text.String(), Data: report})
		return nil
	})
}

// Soak deploys over and over by all strategies under load on a cluster of its own, and tells what fails and what grows. Example: mage bench:soak --deploys=100.
func (Bench) Soak(ctx context.Context, deploys, rate, requests *int, json *bool) error {
	return run(ctx, 0, json, func(s *session) error {
		report, err := soak.Run(s.ctx, soak.Config{
			Root: s.root, Deploys: or(deploys, 0), Rate: or(rate, 0), Requests: or(requests, 0), Progress: os.Stderr,
			Connect: s.connectSandbox,
		})
		if err != nil {
			return err
		}
		var text strings.Builder
		report.Print(&text)
		s.emit.Emit(event.Result{Kind: "bench", Text: text.String(), Data: report})
		return nil
	})
}

// connectSandbox connects to the cluster of a sandbox. From then on this command
// works there: the folder of the state is that of the whole process.
func (s *session) connectSandbox(ctx context.Context, box *sandbox.Sandbox) (soak.Kit, error) {
	if err := os.Setenv(place.StateVariable, box.State); err != nil {
		return nil, fmt.Errorf("choose the state folder: %w", err)
	}
	work, err := manifest.Load(box.Dir)
	if err != nil {
		return nil, err
	}
	there := &session{ctx: ctx, root: box.Dir, work: work, out: s.out, emit: event.NewEmitter(event.Discard(), clockwork.NewRealClock())}
	on, err := there.on(manifest.Local)
	return &sandboxKit{there, on}, err
}

// sandboxKit is the deploy kit at work in a sandbox.
type sandboxKit struct {
	session *session
	on      *target
}

// Build builds and pushes the service that is measured.
func (k *sandboxKit) Build(ctx context.Context) (kitrollout.Release, error) {
	made, err := k.session.obtain(ctx, k.on, sandbox.Service, "")
	return kitrollout.Release{Version: made.Version, Image: made.Reference}, err
}

// Deploy rolls a release of it out.
func (k *sandboxKit) Deploy(ctx context.Context, r kitrollout.Release) (event.Verdict, error) {
	plan, err := k.on.deployer.Plan(ctx, sandbox.Service, r, kitrollout.Options{})
	if err != nil {
		return event.Verdict{}, err
	}
	return k.on.deployer.Apply(ctx, plan, nil)
}

// Request compares reading a product through the whole stack with a bare handler that does the same. Example: mage bench:request --rounds=5.
func (Bench) Request(ctx context.Context, rounds, seconds *int, generator, profile *string, json *bool) error {
	return run(ctx, 0, json, func(s *session) error {
		report, err := request.Run(s.ctx, request.Config{
			Root: s.root, Rounds: or(rounds, 0), Seconds: or(seconds, 0),
			Generator: or(generator, ""), Profile: or(profile, ""), Progress: os.Stderr,
		})
		if err != nil {
			return err
		}
		var text strings.Builder
		report.Print(&text)
		s.emit.Emit(event.Result{Kind: "bench", Text: text.String(), Data: report})
		return nil
	})
}

// Orders measures how fast the running local cluster takes orders, beside one transaction on PostgreSQL for each. Example: mage bench:orders --clients=16.
func (Bench) Orders(ctx context.Context, clients, rounds, seconds *int, json *bool) error {
	return run(ctx, 0, json, func(s *session) error {
		on, err := s.on(manifest.Local)
		if err != nil {
			return err
		}
		cluster, err := local.New(s.root, on.env)
		if err != nil {
			return err
		}
		token, err := cluster.Token(s.ctx, issuer.Request{Subject: "bench", Scopes: strings.Fields(orders.Scopes)})
		if err != nil {
			return err
		}
		status, err := on.deployer.Status(s.ctx, []string{"orders"})
		if err != nil {
			return err
		}
		report, err := orders.Run(s.ctx, orders.Config{
			URL: status.Services[0].URL, Token: token.Value, Dir: cluster.StateDir(), Cache: cluster.CacheDir(),
			Clients: or(clients, 0), Rounds: or(rounds, 0), Seconds: or(seconds, 0), Progress: os.Stderr,
		})
		if err != nil {
			return err
		}
		var text strings.Builder
		report.Print(&text)
		s.emit.Emit(event.Result{Kind: "bench", Text: text.String(), Data: report})
		return nil
	})
}

// or returns the flag's value, or def when it was not given.
func or[T any](flag *T, def T) T {
	if flag == nil {
		return def
	}
	return *flag
}
