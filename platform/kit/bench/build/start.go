package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/bench/subject"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/place"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/postgres"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/starter"
	"github.com/slipway-dev/slipway/platform/kit/release"
)

const (
	startGoal = 120 * time.Millisecond
	// startLimit is when a start that does not get healthy ends the measurement.
	startLimit = 20 * time.Second
	// probeEvery is how often the bare process is asked whether it is ready.
	probeEvery = 200 * time.Microsecond
)

// Services do not start without knowing whose tokens to take. None are sent here.
const (
	issuer = "http://bench.invalid"
	keys   = "http://127.0.0.1:9/jwks.json" // the discard port: nobody answers
)

// starts measures from the start of a task to the gateway's first successful
// health check, beside the bare process that is asked every 0.2 ms. Both need
// their database to be ready, and both have their files in the page cache.
func (b *bench) starts(ctx context.Context, w io.Writer, runs int) error {
	made, _, err := release.Build(ctx, subject.Settings(b.root, b.host, filepath.Join(b.temp, "cache-in")))
	if err != nil {
		return err
	}
	if _, err := b.floor(ctx); err != nil {
		return err
	}
	url, stop, err := b.database(ctx)
	if err != nil {
		return err
	}
	defer stop()
	s, err := starter.New(starter.Config{
		Dir: b.temp, Image: made.Reference, User: "AWS", Password: password, Clock: b.clock,
		Environment: map[string]string{
			"DATABASE_URL": url, "DRAIN_DELAY": "0s", "AUTH_ISSUER": issuer, "AUTH_AUDIENCE": issuer, "AUTH_JWKS_URL": keys,
		},
	})
	if err != nil {
		return err
	}
	defer s.Close()
	var bare, started []time.Duration
	for round := range runs + 1 {
		alone, err := b.bareStart(ctx, url)
		if err != nil {
			return err
		}
		took, err := s.Start(ctx, round)
		if err != nil {
			return err
		}
		if round > 0 { // the first one unpacks the image
			bare, started = append(bare, alone), append(started, took)
		}
	}
	fmt.Fprintf(w, "\ntask start to first successful health check (goal: at most %s)\n", startGoal)
	fmt.Fprintf(w, "  %-32s %7s %7s %7s\n", "", "min ms", "median", "max")
	for _, row := range []struct {
		name string
		took []time.Duration
	}{{"bare process", bare}, {"task, seen by the gateway", started}} {
		fmt.Fprintf(w, "  %-32s %7.1f %7.1f %7.1f\n", row.name, ms(slices.Min(row.took)), ms(median(row.took)), ms(slices.Max(row.took)))
	}
	return nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// database starts PostgreSQL and brings the service's schema into it.
func (b *bench) database(ctx context.Context) (url string, stop func(), err error) {
	cache, err := place.Cache()
	if err != nil {
		return "", nil, err
	}
	have, err := postgres.Obtain(ctx, cache, nil)
	if err != nil {
		return "", nil, err
	}
	server, err := postgres.Start(ctx, postgres.Config{Dir: filepath.Join(b.temp, "postgres"), Installations: have})
	if err != nil {
		return "", nil, err
	}
	stop = func() { _ = server.Stop(context.WithoutCancel(ctx)) }
	if err := server.Ensure(ctx, service, password); err != nil {
		stop()
		return "", nil, err
	}
	url = fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=disable", service, password, server.Addr(), service)
	migrate := exec.CommandContext(ctx, filepath.Join(b.temp, "floor"), "migrate")
	migrate.Env = []string{"DATABASE_URL=" + url}
	if out, err := migrate.CombinedOutput(); err != nil {
		stop()
		return "", nil, fmt.Errorf("migrate: %w\n%s", err, out)
	}
	return url, stop, nil
}

// bareStart runs the program by itself until it answers.
func (b *bench) bareStart(ctx context.Context, url string) (time.Duration, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a port: %w", err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		return 0, fmt.Errorf("find a port: %w", err)
	}
	_, port, _ := strings.Cut(addr, ":")
	cmd := exec.CommandContext(ctx, filepath.Join(b.temp, "floor"))
	cmd.Env = []string{
		"DATABASE_URL=" + url, "HTTP_PORT=" + port, "GRPC_PORT=0", "INTERNAL_PORT=0", "BIND_ADDRESS=127.0.0.1", "DRAIN_DELAY=0s",
		"AUTH_ISSUER=" + issuer, "AUTH_AUDIENCE=" + issuer, "AUTH_JWKS_URL=" + keys,
	}
	began := b.clock.Now()
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("start the program: %w", err)
	}
	defer func() { _ = cmd.Process.Signal(os.Interrupt); _ = cmd.Wait() }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for b.clock.Since(began) < startLimit {
		resp, err := client.Get("http://" + addr + "/healthz") //nolint:noctx // loopback, bounded by the loop
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return b.clock.Since(began), nil
			}
		}
		<-b.clock.After(probeEvery)
	}
	return 0, errors.New("start the program: it does not get ready")
}
