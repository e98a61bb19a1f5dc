package fleet_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"go.uber.org/goleak"

	"github.com/slipway-dev/slipway/platform/kit/fleet"
	"github.com/slipway-dev/slipway/platform/kit/manifest"
)

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
	err := fleet.Run(t.Context(), work, work.ServiceNames(), fleet.Work{
		Prepare: func(_ context.Context, name string) error { prepared = append(prepared, name); return nil },
		Do: func(_ context.Context, name string) error {
			if name == "catalog" || name == "inventory" {
				both.Done()
				both.Wait()
			}
			mu.Lock()
			defer mu.Unlock()
			done = append(done, name)
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(prepared, " "); got != "catalog inventory orders audit" {
		t.Errorf("prepared in the order %s", got)
	}
	if len(done) != 4 || done[2] != "orders" || done[3] != "audit" {
		t.Errorf("done in the order %v", done)
	}
}

func TestAFailureStopsWhatHasNotBegun(t *testing.T) {
	work := workspace(t, shop)
	broken := errors.New("broken")
	for name, fail := range map[string]string{"while it is done": "do", "while it is prepared": "prepare"} {
		var mu sync.Mutex
		var done []string
		ended := make(chan struct{})
		err := fleet.Run(t.Context(), work, work.ServiceNames(), fleet.Work{
			Prepare: func(_ context.Context, name string) error {
				if name == "orders" && fail == "prepare" {
					<-ended
					return broken
				}
				return nil
			},
			Do: func(_ context.Context, name string) error {
				mu.Lock()
				defer mu.Unlock()
				done = append(done, name)
				if len(done) == 2 {
					close(ended)
				}
				if name == "inventory" && fail == "do" {
					return broken
				}
				return nil
			},
		})
		if !errors.Is(err, broken) || slices.Contains(done, "orders") || slices.Contains(done, "audit") {
			t.Errorf("%s: %v, done %v; want neither orders nor audit", name, err, done)
		}
	}
}

func TestAnEndedContextBeginsNothing(t *testing.T) {
	work := workspace(t, shop)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := fleet.Run(ctx, work, work.ServiceNames(), fleet.Work{Do: func(context.Context, string) error {
		t.Error("something was done")
		return nil
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
