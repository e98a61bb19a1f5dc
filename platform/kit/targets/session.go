package targets

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/magefile/mage/mg"

	"github.com/slipway-dev/slipway/platform/kit/attest"
	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/guard"
	"github.com/slipway-dev/slipway/platform/kit/internal/awsx"
	"github.com/slipway-dev/slipway/platform/kit/local"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/place"
	"github.com/slipway-dev/slipway/platform/kit/manifest"
	"github.com/slipway-dev/slipway/platform/kit/render"
	"github.com/slipway-dev/slipway/platform/kit/rollout"
	"github.com/slipway-dev/slipway/platform/kit/ship"
	"github.com/slipway-dev/slipway/platform/kit/vuln"
)

// all stands for every service on the command line.
const all = "all"

// Exit codes besides those of a verdict; see [event.Outcome.ExitCode].
const (
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// session is one command: its manifests, its output, its end by a signal.
type session struct {
	ctx  context.Context
	root string
	work *manifest.Workspace
	out  *render.Renderer
	emit *event.Emitter
}

// run makes a session for a command with that many arguments, runs the command
// in it and turns its error into what
// mage prints and exits with.
func run(ctx context.Context, arguments int, asJSON *bool, command func(*session) error) error {
	if err := alone(os.Args[1:], arguments); err != nil {
		return failure(ctx, err)
	}
	mode := render.Choose(os.Stderr, os.Getenv)
	if set(asJSON) {
		mode = render.JSON
	}
	out, err := render.New(render.Config{Mode: mode, Stdout: os.Stdout, Stderr: os.Stderr, Color: render.Color(os.Getenv)})
	if err != nil {
		return err
	}
	defer out.Close()
	root, err := os.Getwd() // mage runs at the root of the checkout
	if err != nil {
		return fmt.Errorf("find the checkout: %w", err)
	}
	s := &session{root: root, out: out, emit: event.NewEmitter(out, clockwork.NewRealClock())}
	s.work, err = manifest.Load(root)
	ctx, stop := interruptible(ctx)
	defer stop()
	if s.ctx = ctx; err == nil {
		err = command(s)
	}
	out.Close()
	return failure(ctx, err)
}

// forceAfter tells a second Ctrl-C from an echo of the first: a terminal sends
// it to every process in front, and the go command passes its own on.
const forceAfter = 500 * time.Millisecond

// interruptible returns a context that SIGINT and SIGTERM end; a signal after
// that ends the program. Mage's own handling, which takes the echo of a Ctrl-C
// for a second one, is switched off.
func interruptible(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(parent)
	signals := make(chan os.Signal, 8)
	signal.Reset(os.Interrupt, syscall.SIGTERM)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		var first time.Time
		for {
			select {
			case <-done:
				return
			case <-signals:
			}
			switch {
			case first.IsZero():
				first = time.Now()
				cancel()
			case time.Since(first) > forceAfter:
				os.Exit(exitInterrupted) //nolint:revive // nothing that waits may hold up a second Ctrl-C
			}
		}
	}()
	return ctx, func() { signal.Stop(signals); close(done); cancel() }
}

// alone refuses words beyond a command and its arguments. Mage would take them
// for further commands, and say that there is no such one only after it has
// carried out the first.
func alone(words []string, arguments int) error {
	var given []string
	for _, word := range words {
		if !strings.HasPrefix(word, "-") {
			given = append(given, word)
		}
	}
	if len(given) <= 1+arguments {
		return nil
	}
	return &usageError{
		text: fmt.Sprintf("%s: unexpected %q", given[0], given[1+arguments]),
		next: "go tool mage -h " + given[0],
	}
}

// failure gives an error its exit code and its "next:" line.
func failure(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	var coded interface{ ExitCode() int }
	var invalid *manifest.Error
	code := exitFailed
	switch {
	case errors.As(err, &coded):
		code = coded.ExitCode()
	case errors.As(err, &invalid):
		code = exitUsage
	case ctx.Err() != nil:
		return mg.Fatal(exitInterrupted, "interrupted\nnext: repeat the command; nothing is lost")
	}
	text := err.Error()
	if next := event.Next(err); next != "" && !strings.Contains(text, "next: ") {
		text += "\nnext: " + next
	}
	return mg.Fatal(code, text)
}

// usageError is a wrong argument.
type usageError struct{ text, next string }

func (e *usageError) Error() string { return e.text }
func (e *usageError) Next() string  { return e.next }
func (e *usageError) ExitCode() int { return exitUsage }

func set(flag *bool) bool { return flag != nil && *flag }

func value[T any](flag *T) (v T) {
	if flag != nil {
		v = *flag
	}
	return v
}

// environment returns a configured environment. That of the embedded cluster
// gets the endpoint of the cluster that runs.
func (s *session) environment(name string) (manifest.Environment, error) {
	env, err := s.work.Environment(name)
	if err != nil {
		return env, err
	}
	if !env.IsLocal() {
		return env, nil
	}
	cluster, err := local.New(s.root, env)
	if err != nil {
		return env, err
	}
	info, err := cluster.Find(s.ctx)
	if err != nil {
		return env, err
	}
	env.Endpoint = info.Endpoint
	return env, nil
}

// services returns the named service, or all of them.
func (s *session) services(name string) ([]string, error) {
	if name == all {
		return s.work.ServiceNames(), nil
	}
	svc, err := s.work.Service(name)
	return []string{svc.Name}, err
}

// target is an environment that can be worked on: its AWS and what rolls out.
type target struct {
	env      manifest.Environment
	aws      *awsx.Client
	deployer *rollout.Deployer
	attest   *attest.Store
	guard    *guard.Guard
	build    ship.Config
}

// connect prepares work on an environment.
func (s *session) connect(env manifest.Environment) (*target, error) {
	client, err := awsx.New(s.ctx, awsx.Config{Region: env.Region, Endpoint: env.Endpoint, Local: env.IsLocal()})
	if err != nil {
		return nil, err
	}
	cache, err := place.Cache()
	if err != nil {
		return nil, err
	}
	build := ship.Config{Root: s.root, CacheDir: cache, Environment: env, Registry: client}
	cfg := rollout.Config{
		Environment: env.Name, Local: env.IsLocal(),
		ECS: client, Images: client, Secrets: client, Contracts: client, Logs: client, Alarms: client,
		Releases: pushed{build}, Schemas: migrated{s.root, s.work},
	}
	cfg.Traffic, cfg.Scale = client.Traffic(), scaleOf(env)
	if env.IsLocal() {
		cfg.Platform = hostPlatform()
		cluster, err := local.New(s.root, env)
		if err != nil {
			return nil, err
		}
		cfg.Traffic = cluster.Traffic()
	}
	signed, err := s.attestStore(env, client)
	if err != nil {
		return nil, err
	}
	build.Attest = signed
	guarded, err := guard.New(guard.Config{Build: build, Database: os.Getenv(vuln.DatabaseVariable)})
	if err != nil {
		return nil, err
	}
	build.Assembled = guarded.Assembled(s.ctx)
	cfg.Evidence = append([]rollout.Evidence{attest.Examiner{Store: signed}}, guarded.Evidence()...)
	deployer, err := rollout.New(cfg)
	return &target{env: env, aws: client, deployer: deployer, attest: signed, guard: guarded, build: build}, err
}

// on connects to the named environment.
func (s *session) on(name string) (*target, error) {
	env, err := s.environment(name)
	if err != nil {
		return nil, err
	}
	return s.connect(env)
}
