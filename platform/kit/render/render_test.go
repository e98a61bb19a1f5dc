package render

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jonboulle/clockwork"
	"pgregory.net/rapid"

	"github.com/slipway-dev/slipway/platform/kit/event"
)

var update = flag.Bool("update", false, "rewrite golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run go test -update)", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", path, diff)
	}
}

func recorded(t testing.TB) []event.Event {
	t.Helper()
	file, err := os.Open("testdata/recorded.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var events []event.Event
	if err := event.Read(file, func(e event.Event) error { events = append(events, e); return nil }); err != nil {
		t.Fatal(err)
	}
	return events
}

// replay shows the recorded events in a mode, time passing as it did then,
// and a minute more before the end.
func replay(t testing.TB, mode Mode, color bool, columns, rows int) (stdout, stderr string) {
	t.Helper()
	events := recorded(t)
	clock := clockwork.NewFakeClockAt(events[0].Time)
	var out, err bytes.Buffer
	cfg := Config{Mode: mode, Stdout: &out, Stderr: &err, Clock: clock, Color: color, Size: func() (int, int) { return columns, rows }}
	if err := cfg.validate(); err != nil {
		t.Fatal(err)
	}
	var v view
	switch mode {
	case TTY:
		v = newTTY(cfg)
	case Plain:
		v = newPlain(cfg)
	case JSON:
		v = &jsonView{out: &out}
	case Quiet:
		v = &quietView{out: &out, err: &err}
	}
	for _, e := range events {
		clock.Advance(e.Time.Sub(clock.Now()))
		v.event(e)
	}
	for range 3 {
		clock.Advance(20 * time.Second)
		v.tick(clock.Now())
	}
	v.close()
	return out.String(), err.String()
}

func TestGoldens(t *testing.T) {
	t.Parallel()
	for _, mode := range []Mode{TTY, Plain, JSON, Quiet} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			stdout, stderr := replay(t, mode, false, 60, 8)
			visible := strings.ReplaceAll(stderr, "\x1b", "ESC")
			golden(t, string(mode)+".golden", "stdout:\n"+stdout+"\nstderr:\n"+visible)
		})
	}
}

func TestScreenAfterwards(t *testing.T) {
	t.Parallel()
	_, stderr := replay(t, TTY, true, 60, 8)
	s := newScreen(t, 60)
	s.write(stderr)
	if s.hidden {
		t.Error("the cursor is still hidden after close")
	}
	golden(t, "screen.golden", strings.Join(s.lines, "\n"))
}

func TestNoTerminalCodesUnlessLive(t *testing.T) {
	t.Parallel()
	for _, mode := range []Mode{Plain, JSON, Quiet} {
		stdout, stderr := replay(t, mode, true, 60, 8)
		if mode == JSON {
			stdout = strings.ReplaceAll(stdout, `\u001b`, "") // escaped, as JSON demands
		}
		for _, text := range []string{stdout, stderr} {
			if i := strings.IndexFunc(text, steers); i >= 0 {
				t.Errorf("%s: control character %q at %d", mode, text[i], i)
			}
		}
	}
	stdout, _ := replay(t, TTY, true, 60, 8)
	if strings.IndexFunc(stdout, steers) >= 0 {
		t.Errorf("tty: stdout has control characters: %q", stdout)
	}
	_, stderr := replay(t, TTY, false, 60, 8)
	for _, code := range []string{green, red, yellow, faint} {
		if strings.Contains(stderr, code) {
			t.Errorf("tty without colour has %q", code)
		}
	}
}

// TestLivePartIsBounded replays at any size of terminal: the live part never
// is higher or wider than the terminal.
func TestLivePartIsBounded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		columns, rows := rapid.IntRange(1, 120).Draw(rt, "columns"), rapid.IntRange(1, 60).Draw(rt, "rows")
		events := recorded(t)
		v := newTTY(Config{Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{}, Clock: clockwork.NewFakeClock(), Size: func() (int, int) { return columns, rows }})
		for _, e := range events {
			v.event(e)
			var b strings.Builder
			before := v.live
			v.live = 0
			v.draw(&b, columns)
			if v.live != before && before != 0 {
				rt.Fatalf("drawing twice gave %d and %d lines", before, v.live)
			}
			if v.live > maxLive || v.live > max(1, rows-1) {
				rt.Fatalf("%d live lines on %d rows", v.live, rows)
			}
			for l := range strings.SplitSeq(ansi.ReplaceAllString(b.String(), ""), "\n") {
				if n := len([]rune(l)); n > max(0, columns-1) {
					rt.Fatalf("%d wide on %d columns: %q", n, columns, l)
				}
			}
		}
	})
}

// screen is as much of a terminal as the live view uses.
type screen struct {
	t       testing.TB
	lines   []string
	row     int
	columns int
	hidden  bool
}

func newScreen(t testing.TB, columns int) *screen {
	t.Helper()
	return &screen{t: t, lines: []string{""}, columns: columns}
}

func (s *screen) write(text string) {
	for text != "" {
		if loc := ansi.FindStringIndex(text); loc != nil && loc[0] == 0 {
			s.code(text[:loc[1]])
			text = text[loc[1]:]
			continue
		}
		c := []rune(text)[0]
		text = text[len(string(c)):]
		switch c {
		case '\n':
			if s.row++; s.row == len(s.lines) {
				s.lines = append(s.lines, "")
			}
		case '\r':
		default:
			s.lines[s.row] += string(c)
		}
	}
}

func (s *screen) code(code string) {
	var n int
	switch {
	case code == hideCursor || code == showCursor:
		s.hidden = code == hideCursor
	case code == clearDown:
		s.lines = append(s.lines[:s.row:s.row], "")
	case strings.HasSuffix(code, "A"):
		fmt.Sscanf(code, "\x1b[%dA", &n)
		if s.row -= n; s.row < 0 {
			s.t.Fatalf("moved above the screen by %d", -s.row)
		}
	case strings.HasSuffix(code, "m"):
	default:
		s.t.Fatalf("unknown code %q", code)
	}
}

func TestRendererConcurrently(t *testing.T) {
	t.Parallel()
	for _, mode := range []Mode{TTY, Plain, JSON, Quiet} {
		clock := clockwork.NewFakeClock()
		var out, err bytes.Buffer
		r, e := New(Config{Mode: mode, Stdout: &out, Stderr: &err, Clock: clock})
		if e != nil {
			t.Fatal(e)
		}
		var group sync.WaitGroup
		for i := range 4 {
			group.Go(func() {
				emitter := event.NewEmitter(r, clock).For("local", fmt.Sprint("s", i))
				for range 20 {
					step := emitter.Start("work")
					step.Progress("p", 1, 2, "tasks")
					step.Done("")
					clock.Advance(50 * time.Millisecond)
				}
				emitter.Emit(event.Result{Kind: "x", Text: "done"})
			})
		}
		group.Wait()
		r.Close()
		r.Close()
		r.Emit(event.Event{Data: event.Result{Text: "late"}})
		if got := strings.Count(out.String(), "done"); mode != JSON && got != 4 {
			t.Errorf("%s: %d results on stdout; want 4", mode, got)
		}
		if strings.Contains(out.String(), "late") {
			t.Errorf("%s: something was shown after close", mode)
		}
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	none := func(string) string { return "" }
	if got := Choose(nil, none); got != Plain {
		t.Errorf("without a terminal: %s; want plain", got)
	}
	if Color(func(string) string { return "1" }) || !Color(none) {
		t.Error("NO_COLOR is not respected")
	}
	if _, err := ParseMode("fancy"); err == nil {
		t.Error("an unknown mode is taken")
	}
}
