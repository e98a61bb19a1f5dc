package rollout_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/event"
	release_ "github.com/slipway-dev/slipway/platform/kit/release"
	"github.com/slipway-dev/slipway/platform/kit/rollout"
	"github.com/slipway-dev/slipway/platform/kit/rollout/trail"
)

// history reads what the fake keeps.
func history(t *testing.T, f *fakeAWS, limit int) trail.History {
	t.Helper()
	r, err := trail.New(trail.Config{Environment: "local", Local: true, ECS: f, Contracts: f, Logs: f, Clock: f.clock})
	if err != nil {
		t.Fatal(err)
	}
	h, err := r.History(t.Context(), "catalog", limit)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestHistoryAgrees: history and status say of a deployment what its verdict
// said: outcome, reason and what was put back.
func TestHistoryAgrees(t *testing.T) {
	t.Parallel()
	first := arnPrefix + "task-definition/slipway-local-catalog:1"
	for name, tc := range map[string]struct {
		releases int
		prepare  func(*fakeAWS)
		next     behaviour
		outcome  string // that history has; empty for the verdict's
	}{
		"completed":             {releases: 1, next: good},
		"canary":                {releases: 1, next: shifting, prepare: canaries},
		"crash":                 {releases: 1, next: crashes},
		"unhealthy":             {releases: 1, next: unhealthy},
		"cannot pull":           {releases: 1, next: cannotPull},
		"alarm":                 {releases: 1, next: alarmed, prepare: canaries},
		"rule gone":             {releases: 1, next: ruleGone, prepare: canaries},
		"first":                 {releases: 0, next: noCandidate},
		"no rollback":           {releases: 1, next: noRollback},
		"stopped":               {releases: 1, next: stopped},
		"superseded":            {releases: 2, next: overtaken(time.Second, first)},
		"superseded at once":    {releases: 2, next: overtaken(0, first)},
		"superseded, seen late": {releases: 2, next: overtakenUnseen(first)},
		"failed, then another":  {releases: 2, next: thenAnother(noRollback, first)},
		"timed out":             {releases: 1, next: stuck, outcome: "in_progress"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.ran(t, tc.releases)
			if tc.prepare != nil {
				tc.prepare(f)
			}
			f.next = tc.next
			v := apply(t, f, release7, rollout.Options{})
			var entry trail.Entry
			for _, e := range history(t, f, 0).Rollouts {
				if e.Deployment == v.Deployment {
					entry = e
				}
			}
			want := trail.Entry{Outcome: string(v.Outcome), Why: v.Why, Release: v.Release, PutBack: v.PutBack}
			if tc.outcome != "" {
				want.Outcome, want.Why = tc.outcome, ""
			}
			got := trail.Entry{Outcome: entry.Outcome, Why: entry.Why, Release: entry.Release, PutBack: entry.PutBack}
			if got != want {
				t.Errorf("history\n%+v, and the verdict was\n%+v", got, want)
			}
			status, err := f.deployer(t).Status(t.Context(), []string{"catalog"})
			if err != nil {
				t.Fatal(err)
			}
			if last := status.Services[0].Last; last.Deployment == v.Deployment && (last.Outcome != want.Outcome || last.Why != want.Why) {
				t.Errorf("status %+v, and the verdict was\n%+v", last, want)
			}
		})
	}
}

var release7 = release(7)

// thenAnother lets a deployment end, and then begins another one before anybody
// looks: that one did not take its place.
func thenAnother(act behaviour, by string) behaviour {
	done := false
	return func(f *fakeAWS, d *fakeDeployment, age time.Duration) {
		act(f, d, age)
		if d.Ended() && !done {
			done = true
			d.FinishedAt = f.clock.Now().Add(-3 * time.Second)
			f.begin(by, nil)
			f.service.TaskDefinition = by
		}
	}
}

func TestHistory(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.ran(t, 2)
	f.next = crashes
	apply(t, f, release(3), rollout.Options{})
	f.next = good
	apply(t, f, release(4), rollout.Options{})
	rollback(t, f, "v1")
	f.next = stuck
	apply(t, f, release(5), rollout.Options{Timeout: time.Second})
	h := history(t, f, 0)
	data, err := json.MarshalIndent(h, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "history", fmt.Sprintf("%s\n%s\n%s\n", h, trail.History{Environment: "local", Service: "orders"}, data))
	if h = history(t, f, 2); len(h.Rollouts) != 2 || !h.Rollouts[1].Rollback {
		t.Errorf("two newest: %+v; want the second marked as a rollback", h.Rollouts)
	}
}

