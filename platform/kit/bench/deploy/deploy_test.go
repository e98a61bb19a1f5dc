package deploy

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/slipway-dev/slipway/platform/kit/bench/sandbox"
	"github.com/slipway-dev/slipway/platform/kit/event"
)

var began = time.Date(2026, 3, 4, 10, 0, 0, 0, time.UTC)

// at is a moment so many milliseconds after the beginning.
func at(ms int) time.Time { return began.Add(time.Duration(ms) * time.Millisecond) }

func TestShift(t *testing.T) {
	t.Parallel()
	old := func(from, to int) answer { return answer{began: at(from), ended: at(to), text: "one"} }
	fresh := func(from, to int) answer { return answer{began: at(from), ended: at(to), text: "a two"} }
	bad := func(from, to int) answer { return answer{began: at(from), ended: at(to), text: "two", failed: true} }
	for name, tc := range map[string]struct {
		answers                      []answer
		firstOther, lastOther, alone int
		failures                     int
		err                          error
	}{
		"one after the other":                     {[]answer{old(0, 1), old(2, 3), fresh(4, 5), fresh(6, 7)}, 1, 3, 5, 0, nil},
		"mixed for a while":                       {[]answer{old(0, 1), fresh(2, 3), old(4, 9), fresh(5, 6), fresh(10, 11)}, 1, 9, 11, 0, nil},
		"not in order":                            {[]answer{fresh(10, 11), old(4, 9), old(0, 1)}, 1, 9, 11, 0, nil},
		"an answer that was under way counts not": {[]answer{old(0, 8), fresh(5, 20), fresh(21, 22)}, 8, 8, 22, 0, nil},
		"a failure is not the new release's":      {[]answer{fresh(0, 1), bad(2, 3), fresh(4, 5)}, 3, 3, 5, 1, nil},
		"the old one to the end":                  {[]answer{fresh(0, 1), old(2, 3)}, 3, 3, 0, 0, errNeverAlone},
		"nobody else":                             {[]answer{fresh(0, 1)}, 0, 0, 1, 0, nil},
	} {
		s, err := shiftTo(tc.answers, "two")
		if !errors.Is(err, tc.err) || s.failures != tc.failures {
			t.Errorf("%s: %d failures, %v", name, s.failures, err)
		}
		for what, pair := range map[string][2]time.Time{
			"first other": {s.firstOther, at(tc.firstOther)}, "last other": {s.lastOther, at(tc.lastOther)}, "alone": {s.alone, at(tc.alone)},
		} {
			if !pair[0].Equal(pair[1]) && (!pair[0].IsZero() || !pair[1].Equal(began)) {
				t.Errorf("%s: %s at %s, want %s", name, what, pair[0].Format("05.000"), pair[1].Format("05.000"))
			}
		}
	}
}

func TestPollerHurriesWhenTold(t *testing.T) {
	defer goleak.VerifyNone(t)
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1)%2 == 0 {
			w.WriteHeader(http.StatusBadGateway)
		}
		_, _ = w.Write([]byte("text"))
	}))
	defer server.Close()
	p := startPoller(t.Context(), server.URL)
	p.quicken()
	p.quicken() // again is nothing
	deadline := time.Now().Add(10 * time.Second)
	for tick := time.NewTicker(time.Millisecond); asked.Load() < 6 && time.Now().Before(deadline); <-tick.C {
		continue
	}
	answers := p.stop()
	failed := 0
	for _, a := range answers {
		if a.failed {
			failed++
		}
		if a.text != "text" || !a.ended.After(a.began) {
			t.Errorf("answer %+v", a)
		}
	}
	if len(answers) < 5 || failed < 2 {
		t.Errorf("%d answers, %d of them failed; want at least 5 and 2", len(answers), failed)
	}
}

