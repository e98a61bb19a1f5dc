package logsink_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"go.uber.org/goleak"

	"github.com/slipway-dev/slipway/platform/serve/internal/logsink"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pipe tells a test of each batch, and holds it until the test has looked.
type pipe struct {
	batches chan string
	err     error
}

func (p *pipe) Write(b []byte) (int, error) {
	p.batches <- string(b)
	return len(b), p.err
}

func write(t *testing.T, w io.Writer, line string) {
	t.Helper()
	if _, err := io.WriteString(w, line); err != nil {
		t.Error(err)
	}
}

// TestBatches writes the first line at once and then what came meanwhile.
func TestBatches(t *testing.T) {
	t.Parallel()
	clock := clockwork.NewFakeClock()
	p := &pipe{batches: make(chan string)}
	w := logsink.New(p, clock)
	write(t, w, "1\n")
	if got := <-p.batches; got != "1\n" {
		t.Errorf("first batch %q", got)
	}
	if err := clock.BlockUntilContext(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	write(t, w, "2\n")
	write(t, w, "3\n")
	select {
	case got := <-p.batches:
		t.Errorf("%q did not wait", got)
	default:
	}
	clock.Advance(100 * time.Millisecond)
	if got := <-p.batches; got != "2\n3\n" {
		t.Errorf("second batch %q", got)
	}
	write(t, w, "4\n")
	flushed := make(chan error, 1)
	go func() { flushed <- w.Flush() }()
	if got := <-p.batches; got != "4\n" {
		t.Errorf("flushed %q", got)
	}
	if err := <-flushed; err != nil {
		t.Error(err)
	}
	write(t, w, "5\n")
	go func() { flushed <- w.Close() }()
	if got := <-p.batches; got != "5\n" {
		t.Errorf("closed with %q", got)
	}
	if err := <-flushed; err != nil {
		t.Error(err)
	}
	go func() { write(t, w, "late\n"); flushed <- nil }()
	if got := <-p.batches; got != "late\n" {
		t.Errorf("after the end %q", got)
	}
	<-flushed
}

// TestNothingIsLost has many writers and a reader that is slower than they are.
func TestNothingIsLost(t *testing.T) {
	t.Parallel()
	const writers, lines = 8, 2000
	p := &pipe{batches: make(chan string)}
	w := logsink.New(p, clockwork.NewRealClock())
	var all strings.Builder
	largest := 0
	read := make(chan struct{})
	go func() {
		defer close(read)
		for batch := range p.batches {
			largest = max(largest, len(batch))
			all.WriteString(batch)
		}
	}()
	var g sync.WaitGroup
	for n := range writers {
		g.Go(func() {
			for i := range lines {
				write(t, w, fmt.Sprintf("%d %d %s\n", n, i, strings.Repeat("x", 300)))
			}
		})
	}
	g.Wait()
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	close(p.batches)
	<-read
	next := make([]int, writers)
	for line := range strings.Lines(all.String()) {
		var n, i int
		if _, err := fmt.Sscanf(line, "%d %d", &n, &i); err != nil || i != next[n] || len(line) < 300 {
			t.Fatalf("line %q is out of order, wanted %d", line, next[n])
		}
		next[n]++
	}
	for n, got := range next {
		if got != lines {
			t.Errorf("writer %d: %d lines of %d", n, got, lines)
		}
	}
	if largest > 256<<10 {
		t.Errorf("%d bytes waited", largest)
	}
}

func TestBrokenPipe(t *testing.T) {
	t.Parallel()
	p := &pipe{batches: make(chan string, 2), err: io.ErrClosedPipe}
	w := logsink.New(p, clockwork.NewRealClock())
	write(t, w, "lost\n")
	if err := w.Flush(); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("flush: %v", err)
	}
	if err := w.Close(); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("close: %v", err)
	}
}
