package request

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		values []float64
		want   float64
	}{
		"none": {nil, 0}, "one": {[]float64{3}, 3}, "odd": {[]float64{9, 1, 4}, 4}, "even": {[]float64{8, 1, 4, 2}, 3},
	} {
		if got := median(tc.values); got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

func TestPercentile(t *testing.T) {
	t.Parallel()
	hundred := make([]time.Duration, 100)
	for n := range hundred {
		hundred[n] = time.Duration(n + 1)
	}
	for name, tc := range map[string]struct {
		of   []time.Duration
		p    float64
		want time.Duration
	}{
		"none": {nil, 0.5, 0}, "one": {[]time.Duration{7}, 0.99, 7},
		"half": {hundred, 0.5, 50}, "99 of 100": {hundred, 0.99, 99}, "all": {hundred, 1, 100}, "least": {hundred, 0, 1},
	} {
		if got := percentile(tc.of, tc.p); got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

// of makes a sample of n requests of a millisecond within a second.
func of(n int, service time.Duration) sample {
	return sample{requests: n, took: time.Second, p50: time.Millisecond, p99: time.Millisecond, service: service, resident: 2 << 20}
}

// TestRowComparesWithinRounds has a machine that is twice as fast in the second
// round; the ratios must not see it.
func TestRowComparesWithinRounds(t *testing.T) {
	t.Parallel()
	base := []sample{of(100, 10*time.Millisecond), of(200, 10*time.Millisecond), of(100, 10*time.Millisecond)}
	own := []sample{of(80, 16*time.Millisecond), of(160, 16*time.Millisecond), of(90, 9*time.Millisecond)}
	row := rowOf("own", own, base)
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-9 {
			t.Errorf("%s is %v, want %v", what, got, want)
		}
	}
	near("rate", row.Rate, 90)
	near("cpu", row.CPU, 100)
	near("memory", row.Memory, 2)
	near("rate ratio", row.RateRatio.Median, 0.8)
	near("rate ratio, most", row.RateRatio.Max, 0.9)
	near("cpu ratio", row.CPURatio.Median, 2)
	near("cpu ratio, least", row.CPURatio.Min, 1)
	near("p99 ratio", row.P99Ratio.Median, 1)
	var text strings.Builder
	(&Report{Rows: []Row{row}}).Print(&text)
	if !strings.Contains(text.String(), "0.80 (0.80-0.90)") {
		t.Errorf("the table lacks the ratio:\n%s", text.String())
	}
}

func TestProcessorTime(t *testing.T) {
	t.Parallel()
	const line = "4711 (a ) name) S 1 4711 4711 0 -1 4194560 1 2 3 4 150 50 6 7 20 0 9 0 100"
	if got, err := parseStat(line); err != nil || got != 2*time.Second {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range []string{"", "1 (x) S 1", "1 (x) S 1 1 1 0 -1 1 1 2 3 4 a b 6 7"} {
		if _, err := parseStat(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestReadWrk(t *testing.T) {
	t.Parallel()
	got, err := readWrk([]byte(`{"requests":30,"microseconds":3000000,"p50":500,"p99":9000,"refused":0,"broken":0}`+"\n"), time.Second)
	want := sample{requests: 30, took: 3 * time.Second, p50: 500 * time.Microsecond, p99: 9 * time.Millisecond, generator: time.Second}
	if err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	for name, text := range map[string]string{
		"nothing": "", "no request": `{"requests":0}`, "a refusal": `{"requests":9,"refused":1}`, "a broken connection": `{"requests":9,"broken":1}`,
	} {
		if _, err := readWrk([]byte(text), 0); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}
