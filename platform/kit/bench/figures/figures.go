// Package figures holds the arithmetic of the measurements: what is quoted of
// many values, ratios of values taken in pairs, and whether something grows.
package figures

import (
	"fmt"
	"math"
	"slices"
)

// Spread is what is quoted of many values. Of none, all are NaN.
type Spread struct {
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	Max    float64 `json:"max"`
}

// Of returns the spread of values, in any order.
func Of(values []float64) Spread {
	if len(values) == 0 {
		return Spread{math.NaN(), math.NaN(), math.NaN()}
	}
	return Spread{slices.Min(values), Percentile(values, 50), slices.Max(values)}
}

// String returns "MEDIAN (MIN-MAX)".
func (s Spread) String() string {
	if math.IsNaN(s.Median) {
		return "-"
	}
	return fmt.Sprintf("%.2f (%.2f-%.2f)", s.Median, s.Min, s.Max)
}

// Percentile returns the p-th percentile of values, which may be in any order:
// between the two values nearest to it in proportion, as the median of an even
// number of values is. Of none it is NaN.
func Percentile(values []float64, p float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	at := p / 100 * float64(len(sorted)-1)
	below := int(math.Floor(at))
	above := min(below+1, len(sorted)-1)
	return sorted[below] + (sorted[above]-sorted[below])*(at-float64(below))
}

// Pairs applies f to the values that were measured together, the first with the
// first and so on; a value without a partner is left out.
func Pairs(a, b []float64, f func(a, b float64) float64) []float64 {
	out := make([]float64, min(len(a), len(b)))
	for i := range out {
		out[i] = f(a[i], b[i])
	}
	return out
}

// Ratio is a / b, Difference a - b: for [Pairs].
func Ratio(a, b float64) float64 { return a / b }

// Difference is a - b.
func Difference(a, b float64) float64 { return a - b }

// Slope returns by how much y grows for each 1 of x, by least squares. It is 0
// when the points say nothing about it.
func Slope(x, y []float64) float64 {
	n := float64(min(len(x), len(y)))
	if n < 2 {
		return 0
	}
	var sumX, sumY float64
	for i := range int(n) {
		sumX += x[i]
		sumY += y[i]
	}
	meanX, meanY := sumX/n, sumY/n
	var both, spread float64
	for i := range int(n) {
		both += (x[i] - meanX) * (y[i] - meanY)
		spread += (x[i] - meanX) * (x[i] - meanX)
	}
	if spread == 0 {
		return 0
	}
	return both / spread
}

// Trend says how something developed over a run.
type Trend struct {
	First float64 `json:"first"`
	Last  float64 `json:"last"`
	Max   float64 `json:"max"`
	// Slope is the growth for each 1 of x over the second half, Growth what that
	// makes of the second half.
	Slope  float64 `json:"slope"`
	Growth float64 `json:"growth"`
	// Rise is by how much the least value of the last quarter is above that of the
	// quarter before: what grows for good never comes back to where it was.
	Rise float64 `json:"rise"`
	Flat bool    `json:"flat"`
}

// flatPart is the part of the mean that a flat value may grow by.
const flatPart = 0.05

// TrendOf judges the points by their second half, for a program fills its caches
// at first. What may be is 5 % of the second half's mean, or slack, whichever is
// more. Flat is what the line through the second half does not raise by more than
// that; and what does so by single high values, as its least value does not rise
// by half of that from quarter to quarter. What falls is flat.
func TrendOf(x, y []float64, slack float64) Trend {
	n := min(len(x), len(y))
	if n == 0 {
		return Trend{Flat: true}
	}
	half := n / 2
	second := y[half:n]
	t := Trend{First: y[0], Last: y[n-1], Max: slices.Max(y[:n]), Slope: Slope(x[half:n], second)}
	t.Growth = t.Slope * (x[n-1] - x[half])
	if quarter := len(second) / 2; quarter > 0 {
		t.Rise = slices.Min(second[quarter:]) - slices.Min(second[:quarter])
	}
	mean := 0.0
	for _, v := range second {
		mean += v / float64(len(second))
	}
	allowed := max(slack, flatPart*math.Abs(mean))
	t.Flat = t.Growth <= allowed || t.Rise <= allowed/2
	return t
}
