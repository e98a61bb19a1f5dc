package gateway

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func pathRule(id string, priority int, change func(*Rule)) Rule {
	r := Rule{
		ID: id, Priority: priority, Conditions: []Condition{{Field: PathPattern, Values: []string{"/" + id}}},
		Forward: []WeightedGroup{{"blue", 100}, {"green", 0}},
	}
	if change != nil {
		change(&r)
	}
	return r
}

// divided is a gateway with two target groups and a store.
func divided(t *testing.T) (*Gateway, *memory) {
	t.Helper()
	kept := &memory{keys: map[string][]byte{}}
	g, err := New(Config{Store: kept})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	for _, arn := range []string{"blue", "green"} {
		if err := g.PutTargetGroup(TargetGroup{ARN: arn, Name: arn}); err != nil {
			t.Fatal(err)
		}
	}
	return g, kept
}

func TestDeclaredRulesKeepTheirWeights(t *testing.T) {
	g, kept := divided(t)
	follow := func(r *Rule) { r.Forward, r.Follow = nil, "a" }
	if err := g.DeclareRules([]Rule{pathRule("a", 1, nil), pathRule("b", 2, follow), pathRule("c", 3, nil)}); err != nil {
		t.Fatal(err)
	}
	if err := g.Divide("a", map[string]float64{"blue": 90, "green": 10}); err != nil {
		t.Fatal(err)
	}
	if err := g.Divide("b", map[string]float64{"blue": 90, "green": 10}); !errors.Is(err, ErrNoRule) {
		t.Errorf("a rule that follows another was divided: %v", err)
	}
	// The order changes, one goes, one comes.
	if err := g.DeclareRules([]Rule{pathRule("d", 1, nil), pathRule("b", 2, follow), pathRule("a", 3, nil)}); err != nil {
		t.Fatal(err)
	}
	moved := pathRule("a", 3, func(r *Rule) { r.Forward = []WeightedGroup{{"blue", 810}, {"green", 90}} })
	want := []Rule{pathRule("d", 1, nil), pathRule("b", 2, follow), moved}
	if diff := cmp.Diff(want, g.Rules()); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
	again, err := New(Config{Store: kept})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(again.Close)
	if diff := cmp.Diff(want, again.Rules()); diff != "" {
		t.Errorf("rules after a restart (-want +got):\n%s", diff)
	}
	green := 0
	const n = 1000
	for range n {
		if again.route(httptest.NewRequest(http.MethodGet, "/b", http.NoBody)).choose().cfg.ARN == "green" {
			green++
		}
	}
	if green < n/10-2 || green > n/10+2 {
		t.Errorf("%d of %d requests of the rule that follows went to green, want a tenth", green, n)
	}
	// Other target groups: the weights are as asked.
	if err := g.DeclareRules([]Rule{pathRule("a", 1, func(r *Rule) { r.Forward = r.Forward[:1] })}); err != nil {
		t.Fatal(err)
	}
	if got := g.Rules(); len(got) != 1 || got[0].Forward[0].Weight != 100 {
		t.Errorf("rules %+v, want one with all weight on blue", got)
	}
}

func TestRefusedRulesChangeNothing(t *testing.T) {
	g, _ := divided(t)
	if err := g.DeclareRules([]Rule{pathRule("a", 1, nil)}); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		rules []Rule
		says  string
	}{
		"one priority for two": {[]Rule{pathRule("a", 1, nil), pathRule("b", 1, nil)}, "priority 1 is rule a's"},
		"nobody to follow":     {[]Rule{pathRule("b", 1, func(r *Rule) { r.Forward, r.Follow = nil, "x" })}, "rule b follows x"},
		"unknown group":        {[]Rule{pathRule("b", 1, func(r *Rule) { r.Forward[0].TargetGroupARN = "x" })}, "target group not found"},
		"two actions":          {[]Rule{pathRule("b", 1, func(r *Rule) { r.Follow = "a" })}, "exactly one of"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := g.DeclareRules(tt.rules); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %v, want one that says %q", err, tt.says)
			}
			if diff := cmp.Diff([]Rule{pathRule("a", 1, nil)}, g.Rules()); diff != "" {
				t.Errorf("rules (-want +got):\n%s", diff)
			}
		})
	}
}

// TestForwardGoesWhereTheRuleGoes: one service reaches another in the shares in
// which the world does.
func TestForwardGoesWhereTheRuleGoes(t *testing.T) {
	g, _ := divided(t)
	way := g.Forward("a")
	call := func() int {
		rec := httptest.NewRecorder()
		way.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/", http.NoBody))
		return rec.Code
	}
	if code := call(); code != http.StatusServiceUnavailable {
		t.Errorf("status %d before the rule is there", code)
	}
	if err := g.DeclareRules([]Rule{pathRule("a", 1, nil)}); err != nil {
		t.Fatal(err)
	}
	for _, percent := range []float64{0, 25, 100} {
		if err := g.Divide("a", map[string]float64{"blue": 100 - percent, "green": percent}); err != nil {
			t.Fatal(err)
		}
		before := g.Metrics()["green"].Requests
		for range 100 {
			call()
		}
		if got := float64(g.Metrics()["green"].Requests - before); got < percent-2 || got > percent+2 {
			t.Errorf("%g of 100 calls went to green, want %g", got, percent)
		}
	}
}
