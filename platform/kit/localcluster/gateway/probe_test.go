package gateway

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

var (
	good = outcome{}
	bad  = outcome{"Target.ResponseCodeMismatch", "Health checks failed with these codes: [503]"}
)

func TestMatcher(t *testing.T) {
	m, err := parseMatcher("200, 202-204,301")
	if err != nil {
		t.Fatal(err)
	}
	for code, want := range map[int]bool{200: true, 201: false, 202: true, 204: true, 205: false, 301: true, 0: false} {
		if m.has(code) != want {
			t.Errorf("has(%d) = %v", code, !want)
		}
	}
	for _, s := range []string{"", "x", "200-", "300-200", "200,,300", "-1"} {
		if _, err := parseMatcher(s); err == nil {
			t.Errorf("matcher %q was accepted", s)
		}
	}
}

// step is one outcome, how long after registration it comes, and what must
// follow from it.
type step struct {
	at    time.Duration
	o     outcome
	state string
	wait  time.Duration
}

func TestChecker(t *testing.T) {
	hc := HealthCheck{Interval: 10 * time.Second, HealthyThreshold: 3, UnhealthyThreshold: 2, StartPeriod: 30 * time.Second}
	const ms = time.Millisecond
	for name, steps := range map[string][]step{
		"first success is enough for a new target": {
			{0, good, StateHealthy, hc.Interval},
		},
		"failures while it starts do not count": {
			{0, bad, StateInitial, fastProbe},
			{25 * ms, bad, StateInitial, fastProbe},
			{50 * ms, bad, StateInitial, fastProbe},
			{75 * ms, good, StateHealthy, hc.Interval},
		},
		"fast probes end with the interval": {
			{9990 * ms, bad, StateInitial, 10 * ms},
			{10 * time.Second, bad, StateInitial, newProbe},
			{10500 * ms, bad, StateUnhealthy, hc.Interval},
		},
		"one that does not answer yet has the start period": {
			{9990 * ms, refused(), StateInitial, fastProbe},
			{29990 * ms, outcome{timedOut, "Request timed out"}, StateInitial, 10 * ms},
			{30 * time.Second, refused(), StateInitial, newProbe},
			{30500 * ms, refused(), StateUnhealthy, hc.Interval},
		},
		"one that answers badly has not": {
			{9990 * ms, refused(), StateInitial, fastProbe},
			{10015 * ms, bad, StateInitial, newProbe},
			{10515 * ms, bad, StateUnhealthy, hc.Interval},
		},
		"one failure is forgiven": {
			{0, good, StateHealthy, hc.Interval},
			{10 * time.Second, bad, StateHealthy, hc.Interval},
			{20 * time.Second, good, StateHealthy, hc.Interval},
			{30 * time.Second, bad, StateHealthy, hc.Interval},
			{40 * time.Second, bad, StateUnhealthy, hc.Interval},
		},
		"the way back takes the whole threshold": {
			{0, good, StateHealthy, hc.Interval},
			{10 * time.Second, bad, StateHealthy, hc.Interval},
			{20 * time.Second, bad, StateUnhealthy, hc.Interval},
			{30 * time.Second, good, StateUnhealthy, hc.Interval},
			{40 * time.Second, good, StateUnhealthy, hc.Interval},
			{50 * time.Second, bad, StateUnhealthy, hc.Interval},
			{60 * time.Second, good, StateUnhealthy, hc.Interval},
			{70 * time.Second, good, StateUnhealthy, hc.Interval},
			{80 * time.Second, good, StateHealthy, hc.Interval},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var start time.Time
			c := checker{state: StateInitial, registered: start}
			for i, s := range steps {
				wait := c.observe(hc, start.Add(s.at), s.o)
				if c.state != s.state || wait != s.wait {
					t.Fatalf("step %d: got %s, wait %s, want %s, wait %s", i, c.state, wait, s.state, s.wait)
				}
			}
		})
	}
}

func TestSuspectIsSettledFast(t *testing.T) {
	hc := HealthCheck{Interval: 10 * time.Second, HealthyThreshold: 3, UnhealthyThreshold: 3}
	c := checker{state: StateHealthy, suspect: true}
	now := time.Time{}.Add(time.Hour)
	for range 2 {
		if wait := c.observe(hc, now, bad); wait != fastProbe {
			t.Fatalf("wait = %s, want %s", wait, fastProbe)
		}
	}
	if wait := c.observe(hc, now, bad); c.state != StateUnhealthy || wait != hc.Interval {
		t.Fatalf("got %s, wait %s", c.state, wait)
	}
}

// TestCheckerInvariants: a healthy target has had a success since it was last
// anything else, and never more than threshold-1 failures in a row.
func TestCheckerInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hc := HealthCheck{
			Interval:           time.Duration(rapid.IntRange(1, 60).Draw(t, "interval")) * time.Second,
			HealthyThreshold:   rapid.IntRange(1, 5).Draw(t, "healthy"),
			UnhealthyThreshold: rapid.IntRange(1, 5).Draw(t, "unhealthy"),
		}
		var now time.Time
		c := checker{state: StateInitial, registered: now}
		failed, was := 0, StateInitial
		for _, ok := range rapid.SliceOfN(rapid.Bool(), 1, 60).Draw(t, "outcomes") {
			o := bad
			failed++
			if ok {
				o, failed = good, 0
			}
			wait := c.observe(hc, now, o)
			if wait <= 0 || wait > hc.Interval {
				t.Fatalf("wait = %s", wait)
			}
			if c.state == StateHealthy && failed >= hc.UnhealthyThreshold {
				t.Fatalf("healthy after %d failures", failed)
			}
			if was != StateHealthy && c.state == StateHealthy && !ok {
				t.Fatal("a failure made the target healthy")
			}
			if was == StateInitial && ok && c.state != StateHealthy {
				t.Fatal("a new target's first success did not count")
			}
			was, now = c.state, now.Add(wait)
		}
	})
}
