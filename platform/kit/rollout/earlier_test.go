package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/contract"
	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/rollout"
)

// shelf is a registry with releases, and a history of schema changes.
type shelf struct{ gone []string }

func (shelf) Find(_ context.Context, _, ref string) (rollout.Release, error) {
	if ref != "v7" {
		return rollout.Release{}, fmt.Errorf("find release %q: the newest are v7, v2", ref)
	}
	return rollout.Release(release(7)), nil
}

func (s shelf) Behind(_ context.Context, _, _, to string) ([]string, error) {
	if to == "v1" {
		return nil, errors.New("release v1 is not that of a commit")
	}
	return s.gone, nil
}

func TestEarlierReleases(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		to      string
		prepare func(*fakeAWS, *shelf)
		anyway  bool
		want    string // release, or part of the error
		note    string
	}{
		"the one completed before":       {want: "v2"},
		"not one that failed":            {prepare: func(f *fakeAWS, _ *shelf) { f.deployments[1].State = rollout.StateRollbackSuccessful }, want: "v1"},
		"any that ran":                   {to: "v1", want: "v1", note: "not that of a commit"},
		"one that failed, when named":    {to: "v2", prepare: func(f *fakeAWS, _ *shelf) { f.deployments[1].State = rollout.StateRollbackSuccessful }, want: "v2", note: "never completely rolled out here: deployment"},
		"one that only the registry has": {to: "v7", want: "v7", note: "a new one is made of it"},
		"none":                           {to: "v8", want: "the newest are v7, v2"},
		"behind a schema change":         {to: "v2", prepare: func(_ *fakeAWS, s *shelf) { s.gone = []string{"00003_drop.sql (unused)"} }, want: "took away what it may need: 00003_drop.sql"},
		"behind a schema change, anyway": {to: "v2", prepare: func(_ *fakeAWS, s *shelf) { s.gone = []string{"00003_drop.sql (unused)"} }, anyway: true, want: "v2", note: "00003_drop.sql"},
		"while ECS puts one back":        {prepare: func(f *fakeAWS, _ *shelf) { f.deployments[2].State = rollout.StateRollbackInProgress }, want: "by itself"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, s := newFake(t), &shelf{}
			f.contract.Migration = &contract.Migration{Command: []string{"migrate"}}
			f.ran(t, 3)
			if tc.prepare != nil {
				tc.prepare(f, s)
			}
			d, err := rollout.New(rollout.Config{
				Environment: "local", Local: true, ECS: f, Images: f, Secrets: f, Contracts: f, Logs: f, Alarms: f, Clock: f.clock,
				Releases: s, Schemas: s,
			})
			if err != nil {
				t.Fatal(err)
			}
			plan, err := d.PlanRollback(t.Context(), "catalog", tc.to, rollout.Options{Anyway: tc.anyway})
			if err != nil {
				if !strings.Contains(err.Error(), tc.want) || event.Next(err) == "" {
					t.Errorf("%v (next: %s), want %q", err, event.Next(err), tc.want)
				}
				return
			}
			if plan.To.Release != tc.want || !strings.Contains(strings.Join(plan.Notes, "\n"), tc.note) || len(plan.Migration) > 0 {
				t.Fatalf("to %s with notes %q, want %s and %q", plan.To.Release, plan.Notes, tc.want, tc.note)
			}
			v, err := d.Apply(t.Context(), plan, nil)
			if err != nil || v.Outcome != event.Completed || v.Serving[0].Release != tc.want {
				t.Errorf("ended as %v, %v", v, err)
			}
		})
	}
}

// TestBusyIsTold: a rollout under way is told by a plan that takes its place,
// and refuses one that must not.
func TestBusyIsTold(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.ran(t, 1)
	f.next = func(*fakeAWS, *fakeDeployment, time.Duration) {}
	d := f.deployer(t)
	slow, err := d.Plan(t.Context(), "catalog", rollout.Release(release(2)), rollout.Options{Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if v, err := d.Apply(t.Context(), slow, nil); err != nil || v.Outcome != event.TimedOut {
		t.Fatalf("%v, %v", v, err)
	}
	var b strings.Builder
	plan, err := d.Plan(t.Context(), "catalog", rollout.Release(release(3)), rollout.Options{})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(&b, plan)
	_, err = d.Plan(t.Context(), "catalog", rollout.Release(release(3)), rollout.Options{IfBusy: rollout.Refuse, Named: true})
	fmt.Fprintf(&b, "%v\nnext: %s\n", err, event.Next(err))
	golden(t, "busy", b.String())
}
