package orders

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"time"
)

// Report is what was measured.
type Report struct {
	Processors, Clients, Products, Rounds, Seconds int

	Rows []Row // the floor's first
	// Confirmed is the time from an order's acceptance until its confirmation,
	// by the service's own record.
	Confirmed Latency
	// Checked is how many of the shop's orders were found once and in the stock.
	Checked int
}

// Row is one side: medians over the rounds.
type Row struct {
	Name string
	// Rate is accepted orders a second, Settled the same until the last of them
	// is confirmed. Ratio is Rate to the floor's of the same round.
	Rate, Settled float64
	Ratio         Spread
	// Latency is that of the accepted orders of all rounds.
	Latency Latency
	// Failures counts what was not accepted, by status and reason.
	Failures map[string]int
}

// Latency is in milliseconds.
type Latency struct{ P50, P99, Max float64 }

// Spread is a median with the extremes.
type Spread struct{ Median, Min, Max float64 }

func rowOf(name string, own, base []sample) Row {
	each := func(value func(int) float64) []float64 {
		out := make([]float64, len(own))
		for i := range own {
			out[i] = value(i)
		}
		slices.Sort(out)
		return out
	}
	ratios := each(func(i int) float64 {
		if b := base[i].rate(); b > 0 {
			return own[i].rate() / b
		}
		return 0
	})
	row := Row{
		Name:     name,
		Rate:     middle(each(func(i int) float64 { return own[i].rate() })),
		Settled:  middle(each(func(i int) float64 { return own[i].settledRate() })),
		Ratio:    Spread{Median: middle(ratios), Min: ratios[0], Max: ratios[len(ratios)-1]},
		Failures: map[string]int{},
	}
	var all []time.Duration
	for _, s := range own {
		all = append(all, s.latencies...)
		for why, n := range s.failures {
			row.Failures[why] += n
		}
	}
	row.Latency = latencyOf(all)
	return row
}

// middle is the middle of sorted values, or the mean of the two there.
func middle(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func latencyOf(all []time.Duration) Latency {
	if len(all) == 0 {
		return Latency{}
	}
	slices.Sort(all)
	at := func(p float64) float64 {
		rank := max(int(math.Ceil(p*float64(len(all)))), 1) // nearest rank
		return float64(all[rank-1].Microseconds()) / 1000
	}
	return Latency{P50: at(0.5), P99: at(0.99), Max: at(1)}
}

// Print writes the report for people.
func (r *Report) Print(w io.Writer) {
	fmt.Fprintf(w, "orders of one line, %d clients, %d products, %d rounds of %d s each, %d processors\n",
		r.Clients, r.Products, r.Rounds, r.Seconds, r.Processors)
	fmt.Fprintf(w, "%-40s %9s %10s %8s %8s %8s  %s\n", "", "orders/s", "settled/s", "p50 ms", "p99 ms", "max ms", "rate / floor")
	for _, row := range r.Rows {
		fmt.Fprintf(w, "%-40s %9.0f %10.0f %8.2f %8.2f %8.2f  %.2f (%.2f-%.2f)\n", row.Name, row.Rate, row.Settled,
			row.Latency.P50, row.Latency.P99, row.Latency.Max, row.Ratio.Median, row.Ratio.Min, row.Ratio.Max)
		for _, why := range slices.Sorted(maps.Keys(row.Failures)) {
			fmt.Fprintf(w, "  not accepted: %d times %s\n", row.Failures[why], why)
		}
	}
	fmt.Fprintf(w, "accepted to confirmed: p50 %.0f ms, p99 %.0f ms, max %.0f ms\n", r.Confirmed.P50, r.Confirmed.P99, r.Confirmed.Max)
	fmt.Fprintf(w, "%d orders are there once, and the stock agrees\n", r.Checked)
}
