package deploy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/bench/sandbox"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/admin"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/issuer"
)

const (
	// startLimit is when a start that does not get healthy ends the measurement.
	startLimit = 30 * time.Second
	// askEvery is how often a bare process is asked whether it is ready.
	askEvery = time.Millisecond
)

// floor is what everything is compared with: a bare go build, and its program
// started by itself.
type floor struct {
	box     *sandbox.Sandbox
	program string
	url     string // of its database
	auth    []string
}

// database is the name and the password of the floor's database.
const database = "benchfloor"

// newFloor makes a database of its own and brings the schema into it.
func newFloor(ctx context.Context, box *sandbox.Sandbox) (*floor, error) {
	info, err := box.Info(ctx)
	if err != nil {
		return nil, err
	}
	if err := admin.NewClient(info).PutDatabase(ctx, admin.Database{Name: database, Password: database}); err != nil {
		return nil, fmt.Errorf("make a database: %w", err)
	}
	_, env, err := box.Workspace(ctx)
	if err != nil {
		return nil, err
	}
	base := info.Endpoint + issuer.Prefix
	f := &floor{
		box: box, program: filepath.Join(filepath.Dir(box.Dir), "floor"),
		auth: []string{"AUTH_ISSUER=" + base, "AUTH_AUDIENCE=" + env.Auth.Audience, "AUTH_JWKS_URL=" + base + issuer.JWKSPath},
		url:  fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=disable", database, database, info.Postgres, database),
	}
	if _, err := f.build(ctx); err != nil {
		return nil, err
	}
	migrate := exec.CommandContext(ctx, f.program, "migrate")
	migrate.Env = []string{"DATABASE_URL=" + f.url}
	if out, err := migrate.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("migrate: %w\n%s", err, out)
	}
	return f, nil
}

// build is the bare go build; it returns how long that took.
func (f *floor) build(ctx context.Context) (time.Duration, error) {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", f.program, "./cmd/"+sandbox.Service)
	cmd.Dir = filepath.Join(f.box.Dir, "services", sandbox.Service)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-buildvcs=false")
	began := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("go build: %w\n%s", err, out)
	}
	return time.Since(began), nil
}

// start runs the program until it answers its health check, and returns how long
// that took.
func (f *floor) start(ctx context.Context) (took time.Duration, err error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a port: %w", err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		return 0, fmt.Errorf("find a port: %w", err)
	}
	_, port, _ := net.SplitHostPort(addr)
	cmd := exec.CommandContext(ctx, f.program)
	cmd.Env = append([]string{
		"DATABASE_URL=" + f.url, "HTTP_PORT=" + port, "GRPC_PORT=0", "INTERNAL_PORT=0", "BIND_ADDRESS=127.0.0.1", "DRAIN_DELAY=0s",
	}, f.auth...)
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("start the program: %w", err)
	}
	defer func() { _ = cmd.Process.Signal(os.Interrupt); _ = cmd.Wait() }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: startLimit}
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for time.Since(began) < startLimit {
		if healthy(ctx, client, "http://"+addr+"/healthz") {
			return time.Since(began), nil
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-tick.C:
		}
	}
	return 0, errors.New("start the program: it does not get ready")
}

func healthy(ctx context.Context, client *http.Client, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return false
	}
	res, err := client.Do(req)
	if err != nil {
		return false
	}
	_ = res.Body.Close()
	return res.StatusCode == http.StatusOK
}
