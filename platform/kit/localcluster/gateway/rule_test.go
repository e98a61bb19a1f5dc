package gateway

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestWildcard(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"/v1/products*", "/v1/products", true},
		{"/v1/products*", "/v1/products/p1:archive", true},
		{"/v1/products*", "/v2/products", false},
		{"/v1/products", "/v1/products/", false},
		{"/img/*/pics", "/img/a/b/pics", true},
		{"/a?c", "/abc", true},
		{"/a?c", "/ac", false},
		{"*", "", true},
		{"", "", true},
		{"", "x", false},
		{"/V1", "/v1", false},
		{"/a.c", "/abc", false},
	} {
		if got := wildcard(c.pattern, c.s); got != c.want {
			t.Errorf("wildcard(%q, %q) = %v, want %v", c.pattern, c.s, got, c.want)
		}
	}
}

// TestWildcardIsARegexp compares the matcher with a regular expression that
// says the same.
func TestWildcardIsARegexp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringOfN(rapid.SampledFrom([]rune("ab*?/")), 0, 12, -1).Draw(t, "pattern")
		s := rapid.StringOfN(rapid.SampledFrom([]rune("ab/")), 0, 16, -1).Draw(t, "s")
		expr := regexp.QuoteMeta(pattern)
		expr = strings.ReplaceAll(expr, `\*`, `.*`)
		expr = strings.ReplaceAll(expr, `\?`, `.`)
		want := regexp.MustCompile(`^(?s:` + expr + `)$`).MatchString(s)
		if got := wildcard(pattern, s); got != want {
			t.Fatalf("wildcard(%q, %q) = %v, want %v", pattern, s, got, want)
		}
	})
}

func TestConditions(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "http://Api.Example.com:8080/v1/products%2Fx?q=1", nil)
	r.Header.Set("Content-Type", "application/grpc+proto")
	for name, c := range map[string]struct {
		cond Condition
		want bool
	}{
		"path":             {Condition{Field: PathPattern, Values: []string{"/no", "/v1/*"}}, true},
		"path is escaped":  {Condition{Field: PathPattern, Values: []string{"/v1/products%2Fx"}}, true},
		"path other":       {Condition{Field: PathPattern, Values: []string{"/v2/*"}}, false},
		"header":           {Condition{Field: HTTPHeader, Header: "content-type", Values: []string{"Application/grpc*"}}, true},
		"header absent":    {Condition{Field: HTTPHeader, Header: "x-none", Values: []string{"*"}}, false},
		"host, no port":    {Condition{Field: HostHeader, Values: []string{"*.example.com"}}, true},
		"method":           {Condition{Field: HTTPMethod, Values: []string{"GET", "POST"}}, true},
		"method, no globs": {Condition{Field: HTTPMethod, Values: []string{"P*"}}, false},
	} {
		rule := Rule{Conditions: []Condition{c.cond}}
		if got := rule.matches(r); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
	both := Rule{Conditions: []Condition{
		{Field: PathPattern, Values: []string{"/v1/*"}},
		{Field: HTTPMethod, Values: []string{"GET"}},
	}}
	if both.matches(r) {
		t.Error("a rule held with one of two conditions")
	}
}

func TestRuleValidation(t *testing.T) {
	fixed := &FixedResponse{StatusCode: 404}
	for name, c := range map[string]struct {
		rule Rule
		want string
	}{
		"no id":         {Rule{Priority: 1, Fixed: fixed}, "id is empty"},
		"priority":      {Rule{ID: "r", Priority: 50001, Fixed: fixed}, "priority 50001"},
		"no action":     {Rule{ID: "r", Priority: 1}, "exactly one"},
		"two actions":   {Rule{ID: "r", Priority: 1, Fixed: fixed, Forward: []WeightedGroup{{"a", 1}}}, "exactly one"},
		"weight":        {Rule{ID: "r", Priority: 1, Forward: []WeightedGroup{{"a", 1000}}}, "weight 1000"},
		"field":         {Rule{ID: "r", Priority: 1, Fixed: fixed, Conditions: []Condition{{Field: "x", Values: []string{"y"}}}}, `"x" is unknown`},
		"no values":     {Rule{ID: "r", Priority: 1, Fixed: fixed, Conditions: []Condition{{Field: PathPattern}}}, "no values"},
		"header's name": {Rule{ID: "r", Priority: 1, Fixed: fixed, Conditions: []Condition{{Field: HTTPHeader, Values: []string{"y"}}}}, "header name"},
		"status code":   {Rule{ID: "r", Priority: 1, Fixed: &FixedResponse{StatusCode: 99}}, "status code 99"},
	} {
		if err := c.rule.validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, c.want)
		}
	}
}

// TestWeightsHoldOverAnyStretch: whatever the weights, after n requests each
// group is within a few requests of its share.
func TestWeightsHoldOverAnyStretch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.IntRange(0, 999), 1, 5).Draw(t, "weights")
		n := rapid.IntRange(1, 2000).Draw(t, "n")
		rt := &route{rule: &Rule{}}
		for _, w := range weights {
			rt.shares = append(rt.shares, WeightedGroup{Weight: w})
			rt.groups = append(rt.groups, &group{})
			rt.total += uint64(w)
		}
		got := map[*group]int{}
		for range n {
			got[rt.choose()]++
		}
		for i, w := range weights {
			if rt.total == 0 {
				if got[nil] != n {
					t.Fatalf("requests went to groups without weight")
				}
				return
			}
			share := float64(n) * float64(w) / float64(rt.total)
			if d := float64(got[rt.groups[i]]) - share; d > 10 || d < -10 || (w == 0 && got[rt.groups[i]] > 0) {
				t.Fatalf("group %d of %v got %d of %d requests, its share is %.1f", i, weights, got[rt.groups[i]], n, share)
			}
		}
	})
}
