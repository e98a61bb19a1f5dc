package fleet_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/goleak"

	"github.com/slipway-dev/slipway/platform/kit/event"
	"github.com/slipway-dev/slipway/platform/kit/fleet"
	"github.com/slipway-dev/slipway/platform/kit/manifest"
)

var update = flag.Bool("update", false, "rewrite golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// workspace has services by name with those they call.
func workspace(t *testing.T, calls map[string]string) *manifest.Workspace {
	t.Helper()
	files := fstest.MapFS{}
	for name, callees := range calls {
		files["services/"+name+"/service.yaml"] = &fstest.MapFile{
			Data: []byte("name: " + name + "\ngrpc: {service: slipway." + name + ".v1.Service}\ncalls: [" + callees + "]\n"),
		}
	}
	work, err := manifest.LoadFS(files)
	if err != nil {
		t.Fatal(err)
	}
	return work
}

var shop = map[string]string{"orders": "catalog, inventory", "catalog": "", "inventory": "", "audit": "orders"}

func TestOrder(t *testing.T) {
	for name, tc := range map[string]struct {
		calls map[string]string
		names string
		want  string
	}{
		"callees first":      {shop, "audit catalog inventory orders", "catalog inventory orders audit"},
		"some of them":       {shop, "orders audit", "orders audit"},
		"through one absent": {shop, "audit catalog", "audit catalog"},
		"a circle":           {map[string]string{"a": "b", "b": "c", "c": "a"}, "a b c", "c b a"},
	} {
		if got := strings.Join(fleet.Order(workspace(t, tc.calls), strings.Fields(tc.names)), " "); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
}

// TestWhatIsIndependentGoesAtOnce: catalog and inventory wait for one another
// here, which orders then finds done.
func TestWhatIsIndependentGoesAtOnce(t *testing.T) {
	work := workspace(t, shop)
	var mu sync.Mutex
	var prepared, done []string
	var both sync.WaitGroup
	both.Add(2)
	report := fleet.Run(t.Context(), work, work.ServiceNames(), fleet.Work{
		Prepare: func(_ context.Context, name string) error { prepared = append(prepared, name); return nil },
		Do: func(_ context.Context, name string) (event.Verdict, error) {
			if name == "catalog" || name == "inventory" {
				both.Done()
				both.Wait()
			}
			mu.Lock()
			defer mu.Unlock()
			done = append(done, name)
			return completed(name), nil
		},
	})
	if err := report.Err(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(prepared, " "); got != "catalog inventory orders audit" {
		t.Errorf("prepared in the order %s", got)
	}
	if len(done) != 4 || done[2] != "orders" || done[3] != "audit" {
		t.Errorf("done in the order %v", done)
	}
}

func completed(service string) event.Verdict {
	return event.Verdict{Outcome: event.Completed, Service: service, Env: "local", Release: "v2", Deployment: "dep-" + service, Duration: event.Duration(1500 * time.Millisecond)}
}

// TestWhatFailsStopsWhatHasNotBegun: whatever fails, and however, what is under
// way goes on to its end, nothing else begins, and the report tells all of it.
func TestWhatFailsStopsWhatHasNotBegun(t *testing.T) {
	t.Parallel()
	work := workspace(t, map[string]string{"orders": "catalog, inventory", "catalog": "", "inventory": "", "audit": "orders"})
	bad := func(outcome event.Outcome) func(string) (event.Verdict, error) {
		return func(name string) (event.Verdict, error) {
			return event.Verdict{Outcome: outcome, Service: name, Env: "local", Release: "v2", Summary: "release v2 of " + name + " did not work"}, nil
		}
	}
	refused := func(string) (event.Verdict, error) {
		return event.Verdict{}, errors.New("verify: 2 checks failed\n  - image\n  - secret")
	}
	for name, tc := range map[string]struct {
		prepare string // that cannot be prepared
		do      map[string]func(string) (event.Verdict, error)
		reverse bool
		code    int
	}{
		"all-goes-well":       {},
		"a-callee-fails":      {do: map[string]func(string) (event.Verdict, error){"catalog": bad(event.RolledBack)}, code: 3},
		"two-fail":            {do: map[string]func(string) (event.Verdict, error){"catalog": bad(event.TimedOut), "inventory": bad(event.RolledBack)}, code: 3},
		"a-check-refuses":     {do: map[string]func(string) (event.Verdict, error){"inventory": refused}, code: 1},
		"a-build-fails":       {prepare: "orders", code: 1},
		"superseded":          {do: map[string]func(string) (event.Verdict, error){"orders": bad(event.Superseded)}, code: 4},
		"in-reverse":          {do: map[string]func(string) (event.Verdict, error){"orders": bad(event.Failed)}, reverse: true, code: 1},
		"interrupted-watcher": {do: map[string]func(string) (event.Verdict, error){"orders": bad(event.Interrupted)}, code: 130},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			begun := map[string]bool{}
			first := make(chan struct{}) // catalog and inventory are both under way
			report := fleet.Run(t.Context(), work, work.ServiceNames(), fleet.Work{
				Reverse: tc.reverse,
				Prepare: func(_ context.Context, name string) error {
					if name == tc.prepare {
						<-first
						return errors.New("build " + name + ": undefined: x")
					}
					return nil
				},
				Do: func(_ context.Context, name string) (event.Verdict, error) {
					mu.Lock()
					begun[name] = true
					if !tc.reverse && begun["catalog"] && begun["inventory"] && len(begun) == 2 {
						close(first)
					}
					mu.Unlock()
					if !tc.reverse && (name == "catalog" || name == "inventory") {
						<-first
					}
					if end := tc.do[name]; end != nil {
						return end(name)
					}
					return completed(name), nil
				},
			})
			for _, row := range report {
				if row.Service != tc.prepare && begun[row.Service] == (row.Outcome == fleet.NotBegun) {
					t.Errorf("%s was begun: %t; the report says %s", row.Service, begun[row.Service], row.Outcome)
				}
			}
			data, err := json.MarshalIndent(report, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			text := fmt.Sprintf("%s\n%s\n", report, data)
			code := 0
			if err := report.Err(); err != nil {
				var coded interface{ ExitCode() int }
				if !errors.As(err, &coded) {
					t.Fatalf("%v has no exit code", err)
				}
				code = coded.ExitCode()
				text += fmt.Sprintf("\nerror: %v\n", err)
			}
			if code != tc.code {
				t.Errorf("exit code %d, want %d", code, tc.code)
			}
			golden(t, name, text)
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run go test -update)", err)
	}
	if string(want) != got {
		t.Errorf("%s differs\n got:\n%s\nwant:\n%s", path, got, want)
	}
}

func TestAnEndedContextBeginsNothing(t *testing.T) {
	work := workspace(t, shop)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	report := fleet.Run(ctx, work, work.ServiceNames(), fleet.Work{Do: func(context.Context, string) (event.Verdict, error) {
		t.Error("something was done")
		return event.Verdict{}, nil
	}})
	if err := report.Err(); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if report[0].Why != "interrupted before its turn" {
		t.Errorf("the report says %q", report[0].Why)
	}
}

// TestAnInterruptTellsWhatGoesOn: the rollout under way is said to go on, what was cut off while it was
// prepared to have been cut off, and what waited not to have begun.
func TestAnInterruptTellsWhatGoesOn(t *testing.T) {
	work := workspace(t, shop)
	ctx, cancel := context.WithCancel(t.Context())
	report := fleet.Run(ctx, work, work.ServiceNames(), fleet.Work{
		Prepare: func(ctx context.Context, name string) error {
			if name != "orders" {
				return nil
			}
			<-ctx.Done()
			return fmt.Errorf("build orders: %w", ctx.Err())
		},
		Do: func(ctx context.Context, name string) (event.Verdict, error) {
			if name == "catalog" {
				return completed(name), nil
			}
			cancel()
			<-ctx.Done()
			return event.Verdict{Outcome: event.Interrupted, Service: name, Env: "local", Summary: "stopped watching; the rollout goes on by itself"}, nil
		},
	})
	got := map[string]event.Outcome{}
	for _, row := range report {
		got[row.Service] = row.Outcome
	}
	want := map[string]event.Outcome{"inventory": event.Interrupted, "orders": event.Interrupted, "audit": fleet.NotBegun}
	for name, outcome := range want {
		if got[name] != outcome {
			t.Errorf("%s: %s, want %s\n%s", name, got[name], outcome, report)
		}
	}
	var coded interface{ ExitCode() int }
	if err := report.Err(); !errors.As(err, &coded) || coded.ExitCode() != 130 {
		t.Errorf("ended with %v", err)
	}
}
