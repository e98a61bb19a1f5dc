package soak

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/slipway-dev/slipway/platform/kit/bench/figures"
	"github.com/slipway-dev/slipway/platform/kit/bench/sandbox"
)

// Report is what was seen.
type Report struct {
	Rate    int `json:"rate"` // requests a second
	Deploys int `json:"deploys"`
	// Strategies counts the deploys by each.
	Strategies map[string]int `json:"strategies"`
	// Bad are the deploys that did not complete.
	Bad     []string `json:"bad,omitempty"`
	Calls   []Calls  `json:"calls"`
	Samples []Sample `json:"samples"`
	Trends  []Trend  `json:"trends"`
	// Seconds are how long deploys took, by strategy.
	Seconds map[string]figures.Spread `json:"seconds"`

	took []deployed
}

// deployed is how long one deploy took.
type deployed struct {
	strategy string
	seconds  float64
}

// Sample is the cluster after a deploy.
type Sample struct {
	sandbox.Usage

	Deploy   int     `json:"deploy"`
	Seconds  float64 `json:"seconds"` // from the load's beginning
	Requests int     `json:"requests"`
	Failures int     `json:"failures"`
}

const heading = "deploy  seconds  requests  failed   MiB  files  threads  processes  tasks  task MiB  connections  state MiB  database MiB  logs MiB"

const mebi = 1 << 20

// String is the sample's line below the heading.
func (s Sample) String() string {
	return fmt.Sprintf("%6d %8.0f %9d %7d %5.0f %6d %8d %10d %6d %9.0f %12d %10.1f %13.1f %9.1f",
		s.Deploy, s.Seconds, s.Requests, s.Failures, float64(s.Memory)/mebi, s.Files, s.Threads, s.Processes, s.Tasks,
		float64(s.TaskMemory)/mebi, s.Connections, float64(s.State)/mebi, float64(s.Database)/mebi, float64(s.Logs)/mebi)
}

// Trend is how one figure developed from deploy to deploy.
type Trend struct {
	figures.Trend

	What string `json:"what"`
	// Slack is what it may grow by over the second half, if that is more than 5 %.
	Slack float64 `json:"slack"`
	// Held is how the figure is bounded by other means than not growing; such a
	// one is not judged.
	Held string `json:"held,omitempty"`
}

// judge computes what follows from the samples.
func (r *Report) judge() {
	r.Seconds = map[string]figures.Spread{}
	for strategy := range r.Strategies {
		var all []float64
		for _, d := range r.took {
			if d.strategy == strategy {
				all = append(all, d.seconds)
			}
		}
		r.Seconds[strategy] = figures.Of(all)
	}
	x := make([]float64, len(r.Samples))
	for i, s := range r.Samples {
		x[i] = float64(s.Deploy)
	}
	for _, m := range []struct {
		what  string
		slack float64
		of    func(Sample) float64
		held  string
	}{
		{"cluster's memory, MiB", 4, func(s Sample) float64 { return float64(s.Memory) / mebi }, ""},
		{"tasks' memory, MiB", 8, func(s Sample) float64 { return float64(s.TaskMemory) / mebi }, ""},
		{"open files", 5, func(s Sample) float64 { return float64(s.Files) }, ""},
		{"threads", 2, func(s Sample) float64 { return float64(s.Threads) }, ""},
		{"processes", 1, func(s Sample) float64 { return float64(s.Processes) }, ""},
		{"tasks", 1, func(s Sample) float64 { return float64(s.Tasks) }, ""},
		{"database connections", 3, func(s Sample) float64 { return float64(s.Connections) }, ""},
		{"state folder, MiB", 1, func(s Sample) float64 { return float64(s.State) / mebi }, ""},
		{"database folder, MiB", 4, func(s Sample) float64 { return float64(s.Database) / mebi }, ""},
		{"logs and traces, MiB", 0, func(s Sample) float64 { return float64(s.Logs) / mebi }, "grow with requests up to their own limits"},
	} {
		y := make([]float64, len(r.Samples))
		for i, s := range r.Samples {
			y[i] = m.of(s)
		}
		r.Trends = append(r.Trends, Trend{figures.TrendOf(x, y, m.slack), m.what, m.slack, m.held})
	}
}

// Print writes the report for people.
func (r *Report) Print(w io.Writer) {
	fmt.Fprintf(w, "%d deploys at %d requests a second; goal: no failed request of 200,000, everything flat\n\n", r.Deploys, r.Rate)
	fmt.Fprintf(w, "%-8s %9s %8s %8s %8s %8s\n", "", "requests", "failed", "p50 ms", "p99 ms", "max ms")
	requests, failures := 0, 0
	for _, c := range r.Calls {
		fmt.Fprintf(w, "%-8s %9d %8d %8.2f %8.1f %8.0f\n", c.Protocol, c.Requests, c.Failures, c.P50, c.P99, c.Max)
		requests, failures = requests+c.Requests, failures+c.Failures
	}
	fmt.Fprintf(w, "%-8s %9d %8d\n", "both", requests, failures)
	for _, c := range r.Calls {
		for _, e := range c.Errors {
			fmt.Fprintf(w, "  failed, %s, %s\n", c.Protocol, e)
		}
	}
	fmt.Fprintf(w, "\ndeploys that did not complete: %d\n", len(r.Bad))
	for _, b := range r.Bad {
		fmt.Fprintf(w, "  %s\n", b)
	}
	for _, strategy := range slices.Sorted(maps.Keys(r.Strategies)) {
		fmt.Fprintf(w, "  %-12s %3d deploys, seconds each %s\n", strategy, r.Strategies[strategy], r.Seconds[strategy])
	}
	fmt.Fprintf(w, "\n%-24s %8s %8s %8s %20s %s\n", "", "first", "last", "most", "second half grew by", "verdict")
	for _, t := range r.Trends {
		verdict := "flat"
		switch {
		case t.Held != "":
			verdict = t.Held
		case !t.Flat:
			verdict = fmt.Sprintf("GROWING, %.2f each 10 deploys", 10*t.Slope)
		}
		fmt.Fprintf(w, "%-24s %8.1f %8.1f %8.1f %20.2f %s\n", t.What, t.First, t.Last, t.Max, t.Growth, verdict)
	}
	fmt.Fprintf(w, "flat: over the second half its line (least squares) rises by at most 5 %% of the mean, or by a little (below);\n"+
		"or its least value by at most half of that from the third quarter to the last, when single high values bend the line\n ")
	for _, t := range r.Trends {
		if t.Held == "" {
			fmt.Fprintf(w, " %s %g;", t.What, t.Slack)
		}
	}
	fmt.Fprintln(w)
}
