package rollout_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-dev/slipway/platform/kit/contract"
	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/rollout"
)

var update = flag.Bool("update", false, "rewrite golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
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

// tell writes events as a reader would care for them, without times.
func tell(events []event.Event) string {
	var b strings.Builder
	for _, e := range events {
		switch p := e.Data.(type) {
		case event.Plan, event.Verdict:
		case event.Checks:
			fmt.Fprintf(&b, "checks %s\n", p.Summary())
		default:
			line, _ := json.Marshal(p)
			fmt.Fprintf(&b, "%s %s\n", p.Type(), line)
		}
	}
	return b.String()
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		releases  int // that ran before
		prepare   func(*fakeAWS)
		next      behaviour
		want      event.Outcome
		code      int
		registers bool
	}{
		"completed":               {releases: 1, next: good, want: event.Completed, code: 0},
		"first":                   {releases: 0, next: good, want: event.Completed, code: 0},
		"completed-at-once":       {releases: 1, next: atOnce(good), want: event.Completed, code: 0},
		"rolled-back-crash":       {releases: 1, next: crashes, want: event.RolledBack, code: 3},
		"rolled-back-unhealthy":   {releases: 1, next: unhealthy, want: event.RolledBack, code: 3},
		"rolled-back-cannot-pull": {releases: 1, next: cannotPull, want: event.RolledBack, code: 3},
		"rolled-back-at-once":     {releases: 1, next: atOnce(crashes), want: event.RolledBack, code: 3},
		"canary":                  {releases: 1, next: shifting, prepare: canaries, want: event.Completed, code: 0},
		"rolled-back-alarm":       {releases: 1, next: alarmed, prepare: canaries, want: event.RolledBack, code: 3},
		"rolled-back-rule":        {releases: 1, next: ruleGone, prepare: canaries, want: event.RolledBack, code: 3},
		"failed-first":            {releases: 0, next: noCandidate, want: event.Failed, code: 1},
		"failed-no-rollback":      {releases: 1, next: noRollback, want: event.Failed, code: 1},
		"failed-stopped":          {releases: 1, next: stopped, want: event.Failed, code: 1},
		"superseded":              {releases: 2, next: overtaken(time.Second, arnPrefix+"task-definition/slipway-local-catalog:1"), want: event.Superseded, code: 4},
		"superseded-at-once":      {releases: 2, next: overtaken(0, arnPrefix+"task-definition/slipway-local-catalog:1"), want: event.Superseded, code: 4},
		"superseded-unseen":       {releases: 2, next: vanished(arnPrefix + "task-definition/slipway-local-catalog:1"), want: event.Superseded, code: 4},
		"superseded-listed-late":  {releases: 2, next: overtakenUnseen(arnPrefix + "task-definition/slipway-local-catalog:1"), want: event.Superseded, code: 4},
		"timed-out":               {releases: 1, next: stuck, want: event.TimedOut, code: 5},
		"migrated":                {releases: 1, next: good, prepare: migrates(0), want: event.Completed, code: 0},
		"migration-failed":        {releases: 1, next: good, prepare: migrates(2), want: event.Failed, code: 1},
		"migration-timed-out": {
			releases: 1, next: good, want: event.TimedOut, code: 5,
			prepare: func(f *fakeAWS) { migrates(0)(f); f.migrates = time.Hour },
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.ran(t, tc.releases)
			if tc.prepare != nil {
				tc.prepare(f)
			}
			f.next = tc.next
			d := f.deployer(t)
			plan, err := d.Plan(t.Context(), "catalog", rollout.Release(release(7)), rollout.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if slices.Contains(f.calls, "Register") || slices.Contains(f.calls, "Update") {
				t.Fatalf("planning changed something: %v", f.calls)
			}
			var events event.Recorder
			verdict, err := d.Apply(t.Context(), plan, &events)
			if err != nil {
				t.Fatal(err)
			}
			if verdict.Outcome != tc.want || verdict.ExitCode() != tc.code {
				t.Errorf("outcome %s, exit code %d; want %s, %d", verdict.Outcome, verdict.ExitCode(), tc.want, tc.code)
			}
			data, err := json.MarshalIndent(verdict, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, "outcome/"+name, fmt.Sprintf("%s\nexit code %d\n\n%s\n%s\n%s\n", verdict, verdict.ExitCode(), plan, tell(events.Events()), data))
		})
	}
}

