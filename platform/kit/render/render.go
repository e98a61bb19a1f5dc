// Package render shows progress events: as a live view on a terminal, as
// append-only lines, as JSON, or hardly at all. Results alone go to stdout,
// everything else to stderr (but JSON, whose every event goes to stdout). It
// knows events only, never who emits them.
package render

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/jonboulle/clockwork"
	"golang.org/x/term"

	"github.com/slipway-dev/slipway/platform/kit/event"
)

// Mode is a way to show events.
type Mode string

// The modes.
const (
	TTY   Mode = "tty"   // a live view, redrawn in place
	Plain Mode = "plain" // append-only lines, changes only, a heartbeat each 30 s
	JSON  Mode = "json"  // each event as a line of JSON on stdout
	Quiet Mode = "quiet" // results and bad endings only
)

// ParseMode returns the mode of that name.
func ParseMode(name string) (Mode, error) {
	switch m := Mode(name); m {
	case TTY, Plain, JSON, Quiet:
		return m, nil
	default:
		return "", fmt.Errorf("unknown output %q; it is one of tty, plain, json, quiet", name)
	}
}

// Choose returns the mode to use when no flag names one: the live view when
// stderr is a terminal, neither CI is set nor TERM dumb, else plain lines.
func Choose(stderr *os.File, getenv func(string) string) Mode {
	if ci := getenv("CI"); ci != "" && ci != "false" && ci != "0" {
		return Plain
	}
	if getenv("TERM") == "dumb" || stderr == nil || !term.IsTerminal(int(stderr.Fd())) {
		return Plain
	}
	return TTY
}

// Color reports whether colours may be used: not with NO_COLOR (no-color.org).
func Color(getenv func(string) string) bool { return getenv("NO_COLOR") == "" }

// Config says how to show events.
type Config struct {
	Mode   Mode
	Stdout io.Writer // results
	Stderr io.Writer // everything else
	Clock  clockwork.Clock
	Color  bool
	// Size returns the terminal's columns and rows; nil measures Stderr, and
	// what cannot be measured has 80 columns and 24 rows.
	Size func() (columns, rows int)
}

func (c *Config) validate() error {
	if c.Stdout == nil || c.Stderr == nil {
		return errors.New("render: Stdout or Stderr is missing")
	}
	if _, err := ParseMode(string(c.Mode)); err != nil {
		return fmt.Errorf("render: %w", err)
	}
	if c.Clock == nil {
		c.Clock = clockwork.NewRealClock()
	}
	if c.Size == nil {
		c.Size = measure(c.Stderr)
	}
	return nil
}

func measure(w io.Writer) func() (int, int) {
	return func() (int, int) {
		if f, ok := w.(*os.File); ok {
			if columns, rows, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 && rows > 0 {
				return columns, rows
			}
		}
		return 80, 24
	}
}

// view is one way to show events. Its methods are not called concurrently.
type view interface {
	event(event.Event)
	tick(now time.Time) // time passed, nothing happened
	close()
}

// Renderer is a sink that shows events. It is safe for concurrent use; Close
// must be called, and restores the terminal.
type Renderer struct {
	mu     sync.Mutex
	view   view
	clock  clockwork.Clock
	closed bool
	stop   chan struct{}
	done   chan struct{}
}

// New returns a renderer.
func New(cfg Config) (*Renderer, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	r := &Renderer{clock: cfg.Clock, stop: make(chan struct{}), done: make(chan struct{})}
	interval := time.Duration(0)
	switch cfg.Mode {
	case TTY:
		r.view, interval = newTTY(cfg), 100*time.Millisecond
	case Plain:
		r.view, interval = newPlain(cfg), time.Second
	case JSON:
		r.view = &jsonView{out: cfg.Stdout}
	case Quiet:
		r.view = &quietView{out: cfg.Stdout, err: cfg.Stderr}
	}
	if interval > 0 {
		go r.run(interval)
	} else {
		close(r.done)
	}
	return r, nil
}

func (r *Renderer) run(interval time.Duration) {
	defer close(r.done)
	ticker := r.clock.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-r.stop:
			return
		case <-ticker.Chan():
			r.mu.Lock()
			if !r.closed {
				r.view.tick(r.clock.Now())
			}
			r.mu.Unlock()
		}
	}
}

// Emit shows an event. Events after Close are dropped.
func (r *Renderer) Emit(e event.Event) {
	if e.Data == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.view.event(e)
	}
}

// Close ends the view and restores the terminal. It may be called repeatedly,
// also from a signal handler's goroutine.
func (r *Renderer) Close() {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return
	}
	r.closed = true
	r.view.close()
	close(r.stop)
	r.mu.Unlock()
	<-r.done
}

// clean removes what would steer a terminal from text that others wrote.
func clean(text string) string {
	if !strings.ContainsFunc(text, steers) {
		return text
	}
	return strings.Map(func(c rune) rune {
		if steers(c) {
			return -1
		}
		return c
	}, ansi.ReplaceAllString(text, ""))
}

func steers(c rune) bool {
	return c < 0x20 && c != '\n' && c != '\t' || c >= 0x7f && c < 0xa0 || c >= 0x202a && c <= 0x202e || c >= 0x2066 && c <= 0x2069
}

// write writes text. That nobody reads it any more must not stop the work it
// is about, so that an error is not one here.
func write(w io.Writer, text string) { _, _ = io.WriteString(w, text) }
