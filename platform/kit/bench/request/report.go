package request

import (
	"fmt"
	"io"
	"slices"
	"time"
)

// Report is what was measured: medians over the rounds.
type Report struct {
	Processors, Connections, Products, Pool, Rounds, Seconds int

	Generator string

	Rows []Row
}

// Row is one program. Ratios are to the first row's of the same round.
type Row struct {
	Name         string
	Rate         float64 // requests a second
	P50, P99     float64 // milliseconds
	CPU          float64 // microseconds of processor time of the program for a request; 0 where it cannot be read
	GeneratorCPU float64 // the same of the load generator, with the log's reader and the traces' receiver
	Memory       float64 // resident, MiB
	RateRatio    Spread
	CPURatio     Spread
	P99Ratio     Spread
}

// Spread is a median with the extremes.
type Spread struct{ Median, Min, Max float64 }

// sample is one program in one round.
type sample struct {
	requests  int
	took      time.Duration
	p50, p99  time.Duration
	service   time.Duration // processor time of the program
	generator time.Duration // processor time of whoever loads it
	resident  int64         // bytes
}

func (s sample) rate() float64 { return float64(s.requests) / s.took.Seconds() }

func (s sample) cpu() float64 { return perRequest(s.service, s.requests) }

func perRequest(d time.Duration, requests int) float64 {
	if requests == 0 {
		return 0
	}
	return float64(d.Microseconds()) / float64(requests)
}

// percentile is the smallest of the sorted latencies that the share p of them
// does not exceed (nearest rank), 0 if there are none.
func percentile(latencies []time.Duration, p float64) time.Duration {
	n := len(latencies)
	if n == 0 {
		return 0
	}
	rank := int(p * float64(n))
	if float64(rank) < p*float64(n) {
		rank++
	}
	return latencies[min(max(rank, 1), n)-1]
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// rowOf sums up a program's samples beside those of the program it is compared
// with, round by round.
func rowOf(name string, own, base []sample) Row {
	each := func(value func(sample) float64) []float64 {
		out := make([]float64, len(own))
		for i, s := range own {
			out[i] = value(s)
		}
		return out
	}
	ratio := func(value func(sample) float64) Spread {
		out := make([]float64, len(own))
		for i, s := range own {
			if b := value(base[i]); b > 0 {
				out[i] = value(s) / b
			}
		}
		return Spread{Median: median(out), Min: slices.Min(out), Max: slices.Max(out)}
	}
	p99 := func(s sample) float64 { return milliseconds(s.p99) }
	return Row{
		Name: name,
		Rate: median(each(sample.rate)), P99: median(each(p99)), CPU: median(each(sample.cpu)),
		P50:          median(each(func(s sample) float64 { return milliseconds(s.p50) })),
		GeneratorCPU: median(each(func(s sample) float64 { return perRequest(s.generator, s.requests) })),
		Memory:       median(each(func(s sample) float64 { return float64(s.resident) / (1 << 20) })),
		RateRatio:    ratio(sample.rate), CPURatio: ratio(sample.cpu), P99Ratio: ratio(p99),
	}
}

// median is the middle value, or the mean of the two in the middle.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// Print writes the report as a table.
func (r *Report) Print(w io.Writer) {
	fmt.Fprintf(w, "GET of one in %d products, %d connections, pool of %d, %d rounds of %d s each, %d processors, load by %s\n",
		r.Products, r.Connections, r.Pool, r.Rounds, r.Seconds, r.Processors, r.Generator)
	fmt.Fprintf(w, "%-28s %10s %8s %8s %8s %8s %8s  %-18s %-18s %-18s\n", "", "requests/s", "p50 ms", "p99 ms", "cpu us", "load us", "MiB",
		"rate / bare", "cpu / bare", "p99 / bare")
	for _, row := range r.Rows {
		fmt.Fprintf(w, "%-28s %10.0f %8.2f %8.2f %8.1f %8.1f %8.1f  %-18s %-18s %-18s\n", row.Name, row.Rate, row.P50, row.P99,
			row.CPU, row.GeneratorCPU, row.Memory, row.RateRatio, row.CPURatio, row.P99Ratio)
	}
	fmt.Fprintln(w, "cpu us: processor time of the program for a request; load us: that of the load generator, the traces' receiver and the log's reader")
}

// String is the median with the extremes.
func (s Spread) String() string { return fmt.Sprintf("%.2f (%.2f-%.2f)", s.Median, s.Min, s.Max) }
