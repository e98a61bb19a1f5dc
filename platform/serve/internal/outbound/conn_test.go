package outbound_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"

	"github.com/slipway-dev/slipway/platform/serve/internal/echopb"
	"github.com/slipway-dev/slipway/platform/serve/internal/outbound"
	"github.com/slipway-dev/slipway/platform/serve/internal/requestid"
	"github.com/slipway-dev/slipway/platform/serve/servetest"
)

func TestMain(m *testing.M) { os.Exit(servetest.Main(m)) }

// callee answers as its test says: Read may be sent twice, Write may not.
type callee struct {
	echopb.UnimplementedGuardedServiceServer

	reads, writes atomic.Int64
	answer        func(ctx context.Context, n int64) error
}

func (c *callee) Read(ctx context.Context, _ *echopb.EchoRequest) (*echopb.EchoResponse, error) {
	return &echopb.EchoResponse{}, c.answer(ctx, c.reads.Add(1))
}

func (c *callee) Write(ctx context.Context, _ *echopb.EchoRequest) (*echopb.EchoResponse, error) {
	return &echopb.EchoResponse{}, c.answer(ctx, c.writes.Add(1))
}

func (c *callee) Watch(_ *echopb.EchoRequest, s grpc.ServerStreamingServer[echopb.EchoResponse]) error {
	for n := int64(1); ; n++ {
		if err := c.answer(s.Context(), n); err != nil {
			return err
		}
		if err := s.Send(&echopb.EchoResponse{}); err != nil {
			return err
		}
	}
}

func (c *callee) address(t *testing.T) string {
	t.Helper()
	return servetest.Callee(t, func(r grpc.ServiceRegistrar) { echopb.RegisterGuardedServiceServer(r, c) })
}

// never is a breaker that does not open.
var never = outbound.Breaker{Calls: 1 << 30}

func dial(t *testing.T, target outbound.Target) (echopb.GuardedServiceClient, *outbound.Conn) {
	t.Helper()
	target.Callee = "guarded"
	if target.Timeout == 0 {
		target.Timeout = 20 * time.Second
	}
	if target.Log == nil {
		target.Log = slog.New(slog.DiscardHandler)
	}
	c, err := outbound.Dial(target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return echopb.NewGuardedServiceClient(c), c
}

func read(ctx context.Context, c echopb.GuardedServiceClient) error {
	_, err := c.Read(ctx, &echopb.EchoRequest{Text: "x"})
	return err
}

func write(ctx context.Context, c echopb.GuardedServiceClient) error {
	_, err := c.Write(ctx, &echopb.EchoRequest{Text: "x"})
	return err
}

func failing(times int64, code codes.Code) func(context.Context, int64) error {
	return func(_ context.Context, n int64) error {
		if n <= times {
			return status.Error(code, "not now")
		}
		return nil
	}
}

// TestOnlyRepeatableMethodsAreRetried counts what reaches the callee.
func TestOnlyRepeatableMethodsAreRetried(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		call     func(context.Context, echopb.GuardedServiceClient) error
		failures int64
		code     codes.Code
		sent     int64
		want     codes.Code
	}{
		"read, away twice":      {read, 2, codes.Unavailable, 3, codes.OK},
		"read, away for long":   {read, 9, codes.Unavailable, 3, codes.Unavailable},
		"read, full once":       {read, 1, codes.ResourceExhausted, 2, codes.OK},
		"read, failing inside":  {read, 1, codes.Internal, 1, codes.Internal},
		"read, out of time":     {read, 1, codes.DeadlineExceeded, 1, codes.DeadlineExceeded},
		"write, away once":      {write, 1, codes.Unavailable, 1, codes.Unavailable},
		"write, full once":      {write, 1, codes.ResourceExhausted, 1, codes.ResourceExhausted},
		"write, nothing failed": {write, 0, codes.OK, 1, codes.OK},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &callee{answer: failing(tc.failures, tc.code)}
			client, _ := dial(t, outbound.Target{Address: c.address(t), Breaker: never})
			if got := status.Code(tc.call(t.Context(), client)); got != tc.want {
				t.Errorf("the call ends with %v, want %v", got, tc.want)
			}
			if sent := c.reads.Load() + c.writes.Load(); sent != tc.sent {
				t.Errorf("the callee got it %d times, want %d", sent, tc.sent)
			}
		})
	}
}

