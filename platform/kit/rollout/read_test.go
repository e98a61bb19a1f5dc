package rollout_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

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

func lines(events []event.Event) string {
	var list []string
	for _, e := range events {
		if l, ok := e.Data.(event.LogLine); ok && l.Wanted {
			list = append(list, l.Message)
		}
	}
	return strings.Join(list, " ")
}

func TestLogs(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	for i := range 5 {
		f.logs["catalog/catalog/t"] = append(f.logs["catalog/catalog/t"], rollout.LogEvent{ID: fmt.Sprint(i), At: start.Add(time.Duration(i-2) * 6 * time.Minute), Message: fmt.Sprint("m", i)})
	}
	var got event.Recorder
	if err := f.deployer(t).Logs(t.Context(), "catalog", rollout.LogsOptions{}, &got); err != nil {
		t.Fatal(err)
	}
	if want := "m1 m2 m3 m4"; lines(got.Events()) != want {
		t.Errorf("lines %q; want %q: ten minutes back, over two pages", lines(got.Events()), want)
	}
}

// TestLogsOfNobody says that there are none, and where there may be some.
func TestLogsOfNobody(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	var got event.Recorder
	if err := f.deployer(t).Logs(t.Context(), "catalog", rollout.LogsOptions{}, &got); err != nil {
		t.Fatal(err)
	}
	var notices []event.Notice
	for _, e := range got.Events() {
		if n, ok := e.Data.(event.Notice); ok {
			notices = append(notices, n)
		}
	}
	if len(notices) != 1 || notices[0].Next != "go tool mage logs local catalog --since=1h" {
		t.Errorf("notices %+v", notices)
	}
}

// TestLogsFollow sees a line that turns up late once, and no line twice.
func TestLogsFollow(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	ctx, cancel := context.WithCancel(t.Context())
	polls := 0
	var got event.Recorder
	logs := filterFunc(func(_ context.Context, q rollout.LogQuery) (rollout.LogPage, error) {
		polls++
		all := []rollout.LogEvent{{ID: "b", At: start.Add(2 * time.Second), Message: "second"}}
		if polls > 1 {
			all = append([]rollout.LogEvent{{ID: "a", At: start.Add(time.Second), Message: "late"}}, all...)
		}
		if polls == 4 {
			cancel()
		}
		var page rollout.LogPage
		for _, e := range all {
			if !e.At.Before(q.From) {
				page.Events = append(page.Events, e)
			}
		}
		return page, nil
	})
	d, err := rollout.New(rollout.Config{Environment: "local", Local: true, ECS: f, Images: f, Secrets: f, Contracts: f, Logs: logs, Clock: f.clock})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Logs(ctx, "catalog", rollout.LogsOptions{Follow: true}, &got); err != nil {
		t.Fatal(err)
	}
	if want := "second late"; lines(got.Events()) != want {
		t.Errorf("lines %q; want %q", lines(got.Events()), want)
	}
}

type filterFunc func(context.Context, rollout.LogQuery) (rollout.LogPage, error)

func (f filterFunc) Filter(ctx context.Context, q rollout.LogQuery) (rollout.LogPage, error) {
	return f(ctx, q)
}

func (filterFunc) Tail(context.Context, string, string, int) ([]rollout.LogEvent, error) {
	return nil, nil
}
