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

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/slipway-dev/slipway/platform/kit/bench/subject"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/gateway"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/place"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/postgres"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/runtime/process"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/runtime/rootfs"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/task"
	"github.com/slipway-dev/slipway/platform/kit/release"
)

// The target group and the task that are started over and over.
const (
	groupARN  = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/bench/0000000000000000"
	startGoal = 120 * time.Millisecond
	// startLimit is when a start that does not get healthy ends the measurement.
	startLimit = 20 * time.Second
	// probeEvery is how often the bare process is asked whether it is ready.
	probeEvery = 200 * time.Microsecond
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
	s, err := b.newStarter(made.Reference, url)
	if err != nil {
		return err
	}
	defer s.close()
	var bare, started []time.Duration
	for round := range runs + 1 {
		alone, err := b.bareStart(ctx, url)
		if err != nil {
			return err
		}
		took, err := s.start(ctx, round)
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
	cmd.Env = []string{"DATABASE_URL=" + url, "HTTP_PORT=" + port, "GRPC_PORT=0", "BIND_ADDRESS=127.0.0.1", "DRAIN_DELAY=0s"}
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

// starter starts tasks as the embedded cluster does, without its scheduler.
type starter struct {
	bench   *bench
	ref     string
	url     string
	gateway *gateway.Gateway
	runtime *process.Runtime
	healthy chan string
	stopped chan string
}

func (b *bench) newStarter(ref, url string) (*starter, error) {
	s := &starter{bench: b, ref: ref, url: url, healthy: make(chan string, 16), stopped: make(chan string, 16)}
	var err error
	s.gateway, err = gateway.New(gateway.Config{OnHealthChange: func(_, id string, h gateway.TargetHealth) {
		if h.State == gateway.StateHealthy {
			s.healthy <- id
		}
	}})
	if err != nil {
		return nil, err
	}
	err = s.gateway.PutTargetGroup(gateway.TargetGroup{
		ARN: groupARN, Name: "bench", Protocol: gateway.HTTP,
		HealthCheck: gateway.HealthCheck{Path: "/healthz", Interval: 2 * time.Second, Timeout: 2 * time.Second},
	})
	if err != nil {
		return nil, err
	}
	images, err := rootfs.New(rootfs.Config{
		Dir: filepath.Join(b.temp, "images"), Auth: &authn.Basic{Username: "AWS", Password: password},
	})
	if err != nil {
		return nil, err
	}
	s.runtime, err = process.New(process.Config{
		Dir: filepath.Join(b.temp, "tasks"), Images: images, Secrets: noSecrets{}, Logs: noLogs{}, Report: s.report,
	})
	return s, err
}

// report registers a task that runs, as the scheduler does.
func (s *starter) report(r task.Report) {
	if r.Stopped() {
		s.stopped <- r.TaskARN
		return
	}
	for _, c := range r.Containers {
		for _, p := range c.Ports {
			if c.Status == task.StatusRunning && p.Name == "http" {
				_ = s.gateway.Register(groupARN, gateway.Target{ID: r.TaskARN, Host: "127.0.0.1", Port: int(p.HostPort)})
			}
		}
	}
}

func (s *starter) start(ctx context.Context, n int) (time.Duration, error) {
	arn := "arn:aws:ecs:us-east-1:000000000000:task/bench/" + fmt.Sprintf("%032d", n)
	began := s.bench.clock.Now()
	if err := s.runtime.Start(ctx, s.spec(arn)); err != nil {
		return 0, err
	}
	limit := s.bench.clock.After(startLimit)
	select {
	case <-s.healthy:
	case <-s.stopped:
		return 0, errors.New("start a task: it stopped at once")
	case <-limit:
		return 0, errors.New("start a task: it does not get healthy")
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	took := s.bench.clock.Since(began)
	<-s.gateway.Deregister(groupARN, arn)
	s.runtime.Stop(arn, nil)
	<-s.stopped
	return took, nil
}

func (s *starter) spec(arn string) task.Spec {
	env := func(name, value string) types.KeyValuePair {
		return types.KeyValuePair{Name: aws.String(name), Value: aws.String(value)}
	}
	mapping := func(name string, port int32) types.PortMapping {
		return types.PortMapping{Name: aws.String(name), ContainerPort: aws.Int32(port)}
	}
	return task.Spec{
		ARN: arn, ID: arn[strings.LastIndexByte(arn, '/')+1:], ClusterName: "bench",
		Group: "service:" + service, CreatedAt: s.bench.clock.Now(),
		Definition: types.TaskDefinition{Family: aws.String("bench"), ContainerDefinitions: []types.ContainerDefinition{{
			Name: aws.String(service), Image: aws.String(s.ref), Essential: aws.Bool(true), User: aws.String("65532"),
			Environment:  []types.KeyValuePair{env("DATABASE_URL", s.url), env("DRAIN_DELAY", "0s")},
			PortMappings: []types.PortMapping{mapping("http", 8080), mapping("grpc", 9090)},
		}}},
	}
}

func (s *starter) close() {
	_ = s.runtime.Close(context.Background())
	s.gateway.Close()
}

type noSecrets struct{}

// Resolve finds nothing: the task has no secrets.
func (noSecrets) Resolve(context.Context, string) (string, error) {
	return "", errors.New("there are no secrets")
}

type noLogs struct{}

// Writer drops what the task writes.
func (noLogs) Writer(string, string) io.WriteCloser { return discard{} }

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) Close() error                { return nil }
