package deploy

import (
	"fmt"
	"io"

	"github.com/slipway-dev/slipway/platform/kit/bench/figures"
	"github.com/slipway-dev/slipway/platform/kit/bench/sandbox"
)

// The goals. They are printed beside the figures and never judged.
const (
	buildGoal    = 1.35 // times go build
	trafficGoal  = 1.5  // seconds above the floor
	rollbackGoal = 5.0  // seconds
)

// Report is what was measured.
type Report struct {
	Service string `json:"service"`
	Runs    int    `json:"runs"`
	// Change is a one-line change up to the registry, beside go build: ratios.
	Change []Row `json:"change"`
	// Traffic is the same up to all traffic, beside go build and the start of its
	// program: seconds more.
	Traffic []Row `json:"traffic"`
	// NothingNew is a deploy of what runs already, beside go build: ratios.
	NothingNew []Row `json:"nothing_new"`
	// Phases are the parts of the command that deploys a change.
	Phases []Phase `json:"phases"`
	// Unhealthy is a release that fails its health check, under ROLLING; Alarming
	// one that fails requests, which an alarm sees, as a canary.
	Unhealthy Back   `json:"unhealthy"`
	Alarming  Back   `json:"alarming"`
	Memory    Memory `json:"memory"`
}

// Row is one line of the table.
type Row struct {
	Name    string         `json:"name"`
	Seconds figures.Spread `json:"seconds"`
	// Beside compares each run with the floor of its pair; nil for a floor.
	Beside *figures.Spread `json:"beside,omitempty"`
	Goal   float64         `json:"goal,omitempty"` // of Beside; 0 without one
}

// Back is a rollback, in seconds from the first bad answer.
type Back struct {
	// Traffic is when the release gave its last answer to a client; 0 if it gave
	// none. Over is when all tasks and all traffic were the old release's.
	Traffic figures.Spread `json:"traffic"`
	Over    figures.Spread `json:"over"`
	// Failures counts the client's requests that failed, in all runs.
	Failures int `json:"failures"`
}

// Memory is how large processes got, in bytes.
type Memory struct {
	Change  sandbox.Memory `json:"change"`
	Nothing sandbox.Memory `json:"nothing_new"`
	Cluster int64          `json:"cluster"`
}

// Print writes the report for people.
func (r *Report) Print(w io.Writer) {
	fmt.Fprintf(w, "%s, %d pairs; median (least-most), in seconds and beside the floor of the same pair\n", r.Service, r.Runs)
	section(w, "a one-line change, built and pushed", "times go build", "%.2f", r.Change)
	section(w, "the change rolled out (rolling), as a client sees it", "floor + seconds", "%.1f s", r.Traffic)
	section(w, "nothing new", "times go build", "%.2f", r.NothingNew)
	fmt.Fprintf(w, "\n%-42s %-20s %-20s %s\n", "put back, from the first bad answer on", "last answer of it", "all is the old one's", "goal")
	for _, b := range []struct {
		name, goal string
		back       Back
	}{
		{"fails its health check, rolling", fmt.Sprintf("at most %.0f s", rollbackGoal), r.Unhealthy},
		{"fails requests, by its alarm, canary", "", r.Alarming},
	} {
		last := b.back.Traffic.String()
		if b.back.Failures == 0 {
			last = "answered nobody"
		}
		fmt.Fprintf(w, "  %-40s %-20s %-20s %s\n", b.name, last, b.back.Over, b.goal)
	}
	fmt.Fprintf(w, "\nwhere the time goes, of a change\n")
	for _, p := range r.Phases {
		fmt.Fprintf(w, "  %-40s %s\n", p.Name, p.Seconds)
	}
	fmt.Fprintf(w, "\npeak memory in MiB          kit    go   compiler and linker\n")
	for _, m := range []struct {
		name string
		of   sandbox.Memory
	}{{"a change", r.Memory.Change}, {"nothing new", r.Memory.Nothing}} {
		fmt.Fprintf(w, "  %-23s %5s %5s %5s\n", m.name, mib(m.of.Kit), mib(m.of.Go), mib(m.of.Tools))
	}
	fmt.Fprintf(w, "  %-23s %5s\n", "the cluster", mib(r.Memory.Cluster))
}

func section(w io.Writer, title, beside, goal string, rows []Row) {
	fmt.Fprintf(w, "\n%-42s %-20s %-20s %s\n", title, "seconds", beside, "goal")
	for _, row := range rows {
		second, third := "", ""
		if row.Beside != nil {
			second = row.Beside.String()
		}
		if row.Goal > 0 {
			third = "at most " + fmt.Sprintf(goal, row.Goal)
		}
		fmt.Fprintf(w, "  %-40s %-20s %-20s %s\n", row.Name, row.Seconds, second, third)
	}
}

func mib(bytes int64) string {
	if bytes == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f", float64(bytes)/(1<<20))
}
