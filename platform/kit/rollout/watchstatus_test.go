package rollout_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/rollout"
	"github.com/slipway-dev/slipway/platform/kit/rollout/check"
)

// TestWatchStatus follows a canary through a time in which nothing can be read;
// it tells of changes alone, and ends with its context.
func TestWatchStatus(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.ran(t, 1)
	canaries(f)
	d := f.deployer(t)
	plan, err := d.Plan(t.Context(), "catalog", rollout.Release(release(2)), rollout.Options{})
	if err != nil {
		t.Fatal(err)
	}
	td, err := f.Register(t.Context(), plan.Definition)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	looks := 0
	f.next = shifting
	statuses := &watchedECS{fakeAWS: f, look: func() {
		looks++
		switch looks {
		case 3:
			if _, err := f.Update(t.Context(), rollout.Update{TaskDefinition: td.ARN}); err != nil {
				t.Error(err)
			}
		case 6, 7:
			f.broken["Service"] = errors.New("connection refused")
		case 8:
			delete(f.broken, "Service")
		case 16:
			cancel()
		}
	}}
	watcher, err := rollout.New(rollout.Config{Environment: "local", Local: true, ECS: statuses, Images: f, Secrets: f, Contracts: f, Logs: f, Alarms: f, Clock: f.clock})
	if err != nil {
		t.Fatal(err)
	}
	var got event.Recorder
	if err := watcher.WatchStatus(ctx, []string{"catalog"}, &got); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, e := range got.Events() {
		r, ok := e.Data.(event.Result)
		if !ok || !r.Replaces || r.Kind != "status" {
			t.Fatalf("event %+v", e.Data)
		}
		text.WriteString(e.Time.Format("15:04:05.0") + "\n" + r.Text + "\n")
	}
	golden(t, "watched", text.String())
}

// watchedECS counts the looks at a service.
type watchedECS struct {
	*fakeAWS
	look func()
}

func (w *watchedECS) Service(ctx context.Context, cluster, service string) (rollout.Service, error) {
	w.look()
	return w.fakeAWS.Service(ctx, cluster, service)
}

// balancer has as many healthy targets in each group.
type balancer map[string]int

func (b balancer) TargetGroups(_ context.Context, arns []string) ([]check.TargetGroup, error) {
	var list []check.TargetGroup
	for _, arn := range arns {
		if n, ok := b[arn]; ok {
			list = append(list, check.TargetGroup{ARN: arn, Targets: 2, Healthy: n})
		}
	}
	return list, nil
}

func (b balancer) Rules(context.Context, []string) (map[string][]string, error) { return nil, nil }

// TestHealthyIsObserved: a task that runs is healthy when every target group
// says so.
func TestHealthyIsObserved(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.ran(t, 1)
	f.service.Balancers = []check.Balancer{{Group: "http", Alternate: "http-2"}, {Group: "grpc"}}
	for name, tc := range map[string]struct {
		groups balancer
		want   int
	}{
		"all":          {balancer{"http": 2, "grpc": 2}, 2},
		"on two sides": {balancer{"http": 1, "http-2": 1, "grpc": 2}, 2},
		"one port not": {balancer{"http": 2, "grpc": 0}, 0},
	} {
		d, err := rollout.New(rollout.Config{Environment: "local", Local: true, ECS: f, Images: f, Secrets: f, Contracts: f, Logs: f, Traffic: tc.groups, Clock: f.clock})
		if err != nil {
			t.Fatal(err)
		}
		status, err := d.Status(t.Context(), []string{"catalog"})
		if err != nil || status.Services[0].Healthy != tc.want || status.Services[0].Running != 2 {
			t.Errorf("%s: %+v, %v", name, status.Services[0], err)
		}
	}
}

// promises is evidence of a kind.
type promises []rollout.Check

func (p promises) Examine(context.Context, rollout.EvidenceQuery) []rollout.Check { return p }

// TestVerifyTree tells all there is at once, by groups.
func TestVerifyTree(t *testing.T) {
	t.Parallel()
	examine := func(change func(*fakeAWS, *rollout.Config)) event.Checks {
		f := newFake(t)
		f.ran(t, 2)
		canaries(f)
		migrates(0)(f)
		f.service.Balancers = []check.Balancer{{Group: "tg/http/1", Alternate: "tg/http-2/2", Rule: "rule"}}
		cfg := rollout.Config{
			Environment: "local", Local: true, ECS: f, Images: f, Secrets: f, Contracts: f, Logs: f, Alarms: f, Clock: f.clock,
			Traffic: balancer{"tg/http/1": 2, "tg/http-2/2": 0}, Scale: func(string) (int, int, bool) { return 2, 4, true },
			Evidence: []rollout.Evidence{
				promises{{Name: "signature", OK: true, Detail: "key local"}, {Name: "provenance", Detail: "it was built of another commit", Next: "go tool mage sign local catalog"}},
				promises{{Name: "vulnerabilities", Skipped: true, Detail: "there is no database"}},
			},
		}
		change(f, &cfg)
		d, err := rollout.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		checks, err := d.Examine(t.Context(), "catalog", rollout.Release(release(3)), rollout.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return checks
	}
	trees := map[string]event.Checks{
		"some": examine(func(f *fakeAWS, _ *rollout.Config) {
			f.alarms[errorsAlarm] = "Threshold Crossed"
			f.contract.Endpoints = []string{"ecr.api", "logs"}
		}),
		"no-image":    examine(func(f *fakeAWS, _ *rollout.Config) { delete(f.platforms, digest(3)) }),
		"no-contract": examine(func(f *fakeAWS, _ *rollout.Config) { f.broken["Contract"] = errors.New("access denied") }),
		"silent": examine(func(f *fakeAWS, cfg *rollout.Config) {
			cfg.Secrets, cfg.CheckTimeout = silent{}, 10*time.Millisecond
			f.service.Desired = 7
		}),
	}
	for name, checks := range trees {
		checks.Duration = 0
		data, err := json.MarshalIndent(checks, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "verify/"+name, checks.String()+"\n"+string(data)+"\n")
		if checks.Failed == 0 {
			t.Errorf("%s: nothing failed", name)
		}
	}
}

// silent never answers.
type silent struct{}

func (silent) Check(ctx context.Context, _ string) error {
	<-ctx.Done()
	return ctx.Err()
}
