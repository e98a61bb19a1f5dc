package serve_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/slipway-dev/slipway/platform/serve"
	"github.com/slipway-dev/slipway/platform/serve/internal/echopb"
)

// running is a service on real ports.
type running struct {
	web, rpc string
	cancel   context.CancelFunc
	done     chan error
}

func start(t *testing.T, svc serve.Service, env map[string]string) *running {
	t.Helper()
	app, err := serve.Complete(t.Context(), svc, env, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	web, rpc := listen(t), listen(t)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	r := &running{web: "http://" + web.Addr().String(), rpc: rpc.Addr().String(), cancel: cancel, done: make(chan error, 1)}
	go func() { r.done <- app.Serve(ctx, serve.Listeners{HTTP: web, GRPC: rpc}) }()
	t.Cleanup(cancel)
	return r
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func dial(t *testing.T, address string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// TestDrainUnderLoadLosesNothing sends without pause over both protocols, as a
// load balancer does: a target that is not ready gets nothing new. Every
// request that was sent must be answered.
func TestDrainUnderLoadLosesNothing(t *testing.T) {
	t.Parallel()
	e := newEcho()
	r := start(t, e.service(), map[string]string{"DRAIN_DELAY": "500ms", "SHUTDOWN_TIMEOUT": "20s"})
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}}
	defer client.CloseIdleConnections()
	conn := dial(t, r.rpc)
	rpc := echopb.NewEchoServiceClient(conn)

	var balanced atomic.Bool // whether the balancer still sends here
	balanced.Store(true)
	var sent, failed, late atomic.Int64
	var wg sync.WaitGroup
	send := func(call func() error) {
		for balanced.Load() {
			sent.Add(1)
			if err := call(); err != nil {
				failed.Add(1)
				t.Errorf("a request was lost: %v", err)
				return
			}
			if !balanced.Load() {
				late.Add(1)
			}
		}
	}
	for range 8 {
		wg.Go(func() { send(func() error { return post(t, client, r.web, `{"text":"x"}`) }) })
		wg.Go(func() {
			send(func() error { _, err := rpc.Echo(t.Context(), &echopb.EchoRequest{Text: "x"}); return err })
		})
	}
	// A request and a stream that are still running when the listeners close.
	wg.Go(func() {
		if err := post(t, client, r.web, `{"text":"x","behave":"hold"}`); err != nil {
			t.Errorf("the running REST request was lost: %v", err)
		}
	})
	stream, err := rpc.Count(t.Context(), &echopb.EchoRequest{Text: "x", Times: 1, Behave: "hold"})
	if err != nil {
		t.Fatal(err)
	}
	until(t, "load", func() bool { return e.held.Load() == 2 && sent.Load() > 500 })

	r.cancel()
	until(t, "unready", func() bool { return probe(client, r.web) != http.StatusOK })
	balanced.Store(false)
	until(t, "closed listener", func() bool { return probe(client, r.web) == 0 })
	select {
	case err := <-r.done:
		t.Fatalf("the process ended with requests running: %v", err)
	default:
	}
	close(e.release)
	if _, err := stream.Recv(); err != nil {
		t.Errorf("first message: %v", err)
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("the running stream was lost: %v", err)
	}
	wg.Wait()
	if err := <-r.done; err != nil {
		t.Error(err)
	}
	t.Logf("%d requests sent, %d lost, %d ended while draining", sent.Load(), failed.Load(), late.Load())
}

// TestDrainClosesWhatIsIdle leaves an idle keep-alive connection, a connection
// that never sent a byte on each port, and a health watch.
func TestDrainClosesWhatIsIdle(t *testing.T) {
	t.Parallel()
	r := start(t, newEcho().service(), map[string]string{"DRAIN_DELAY": "0s", "SHUTDOWN_TIMEOUT": "4s"})
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	if err := post(t, client, r.web, `{"text":"x"}`); err != nil {
		t.Fatal(err)
	}
	var d net.Dialer
	for _, address := range []string{strings.TrimPrefix(r.web, "http://"), r.rpc} {
		silent, err := d.DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer silent.Close()
	}
	conn := dial(t, r.rpc)
	watch, err := healthpb.NewHealthClient(conn).Watch(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); err != nil {
		t.Fatal(err)
	}
	r.cancel()
	// Left to themselves, silent connections take the servers 5 s.
	if err := <-r.done; err != nil {
		t.Error(err)
	}
}

// TestDrainTimeoutCutsOff ends with an error when requests do not end.
func TestDrainTimeoutCutsOff(t *testing.T) {
	t.Parallel()
	e := newEcho()
	r := start(t, e.service(), map[string]string{"DRAIN_DELAY": "0s", "SHUTDOWN_TIMEOUT": "50ms"})
	rpc := echopb.NewEchoServiceClient(dial(t, r.rpc))
	lost := make(chan error, 1)
	go func() {
		_, err := rpc.Echo(t.Context(), &echopb.EchoRequest{Text: "x", Behave: "hold"})
		lost <- err
	}()
	until(t, "request", func() bool { return e.held.Load() == 1 })
	r.cancel()
	if err := <-r.done; err == nil || !strings.Contains(err.Error(), "SHUTDOWN_TIMEOUT") {
		t.Errorf("got %v", err)
	}
	if err := <-lost; err == nil {
		t.Error("the request was answered")
	}
}

// TestOneDeadListenerEndsAll closes the gRPC port behind the service's back.
func TestOneDeadListenerEndsAll(t *testing.T) {
	t.Parallel()
	app, err := serve.Complete(t.Context(), newEcho().service(), nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	dead := listen(t)
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	web := listen(t)
	if err := app.Serve(t.Context(), serve.Listeners{HTTP: web, GRPC: dead}); err == nil || !strings.Contains(err.Error(), "serve gRPC") {
		t.Errorf("got %v", err)
	}
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	taken := listen(t)
	defer taken.Close()
	_, port, err := net.SplitHostPort(taken.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	app, err := serve.Complete(t.Context(), newEcho().service(), map[string]string{"HTTP_PORT": "0", "GRPC_PORT": port}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if err := app.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "bind GRPC_PORT") || !strings.Contains(err.Error(), "next: ") {
		t.Errorf("got %v", err)
	}
}

func TestWorkers(t *testing.T) {
	t.Parallel()
	svc := newEcho().service()
	ended := false
	svc.Setup = func(_ context.Context, b *serve.Builder) error {
		b.Go("until told", func(ctx context.Context) error { <-ctx.Done(); ended = true; return ctx.Err() })
		return nil
	}
	r := start(t, svc, map[string]string{"DRAIN_DELAY": "0s"})
	until(t, "ready", func() bool { return probe(http.DefaultClient, r.web) == http.StatusOK })
	http.DefaultClient.CloseIdleConnections()
	r.cancel()
	if err := <-r.done; err != nil || !ended {
		t.Errorf("stopped: %v, worker ended: %v", err, ended)
	}
	svc.Setup = func(_ context.Context, b *serve.Builder) error {
		b.Go("broken", func(context.Context) error { return io.ErrClosedPipe })
		return nil
	}
	if err := <-start(t, svc, nil).done; err == nil || !strings.Contains(err.Error(), "run broken") {
		t.Errorf("a dead worker gave %v", err)
	}
}

// post sends one REST request and wants 200.
func post(t *testing.T, client *http.Client, base, body string) error {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/v1/echo", strings.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %w", resp.Status, text, err)
	}
	return nil
}

// probe is the status of /healthz, 0 if nothing answers.
func probe(client *http.Client, base string) int {
	resp, err := client.Get(base + "/healthz")
	if err != nil {
		return 0
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return resp.StatusCode
}

// until polls the condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("no %s within a minute", what)
		}
	}
}
