package vuln

import (
	"fmt"
	"strings"
	"time"
)

// Listing is the judgement with every finding on a line, for people.
func (p Policy) Listing(r Report, j Judgement, now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s; %s\n", p.Service, counts(j), age(r, now))
	for _, group := range []struct {
		word string
		list []Finding
	}{{"fails", j.Failing}, {"passed over", j.Ignored}, {"known", j.Below}} {
		for _, f := range group.list {
			fmt.Fprintf(&b, "  %-11s  %-8s  %s", group.word, f.Level, f)
			if day := j.Expired[f.ID]; day != "" {
				b.WriteString("; it was passed over until " + day)
			}
			if group.word == "passed over" {
				b.WriteString("; " + p.reasons([]Finding{f}))
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

func counts(j Judgement) string {
	var parts []string
	for _, group := range []struct {
		n    int
		word string
	}{{len(j.Failing), "to mend"}, {len(j.Ignored), "passed over"}, {len(j.Below), "known without failing"}} {
		if group.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", group.n, group.word))
		}
	}
	if len(parts) == 0 {
		return "nothing is known against it"
	}
	return strings.Join(parts, ", ")
}

// RefusedError says that a service's binaries do not hold before a policy.
type RefusedError struct {
	Service string
	Why     string
	Do      string
}

// Error returns what was refused and why.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("check vulnerabilities of %s: %s", e.Service, e.Why)
}

// Next returns the command to type next.
func (e *RefusedError) Next() string { return e.Do }

// Refuse returns a *RefusedError when the judgement is that the image may not
// run, else nil.
func (p Policy) Refuse(r Report, now time.Time) error {
	c := p.check(r, now, false)
	if c.OK {
		return nil
	}
	return &RefusedError{Service: p.Service, Why: c.Detail, Do: c.Next}
}
