package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/slipway-dev/slipway/platform/kit/bench/figures"
)

// callLimit is how long a client waits for an answer; more is a failure.
const callLimit = 10 * time.Second

// maxErrors bounds how many distinct failures are kept.
const maxErrors = 10

// Calls are the requests of one protocol, and what came back.
type Calls struct {
	Protocol string `json:"protocol"`
	Requests int    `json:"requests"`
	Failures int    `json:"failures"`
	// P50, P99 and Max are latencies in milliseconds.
	P50 float64 `json:"p50_ms"`
	P99 float64 `json:"p99_ms"`
	Max float64 `json:"max_ms"`
	// Errors are the distinct failures, first ones first, with the time of each
	// one's first: seconds from the load's beginning.
	Errors []string `json:"errors,omitempty"`
}

// load sends requests at a steady rate, however long the answers take.
type load struct {
	protocol string
	call     func(context.Context) error
	began    time.Time
	cancel   context.CancelFunc
	pacing   sync.WaitGroup
	calls    sync.WaitGroup

	mu       sync.Mutex
	took     []float64 // milliseconds
	failures int
	kinds    []string // of errors
	errors   []string
}

// start sends so many requests a second until stop.
func start(ctx context.Context, protocol string, rate float64, call func(context.Context) error) *load {
	l := &load{protocol: protocol, call: call, began: time.Now()}
	ctx, l.cancel = context.WithCancel(ctx)
	l.pacing.Go(func() { l.pace(ctx, rate) })
	return l
}

// tickEvery is how often requests that are due are sent.
const tickEvery = 2 * time.Millisecond

// pace sends what is due. What was held up is made up for, so that the rate
// holds over time.
func (l *load) pace(ctx context.Context, rate float64) {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for sent := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for due := int(time.Since(l.began).Seconds() * rate); sent < due; sent++ {
			l.calls.Go(func() { l.one(context.WithoutCancel(ctx)) })
		}
	}
}

func (l *load) one(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	began := time.Now()
	err := l.call(ctx)
	took := time.Since(began)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.took = append(l.took, float64(took.Microseconds())/1000)
	if err == nil {
		return
	}
	l.failures++
	if kind := err.Error(); len(l.kinds) < maxErrors && !slices.Contains(l.kinds, kind) {
		l.kinds = append(l.kinds, kind)
		l.errors = append(l.errors, fmt.Sprintf("after %.1f s: %s", began.Sub(l.began).Seconds(), kind))
	}
}

// seen returns how many requests have come back, and how many of them failed.
func (l *load) seen() (requests, failures int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.took), l.failures
}

// stop sends no more, waits for the answers that are under way, and reports.
func (l *load) stop() Calls {
	l.cancel()
	l.pacing.Wait()
	l.calls.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	c := Calls{Protocol: l.protocol, Requests: len(l.took), Failures: l.failures, Errors: l.errors}
	if c.Requests > 0 {
		c.P50, c.P99, c.Max = figures.Percentile(l.took, 50), figures.Percentile(l.took, 99), slices.Max(l.took)
	}
	return c
}

// byHTTP reads url with a token.
func byHTTP(url, token string) (call func(context.Context) error, end func()) {
	// What a burst opened is closed soon after, so that the connections that the
	// cluster has are those that the rate needs.
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: 2 * time.Second}}
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := client.Do(req)
		if err != nil {
			return plain(err)
		}
		defer res.Body.Close()
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			return fmt.Errorf("read the answer: %w", plain(err))
		}
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("status %d", res.StatusCode)
		}
		return nil
	}, client.CloseIdleConnections
}

// plain is a network error without addresses, which differ from call to call.
func plain(err error) error {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return err
}

// byGRPC calls a method that takes an empty request, over one connection as a
// client keeps it. Whatever the answer holds is read and dropped.
func byGRPC(address, method, token string) (call func(context.Context) error, end func(), err error) {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithPerRPCCredentials(bearer(token)))
	if err != nil {
		return nil, nil, fmt.Errorf("connect by gRPC: %w", err)
	}
	return func(ctx context.Context) error {
		err := conn.Invoke(ctx, method, &emptypb.Empty{}, &emptypb.Empty{})
		if s, ok := status.FromError(err); ok && err != nil {
			return fmt.Errorf("%s: %s", s.Code(), s.Message())
		}
		return err
	}, func() { _ = conn.Close() }, nil
}

// bearer sends a token with each call.
type bearer string

// GetRequestMetadata returns the header.
func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

// RequireTransportSecurity is false on loopback.
func (bearer) RequireTransportSecurity() bool { return false }
