package serve_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/slipway-dev/slipway/platform/serve/internal/echopb"
	"github.com/slipway-dev/slipway/platform/serve/servetest"
)

// TestOverloadIsRefusedCleanly fills the process to its bounds: what is over
// them is refused with what a client needs to come back, the server's own
// methods answer, and all works again when there is room.
func TestOverloadIsRefusedCleanly(t *testing.T) {
	t.Parallel()
	e := newEcho()
	s := servetest.Start(t, e.guarded(), servetest.Options{Env: map[string]string{"MAX_CONCURRENT_REQUESTS": "2", "MAX_CONCURRENT_STREAMS": "1"}})
	client := echopb.NewEchoServiceClient(s.Conn)
	var running sync.WaitGroup
	running.Go(func() {
		if _, err := client.Echo(t.Context(), &echopb.EchoRequest{Text: "x", Behave: "hold"}); err != nil {
			t.Errorf("the first was lost: %v", err)
		}
	})
	running.Go(func() {
		if web, body := s.Do(t, http.MethodPost, "/v1/echo", `{"text":"x","behave":"hold"}`); web.StatusCode != http.StatusOK {
			t.Errorf("the second was lost: %s %s", web.Status, body)
		}
	})
	stream, err := echopb.NewGuardedServiceClient(s.Conn).Watch(t.Context(), &echopb.EchoRequest{Text: "x", Behave: "deaf"})
	if err != nil {
		t.Fatal(err)
	}
	until(t, "full house", func() bool { return e.held.Load() == 3 })

	_, err = client.Echo(t.Context(), &echopb.EchoRequest{Text: "x"})
	overloaded(t, "unary", err)
	count, err := client.Count(t.Context(), &echopb.EchoRequest{Text: "x", Times: 1})
	if err != nil {
		t.Fatal(err)
	}
	_, err = count.Recv()
	overloaded(t, "stream", err)
	for method, path := range map[string]string{"/v1/echo/x": "", "/v1/echo/x:count?times=1": "", "/v1/guarded/x": ""} {
		web, body := s.Do(t, http.MethodGet, method, path)
		if web.StatusCode != http.StatusServiceUnavailable || web.Header.Get("Retry-After") != "1" || !strings.Contains(body, "OVERLOADED") {
			t.Errorf("%s: %s, Retry-After %q: %s", method, web.Status, web.Header.Get("Retry-After"), body)
		}
	}
	if web, body := s.Do(t, http.MethodGet, "/healthz", ""); web.StatusCode != http.StatusOK {
		t.Errorf("/healthz: %s %s", web.Status, body)
	}
	if resp, err := healthpb.NewHealthClient(s.Conn).Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil || resp.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("gRPC health: %v %v", resp, err)
	}
	close(e.release)
	running.Wait()
	for err == nil || status.Code(err) == codes.ResourceExhausted {
		if _, err = stream.Recv(); err == nil {
			continue
		}
		break
	}
	if !errors.Is(err, io.EOF) {
		t.Errorf("the running stream: %v", err)
	}
	until(t, "room", func() bool {
		_, err := client.Echo(t.Context(), &echopb.EchoRequest{Text: "x"})
		return err == nil
	})
}

func overloaded(t *testing.T, what string, err error) {
	t.Helper()
	st := status.Convert(err)
	var pause time.Duration
	for _, d := range st.Details() {
		if retry, ok := d.(*errdetails.RetryInfo); ok {
			pause = retry.GetRetryDelay().AsDuration()
		}
	}
	if st.Code() != codes.ResourceExhausted || pause <= 0 {
		t.Errorf("%s: %v with a pause of %v", what, st, pause)
	}
}