func TestCourse(t *testing.T) {
	t.Parallel()
	ev := func(ms int, p event.Payload) event.Event { return event.Event{Time: at(ms), Data: p} }
	r := sandbox.Result{Began: at(0), Ended: at(1000), Events: []event.Event{
		ev(100, event.StepStarted{ID: "s1", Title: "build catalog"}),
		ev(101, event.StepProgress{ID: "s1", Message: "compile linux/amd64"}),
		ev(300, event.StepProgress{ID: "s1", Message: "compress linux/amd64"}),
		ev(340, event.StepProgress{ID: "s1", Message: "push"}),
		ev(350, event.StepDone{ID: "s1"}),
		ev(350, event.StepStarted{ID: "s2", Title: "sign catalog"}),
		ev(380, event.StepDone{ID: "s2"}),
		ev(385, event.Plan{}),
		ev(385, event.StepStarted{ID: "s1", Title: "verify"}),
		ev(390, event.StepDone{ID: "s1"}),
		ev(390, event.StepStarted{ID: "s2", Title: "roll out release v1"}),
		ev(900, event.StepDone{ID: "s2"}),
		ev(901, event.Verdict{Outcome: event.Completed}),
	}}
	c := courseOf(r)
	for what, pair := range map[string][2]time.Time{
		"first event": {c.firstEvent, at(100)}, "building": {c.building, at(100)}, "built": {c.built, at(380)}, "verdict": {c.verdict, at(901)},
	} {
		if !pair[0].Equal(pair[1]) {
			t.Errorf("%s at %s, want %s", what, pair[0].Format("05.000"), pair[1].Format("05.000"))
		}
	}
	var names []string
	var sum time.Duration
	for _, p := range c.phases {
		names = append(names, p.name)
		sum += p.took
	}
	want := []string{"go and mage start", "compile", "compress", "push", "sign catalog", "plan", "verify", "roll out", "end"}
	if !slices.Equal(names, want) || sum != time.Second {
		t.Errorf("phases %q of %s together, want %q of 1s", names, sum, want)
	}
	all := phasesOf([]course{c, c})
	if len(all) != len(want) || all[1].Seconds.Median != 0.2 {
		t.Errorf("%+v", all)
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	var m measured
	for n, floor := range []int{1000, 2000, 1500} { // ours takes 1.2 times as long in process, 0.6 s more to all traffic
		built := 100 + floor*12/10
		m.addChange(bare{build: time.Duration(floor) * time.Millisecond, start: 100 * time.Millisecond}, changed{
			result: sandbox.Result{Began: at(0), Ended: at(floor + 4000), Memory: sandbox.Memory{Kit: int64(n) << 20, Go: 50 << 20}},
			shift:  shift{lastOther: at(floor + 650), alone: at(floor + 700)},
			course: course{firstEvent: at(100), building: at(100), built: at(built), verdict: at(floor + 3900)},
		})
	}
	m.noneFloor, m.noneOurs = []float64{0.2, 0.2}, []float64{0.8, 1}
	m.unhealthy = []putBack{{over: 3.5}, {over: 4.5}}
	m.alarming = []putBack{{traffic: 2, over: 2.5, failures: 7}}
	r := m.report(3)
	if got := r.Change[1].Beside.Median; got < 1.199 || got > 1.201 {
		t.Errorf("built and pushed in %g times the floor's time, want 1.2", got)
	}
	if got := r.Traffic[2].Beside.Median; got < 0.599 || got > 0.601 {
		t.Errorf("all traffic %g s after the floor, want 0.6", got)
	}
	if got := r.Memory.Change.Kit; got != 2<<20 {
		t.Errorf("%d bytes, want the largest of all runs", got)
	}
	var text strings.Builder
	r.Print(&text)
	for _, want := range []string{
		"1.20 (1.20-1.20)     at most 1.35", "0.60 (0.60-0.60)     at most 1.5 s", "answered nobody      4.00 (3.50-4.50)",
		"2.00 (2.00-2.00)     2.50 (2.50-2.50)", "a change                    2    50     -",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, text.String())
		}
	}
}

func TestTheEarHearsTheFirst(t *testing.T) {
	e, err := listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !healthy(t.Context(), http.DefaultClient, e.url) || len(e.first) != 1 {
		t.Error("nothing was heard")
	}
	if _, err := e.heard(); err != nil {
		t.Error(err)
	}
	if _, err := e.heard(); err == nil {
		t.Error("something was heard where nothing was said")
	}
}
