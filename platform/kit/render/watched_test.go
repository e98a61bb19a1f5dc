package render

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"

	"github.com/slipway-dev/slipway/platform/kit/event"
)

// TestWatchedResult shows a screen three times, of which the second is the same
// and the third has one other line.
func TestWatchedResult(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 4, 10, 0, 0, 0, time.UTC)
	screens := []string{
		"SERVICE  RUNNING\ncatalog  2\norders   2\n", "SERVICE  RUNNING\ncatalog  2\norders   2\n",
		"SERVICE  RUNNING\ncatalog  1\x1b[31m\norders   2\n",
	}
	for _, mode := range []Mode{TTY, Plain, JSON, Quiet} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			clock := clockwork.NewFakeClockAt(at)
			var out, err bytes.Buffer
			cfg := Config{Mode: mode, Stdout: &out, Stderr: &err, Clock: clock, Size: func() (int, int) { return 60, 8 }}
			if err := cfg.validate(); err != nil {
				t.Fatal(err)
			}
			v := map[Mode]view{TTY: newTTY(cfg), Plain: newPlain(cfg), JSON: &jsonView{out: &out}, Quiet: &quietView{out: &out, err: &err}}[mode]
			for _, text := range screens {
				clock.Advance(500 * time.Millisecond)
				v.event(event.Event{Time: clock.Now(), Environment: "local", Data: event.Result{Kind: "status", Text: text, Data: json.RawMessage("{}"), Replaces: true}})
				drawn := err.Len()
				for range 5 {
					clock.Advance(100 * time.Millisecond)
					v.tick(clock.Now())
				}
				if err.Len() != drawn {
					t.Error("it is drawn again without a change")
				}
			}
			v.close()
			golden(t, "watched-"+string(mode)+".golden", "stdout:\n"+out.String()+"\nstderr:\n"+strings.ReplaceAll(err.String(), "\x1b", "ESC"))
		})
	}
}

// TestWatchedResultInAPipe: what goes to a pipe is lines, though the progress
// beside it is live.
func TestWatchedResultInAPipe(t *testing.T) {
	t.Parallel()
	var out, err bytes.Buffer
	v := newTTY(Config{Mode: TTY, Stdout: &out, Stderr: &err, Clock: clockwork.NewFakeClock(), Size: func() (int, int) { return 60, 8 }})
	v.piped = true
	for _, text := range []string{"a\nb\n", "a\nb\n", "a\nc\n"} {
		v.event(event.Event{Data: event.Result{Kind: "status", Text: text, Replaces: true}})
	}
	v.close()
	if want := "a\nb\nc\n"; out.String() != want || err.Len() > 0 {
		t.Errorf("stdout %q, stderr %q; want %q and nothing", out.String(), err.String(), want)
	}
}
