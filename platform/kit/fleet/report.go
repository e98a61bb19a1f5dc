package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/slipway-dev/slipway/platform/kit/event"
)

// NotBegun is the outcome of a service that nothing was done to, as something
// before it failed or the command was interrupted.
const NotBegun event.Outcome = "not_begun"

// Row says what became of one service.
type Row struct {
	Service string `json:"service"`
	// Outcome is that of its verdict; failed when an error came instead, NotBegun
	// when it was not its turn.
	Outcome    event.Outcome  `json:"outcome"`
	Release    string         `json:"release,omitempty"`
	Deployment string         `json:"deployment,omitempty"`
	Why        string         `json:"why,omitempty"` // in one line, unless it completed
	Took       event.Duration `json:"duration,omitempty"`

	err     error
	judged  bool // there was a verdict, which has been shown
	reverse bool
}

// Report says what became of each service, in the order in which they were to
// be done.
type Report []Row

// end fills in how the service ended.
func (r *Row) end(ctx context.Context, v event.Verdict, err error) {
	switch {
	case err != nil && ctx.Err() != nil && errors.Is(err, context.Canceled):
		r.Outcome, r.Why, r.err = event.Interrupted, "interrupted before anything was rolled out", err
	case err != nil:
		first, _, _ := strings.Cut(err.Error(), "\n")
		r.Outcome, r.Why, r.err = event.Failed, first, err
	default:
		r.Outcome, r.Release, r.Deployment, r.Took, r.judged = v.Outcome, v.Release, v.Deployment, v.Duration, true
		if v.Outcome == event.Completed {
			return
		}
		r.Why = v.Summary
		r.err = fmt.Errorf("%s in %s: %s", v.Service, v.Env, v.Outcome.Words())
	}
}

// because says why a service was not begun: for one of those before it, else
// for any that failed, else for the user.
func (r *Row) because(ctx context.Context, rows Report, before []string) {
	if r.Outcome != NotBegun {
		return
	}
	relation := "which it calls"
	if r.reverse {
		relation = "which calls it"
	}
	others := ""
	for _, other := range rows {
		switch {
		case other.Outcome == event.Completed:
		case slices.Contains(before, other.Service) && other.Outcome == NotBegun:
			r.Why = fmt.Sprintf("%s, %s, was not begun", other.Service, relation)
		case slices.Contains(before, other.Service):
			r.Why = fmt.Sprintf("%s, %s, ended as %s", other.Service, relation, other.Outcome.Words())
			return
		case other.Outcome != NotBegun && others == "":
			others = fmt.Sprintf("%s ended as %s", other.Service, other.Outcome.Words())
		}
	}
	if r.Why == "" {
		r.Why = others
	}
	if r.Why == "" && ctx.Err() != nil {
		r.Why = "interrupted before its turn"
	}
}

// badness orders outcomes: what is certainly wrong, what was put right, what is
// not known, what somebody else answers for.
func badness(o event.Outcome) int {
	return slices.Index([]event.Outcome{
		event.Completed, NotBegun, event.Superseded, event.TimedOut, event.Interrupted, event.RolledBack, event.Failed,
	}, o)
}

// Worst returns the worst outcome: failed, else rolled back, interrupted, timed
// out, superseded, and completed only if every service did. One that was not
// begun has another to blame, or the user who interrupted.
func (r Report) Worst() event.Outcome {
	worst := event.Completed
	for _, row := range r {
		if badness(row.Outcome) > badness(worst) {
			worst = row.Outcome
		}
	}
	if worst == NotBegun {
		return event.Interrupted
	}
	return worst
}

// Err returns nil when every service completed, else an error with the exit
// code of the worst outcome.
func (r Report) Err() error {
	var errs []error
	for _, row := range r {
		if row.err != nil {
			errs = append(errs, row.err)
		}
	}
	worst := r.Worst()
	judged := slices.ContainsFunc(r, func(row Row) bool { return row.judged })
	switch {
	case worst == event.Completed:
		return nil
	case len(r) == 1 && !judged:
		return r[0].err
	case worst == event.Interrupted && !judged:
		return errors.Join(append(errs, context.Canceled)...) // whoever interrupts knows
	default:
		return &Error{errs: errs, code: worst.ExitCode(), next: r.next()}
	}
}

// next is the command of the first error that names one; verdicts have said
// theirs.
func (r Report) next() string {
	for _, row := range r {
		if next := event.Next(row.err); !row.judged && next != "" {
			return next
		}
	}
	return ""
}

// Error says what did not go well.
type Error struct {
	errs []error
	code int
	next string
}

// Error lists one error a line.
func (e *Error) Error() string {
	return errors.Join(e.errs...).Error()
}

// Unwrap returns the errors.
func (e *Error) Unwrap() []error { return e.errs }

// Next returns the command to type next, or "".
func (e *Error) Next() string { return e.next }

// ExitCode returns that of the worst outcome; see [Report.Worst].
func (e *Error) ExitCode() int { return e.code }

// String returns the report as a table.
func (r Report) String() string {
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SERVICE\tOUTCOME\tRELEASE\tTOOK\tWHY")
	for _, row := range r {
		took := "-"
		if row.Took > 0 {
			took = row.Took.String()
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", row.Service, row.Outcome.Words(), cmp.Or(row.Release, "-"), took, row.Why)
	}
	_ = table.Flush() // a builder takes everything
	lines := strings.Split(b.String(), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}
