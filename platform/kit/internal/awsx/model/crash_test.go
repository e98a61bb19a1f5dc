package model_test

import (
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/fake"
	"github.com/slipway-dev/slipway/platform/kit/rollout"
)

// manyCalls is beyond the update and the first looks at the deployment, after
// which all looks are alike.
const manyCalls = 26

// TestMain makes each run the same, unless -rapid.seed or -rapid.checks say
// otherwise.
func TestMain(m *testing.M) {
	flag.Parse()
	for name, value := range map[string]string{"rapid.seed": "20261123", "rapid.checks": "40", "rapid.nofailfile": "true"} {
		if f := flag.Lookup(name); f.Value.String() == f.DefValue {
			if err := f.Value.Set(value); err != nil {
				panic(err)
			}
		}
	}
	goleak.VerifyTestMain(m)
}

// TestKilledAnywhere kills a deploy of release 2 over release 1 before and after
// each of its calls, then types another command: the end is one release, the one
// that this command says.
func TestKilledAnywhere(t *testing.T) {
	t.Parallel()
	type then struct {
		work      work
		revisions int // at most, the shell's own among them
		serves    string
	}
	thens := map[string]then{
		"the same again": {deploy("2", rollout.Options{}), 3, "2"},
		"another":        {deploy("3", rollout.Options{}), 4, "3"},
		"rollback to 1":  {rollback("v1"), 3, "1"},
	}
	for strategy, config := range strategies() {
		if strategy == "linear" || strategy == "blue_green" {
			continue // the kit makes the same calls as for canary
		}
		for name, next := range thens {
			for _, how := range []answer{kill, bury} {
				if strategy == "canary" && name != "the same again" {
					continue // for it is as with rolling
				}
				t.Run(fmt.Sprintf("%s/%s/%d", strategy, name, how), func(t *testing.T) {
					t.Parallel()
					for at, more := 0, true; more && at < manyCalls; at++ {
						w := newWorld(t, t.TempDir(), config(), true)
						w.begin("first", deploy("1", rollout.Options{})).run()
						w.steady()
						victim := w.begin("victim", deploy("2", rollout.Options{}))
						for n := 0; n < at && !victim.over; n++ {
							victim.step(goOn)
						}
						more = !victim.over
						victim.step(how)
						k := w.begin("next", next.work).run()
						w.checkTruth(k)
						w.checkTraffic()
						w.steady()
						w.checkWhole()
						got := w.digit(*w.service().TaskDefinition)
						if k.err != nil || k.verdict.Outcome != event.Completed || got != next.serves {
							t.Fatalf("killed at %d (%v): release %s serves, want %s\n%s", at, victim.calls, got, next.serves, w.story())
						}
						if n := w.revisions(); n > next.revisions {
							t.Fatalf("killed at %d (%v): %d revisions, want at most %d", at, victim.calls, n, next.revisions)
						}
						w.close()
					}
				})
			}
		}
	}
}

// revisions counts the family's active revisions.
func (w *world) revisions() int {
	n := 0
	for _, def := range w.sched.Definitions() {
		if def.Status == "ACTIVE" {
			n++
		}
	}
	return n
}

// race runs two deploys of two releases, or of one, at once: the second begins
// when the first has made so many calls, then both take turns.
func (w *world) race(one, two work, head int) (a, b *kit) {
	a = w.begin("one", one)
	for range head {
		a.step(goOn)
	}
	b = w.begin("two", two)
	for !a.over || !b.over {
		a.step(goOn)
		b.step(goOn)
	}
	return a, b
}