// TestSourceOf reads what package release writes.
func TestSourceOf(t *testing.T) {
	t.Parallel()
	const commit = "155521d4c0de155521d4c0de155521d4c0de1555"
	for _, tc := range []struct {
		source release_.Source
		commit string
		dirty  bool
	}{
		{release_.Source{Commit: commit, Inputs: "sha256:0011223344556677"}, commit[:12], false},
		{release_.Source{Commit: commit, Inputs: "sha256:0011223344556677", Dirty: true}, commit[:12], true},
		{release_.Source{Inputs: "sha256:0011223344556677"}, "", true},
	} {
		if commit, dirty := rollout.SourceOf(tc.source.Version()); commit != tc.commit || dirty != tc.dirty {
			t.Errorf("%s: commit %q, dirty %t", tc.source.Version(), commit, dirty)
		}
	}
	if commit, dirty := rollout.SourceOf(rollout.UnknownRelease); commit != "" || dirty {
		t.Errorf("unknown: %q, %t", commit, dirty)
	}
}

// TestServesNothing: ECS' word is not taken for what serves.
func TestServesNothing(t *testing.T) {
	t.Parallel()
	for name, act := range map[string]behaviour{"completed": good, "rolled-back": crashes} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.ran(t, 1)
			f.next = func(f *fakeAWS, d *fakeDeployment, age time.Duration) {
				if act(f, d, age); d.Ended() {
					f.serve(d.TaskDefinition, 0)
				}
			}
			v := apply(t, f, release7, rollout.Options{})
			if v.Outcome != event.Failed || v.ExitCode() != 1 {
				t.Errorf("outcome %s", v.Outcome)
			}
			golden(t, "outcome/serves-nothing-"+name, v.String())
		})
	}
}

// TestServesAgainLate: ECS' count of tasks may follow its verdict.
func TestServesAgainLate(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.ran(t, 1)
	f.next = func(f *fakeAWS, d *fakeDeployment, age time.Duration) {
		if good(f, d, age); d.Ended() {
			f.serve(d.TaskDefinition, 0)
			f.laterAt = f.clock.Now().Add(time.Second)
			f.later = func() { f.serve(d.TaskDefinition, 2) }
		}
	}
	if v := apply(t, f, release7, rollout.Options{}); v.Outcome != event.Completed || len(v.Serving) != 1 {
		t.Errorf("verdict %s", v)
	}
}

// TestLostSight claims nothing of a rollout that cannot be seen any more.
func TestLostSight(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.ran(t, 1)
	f.next = func(f *fakeAWS, _ *fakeDeployment, age time.Duration) {
		if age > 500*time.Millisecond {
			f.broken["Service"] = errors.New("connection refused")
		}
	}
	d := f.deployer(t)
	plan, err := d.Plan(t.Context(), "catalog", rollout.Release(release7), rollout.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.Apply(t.Context(), plan, nil)
	const want = "lost sight of the rollout of release v7 to local (dep00000000000000005 was IN_PROGRESS when last seen, at 10:01:00Z): connection refused"
	if err == nil || err.Error() != want || event.Next(err) != "go tool mage watch local catalog" {
		t.Errorf("error %v, next %q; want\n%s", err, event.Next(err), want)
	}
}

// TestOutcomeOf is the table of ends.
func TestOutcomeOf(t *testing.T) {
	t.Parallel()
	end := start.Add(time.Minute)
	begun := func(at time.Time) *rollout.Deployment { return &rollout.Deployment{CreatedAt: at} }
	for name, tc := range map[string]struct {
		state string
		ended time.Time
		next  *rollout.Deployment
		want  event.Outcome
	}{
		"successful":            {rollout.StateSuccessful, end, begun(end), event.Completed},
		"put back":              {rollout.StateRollbackSuccessful, end, begun(end), event.RolledBack},
		"not put back":          {rollout.StateRollbackFailed, end, nil, event.Failed},
		"stopped":               {rollout.StateStopped, end, nil, event.Failed},
		"stopped by the next":   {rollout.StateStopped, end, begun(end), event.Superseded},
		"stopped, end unknown":  {rollout.StateStopped, time.Time{}, begun(end), event.Superseded},
		"stopped, another then": {rollout.StateStopped, end, begun(end.Add(5 * time.Second)), event.Failed},
		"going":                 {rollout.StateInProgress, time.Time{}, nil, ""},
		"going back":            {rollout.StateRollbackInProgress, time.Time{}, nil, ""},
	} {
		got, over := rollout.OutcomeOf(rollout.Deployment{State: tc.state, FinishedAt: tc.ended}, tc.next)
		if got != tc.want || over != (tc.want != "") {
			t.Errorf("%s: %q, %t; want %q", name, got, over, tc.want)
		}
	}
}
