package trail_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"

	"github.com/slipway-dev/slipway/platform/kit/contract"
	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/rollout"
	"github.com/slipway-dev/slipway/platform/kit/rollout/trail"
)

var start = time.Date(2026, 3, 4, 10, 0, 0, 0, time.UTC)

// autoClock is a clock that moves on by itself when somebody waits.
type autoClock struct{ *clockwork.FakeClock }

func (c autoClock) After(d time.Duration) <-chan time.Time {
	c.Advance(d)
	fired := make(chan time.Time, 1)
	fired <- c.Now()
	return fired
}

type contracts struct{}

func (contracts) Contract(context.Context, string, string) (contract.Contract, error) {
	return contract.Contract{Cluster: "slipway-local", ECSService: "catalog", Container: "catalog", LogGroup: "/slipway/local/catalog"}, nil
}

// reader reads logs, and deployments of ecs.
func reader(t *testing.T, ecs rollout.ECS, logs rollout.Logs) *trail.Reader {
	t.Helper()
	r, err := trail.New(trail.Config{
		Environment: "local", Local: true, ECS: ecs, Contracts: contracts{}, Logs: logs,
		Clock: autoClock{clockwork.NewFakeClockAt(start)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

type filterFunc func(context.Context, rollout.LogQuery) (rollout.LogPage, error)

func (f filterFunc) Filter(ctx context.Context, q rollout.LogQuery) (rollout.LogPage, error) {
	return f(ctx, q)
}

func (filterFunc) Tail(context.Context, string, string, int) ([]rollout.LogEvent, error) {
	return nil, nil
}

// paged answers with two lines at a time.
func paged(all []rollout.LogEvent) filterFunc {
	return func(_ context.Context, q rollout.LogQuery) (rollout.LogPage, error) {
		var found []rollout.LogEvent
		for _, e := range all {
			if !e.At.Before(q.From) {
				found = append(found, e)
			}
		}
		from := 0
		fmt.Sscan(q.Token, &from)
		page := rollout.LogPage{Events: found[from:min(len(found), from+2)]}
		if from+2 < len(found) {
			page.Token = fmt.Sprint(from + 2)
		}
		return page, nil
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
	var all []rollout.LogEvent
	for i := range 5 {
		all = append(all, rollout.LogEvent{ID: fmt.Sprint(i), At: start.Add(time.Duration(i-2) * 6 * time.Minute), Message: fmt.Sprint("m", i)})
	}
	var got event.Recorder
	if err := reader(t, noECS{}, paged(all)).Logs(t.Context(), "catalog", trail.LogsOptions{}, &got); err != nil {
		t.Fatal(err)
	}
	if want := "m1 m2 m3 m4"; lines(got.Events()) != want {
		t.Errorf("lines %q; want %q: ten minutes back, over two pages", lines(got.Events()), want)
	}
}

// TestLogsOfNobody says that there are none, and where there may be some.
func TestLogsOfNobody(t *testing.T) {
	t.Parallel()
	var got event.Recorder
	if err := reader(t, noECS{}, paged(nil)).Logs(t.Context(), "catalog", trail.LogsOptions{}, &got); err != nil {
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
	if err := reader(t, noECS{}, logs).Logs(ctx, "catalog", trail.LogsOptions{Follow: true}, &got); err != nil {
		t.Fatal(err)
	}
	if want := "second late"; lines(got.Events()) != want {
		t.Errorf("lines %q; want %q", lines(got.Events()), want)
	}
}

// noECS is asked for nothing.
type noECS struct{ rollout.ECS }
