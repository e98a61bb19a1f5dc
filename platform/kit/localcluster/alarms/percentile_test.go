package alarms

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestPercentilesAreClose: of any latencies, a percentile from buckets that are
// nine percent wide is at most that far from the true one, and never further than the lowest bound
// where that is more.
func TestPercentilesAreClose(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for name, draw := range map[string]func() float64{
		"all the same":     func() float64 { return 0.25 },
		"a long tail":      func() float64 { return 0.02 * math.Exp(random.NormFloat64()) },
		"fast and slow":    func() float64 { return []float64{0.004, 0.004, 0.004, 2.1}[random.IntN(4)] },
		"uniform":          func() float64 { return 0.001 + random.Float64() },
		"below the lowest": func() float64 { return 0.00009 },
	} {
		var all []float64
		buckets := make([]Bucket, 162)
		for i := range 161 {
			buckets[i].UpTo = time.Duration(1e5 * math.Exp2(float64(i)/8))
		}
		for range 5000 {
			v := draw()
			all = append(all, v)
			i := slices.IndexFunc(buckets, func(b Bucket) bool { return b.UpTo == 0 || v <= b.UpTo.Seconds() })
			buckets[i].Count++
		}
		slices.Sort(all)
		for _, p := range []float64{50, 90, 99, 99.9} {
			want := all[int(math.Ceil(float64(len(all))*p/100))-1]
			if got := percentile(buckets, p); math.Abs(got-want) > 0.095*want+1e-4 {
				t.Errorf("%s: p%g is %g, want %g", name, p, got, want)
			}
		}
	}
	if got := percentile(nil, 99); got != 0 {
		t.Errorf("without a request: %g", got)
	}
	if got := percentile([]Bucket{{UpTo: time.Second}, {Count: 3}}, 99); got != 1 {
		t.Errorf("above the greatest bound: %g", got)
	}
}