// TestBudgetStopsARetryStorm calls a callee that is down for all.
func TestBudgetStopsARetryStorm(t *testing.T) {
	t.Parallel()
	c := &callee{answer: failing(1<<40, codes.Unavailable)}
	client, _ := dial(t, outbound.Target{Address: c.address(t), Breaker: never})
	const calls = 400
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range calls / 8 {
				_ = read(t.Context(), client)
			}
		})
	}
	wg.Wait()
	if sent := c.reads.Load(); sent < calls || sent > calls*11/10 {
		t.Errorf("the callee got %d for %d calls, want at most a tenth more", sent, calls)
	}
}

// TestBreakerOpensAndCloses lets a callee fail and recover.
func TestBreakerOpensAndCloses(t *testing.T) {
	t.Parallel()
	var down atomic.Bool
	down.Store(true)
	c := &callee{answer: func(context.Context, int64) error {
		if down.Load() {
			return status.Error(codes.Unavailable, "down")
		}
		return nil
	}}
	client, _ := dial(t, outbound.Target{Address: c.address(t), Breaker: outbound.Breaker{Calls: 10, Window: time.Minute, Open: 100 * time.Millisecond, Probes: 2}})
	open := func() bool {
		for _, d := range status.Convert(write(t.Context(), client)).Details() {
			if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetReason() == "CIRCUIT_OPEN" {
				return true
			}
		}
		return false
	}
	waitFor(t, "the circuit to open", open)
	if sent := c.writes.Load(); sent != 10 {
		t.Errorf("it opened after %d calls, want 10", sent)
	}
	err := write(t.Context(), client)
	retry := false
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.RetryInfo); ok {
			retry = info.GetRetryDelay().AsDuration() == 100*time.Millisecond
		}
	}
	if status.Code(err) != codes.Unavailable || !retry {
		t.Errorf("an open circuit answers %v, %v", err, status.Convert(err).Details())
	}
	sent := c.writes.Load()
	waitFor(t, "a probe", func() bool { open(); return c.writes.Load() > sent })
	down.Store(false)
	waitFor(t, "the circuit to close", func() bool {
		if write(t.Context(), client) != nil {
			return false
		}
		return write(t.Context(), client) == nil
	})
	for range 20 {
		if err := write(t.Context(), client); err != nil {
			t.Fatalf("after it closed: %v", err)
		}
	}
}

// TestBreakerKnowsWhoseFaultItIs makes errors that say nothing of the callee.
func TestBreakerKnowsWhoseFaultItIs(t *testing.T) {
	t.Parallel()
	c := &callee{answer: func(ctx context.Context, n int64) error {
		if n%2 == 0 {
			<-ctx.Done()
			return ctx.Err()
		}
		return status.Error(codes.Internal, "broken")
	}}
	client, _ := dial(t, outbound.Target{Address: c.address(t), Breaker: outbound.Breaker{Calls: 2, Window: time.Minute, Open: time.Hour}})
	for range 10 {
		if err := write(t.Context(), client); status.Code(err) != codes.Internal {
			t.Fatal(err)
		}
		n := c.writes.Load()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- write(ctx, client) }()
		waitFor(t, "the call to arrive", func() bool { return c.writes.Load() > n })
		cancel()
		if err := <-done; status.Code(err) != codes.Canceled {
			t.Fatal(err)
		}
	}
}

