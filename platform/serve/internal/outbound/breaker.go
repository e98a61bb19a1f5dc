package outbound

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/sony/gobreaker/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/slipway-dev/slipway/platform/serve/errs"
	"github.com/slipway-dev/slipway/platform/serve/internal/problem"
)

// Breaker says when calls to a callee stop for a while. Its zero value is what
// services use.
type Breaker struct {
	Calls  uint32        // in the window before anything is decided; 0 means 20
	Ratio  float64       // of them that must fail; 0 means a half
	Window time.Duration // 0 means 10 seconds
	Open   time.Duration // how long nothing is sent; 0 means 2 seconds
	Probes uint32        // calls that must then succeed; 0 means 3
}

// breaker refuses calls to a callee that does not answer: whoever waits for a
// timeout holds a request, a goroutine and maybe a transaction of our own.
type breaker struct {
	inner  *gobreaker.TwoStepCircuitBreaker[struct{}]
	callee string
	open   time.Duration
}

func newBreaker(t Target) *breaker {
	b := t.Breaker
	calls, ratio := cmp.Or(b.Calls, 20), cmp.Or(b.Ratio, 0.5)
	window, open := cmp.Or(b.Window, 10*time.Second), cmp.Or(b.Open, 2*time.Second)
	return &breaker{callee: t.Callee, open: open, inner: gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name:         t.Callee,
		MaxRequests:  cmp.Or(b.Probes, 3),
		Interval:     window,
		BucketPeriod: window / 10,
		Timeout:      open,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			return c.Requests >= calls && float64(c.TotalFailures) >= ratio*float64(c.Requests)
		},
		IsSuccessful: func(err error) bool { return !unanswered(err) },
		IsExcluded:   func(err error) bool { return status.Code(err) == codes.Canceled }, // our caller left; it says nothing
		OnStateChange: func(_ string, from, to gobreaker.State) {
			t.Log.LogAttrs(context.Background(), slog.LevelWarn, "circuit of callee changed",
				slog.String("callee", t.Callee), slog.String("from", from.String()), slog.String("to", to.String()))
		},
	})}
}

// unanswered reports whether the callee was not there or took too long. Any other
// answer is an answer.
func unanswered(err error) bool {
	code := status.Code(err)
	return code == codes.Unavailable || code == codes.DeadlineExceeded
}

// allow lets a call through, whose outcome must be told to done, or says why not.
func (b *breaker) allow() (done func(error), err error) {
	done, err = b.inner.Allow()
	if err != nil {
		refusal := errs.Newf(errs.Unavailable, "CIRCUIT_OPEN", "%s did not answer lately; retry later", b.callee).With("callee", b.callee).After(b.open)
		return nil, problem.StatusOf(refusal, domain).Err() //nolint:wrapcheck // a status
	}
	return done, nil
}

// domain is of the reasons that this package gives (AIP-193).
const domain = "serve.slipway"
