package invariant

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
)

// BrokenError says that data is not as it must be.
type BrokenError struct {
	Environment string
	Services    []string // in which something is broken
}

// Error names the services.
func (e *BrokenError) Error() string {
	return fmt.Sprintf("invariants are broken in %s: %s", e.Environment, strings.Join(e.Services, ", "))
}

// Next is where to look further.
func (e *BrokenError) Next() string {
	return fmt.Sprintf("go tool mage logs %s %s   # the rows above break what their invariant says", e.Environment, e.Services[0])
}

// ExitCode returns 1.
func (*BrokenError) ExitCode() int { return 1 }

// Broken is a *BrokenError when something is broken, else nil.
func Broken(environment string, reports []Report) error {
	var services []string
	for _, r := range reports {
		if !r.Holds() {
			services = append(services, r.Service)
		}
	}
	if len(services) == 0 {
		return nil
	}
	return &BrokenError{Environment: environment, Services: services}
}

// Text is one line for each invariant, and below what is broken the rows.
func Text(reports []Report) string {
	var rows strings.Builder
	table := tabwriter.NewWriter(&rows, 0, 0, 2, ' ', 0)
	var below [][]string // what stands under each line of the table
	for _, r := range reports {
		if len(r.Findings) == 0 {
			fmt.Fprintf(table, "%s\t-\t%s\n", r.Service, r.None)
			below = append(below, nil)
		}
		for _, f := range r.Findings {
			state := "ok"
			if !f.Holds {
				state = "broken"
			}
			fmt.Fprintf(table, "%s\t%s\t%s\n", r.Service, state, f.said())
			below = append(below, f.rows())
		}
	}
	_ = table.Flush() // a builder takes everything
	var out []string
	for i, line := range strings.Split(strings.TrimSuffix(rows.String(), "\n"), "\n") {
		out = append(out, strings.TrimRight(line, " "))
		if i < len(below) {
			out = append(out, below[i]...)
		}
	}
	return strings.Join(slices.Clip(out), "\n") + "\n"
}

// said is the invariant, and when it is broken by how many rows.
func (f Finding) said() string {
	switch {
	case f.Holds:
		return f.Invariant
	case f.More:
		return fmt.Sprintf("%s (more than %d rows)", f.Invariant, len(f.Rows))
	case len(f.Rows) == 1:
		return f.Invariant + " (1 row)"
	default:
		return fmt.Sprintf("%s (%d rows)", f.Invariant, len(f.Rows))
	}
}

func (f Finding) rows() []string {
	if f.Holds {
		return nil
	}
	var out []string
	if f.Doc != "" {
		out = append(out, "    "+f.Doc)
	}
	for _, row := range f.Rows {
		out = append(out, "    "+string(row))
	}
	return out
}
