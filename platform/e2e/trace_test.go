//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// span is one span as `traces --json` has it.
type span struct {
	ID      string `json:"id"`
	Parent  string `json:"parent"`
	Service string `json:"service"`
	Name    string `json:"name"`
	Kind    string `json:"kind"`
}

// oneTrace places an order with a load balancer's header and reads its trace
// back: gateway, services, SQL and job.
func (s *shop) oneTrace(t *testing.T) {
	id := fmt.Sprintf("%08x%016x%08x", time.Now().Unix(), rand.Uint64(), rand.Uint32())
	a, err := s.send("POST", "/v1/orders", map[string]any{
		"customer": "customers/tracy", "lines": []map[string]any{{"product": s.products[3], "quantity": 1}},
	}, map[string]string{"Idempotency-Key": "traced", "X-Amzn-Trace-Id": "Root=1-" + id[:8] + "-" + id[8:]})
	if err != nil || a.Status != http.StatusOK {
		t.Fatalf("place: %v, %s", err, a.Raw)
	}
	var spans []span
	eventually(t, 30*time.Second, "the trace is whole", func() error {
		r := s.mage(t, "traces", "local", id, "--json")
		if r.Code != 0 {
			return fmt.Errorf("traces: exit %d: %s%s", r.Code, r.Stdout, r.Stderr)
		}
		spans = readSpans(t, r.Stdout)
		return lacks(spans)
	})
	if shown := s.mustMage(t, "traces", "local", id).Stdout; !strings.Contains(shown, "orders") || !strings.Contains(shown, "ms") {
		t.Errorf("the waterfall is\n%s", shown)
	}
	wantIn(t, "the list of traces", s.mustMage(t, "traces", "local").Stdout, id[:8])
	for _, sp := range spans {
		if strings.Contains(sp.Name, "health") || strings.Contains(strings.ToLower(sp.Name), "ping") {
			t.Errorf("a check is traced: %+v", sp)
		}
	}
}

// lacks says what an order's trace still has to show.
func lacks(spans []span) error {
	has := func(what string, match func(span) bool) error {
		if slices.ContainsFunc(spans, match) {
			return nil
		}
		return fmt.Errorf("no %s among %d spans: %+v", what, len(spans), spans)
	}
	for _, service := range []string{"gateway", "orders", "catalog", "inventory"} {
		if err := has("span of "+service, func(s span) bool { return s.Service == service }); err != nil {
			return err
		}
	}
	if err := has("SQL", func(s span) bool {
		return s.Service == "orders" && strings.EqualFold(s.Kind, "client") && (strings.Contains(strings.ToLower(s.Name), "insert") || strings.Contains(strings.ToLower(s.Name), "query") || strings.Contains(strings.ToLower(s.Name), "select"))
	}); err != nil {
		return err
	}
	return has("job", func(s span) bool { return s.Service == "orders" && strings.Contains(s.Name, "job") })
}

// readSpans finds the trace among the events.
func readSpans(t *testing.T, out string) []span {
	t.Helper()
	for line := range strings.SplitSeq(strings.TrimSpace(out), "\n") {
		var event struct {
			Data struct {
				Data struct {
					Spans []span `json:"spans"`
				} `json:"data"`
			} `json:"data"`
		}
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatalf("traces --json: %v: %s", err, line)
		}
		if spans := event.Data.Data.Spans; len(spans) > 0 {
			return spans
		}
	}
	return nil
}
