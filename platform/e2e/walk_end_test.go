//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

func (w *walk) rollback(t *testing.T) {
	w.mark(t, "third")
	w.mustMage(t, "deploy", "local", "catalog")
	third := w.release(t)
	r := w.mustMage(t, "rollback", "local", "catalog")
	wantIn(t, "the verdict", r.Stdout+r.Stderr, "completed")
	if now := w.release(t); now == third || now == "" {
		t.Errorf("after a rollback from %s the service runs %s", third, now)
	}
	w.checkout.rest(t, http.StatusOK, "GET", "/v1/"+w.product, nil)
}

// release returns what `status --json` says that catalog runs.
func (w *walk) release(t *testing.T) string {
	t.Helper()
	out := w.mustMage(t, "status", "local", "--json").Stdout
	for line := range strings.SplitSeq(strings.TrimSpace(out), "\n") {
		var event struct {
			Type string `json:"type"`
			Data struct {
				Kind string `json:"kind"`
				Data struct {
					Services []struct {
						Service string `json:"service"`
						Release string `json:"release"`
					} `json:"services"`
				} `json:"data"`
			} `json:"data"`
		}
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatalf("status --json: %v: %s", err, line)
		}
		for _, s := range event.Data.Data.Services {
			if s.Service == "catalog" {
				return s.Release
			}
		}
	}
	t.Fatalf("status --json does not tell of catalog:\n%s", out)
	return ""
}

func (w *walk) logs(t *testing.T) {
	r := w.mustMage(t, "logs", "local", "catalog", "--since=1h")
	wantIn(t, "the logs", r.Stdout, "mark second", `"level"`)
	none := w.mustMage(t, "logs", "local", "catalog", "--since=1h", "--filter=nobody-logs-this")
	if strings.TrimSpace(none.Stdout) != "" {
		t.Errorf("a filter that matches nothing printed:\n%s", none.Stdout)
	}
}

func (w *walk) status(t *testing.T) {
	r := w.mustMage(t, "status", "local")
	wantIn(t, "status", r.Stdout, "catalog", "2", fmt.Sprintf("http://127.0.0.1:%d", w.Gateway))
	wrong := w.mage(t, "status", "nowhere")
	if wrong.Code != 2 {
		t.Errorf("status of an environment that does not exist: exit %d, want 2", wrong.Code)
	}
	wantIn(t, "the error", wrong.Stderr, "nowhere", "local", "next:")
}

func (w *walk) downUp(t *testing.T) {
	before := w.release(t)
	down := w.mustMage(t, "down")
	t.Logf("down took %.1fs", down.Took.Seconds())
	w.wantNothing(t)
	w.mustMage(t, "down") // a second one has nothing to do and says so
	w.write(t, handler, "package rpc\n")
	if err := os.Remove(w.path(handler)); err != nil {
		t.Fatal(err)
	}
	up := w.mustMage(t, "up")
	t.Logf("warm up took %.1fs", up.Took.Seconds())
	if got := w.checkout.rest(t, http.StatusOK, "GET", "/v1/"+w.product, nil); got.text("title") != "Enamel mug, blue" {
		t.Errorf("after down and up: %s", got.Raw)
	}
	if before == "" {
		t.Error("no release before down")
	}
	eventually(t, 15*time.Second, "both tasks run", func() error {
		if n := len(w.tasks(t)); n != 2 {
			return fmt.Errorf("%d tasks", n)
		}
		return nil
	})
}
