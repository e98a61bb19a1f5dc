package figures_test

import (
	"math"
	"slices"
	"testing"

	"github.com/slipway-dev/slipway/platform/kit/bench/figures"
)

func near(a, b float64) bool { return math.Abs(a-b) < 1e-9 }

func TestPercentile(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		values  []float64
		p, want float64
	}{
		"median of an odd number":   {[]float64{3, 1, 2}, 50, 2},
		"median of an even number":  {[]float64{4, 1, 2, 3}, 50, 2.5},
		"the least":                 {[]float64{5, 4}, 0, 4},
		"the most":                  {[]float64{5, 4}, 100, 5},
		"between two in proportion": {[]float64{0, 10}, 99, 9.9},
		"one value":                 {[]float64{7}, 99, 7},
	} {
		if got := figures.Percentile(tc.values, tc.p); !near(got, tc.want) {
			t.Errorf("%s: %g, want %g", name, got, tc.want)
		}
	}
	if got := figures.Percentile(nil, 50); !math.IsNaN(got) {
		t.Errorf("of nothing: %g, want NaN", got)
	}
}

func TestSpread(t *testing.T) {
	t.Parallel()
	values := []float64{3, 1, 2}
	if got := figures.Of(values); got != (figures.Spread{Min: 1, Median: 2, Max: 3}) || got.String() != "2.00 (1.00-3.00)" {
		t.Errorf("%+v, %s", got, got)
	}
	if !slices.Equal(values, []float64{3, 1, 2}) {
		t.Errorf("the values were changed to %v", values)
	}
	if got := figures.Of(nil).String(); got != "-" {
		t.Errorf("of nothing: %s", got)
	}
}

// Ratios belong to pairs: the median of them is not the ratio of the medians.
func TestPairs(t *testing.T) {
	t.Parallel()
	ours, floor := []float64{2, 30, 9}, []float64{1, 10, 9}
	got := figures.Pairs(ours, floor, figures.Ratio)
	if !slices.Equal(got, []float64{2, 3, 1}) {
		t.Errorf("ratios %v", got)
	}
	if got := figures.Pairs(ours, floor[:2], figures.Difference); !slices.Equal(got, []float64{1, 20}) {
		t.Errorf("differences %v, want those of the two pairs", got)
	}
}

func TestSlope(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		x, y []float64
		want float64
	}{
		"a line":                  {[]float64{1, 2, 3}, []float64{5, 7, 9}, 2},
		"falling":                 {[]float64{0, 10}, []float64{10, 0}, -1},
		"points beside it":        {[]float64{0, 1, 2, 3}, []float64{0, 2, 1, 3}, 0.8},
		"one point":               {[]float64{1}, []float64{5}, 0},
		"all at the same moment":  {[]float64{1, 1}, []float64{5, 9}, 0},
		"the shorter of the two":  {[]float64{1, 2, 3}, []float64{1, 2}, 1},
		"nothing to go through":   {nil, nil, 0},
		"with an offset in x too": {[]float64{100, 101, 102}, []float64{1, 2, 3}, 1},
	} {
		if got := figures.Slope(tc.x, tc.y); !near(got, tc.want) {
			t.Errorf("%s: %g, want %g", name, got, tc.want)
		}
	}
}

func TestTrend(t *testing.T) {
	t.Parallel()
	x := []float64{1, 2, 3, 4, 5, 6, 7, 8}
	for name, tc := range map[string]struct {
		y     []float64
		slack float64
		flat  bool
	}{
		"warms up, then stays":            {[]float64{10, 50, 90, 99, 100, 100, 100, 100}, 0, true},
		"grows all the time":              {[]float64{10, 20, 30, 40, 50, 60, 70, 80}, 0, false},
		"grows by less than a twentieth":  {[]float64{100, 100, 100, 100, 100, 101, 102, 103}, 0, true},
		"grows by more than a twentieth":  {[]float64{100, 100, 100, 100, 100, 102, 104, 106}, 0, false},
		"grows by less than the slack":    {[]float64{1, 1, 1, 1, 1, 1, 2, 2}, 2, true},
		"falls":                           {[]float64{80, 70, 60, 50, 40, 30, 20, 10}, 0, true},
		"one high value among low ones":   {[]float64{5, 5, 5, 5, 5, 9, 5, 5}, 2, true},
		"high values at the end":          {[]float64{5, 5, 5, 5, 5, 5, 90, 5}, 0, true},
		"grows in a saw":                  {[]float64{10, 20, 30, 40, 50, 45, 70, 65}, 0, false},
		"nothing is there all the time":   {[]float64{0, 0, 0, 0, 0, 0, 0, 0}, 0, true},
		"something where nothing was":     {[]float64{0, 0, 0, 0, 0, 1, 2, 3}, 0, false},
		"grows from below nothing (sign)": {[]float64{-1, -1, -1, -1, -100, -50, 0, 50}, 0, false},
	} {
		if got := figures.TrendOf(x, tc.y, tc.slack); got.Flat != tc.flat {
			t.Errorf("%s: %+v, want flat %t", name, got, tc.flat)
		}
	}
	got := figures.TrendOf(x, []float64{0, 9, 0, 0, 2, 4, 6, 8}, 0)
	if got.First != 0 || got.Last != 8 || got.Max != 9 || !near(got.Slope, 2) || !near(got.Growth, 6) || got.Rise != 4 {
		t.Errorf("%+v; want the second half's slope of 2, growth of 6 and rise of 4", got)
	}
	if got := figures.TrendOf(nil, nil, 0); !got.Flat {
		t.Errorf("of nothing: %+v", got)
	}
}
