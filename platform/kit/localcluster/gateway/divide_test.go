package gateway

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestDivideMovesARulesRequests(t *testing.T) {
	g, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	for _, arn := range []string{"blue", "green"} {
		if err := g.PutTargetGroup(TargetGroup{ARN: arn, Name: arn, Protocol: HTTP, HealthCheck: HealthCheck{Path: "/"}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.PutRule(Rule{ID: "r", Priority: 1, Forward: []WeightedGroup{{TargetGroupARN: "blue", Weight: 100}}}); err != nil {
		t.Fatal(err)
	}
	for _, percent := range []float64{0, 0.1, 10, 50, 100} {
		if err := g.Divide("r", map[string]float64{"blue": 100 - percent, "green": percent}); err != nil {
			t.Fatal(err)
		}
		green := 0
		const n = 10_000
		for range n {
			if g.route(httptest.NewRequest(http.MethodGet, "/", http.NoBody)).choose().cfg.ARN == "green" {
				green++
			}
		}
		if got := 100 * float64(green) / n; got < percent-0.15 || got > percent+0.15 {
			t.Errorf("%g percent of the requests went to green, want %g", got, percent)
		}
	}
	if err := g.Divide("other", nil); !errors.Is(err, ErrNoRule) {
		t.Errorf("dividing a rule that is not there: %v", err)
	}
	if err := g.Divide("r", map[string]float64{"nowhere": 100}); !errors.Is(err, ErrNotFound) {
		t.Errorf("dividing to a group that is not there: %v", err)
	}
}
