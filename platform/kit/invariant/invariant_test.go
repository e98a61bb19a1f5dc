package invariant_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jonboulle/clockwork"
	"go.uber.org/goleak"

	"github.com/slipway-dev/slipway/platform/kit/contract"
	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/invariant"
	"github.com/slipway-dev/slipway/platform/kit/rollout"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cluster is an ECS with one service, whose check ends as a test says.
type cluster struct {
	mu        sync.Mutex
	migration bool
	parts     []rollout.Part
	code      *int // of the check; nil: it never runs
	lines     []string
	late      int // readings of the log that find nothing yet
	ran       rollout.Run
	polls     int
}

func (c *cluster) Contract(_ context.Context, environment, service string) (contract.Contract, error) {
	shell := contract.Contract{
		Environment: environment, Service: service, Cluster: "slipway-test", ECSService: service, Container: service, LogGroup: "/slipway/test/" + service,
		Network: &contract.Network{Subnets: []string{"subnet-1"}},
	}
	if c.migration {
		shell.Migration = &contract.Migration{Command: []string{"migrate"}}
	}
	return shell, nil
}

func (c *cluster) Service(context.Context, string, string) (rollout.Service, error) {
	return rollout.Service{Parts: c.parts}, nil
}

func (c *cluster) TaskDefinition(_ context.Context, name string) (rollout.TaskDefinition, error) {
	return rollout.TaskDefinition{
		ARN: name, Tags: map[string]string{contract.TagRelease: "v-" + name},
		Containers: []rollout.ContainerDefinition{{Name: "orders", LogPrefix: "prefix"}},
	}, nil
}

func (c *cluster) Run(_ context.Context, r rollout.Run) (rollout.Task, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ran = r
	return rollout.Task{ARN: "arn:task/t1", ID: "t1", Status: "PROVISIONING"}, nil
}

func (c *cluster) Task(context.Context, string, string) (rollout.Task, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	task := rollout.Task{ARN: "arn:task/t1", ID: "t1", Status: "RUNNING", StoppedReason: "CannotPullContainerError: gone"}
	if c.polls++; c.polls > 1 {
		task.Status = "STOPPED"
		task.Containers = []rollout.Container{{Name: "agent", ExitCode: new(int)}, {Name: "orders", ExitCode: c.code}}
	}
	return task, nil
}

func (c *cluster) Tail(_ context.Context, group, stream string, _ int) ([]rollout.LogEvent, error) {
	if group != "/slipway/test/orders" || stream != "prefix/orders/t1" {
		return nil, fmt.Errorf("there is no stream %s in %s", stream, group)
	}
	if c.late--; c.late >= 0 {
		return nil, nil
	}
	var out []rollout.LogEvent
	for _, l := range c.lines {
		out = append(out, rollout.LogEvent{Message: l})
	}
	return out, nil
}

const (
	good   = `{"invariant":"stock is never negative","holds":true}`
	broken = `{"invariant":"totals add up","holds":false,"doc":"see pricing","rows":[{"id":"o1"},{"id":"o2"}],"more":true}`
)

func check(t *testing.T, c *cluster) (invariant.Report, error) {
	t.Helper()
	checker, err := invariant.New(invariant.Config{Environment: "test", Contracts: c, ECS: c, Logs: c, Local: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	return checker.Check(ctx, "orders", event.NewEmitter(event.Discard(), clockwork.NewRealClock()))
}

var primary = []rollout.Part{{Status: "ACTIVE", TaskDefinition: "old", Running: 2}, {Status: "PRIMARY", TaskDefinition: "new", Running: 1}}

func TestCheck(t *testing.T) {
	for name, tc := range map[string]struct {
		cluster *cluster
		want    string // the text, or the error
		next    string
	}{
		"all hold":         {&cluster{migration: true, parts: primary, code: new(0), lines: []string{good, "noise"}}, "orders  ok  stock is never negative\n", ""},
		"told late":        {&cluster{migration: true, parts: primary, code: new(0), lines: []string{good}, late: 3}, "orders  ok  stock is never negative\n", ""},
		"one is broken":    {&cluster{migration: true, parts: primary, code: new(1), lines: []string{good, broken, "orders: check invariants: 1 of 2 do not hold"}}, "orders  ok      stock is never negative\norders  broken  totals add up (more than 2 rows)\n    see pricing\n    {\"id\":\"o1\"}\n    {\"id\":\"o2\"}\n", ""},
		"no database":      {&cluster{}, "orders  -  it has no database\n", ""},
		"states none":      {&cluster{migration: true, parts: primary, code: new(0)}, "orders  -  it states no invariant\n", ""},
		"database is down": {&cluster{migration: true, parts: primary, code: new(1), lines: []string{"orders: check invariants: connect to database"}}, "check the invariants of orders in test: task t1 exited with code 1: orders: check invariants: connect to database", "go tool mage logs test orders"},
		"release is older": {&cluster{migration: true, parts: primary, code: new(2), lines: []string{`orders: there is no command "check"`, "usage: orders [command]"}}, "release v-new does not know the command check", "go tool mage deploy test orders"},
		"nothing runs":     {&cluster{migration: true, parts: []rollout.Part{{Status: "PRIMARY", TaskDefinition: "bootstrap"}}}, "no release of it runs there", "go tool mage deploy test orders"},
		"never started":    {&cluster{migration: true, parts: primary}, "task t1 did not run: CannotPullContainerError: gone", "go tool mage logs test orders"},
	} {
		t.Run(name, func(t *testing.T) {
			report, err := check(t, tc.cluster)
			if err != nil {
				if !strings.Contains(err.Error(), tc.want) || event.Next(err) != tc.next {
					t.Fatalf("error %v, next %q; want %q, %q", err, event.Next(err), tc.want, tc.next)
				}
				return
			}
			if diff := cmp.Diff(tc.want, invariant.Text([]invariant.Report{report})); diff != "" {
				t.Errorf("text (-want +got):\n%s", diff)
			}
			failed := invariant.Broken("test", []invariant.Report{report})
			var is *invariant.BrokenError
			if errors.As(failed, &is) != strings.Contains(tc.want, "broken") {
				t.Errorf("Broken = %v", failed)
			}
		})
	}
}

// TestTheRunningReleaseIsAsked: the one aimed at, with the service's network.
func TestTheRunningReleaseIsAsked(t *testing.T) {
	c := &cluster{migration: true, parts: primary, code: new(0), lines: []string{good}}
	if _, err := check(t, c); err != nil {
		t.Fatal(err)
	}
	want := rollout.Run{
		Cluster: "slipway-test", TaskDefinition: "new", StartedBy: "slipway/check", Container: "orders", Command: []string{"check"},
		Network: &contract.Network{Subnets: []string{"subnet-1"}},
		Tags:    map[string]string{contract.TagService: "orders", contract.TagEnvironment: "test", contract.TagRelease: "v-new"},
	}
	if diff := cmp.Diff(want, c.ran); diff != "" {
		t.Errorf("run (-want +got):\n%s", diff)
	}
	c = &cluster{migration: true, parts: []rollout.Part{{Status: "PRIMARY", TaskDefinition: "new"}, {Status: "ACTIVE", TaskDefinition: "old", Running: 2}}, code: new(0), lines: []string{good}}
	if _, err := check(t, c); err != nil || c.ran.TaskDefinition != "old" {
		t.Errorf("while the new one has no task, %q is asked, %v", c.ran.TaskDefinition, err)
	}
}