// TestTwoAtOnce begins a second deploy at each call of the first.
func TestTwoAtOnce(t *testing.T) {
	t.Parallel()
	for strategy, stride := range map[string]int{"rolling": 2, "canary": 5} {
		for name, tc := range map[string]struct {
			second    string
			busy      rollout.IfBusy
			revisions int
		}{
			"the same release":       {"2", rollout.Supersede, 3},
			"another supersedes":     {"3", rollout.Supersede, 4},
			"another gives way":      {"3", rollout.Refuse, 4},
			"the same is no quarrel": {"2", rollout.Refuse, 3},
		} {
			t.Run(strategy+"/"+name, func(t *testing.T) {
				t.Parallel()
				for head := 0; head < manyCalls; head += stride {
					w := newWorld(t, t.TempDir(), strategies()[strategy](), true)
					w.begin("first", deploy("1", rollout.Options{})).run()
					w.steady()
					a, b := w.race(deploy("2", rollout.Options{}), deploy(tc.second, rollout.Options{IfBusy: tc.busy}), head)
					w.checkTruth(a)
					w.checkTruth(b)
					w.steady()
					w.checkWhole()
					serves, fault := w.digit(*w.service().TaskDefinition), ""
					done := []event.Outcome{a.verdict.Outcome, b.verdict.Outcome}
					switch {
					case tc.second == "2" && (a.err != nil || b.err != nil || done[0] != event.Completed || done[1] != event.Completed):
						fault = "both want the same and do not both get it"
					case tc.second == "3" && serves == "2" && done[0] != event.Completed, tc.second == "3" && serves == "3" && done[1] != event.Completed:
						fault = "whose release serves did not complete"
					case tc.second == "3" && tc.busy == rollout.Refuse && a.verdict.Outcome == event.Superseded && a.verdict.Deployment != "":
						fault = "what was not to be superseded was"
					case tc.second == "3" && tc.busy == rollout.Refuse && a.verdict.Outcome != event.Completed && b.verdict.Outcome != event.Completed:
						fault = "nobody completed"
					case w.revisions() > tc.revisions:
						fault = fmt.Sprintf("%d revisions", w.revisions())
					}
					if fault != "" {
						t.Fatalf("%d calls ahead: %s\n%s", head, fault, w.story())
					}
					w.close()
				}
			})
		}
	}
}

// TestWhoCameLastServes: a deploy that begins while another is under way, for
// whatever the other waits, is the one that serves in the end.
func TestWhoCameLastServes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t.TempDir(), strategies()["canary"](), true)
	defer w.close()
	w.begin("first", deploy("1", rollout.Options{})).run()
	w.steady()
	w.act["migrate"] = fake.Wait
	slow := w.begin("slow", deploy("2", rollout.Options{}))
	for range 60 {
		slow.step(goOn)
	}
	late := w.begin("late", deploy("3", rollout.Options{}))
	for range 20 {
		late.step(goOn)
	}
	if slices.Contains(late.calls, "Run") {
		t.Fatalf("two migrations run at once\n%s", w.story())
	}
	refused := w.begin("refused", deploy("3", rollout.Options{IfBusy: rollout.Refuse})).run()
	if refused.err == nil || len(refused.began) > 0 {
		t.Errorf("not refused: %s", refused)
	}
	w.act["migrate"] = fake.Finish
	for _, arn := range w.runtime.Alive() {
		w.runtime.Exit(arn, 0) // the migration; the service's tasks come back
	}
	for !slow.over || !late.over {
		slow.step(goOn)
		late.step(goOn)
	}
	w.checkTruth(slow)
	w.checkTruth(late)
	w.pass(time.Second)
	w.steady()
	w.checkWhole()
	if got := w.digit(*w.service().TaskDefinition); got != "3" || slow.verdict.Outcome != event.Superseded {
		t.Errorf("release %s serves; the slow one ended as %s\n%s", got, slow.verdict.Outcome, w.story())
	}
}

// TestAnOldPlanGivesWay: what was planned, rolled out and completed while a
// deploy prepared itself is not undone by it.
func TestAnOldPlanGivesWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t.TempDir(), strategies()["rolling"](), false)
	defer w.close()
	w.begin("first", deploy("1", rollout.Options{})).run()
	w.steady()
	slow := w.begin("slow", deploy("2", rollout.Options{}))
	for slow.pending != "Register" {
		slow.step(goOn)
	}
	w.checkTruth(w.begin("quick", deploy("3", rollout.Options{})).run())
	slow.run()
	w.checkTruth(slow)
	w.steady()
	w.checkWhole()
	if got := w.digit(*w.service().TaskDefinition); got != "3" || slow.verdict.Outcome != event.Superseded || len(slow.began) > 0 {
		t.Errorf("release %s serves; %s", got, slow)
	}
}
