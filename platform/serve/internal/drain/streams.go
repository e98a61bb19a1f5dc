package drain

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/slipway-dev/slipway/platform/serve/errs"
)

// ErrCutOff is why a stream's context ended that outlived the drain's patience.
var ErrCutOff = errors.New("drain: the stream did not end in time")

// reconnectWithin spreads the clients of a draining process over this time.
const reconnectWithin = time.Second

// Reconnect is what the client of a stream is told when the process drains: come
// back, and soon; another process will answer.
func Reconnect() error {
	return errs.New(errs.Unavailable, "RECONNECT", "the server is shutting down; connect again to go on").
		After(max(time.Millisecond, rand.N(reconnectWithin))) //nolint:gosec // jitter needs no secrecy
}

// Streams tells the streams of a process that it drains.
type Streams struct {
	stopping chan struct{}
	stop     func()
	cut      context.Context //nolint:containedctx // the life of all streams, not of a call
	cutOff   context.CancelFunc
}

// NewStreams returns the signals, not given yet.
func NewStreams() *Streams {
	s := &Streams{stopping: make(chan struct{})}
	s.stop = sync.OnceFunc(func() { close(s.stopping) })
	s.cut, s.cutOff = context.WithCancel(context.Background())
	return s
}

// Stop asks the streams to end.
func (s *Streams) Stop() { s.stop() }

// CutOff ends the contexts of those that have not.
func (s *Streams) CutOff() { s.cutOff() }

// Stopping is closed by Stop.
func (s *Streams) Stopping() <-chan struct{} { return s.stopping }

// Enter makes the context of one stream; From finds Stopping in it, and CutOff
// ends it with ErrCutOff. Leave must be called when the stream has ended.
func (s *Streams) Enter(ctx context.Context) (_ context.Context, leave func()) {
	ctx, cancel := context.WithCancelCause(With(ctx, s.stopping))
	stop := context.AfterFunc(s.cut, func() { cancel(ErrCutOff) })
	return ctx, func() { stop(); cancel(nil) }
}
