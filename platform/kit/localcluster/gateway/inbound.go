package gateway

import (
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/jonboulle/clockwork"
)

// BodyPace is how fast the body of a request to an HTTP target group has to
// arrive: all of it within Grace, and every BytesPerSecond bytes of it buy
// another second, however many. A slower one is answered with 408. Without the
// limit a client that sends a byte at a time would have no answer at all: the
// target's transport holds the request back until its buffer is full, so that
// the target cannot refuse it.
//
// A load balancer in AWS has no such rate; it gives up on a client that sends
// nothing for its idle timeout ("HTTP 408"). Source of the rule and of its
// defaults: Apache HTTP Server, mod_reqtimeout, RequestReadTimeout
// body=20,MinRate=500.
type BodyPace struct {
	// Grace is 20 s when zero, BytesPerSecond 500.
	Grace          time.Duration
	BytesPerSecond int
}

func (p BodyPace) complete() BodyPace {
	return BodyPace{fallback(p.Grace, 20*time.Second), fallback(p.BytesPerSecond, 500)}
}

// allows is how long a body may take of which so many bytes have come.
func (p BodyPace) allows(read int64) time.Duration {
	return p.Grace + time.Duration(read)*time.Second/time.Duration(p.BytesPerSecond)
}

// pacedBody is a request's body that has to keep the pace.
type pacedBody struct {
	io.ReadCloser

	pace    BodyPace
	clock   clockwork.Clock
	began   time.Time
	control *http.ResponseController
	major   int // of the client's HTTP version
	linger  time.Duration

	mu    sync.Mutex
	timer clockwork.Timer
	read  int64
	ended bool // read whole, or the request is over
	slow  bool // given up
}

// hurry makes the body of a request keep the gateway's pace. It returns nil for
// one without a body.
func (g *Gateway) hurry(w http.ResponseWriter, r *http.Request) *pacedBody {
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	b := &pacedBody{
		ReadCloser: r.Body, pace: g.pace, clock: g.clock, began: g.clock.Now(),
		control: http.NewResponseController(w), major: r.ProtoMajor, linger: g.linger,
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.timer = g.clock.AfterFunc(g.pace.Grace, b.check)
	r.Body = b
	return b
}

// Read counts what comes. The end of the body, or its failure, lifts the limit.
func (b *pacedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.read += int64(n)
	if err != nil && !b.ended {
		b.ended = true
		b.timer.Stop()
	}
	return n, err //nolint:wrapcheck // io.EOF must stay itself
}

// check ends a body that came too slowly; for another it comes again when that
// one's time is over.
func (b *pacedBody) check() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return
	}
	if left := b.pace.allows(b.read) - b.clock.Since(b.began); left > 0 {
		b.timer = b.clock.AfterFunc(left, b.check)
		return
	}
	b.ended, b.slow = true, true
	_ = b.control.SetReadDeadline(time.Unix(1, 0)) // long ago: the read that waits fails
}

// linger is how long what a client still sends is taken after its answer.
const linger = 2 * time.Second

// end lifts the limit: the request has its answer. What is left of the body the
// server reads and drops before it sends that answer, hence not for long.
func (b *pacedBody) end() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.timer.Stop()
	if !b.ended && b.major == 1 {
		// The server sets a deadline of its own before the next request.
		_ = b.control.SetReadDeadline(time.Now().Add(b.linger))
	}
	b.ended = true
}

// tooSlow reports whether the body was given up.
func (b *pacedBody) tooSlow() bool {
	if b == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.slow
}

// Limits of a request's head. A load balancer in AWS takes lines of 16 KB and
// heads of 64 KB ("Quotas for your Application Load Balancers", HTTP headers).
// The services stop at 32 KiB, in AWS too, but answer with 431 in the middle of
// what a client sends; here it gets that answer whole, for they would also have
// to take what the gateway adds.
const (
	maxLine       = 16 << 10
	maxHead       = 64 << 10
	maxTargetHead = 31 << 10
	lineOverhead  = len(": \r\n")
)

// oversized is the answer to a request whose head is too large for a load
// balancer or for the services; 0 for any other.
func oversized(r *http.Request) (code int, why string) {
	if len(r.RequestURI) > maxLine {
		return http.StatusRequestURITooLong, fmt.Sprintf("the address is longer than %d bytes", maxLine)
	}
	head := len(r.RequestURI) + len(r.Host)
	for name, values := range r.Header {
		for _, v := range values {
			line := len(name) + len(v) + lineOverhead
			if line > maxLine {
				return http.StatusBadRequest, fmt.Sprintf("the header %s is longer than %d bytes", name, maxLine)
			}
			head += line
		}
	}
	if head > maxTargetHead {
		return http.StatusRequestHeaderFieldsTooLarge, fmt.Sprintf("the headers have more than %d bytes together", maxTargetHead)
	}
	return 0, ""
}
