package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jonboulle/clockwork"
	"google.golang.org/grpc/grpclog"

	"github.com/slipway-dev/slipway/platform/serve/database"
	"github.com/slipway-dev/slipway/platform/serve/internal/inspect"
	"github.com/slipway-dev/slipway/platform/serve/internal/logsink"
	"github.com/slipway-dev/slipway/platform/serve/jobs"
)

// Exit codes of a service's binary.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2 // wrong arguments or configuration
)

const healthcheckTimeout = 3 * time.Second

// Main runs the service's command line with the process's arguments,
// environment and signals, and returns the exit code: 0 success, 1 failure, 2
// wrong usage or configuration. SIGTERM and SIGINT drain; a second one kills.
func Main(svc Service) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		signal.Stop(signals) // before the drain begins, so that no second signal is lost
		cancel()
	}()
	// gRPC's own log lines are not JSON and repeat what the interceptors log.
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard))
	if os.Getenv("GOGC") == "" {
		defer runtime.KeepAlive(heapFloor())
	}
	return Command{Args: os.Args[1:], Environ: os.Environ(), Stdout: os.Stdout, Stderr: os.Stderr}.Run(ctx, svc)
}

// heapFloorBytes is how much a service may allocate between two collections at
// least.
const heapFloorBytes = 32 << 20

// heapFloor makes the collector see a heap of a decent size. A service's own is
// a few megabytes, which the collector would let it allocate again before it
// looks; under load that is a collection many times a second. The memory is never
// touched, so the system never provides it. A ratio (GOGC) would do the same for
// a small heap, but let a large one outgrow its task.
func heapFloor() []byte { return make([]byte, heapFloorBytes) }

// Command is one invocation of a service's binary.
type Command struct {
	Args           []string // without the program's name
	Environ        []string // KEY=value
	Stdout, Stderr io.Writer
}

const usage = `usage: %s [command]

commands:
  serve        run the service (the default)
  migrate      bring the database to the newest version
  check        look for data that breaks an invariant; exit 0 if all hold
  healthcheck  ask the running service's /healthz; exit 0 if it is ready
  version      print version, commit and Go version
`

// Run carries out the command and returns the exit code.
func (c Command) Run(ctx context.Context, svc Service) int {
	name := "serve"
	if len(c.Args) > 0 {
		name = c.Args[0]
	}
	var err error
	switch {
	case len(c.Args) > 1:
		err = &usageError{fmt.Sprintf("%s takes no argument %q", name, c.Args[1])}
	case name == "serve":
		err = c.serve(ctx, svc)
	case name == "migrate":
		err = c.migrate(ctx, svc)
	case name == "check":
		err = c.check(ctx, svc)
	case name == "healthcheck":
		err = c.healthcheck(ctx, svc)
	case name == "version":
		err = c.version(svc)
	case name == "help" || name == "-h" || name == "--help":
		_, err = fmt.Fprintf(c.Stdout, usage, svc.Name)
	default:
		err = &usageError{fmt.Sprintf("there is no command %q", name)}
	}
	return c.exit(svc, err)
}

type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func (c Command) exit(svc Service, err error) int {
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(c.Stderr, "%s: %v\n", svc.Name, err)
	if _, ok := errors.AsType[*usageError](err); ok {
		fmt.Fprintf(c.Stderr, usage, svc.Name)
		return exitUsage
	}
	if _, ok := errors.AsType[*ConfigError](err); ok {
		return exitUsage
	}
	return exitError
}

func (c Command) environ() map[string]string {
	all := make(map[string]string, len(c.Environ))
	for _, entry := range c.Environ {
		if key, value, ok := strings.Cut(entry, "="); ok {
			all[key] = value
		}
	}
	return all
}

func (c Command) serve(ctx context.Context, svc Service) error {
	logs := logsink.New(c.Stdout, clockwork.NewRealClock())
	defer logs.Close() //nolint:errcheck // there is nobody left to tell
	app, err := Complete(ctx, svc, c.environ(), logs)
	if err != nil {
		return err
	}
	return app.Run(ctx)
}

// migrate applies what is missing and says what it did.
func (c Command) migrate(ctx context.Context, svc Service) error {
	if svc.Migrations == nil {
		_, err := fmt.Fprintf(c.Stdout, "%s has no migrations\n", svc.Name)
		return err //nolint:wrapcheck // a write to stdout
	}
	cfg, err := decode(svc, c.environ())
	if err != nil {
		return err
	}
	if svc.Jobs {
		if err := c.migrateJobs(ctx, cfg.Database); err != nil {
			return err
		}
	}
	applied, version, err := database.Migrate(ctx, cfg.Database, svc.Migrations)
	for _, m := range applied {
		fmt.Fprintf(c.Stdout, "applied %s in %v\n", m.Source, m.Duration.Round(time.Millisecond))
	}
	if err != nil {
		return fmt.Errorf("migrate: %w\nnext: mend the cause and run migrate again; what was applied stays", err)
	}
	if len(applied) == 0 {
		_, err = fmt.Fprintf(c.Stdout, "the database is at version %d; nothing to apply\n", version)
	} else {
		_, err = fmt.Fprintf(c.Stdout, "the database is at version %d\n", version)
	}
	return err //nolint:wrapcheck // a write to stdout
}

// migrateJobs applies what the jobs' tables lack.
func (c Command) migrateJobs(ctx context.Context, db database.Config) error {
	db.StatementTimeout = 0 // none: ctx bounds migrations
	db.MaxConns = max(db.MaxConns, 2)
	pool, err := database.Open(ctx, db)
	if err != nil {
		return fmt.Errorf("migrate jobs: %w", err)
	}
	defer pool.Close()
	applied, err := jobs.Migrate(ctx, pool)
	for _, m := range applied {
		fmt.Fprintf(c.Stdout, "applied %s in %v\n", m.Source, m.Duration.Round(time.Millisecond))
	}
	if err != nil {
		return fmt.Errorf("migrate jobs: %w\nnext: mend the cause and run migrate again; what was applied stays", err)
	}
	return nil
}

// healthcheck asks the service that runs with the same environment.
func (c Command) healthcheck(ctx context.Context, svc Service) error {
	var cfg Config // only the port matters, so a mistake elsewhere is not reported here
	if problems := parse(&cfg, c.environ()); len(problems) > 0 {
		return &ConfigError{Service: svc.Name, Problems: problems}
	}
	host := cfg.BindAddress
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if ip.To4() == nil {
			host = "::1"
		}
	}
	url := "http://" + net.JoinHostPort(host, strconv.Itoa(cfg.HTTPPort)) + "/healthz"
	ctx, cancel := context.WithTimeout(ctx, healthcheckTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return fmt.Errorf("check health: %w", err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("check health: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err != nil {
		return fmt.Errorf("check health: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("check health: %s answers %s: %s", url, resp.Status, strings.TrimSpace(string(body)))
	}
	return nil
}

// version prints what the binary was built from, as one line of JSON.
func (c Command) version(svc Service) error {
	out := struct {
		Service string `json:"service"`
		Version string `json:"version"`
		Commit  string `json:"commit,omitempty"`
		Go      string `json:"go"`
		OS      string `json:"os"`
		Arch    string `json:"arch"`
	}{svc.Name, c.environ()["SERVICE_VERSION"], inspect.BuildOf("", "").Commit, runtime.Version(), runtime.GOOS, runtime.GOARCH}
	if out.Version == "" {
		out.Version = "dev"
	}
	return json.NewEncoder(c.Stdout).Encode(out) //nolint:wrapcheck // a write to stdout
}