func migrates(code int) func(*fakeAWS) {
	return func(f *fakeAWS) {
		f.contract.Migration = &contract.Migration{Command: []string{"migrate"}}
		f.migration = code
	}
}

func TestFailedMigrationShiftsNothing(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.ran(t, 1)
	migrates(1)(f)
	apply(t, f, release(2), rollout.Options{})
	if slices.Contains(f.calls, "Update") || !strings.HasSuffix(f.service.TaskDefinition, ":1") {
		t.Errorf("the service was updated: %v, %s", f.calls, f.service.TaskDefinition)
	}
}

// apply plans and applies.
func apply(t *testing.T, f *fakeAWS, r rel, opts rollout.Options) rollout.Verdict {
	t.Helper()
	d := f.deployer(t)
	plan, err := d.Plan(t.Context(), "catalog", rollout.Release(r), opts)
	if err != nil {
		t.Fatal(err)
	}
	verdict, err := d.Apply(t.Context(), plan, event.Discard())
	if err != nil {
		t.Fatal(err)
	}
	return verdict
}

func TestNothingToDo(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.ran(t, 2)
	v := apply(t, f, release(2), rollout.Options{})
	if v.Outcome != event.Completed || !v.AlreadyRan || slices.Contains(f.calls, "Update") || slices.Contains(f.calls, "Register") {
		t.Errorf("verdict %+v after %v; want completed without a change", v, f.calls)
	}
	v = apply(t, f, release(2), rollout.Options{Force: true})
	if v.Outcome != event.Completed || v.AlreadyRan || !slices.Contains(f.calls, "Update") || slices.Contains(f.calls, "Register") {
		t.Errorf("forced: verdict %+v after %v; want a new deployment of the same revision", v, f.calls)
	}
}

