// Package logsink writes log lines to a pipe or file in batches, so that a busy
// service does not make a system call for every request.
package logsink

import (
	"io"
	"sync"
	"time"

	"github.com/jonboulle/clockwork"
)

const (
	// interval is the least time between two batches. A line waits no longer,
	// and the first one after a pause does not wait at all.
	interval = 10 * time.Millisecond
	// limit bounds what waits, in bytes; whoever writes more waits for the pipe.
	limit = 256 << 10
)

// Writer keeps lines until their batch is written. None is lost unless the
// process is killed, or crashes, within the interval.
type Writer struct {
	out   io.Writer
	clock clockwork.Clock
	done  chan struct{} // closed when the last batch is written
	full  chan struct{} // one element: do not wait any longer
	over  chan struct{} // closed by Close: never wait again

	mu      sync.Mutex // guards what follows
	changed *sync.Cond
	waiting []byte
	spare   []byte // the batch before, to be filled again
	writing bool
	closed  bool
	err     error // of the last batch
}

// New makes a writer that must be closed.
func New(out io.Writer, clock clockwork.Clock) *Writer {
	w := &Writer{out: out, clock: clock, done: make(chan struct{}), full: make(chan struct{}, 1), over: make(chan struct{})}
	w.changed = sync.NewCond(&w.mu)
	go w.run()
	return w
}

// Write takes whole lines. Its error is that of an earlier batch. After Close
// it writes at once.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.waiting) > 0 && len(w.waiting)+len(p) > limit && !w.closed {
		w.hurry()
		w.changed.Wait()
	}
	if w.closed {
		for w.writing || len(w.waiting) > 0 {
			w.changed.Wait()
		}
		return w.out.Write(p) //nolint:wrapcheck // a writer's error passes as it is
	}
	w.waiting = append(w.waiting, p...)
	if len(w.waiting) == len(p) {
		w.changed.Broadcast()
	}
	if len(w.waiting) > limit/2 {
		w.hurry()
	}
	return len(p), w.err
}

// hurry ends the pause between two batches.
func (w *Writer) hurry() {
	select {
	case w.full <- struct{}{}:
	default:
	}
}

// Flush returns when everything is written that was there before.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.writing || len(w.waiting) > 0 {
		w.hurry()
		w.changed.Wait()
	}
	return w.err
}

// Close writes what waits.
func (w *Writer) Close() error {
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		close(w.over)
		w.changed.Broadcast()
	}
	w.mu.Unlock()
	<-w.done
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// run writes batches until the writer is closed and nothing waits.
func (w *Writer) run() {
	defer close(w.done)
	for w.batch() {
		pause := w.clock.NewTimer(interval)
		select {
		case <-pause.Chan():
		case <-w.full:
		case <-w.over:
		}
		pause.Stop()
	}
}

// batch waits for lines and writes them. It reports whether there may be more.
func (w *Writer) batch() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.waiting) == 0 {
		if w.closed {
			return false
		}
		w.changed.Wait()
	}
	lines := w.waiting
	w.waiting, w.writing = w.spare[:0], true
	w.mu.Unlock()
	_, err := w.out.Write(lines)
	w.mu.Lock()
	w.spare, w.writing, w.err = lines, false, err
	w.changed.Broadcast()
	return true
}
