package rollout_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/rollout"
)

func rollback(t *testing.T, f *fakeAWS, to string) (rollout.Plan, rollout.Verdict) {
	t.Helper()
	d := f.deployer(t)
	plan, err := d.PlanRollback(t.Context(), "catalog", to, rollout.Options{})
	if err != nil {
		t.Fatal(err)
	}
	verdict, err := d.Apply(t.Context(), plan, nil)
	if err != nil {
		t.Fatal(err)
	}
	return plan, verdict
}

func TestRollback(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.ran(t, 3)
	migrates(0)(f)
	plan, v := rollback(t, f, "")
	if v.Outcome != event.Completed || v.Release != "v2" || len(f.definitions) != 3 {
		t.Fatalf("%s with %d revisions; want v2 completed by its own revision", v, len(f.definitions))
	}
	golden(t, "rollback", plan.String()+"\n"+v.String())
	if _, v = rollback(t, f, ""); v.Release != "v1" {
		t.Errorf("the second rollback went to %s; want v1, further back", v.Release)
	}
	_, err := f.deployer(t).PlanRollback(t.Context(), "catalog", "", rollout.Options{})
	if !errors.Is(err, rollout.ErrNotFound) || event.Next(err) == "" {
		t.Errorf("error %v; want that there is nothing before v1, with a command", err)
	}
	for _, to := range []string{"v3", "3", "slipway-local-catalog:3"} {
		if _, v = rollback(t, f, to); v.Release != "v3" || v.Outcome != event.Completed {
			t.Errorf("rollback to %s: %s", to, v)
		}
	}
}

func TestRollbackSkipsFailedReleases(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.ran(t, 2)
	f.next = noRollback
	apply(t, f, release(3), rollout.Options{}) // fails and stays
	f.next = good
	_, v := rollback(t, f, "")
	if v.Release != "v2" {
		t.Errorf("went to %s; want v2, the last that was completely rolled out", v.Release)
	}
}

// TestRollbackAfterDeployingAnOldReleaseAgain goes back beyond the first time
// that the release was on.
func TestRollbackAfterDeployingAnOldReleaseAgain(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.ran(t, 3)
	apply(t, f, release(2), rollout.Options{}) // a new revision of v2, after v3
	if _, v := rollback(t, f, ""); v.Release != "v1" {
		t.Errorf("went to %s; want v1, which was on before v2", v.Release)
	}
}

func TestRollbackToUnknownRelease(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.ran(t, 2)
	if _, err := f.deployer(t).PlanRollback(t.Context(), "catalog", "v9", rollout.Options{}); !errors.Is(err, rollout.ErrNotFound) {
		t.Errorf("error %v; want not found", err)
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.ran(t, 2)
	d := f.deployer(t)
	status, err := d.Status(t.Context(), []string{"catalog"})
	if err != nil {
		t.Fatal(err)
	}
	f.broken["Contract"] = errors.New("read the contract: connection refused")
	broken, err := d.Status(t.Context(), []string{"catalog"})
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.MarshalIndent(status, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "status", fmt.Sprintf("%s\n%s\n%s\n", status, broken, data))
}

func TestWatchNewest(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.ran(t, 1)
	v, err := f.deployer(t).Watch(t.Context(), "catalog", rollout.Options{}, nil)
	if err != nil || v.Outcome != event.Completed || v.Release != "v1" {
		t.Errorf("watching what is over: %s, %v", v, err)
	}
	f = newFake(t)
	if _, err := f.deployer(t).Watch(t.Context(), "catalog", rollout.Options{}, nil); err == nil || event.Next(err) != "go tool mage deploy local catalog" {
		t.Errorf("watching what never was: %v, next %q", err, event.Next(err))
	}
}