// TestDeadlines sees how much time the callee has.
func TestDeadlines(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		caller, limit, min, max time.Duration
	}{
		"limit of ours":      {0, 5 * time.Second, 4 * time.Second, 5 * time.Second},
		"caller has more":    {time.Minute, 5 * time.Second, 4 * time.Second, 5 * time.Second},
		"caller has less":    {3 * time.Second, time.Minute, 2 * time.Second, 2900 * time.Millisecond},
		"a tenth at the end": {500 * time.Millisecond, time.Minute, 0, 450 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var left time.Duration
			c := &callee{answer: func(ctx context.Context, _ int64) error {
				deadline, ok := ctx.Deadline()
				if !ok {
					return errors.New("no deadline")
				}
				left = time.Until(deadline)
				return nil
			}}
			client, _ := dial(t, outbound.Target{Address: c.address(t), Config: outbound.Config{Timeout: tc.limit}})
			ctx := t.Context()
			if tc.caller > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, tc.caller)
				defer cancel()
			}
			if err := read(ctx, client); err != nil {
				t.Fatal(err)
			}
			if left < tc.min || left > tc.max {
				t.Errorf("the callee has %v, want %v to %v", left, tc.min, tc.max)
			}
		})
	}
	c := &callee{answer: func(ctx context.Context, _ int64) error { <-ctx.Done(); return ctx.Err() }}
	client, _ := dial(t, outbound.Target{Address: c.address(t)})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	t.Cleanup(cancel)
	if err := read(ctx, client); status.Code(err) != codes.DeadlineExceeded || ctx.Err() != nil {
		t.Errorf("a callee that waits: %v, and the caller's own time is %v", err, ctx.Err())
	}
	cancel()
	past, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	t.Cleanup(cancel)
	if err := read(past, client); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("no time at all: %v", err)
	}
}

func TestRequestIDIsPassedOn(t *testing.T) {
	t.Parallel()
	var got []string
	c := &callee{answer: func(ctx context.Context, _ int64) error {
		got = metadata.ValueFromIncomingContext(ctx, requestid.Key)
		return nil
	}}
	client, _ := dial(t, outbound.Target{Address: c.address(t)})
	if err := read(requestid.With(t.Context(), "req-7"), client); err != nil || !slices.Equal(got, []string{"req-7"}) {
		t.Errorf("the callee sees %v, %v", got, err)
	}
}

// TestNobodyListens is quick, and quickly over when somebody does.
func TestNobodyListens(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	client, _ := dial(t, outbound.Target{Address: address, Breaker: never})
	if err := write(t.Context(), client); status.Code(err) != codes.Unavailable {
		t.Fatal(err)
	}
	if l, err = net.Listen("tcp", address); err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	echopb.RegisterGuardedServiceServer(server, &callee{answer: failing(0, codes.OK)})
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	waitFor(t, "the callee to be found", func() bool { return write(t.Context(), client) == nil })
	server.Stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestCallsAreBalanced gives a name with two addresses.
func TestCallsAreBalanced(t *testing.T) {
	t.Parallel()
	one, two := &callee{answer: failing(0, codes.OK)}, &callee{answer: failing(0, codes.OK)}
	names := manual.NewBuilderWithScheme("slipwaytest")
	names.InitialState(resolver.State{Addresses: []resolver.Address{{Addr: one.address(t)}, {Addr: two.address(t)}}})
	resolver.Register(names)
	client, _ := dial(t, outbound.Target{Address: "slipwaytest:///guarded:9090"})
	waitFor(t, "both to be called", func() bool {
		if err := write(t.Context(), client); err != nil {
			t.Fatal(err)
		}
		return one.writes.Load() > 0 && two.writes.Load() > 0
	})
	before := one.writes.Load() - two.writes.Load()
	for range 100 {
		if err := write(t.Context(), client); err != nil {
			t.Fatal(err)
		}
	}
	if after := one.writes.Load() - two.writes.Load(); after != before {
		t.Errorf("of 100 calls one got %d more than the other", after-before)
	}
}

func TestStreams(t *testing.T) {
	t.Parallel()
	c := &callee{answer: func(_ context.Context, n int64) error {
		if n > 3 {
			return status.Error(codes.Aborted, "enough")
		}
		return nil
	}}
	client, _ := dial(t, outbound.Target{Address: c.address(t), Config: outbound.Config{Timeout: time.Nanosecond}}) // for unary calls alone
	s, err := client.Watch(t.Context(), &echopb.EchoRequest{Text: "x"})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := s.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Recv(); status.Code(err) != codes.Aborted {
		t.Errorf("the end is %v", err)
	}
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("it does not happen: %s", what)
		case <-tick.C:
		}
	}
}