func TestChangedTemplateIsDeployed(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.ran(t, 1)
	f.contract.TaskDefinition = json.RawMessage(strings.Replace(string(f.contract.TaskDefinition), `"info"`, `"debug"`, 1))
	plan, err := f.deployer(t).Plan(t.Context(), "catalog", rollout.Release(release(1)), rollout.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := []rollout.Difference{{What: "env LOG_LEVEL", From: "info", To: "debug"}}
	if plan.Action != rollout.ActDeploy || cmp.Diff(want, plan.Differences) != "" {
		t.Errorf("plan %s with %v; want deploy with %v", plan.Action, plan.Differences, want)
	}
}

func TestDesiredCountIsSetOnlyAtZero(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	apply(t, f, release(1), rollout.Options{})
	if f.service.Desired != 2 {
		t.Errorf("desired %d after the first deployment; want the contract's 2", f.service.Desired)
	}
	f.service.Desired = 7 // as autoscaling would
	apply(t, f, release(2), rollout.Options{})
	if f.service.Desired != 7 {
		t.Errorf("desired %d; want 7 untouched", f.service.Desired)
	}
}

// TestInterruptedAnywhere cancels at each call in turn; applying again then
// always ends with the release rolled out, by one registration at most.
func TestInterruptedAnywhere(t *testing.T) {
	t.Parallel()
	for at := 1; ; at++ {
		f := newFake(t)
		f.ran(t, 1)
		migrates(0)(f)
		d := f.deployer(t)
		plan, err := d.Plan(t.Context(), "catalog", rollout.Release(release(2)), rollout.Options{})
		if err != nil {
			t.Fatal(err)
		}
		f.calls = nil
		ctx, cancel := context.WithCancel(t.Context())
		canceller := rollout.ECS(&cancelling{fakeAWS: f, at: at, cancel: cancel})
		cut, err := rollout.New(rollout.Config{Environment: "local", Local: true, ECS: canceller, Images: f, Secrets: f, Contracts: f, Logs: f, Clock: f.clock})
		if err != nil {
			t.Fatal(err)
		}
		verdict, err := cut.Apply(ctx, plan, event.Discard())
		if err != nil {
			t.Fatalf("interrupted at call %d: %v", at, err)
		}
		if ctx.Err() == nil {
			break // the rollout was over before that call
		}
		cancel()
		if verdict.Outcome == event.Completed {
			continue // it was the last call
		}
		if verdict.Outcome != event.Interrupted || verdict.ExitCode() != 130 || len(verdict.Next) == 0 {
			t.Errorf("interrupted at call %d: %s", at, verdict)
		}
		if again := apply(t, f, release(2), rollout.Options{}); again.Outcome != event.Completed {
			t.Errorf("again after call %d: %s", at, again)
		}
		if n := slices.Collect(migrations(f)); strings.Contains(verdict.Summary, "migration task") && len(n) != 1 {
			t.Errorf("after call %d: %d migration tasks; want the one that was running", at, len(n))
		}
		if len(f.definitions) != 2 {
			t.Errorf("after call %d: %d revisions; want 2", at, len(f.definitions))
		}
	}
}

// migrations are the migration tasks that were run.
func migrations(f *fakeAWS) iter.Seq[rollout.Task] {
	return func(yield func(rollout.Task) bool) {
		for _, t := range f.tasks {
			if t.StopCode == "migrate" && !yield(t) {
				return
			}
		}
	}
}

// TestListedLate: a deployment of a revision that was rolled out before is
// not taken for the earlier one while it is not listed yet.
func TestListedLate(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.ran(t, 1)
	f.lag, f.next = time.Second, noRollback
	if v := apply(t, f, release(1), rollout.Options{Force: true}); v.Outcome != event.Failed {
		t.Errorf("verdict %s; want that of the new deployment", v)
	}
}

func TestVerifyTellsAllFailuresAndChangesNothing(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.ran(t, 1)
	delete(f.platforms, digest(2))
	f.secrets = nil
	f.service.Status = "DRAINING"
	d := f.deployer(t)
	plan, err := d.Plan(t.Context(), "catalog", rollout.Release(release(2)), rollout.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.Apply(t.Context(), plan, nil)
	var failed *rollout.VerifyError
	if !errors.As(err, &failed) || len(failed.Failed) != 3 || slices.Contains(f.calls, "Register") {
		t.Fatalf("error %v after %v; want three failed checks and no change", err, f.calls)
	}
	golden(t, "verify", err.Error()+"\n")
}

func TestVerifyPlatform(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.ran(t, 1)
	f.platforms[digest(2)] = []string{"linux/amd64"}
	d := f.deployer(t)
	plan, err := d.Plan(t.Context(), "catalog", rollout.Release(release(2)), rollout.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Verify(t.Context(), plan); err == nil || !strings.Contains(err.Error(), "tasks need linux/arm64 and the image has linux/amd64") {
		t.Errorf("error %v; want the wrong platform", err)
	}
}

// TestBlindForAWhile lets reads fail as during a restart of the cluster.
func TestBlindForAWhile(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.ran(t, 1)
	f.next = func(f *fakeAWS, d *fakeDeployment, age time.Duration) {
		f.broken["Service"] = nil
		if age > 500*time.Millisecond && age < 20*time.Second {
			f.broken["Service"] = errors.New("connection refused")
		}
		if age >= 20*time.Second {
			good(f, d, age)
		}
	}
	if v := apply(t, f, release(2), rollout.Options{}); v.Outcome != event.Completed {
		t.Errorf("verdict %s", v)
	}
	f.next = func(f *fakeAWS, _ *fakeDeployment, age time.Duration) {
		if age > 500*time.Millisecond {
			f.broken["Service"] = errors.New("connection refused")
		}
	}
	d := f.deployer(t)
	plan, err := d.Plan(t.Context(), "catalog", rollout.Release(release(3)), rollout.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Apply(t.Context(), plan, nil); err == nil || event.Next(err) == "" {
		t.Errorf("error %v; want one that says how to look again", err)
	}
}