// TestOverloadBoundsMemory sends a flood that nobody works off. Far more calls
// than the bound arrive; only so many are held, and the heap stays small.
func TestOverloadBoundsMemory(t *testing.T) {
	t.Parallel()
	e := newEcho()
	r := start(t, e.service(), map[string]string{
		"MAX_CONCURRENT_REQUESTS": "8", "REQUEST_TIMEOUT": "5m", "REQUEST_TIMEOUT_MAX": "5m", "DRAIN_DELAY": "0s",
	})
	rpc := echopb.NewEchoServiceClient(dial(t, r.rpc))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	text := strings.Repeat("x", 1000)
	behave := "hold:" + strings.Repeat("y", 100<<10) // 100 KiB each
	var refused atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { _, _ = rpc.Echo(ctx, &echopb.EchoRequest{Text: text, Behave: behave}) })
	}
	until(t, "full house", func() bool { return e.held.Load() == 8 })
	before := heap()
	for range 16 {
		wg.Go(func() {
			for range 50 {
				if _, err := rpc.Echo(ctx, &echopb.EchoRequest{Text: text, Behave: behave}); status.Code(err) == codes.ResourceExhausted {
					refused.Add(1)
				}
			}
		})
	}
	until(t, "refusals", func() bool { return refused.Load() == 800 })
	if grown := heap() - before; grown > 48<<20 {
		t.Errorf("the heap grew by %d MiB while 80 MiB were refused", grown>>20)
	}
	if e.held.Load() != 8 {
		t.Errorf("%d calls ran at once, want 8", e.held.Load())
	}
	cancel()
	wg.Wait()
	r.cancel()
	if err := <-r.done; err != nil {
		t.Error(err)
	}
}

// heap is how much memory is in use, in bytes.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestSilentCallsAreBounded opens calls that send headers and then nothing: they
// never reach an interceptor, yet their number and their time are bounded.
func TestSilentCallsAreBounded(t *testing.T) {
	t.Parallel()
	r := start(t, newEcho().service(), map[string]string{
		"MAX_CONCURRENT_REQUESTS": "4", "MAX_CONCURRENT_STREAMS": "1", "REQUEST_TIMEOUT": "300ms", "DRAIN_DELAY": "0s",
	})
	// Each connection is bounded, too, so it takes two to get over the bound.
	conn, other := dial(t, r.rpc), dial(t, r.rpc)
	desc := &grpc.StreamDesc{ClientStreams: true} // so that the client may be silent
	open := func(conn *grpc.ClientConn) grpc.ClientStream {
		s, err := conn.NewStream(t.Context(), desc, echopb.EchoService_Echo_FullMethodName)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	results := make(chan codes.Code, 20)
	for i := range 20 {
		s := open([]*grpc.ClientConn{conn, other}[i%2])
		go func() { results <- status.Code(s.RecvMsg(&echopb.EchoResponse{})) }()
	}
	got := map[codes.Code]int{}
	for range 20 {
		got[<-results]++
	}
	if got[codes.DeadlineExceeded]+got[codes.Canceled]+got[codes.ResourceExhausted] != 20 || got[codes.ResourceExhausted] < 10 {
		t.Errorf("silent calls ended with %v, want at least 10 refused at once and the rest at their deadline", got)
	}
	if _, err := echopb.NewEchoServiceClient(conn).Echo(t.Context(), &echopb.EchoRequest{Text: "x"}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	r.cancel()
	if err := <-r.done; err != nil {
		t.Error(err)
	}
}

// TestConnectionsAreBounded opens more connections than are allowed: those over
// the bound are closed at once, and there is room again when one leaves.
func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	r := start(t, newEcho().service(), map[string]string{"MAX_CONNECTIONS": "2", "DRAIN_DELAY": "0s"})
	address := strings.TrimPrefix(r.web, "http://")
	var d net.Dialer
	open := func() net.Conn {
		conn, err := d.DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	ask := func(c net.Conn) error {
		if _, err := io.WriteString(c, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			return err
		}
		_, err := c.Read(make([]byte, 1024))
		return err
	}
	first, second := open(), open()
	if err := errors.Join(ask(first), ask(second)); err != nil {
		t.Fatal(err)
	}
	if err := ask(open()); err == nil {
		t.Error("a connection over the bound was answered")
	}
	_ = first.Close()
	until(t, "room", func() bool { return ask(open()) == nil })
	r.cancel()
	if err := <-r.done; err != nil {
		t.Error(err)
	}
}
