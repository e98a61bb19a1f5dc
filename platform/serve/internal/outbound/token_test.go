package outbound_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/slipway-dev/slipway/platform/serve/internal/outbound"
)

// issuer hands out numbered tokens that live for ten minutes.
type issuer struct {
	*httptest.Server

	fetches atomic.Int64
	down    atomic.Bool
	form    atomic.Value
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{}
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := i.fetches.Add(1)
		id, secret, _ := r.BasicAuth()
		i.form.Store(id + " " + secret + " " + r.FormValue("grant_type") + " " + r.FormValue("scope"))
		if i.down.Load() {
			http.Error(w, "issuer's secret text", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":"token-%d","token_type":"Bearer","expires_in":600}`, n)
	}))
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) target(address string, clock clockwork.Clock) outbound.Target {
	return outbound.Target{
		Address: address, Scopes: []string{"guarded.read", "guarded.write"}, Clock: clock,
		Config: outbound.Config{TokenURL: i.URL, ClientID: "orders", ClientSecret: "s3cret", Timeout: 20 * time.Second},
	}
}

// recorder is a callee that notes the tokens it is shown.
type recorder struct {
	callee

	mu   sync.Mutex
	seen []string
}

func newRecorder() *recorder {
	r := &recorder{}
	r.answer = func(ctx context.Context, _ int64) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.seen = append(r.seen, metadata.ValueFromIncomingContext(ctx, "authorization")...)
		return nil
	}
	return r
}

func (r *recorder) last() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen[len(r.seen)-1]
}

func TestTokenIsFetchedOnce(t *testing.T) {
	t.Parallel()
	i, r := newIssuer(t), newRecorder()
	client, _ := dial(t, i.target(r.address(t), nil))
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if err := read(t.Context(), client); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := i.fetches.Load(); n != 1 || len(r.seen) != 50 || r.last() != "Bearer token-1" {
		t.Errorf("%d fetches, %d calls, token %s", n, len(r.seen), r.last())
	}
	if got := i.form.Load(); got != "orders s3cret client_credentials guarded.read guarded.write" {
		t.Errorf("the issuer was asked with %v", got)
	}
}

func TestTokenIsRenewedWhileItHolds(t *testing.T) {
	t.Parallel()
	clock := clockwork.NewFakeClock()
	i, r := newIssuer(t), newRecorder()
	client, _ := dial(t, i.target(r.address(t), clock))
	call := func() string {
		t.Helper()
		if err := read(t.Context(), client); err != nil {
			t.Fatal(err)
		}
		return r.last()
	}
	call()
	clock.Advance(8 * time.Minute)
	if got := call(); got != "Bearer token-1" || i.fetches.Load() != 1 {
		t.Errorf("after 8 minutes: %s, %d fetches", got, i.fetches.Load())
	}
	i.down.Store(true)
	clock.Advance(90 * time.Second) // thirty seconds are left
	if got := call(); got != "Bearer token-1" {
		t.Errorf("while the issuer is away: %s", got)
	}
	waitFor(t, "a fetch in the background", func() bool { return i.fetches.Load() == 2 })
	i.down.Store(false)
	waitFor(t, "the new token", func() bool { clock.Advance(time.Millisecond); return call() == "Bearer token-3" })
	clock.Advance(20 * time.Minute)
	if got := call(); got != "Bearer token-4" {
		t.Errorf("after its end: %s", got)
	}
}

func TestRejectedTokenIsReplaced(t *testing.T) {
	t.Parallel()
	i, r := newIssuer(t), newRecorder()
	inner := r.answer
	r.answer = func(ctx context.Context, n int64) error {
		_ = inner(ctx, n)
		if r.last() == "Bearer token-1" {
			return status.Error(codes.Unauthenticated, "unknown key")
		}
		return nil
	}
	client, _ := dial(t, i.target(r.address(t), nil))
	if err := read(t.Context(), client); status.Code(err) != codes.Unauthenticated {
		t.Fatal(err)
	}
	if err := read(t.Context(), client); err != nil || i.fetches.Load() != 2 {
		t.Errorf("%v after %d fetches", err, i.fetches.Load())
	}
}

// TestIssuerIsAway is quick, asks seldom, and is no failure of the callee.
func TestIssuerIsAway(t *testing.T) {
	t.Parallel()
	clock := clockwork.NewFakeClock()
	i, r := newIssuer(t), newRecorder()
	i.down.Store(true)
	target := i.target(r.address(t), clock)
	target.Breaker = outbound.Breaker{Calls: 2, Open: time.Hour}
	client, _ := dial(t, target)
	for range 20 {
		err := read(t.Context(), client)
		st := status.Convert(err)
		reason := ""
		for _, d := range st.Details() {
			if info, ok := d.(*errdetails.ErrorInfo); ok {
				reason = info.GetReason()
			}
		}
		if st.Code() != codes.Unavailable || reason != "TOKEN_UNAVAILABLE" || st.Message() != "there is no access token for calls to guarded; retry later" {
			t.Fatalf("%v, reason %s", err, reason)
		}
	}
	if n := i.fetches.Load(); n != 1 {
		t.Errorf("the issuer was asked %d times within the pause", n)
	}
	i.down.Store(false)
	clock.Advance(time.Second)
	if err := read(t.Context(), client); err != nil {
		t.Errorf("when it is back: %v", err)
	}
}
