package drain

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/slipway-dev/slipway/platform/serve/errs"
)

// ErrCutOff is why a stream's context ended that outlived the drain's patience.
var ErrCutOff = errors.New("drain: the stream did not end in time")

// reconnectWithin spreads the clients of a draining process over this time.
const reconnectWithin = time.Second

// Reconnect is what the client of a stream is told that ends before its time: come
// back, and soon; another process may answer.
func Reconnect() error {
	return errs.New(errs.Unavailable, "RECONNECT", "the server ends this stream; connect again to go on").
		After(max(time.Millisecond, rand.N(reconnectWithin))) //nolint:gosec // jitter needs no secrecy
}

// Streams tells the streams of a process that it drains, or that they are old.
type Streams struct {
	asked  context.Context //nolint:containedctx // the life of all streams, not of a call
	stop   context.CancelFunc
	cut    context.Context //nolint:containedctx // the same
	cutOff context.CancelFunc
}

// NewStreams returns the signals, not given yet.
func NewStreams() *Streams {
	s := &Streams{}
	s.asked, s.stop = context.WithCancel(context.Background())
	s.cut, s.cutOff = context.WithCancel(context.Background())
	return s
}

// Stop asks the streams to end.
func (s *Streams) Stop() { s.stop() }

// CutOff ends the contexts of those that have not.
func (s *Streams) CutOff() { s.cutOff() }

// Stopping is closed by Stop.
func (s *Streams) Stopping() <-chan struct{} { return s.asked.Done() }

// Enter makes the context of one stream. From finds a channel in it that is closed
// by Stop or when the stream is as old as age, a tenth sooner at most, so that
// streams which began together do not end together. CutOff ends the context with
// ErrCutOff. Leave must be called when the stream has ended.
func (s *Streams) Enter(ctx context.Context, age time.Duration) (_ context.Context, leave func()) {
	old, cancelOld := context.WithTimeout(s.asked, age-rand.N(age/10+1)) //nolint:gosec // jitter needs no secrecy
	ctx, cancel := context.WithCancelCause(With(ctx, old.Done()))
	stop := context.AfterFunc(s.cut, func() { cancel(ErrCutOff) })
	return ctx, func() { stop(); cancel(nil); cancelOld() }
}
