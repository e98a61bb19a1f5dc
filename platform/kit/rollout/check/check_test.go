package check_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/rollout/check"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type nextError struct{ error }

func (nextError) Next() string { return "look closer" }

func TestRun(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		examine func(context.Context) check.Finding
		want    event.Check
	}{
		"ok":      {give(check.Finding{Detail: "2 tasks", Next: "unused"}), event.Check{OK: true, Detail: "2 tasks"}},
		"failed":  {give(check.Finding{Err: errors.New("gone"), Next: "mend it"}), event.Check{Detail: "gone", Next: "mend it"}},
		"advised": {give(check.Finding{Err: nextError{errors.New("gone")}, Next: "mend it"}), event.Check{Detail: "gone", Next: "look closer"}},
		"skipped": {give(check.Finding{Skip: "no need", Next: "try"}), event.Check{Skipped: true, Detail: "no need", Next: "try"}},
		"late": {func(ctx context.Context) check.Finding {
			<-ctx.Done()
			return check.Finding{Err: ctx.Err()}
		}, event.Check{Detail: "no answer within 10ms", Next: "ask again"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			limit := time.Minute
			if name == "late" {
				limit = 10 * time.Millisecond
			}
			tc.want.Group, tc.want.Name = "g", "n"
			got := check.Runner{Limit: limit, Next: "ask again"}.Run(t.Context(), "g", "n", tc.examine)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func give(f check.Finding) func(context.Context) check.Finding {
	return func(context.Context) check.Finding { return f }
}

// TestStubborn leaves a check behind that heeds nothing.
func TestStubborn(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	defer close(release)
	c := check.Runner{Limit: time.Millisecond}.Run(t.Context(), "g", "n", func(context.Context) check.Finding {
		<-release
		return check.Finding{}
	})
	if !c.Failed() {
		t.Errorf("check %+v", c)
	}
}

func TestInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := check.Runner{Limit: time.Minute, Next: "ask again"}.Run(ctx, "g", "n", give(check.Finding{}))
	if c.Detail != "interrupted" || c.OK || c.Next != "" {
		t.Errorf("check %+v", c)
	}
}

// TestTogether carries checks out at once: each waits for the other.
func TestTogether(t *testing.T) {
	t.Parallel()
	left, right := make(chan struct{}), make(chan struct{})
	got := check.Together(
		func() []event.Check { close(left); <-right; return []event.Check{{Name: "a"}} },
		func() []event.Check { close(right); <-left; return []event.Check{{Name: "b"}, {Name: "c"}} },
	)
	if names := fmt.Sprint(got[0].Name, got[1].Name, got[2].Name); len(got) != 3 || names != "abc" {
		t.Errorf("checks %+v", got)
	}
}

// edge is a load balancer in memory.
type edge struct {
	groups map[string]check.TargetGroup
	rules  map[string][]string
	err    error
}

func (e edge) TargetGroups(_ context.Context, arns []string) (list []check.TargetGroup, err error) {
	for _, arn := range arns {
		if g, ok := e.groups[arn]; ok {
			g.ARN = arn
			list = append(list, g)
		}
	}
	return list, e.err
}

func (e edge) Rules(context.Context, []string) (map[string][]string, error) { return e.rules, e.err }

const (
	blue  = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/web-http/1"
	green = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/web-http-2/2"
	rule  = "arn:aws:elasticloadbalancing:us-east-1:000000000000:listener-rule/app/x/1/2/3"
)

// sane is an edge with which all is well.
func sane() edge {
	set := &check.TargetGroupSettings{HealthPath: "/healthz", Delay: 30 * time.Second}
	return edge{
		groups: map[string]check.TargetGroup{blue: {Targets: 2, Healthy: 2, Settings: set}, green: {Settings: set}},
		rules:  map[string][]string{rule: {blue, green}},
	}
}

func TestTraffic(t *testing.T) {
	t.Parallel()
	both := []check.Balancer{{Group: blue, Alternate: green, Rule: rule}}
	with := func(change func(*edge)) edge { e := sane(); change(&e); return e }
	settings := func(s check.TargetGroupSettings) edge {
		return with(func(e *edge) { e.groups[blue] = check.TargetGroup{Targets: 2, Healthy: 2, Settings: &s} })
	}
	for name, tc := range map[string]struct {
		reader    check.Reader
		balancers []check.Balancer
		strategy  string
		running   int
		failed    []string // details
		skipped   int
	}{
		"sane":             {reader: sane(), balancers: both, strategy: "CANARY", running: 2},
		"rolling":          {reader: sane(), balancers: both, strategy: "ROLLING", running: 2},
		"none":             {reader: sane(), strategy: "CANARY", skipped: 1},
		"unreadable here":  {balancers: both, strategy: "CANARY", skipped: 1},
		"no answer":        {reader: edge{err: errors.New("access denied")}, balancers: both, strategy: "CANARY", failed: []string{"access denied", "access denied"}},
		"group gone":       {reader: with(func(e *edge) { delete(e.groups, green) }), balancers: both, strategy: "LINEAR", running: 2, failed: []string{"it does not exist"}},
		"not for rolling":  {reader: with(func(e *edge) { delete(e.groups, green) }), balancers: both, strategy: "ROLLING", running: 2},
		"no health check":  {reader: settings(check.TargetGroupSettings{Delay: time.Second}), balancers: both, strategy: "ROLLING", running: 2, failed: []string{"it has no health check path, so that nothing tells a task that works from one that does not"}},
		"no drain":         {reader: settings(check.TargetGroupSettings{HealthPath: "/"}), balancers: both, strategy: "ROLLING", running: 2, failed: []string{"its deregistration delay is 0: requests under way fail whenever a task is replaced"}},
		"drain too long":   {reader: settings(check.TargetGroupSettings{HealthPath: "/", Delay: 5 * time.Minute}), balancers: both, strategy: "ROLLING", running: 2, failed: []string{"its deregistration delay is 5m0s, and the rollout is watched for 5m0s"}},
		"no second group":  {reader: sane(), balancers: []check.Balancer{{Group: blue}}, strategy: "BLUE_GREEN", running: 2, failed: []string{"the strategy blue_green needs a second target group and a production listener rule, and the service has none"}},
		"rule gone":        {reader: with(func(e *edge) { e.rules = nil }), balancers: both, strategy: "CANARY", running: 2, failed: []string{rule + " does not exist"}},
		"rule to one":      {reader: with(func(e *edge) { e.rules[rule] = []string{blue} }), balancers: both, strategy: "CANARY", running: 2, failed: []string{rule + " does not forward to both target groups"}},
		"test rule gone":   {reader: sane(), balancers: []check.Balancer{{Group: blue, Alternate: green, Rule: rule, TestRule: rule + "t"}}, strategy: "CANARY", running: 2, failed: []string{rule + "t does not exist"}},
		"nobody healthy":   {reader: with(func(e *edge) { e.groups[blue] = check.TargetGroup{Targets: 2} }), balancers: both, strategy: "ROLLING", running: 2, skipped: 1},
		"nobody there yet": {reader: with(func(e *edge) { e.groups[blue] = check.TargetGroup{} }), balancers: both, strategy: "ROLLING", skipped: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			list := check.Traffic{
				Runner: check.Runner{Limit: time.Minute}, Group: "traffic", Reader: tc.reader, Balancers: tc.balancers,
				Running: tc.running, Strategy: tc.strategy, Watched: 5 * time.Minute, Owner: "mend it",
			}.Examine(t.Context())
			var failed []string
			skipped := 0
			for _, c := range list {
				switch {
				case c.Failed():
					failed = append(failed, c.Detail)
					if c.Next != "mend it" {
						t.Errorf("%s: next %q", c.Name, c.Next)
					}
				case c.Skipped:
					skipped++
				}
			}
			if diff := cmp.Diff(tc.failed, failed); diff != "" || skipped != tc.skipped || len(list) == 0 {
				t.Errorf("%d skipped; failed (-want +got)\n%s\n%+v", skipped, diff, list)
			}
		})
	}
}
