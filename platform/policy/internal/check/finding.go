package check

import (
	"cmp"
	"fmt"
	"slices"
)

// Finding is one place that breaks a rule.
type Finding struct {
	// File is the slash-separated path from the root of the tree, or the name
	// of a rule where the rule itself is at fault.
	File string
	// Line is 1-based; 0 means the whole file.
	Line int
	// What says what is wrong, with the measured value.
	What string
	// Mend says what to do about it.
	Mend string
}

// String gives the form that editors and terminals make clickable.
func (f Finding) String() string {
	if f.Line == 0 {
		return fmt.Sprintf("%s: %s\n\tmend: %s", f.File, f.What, f.Mend)
	}
	return fmt.Sprintf("%s:%d: %s\n\tmend: %s", f.File, f.Line, f.What, f.Mend)
}

// sorted orders findings by place, so that a report reads like the tree.
func sorted(found []Finding) []Finding {
	slices.SortFunc(found, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.What, b.What))
	})
	return found
}

// Excuse lets one file break one rule. An excuse that nothing needs any more
// is itself a finding, so that the list can only shrink.
type Excuse struct {
	// Path is the excused file.
	Path string
	// Reason says why the rule cannot be kept there.
	Reason string
}

// excuses remembers which entries of an excuse list were needed.
type excuses struct {
	rule string
	used map[string]bool
}

func newExcuses(rule string, list []Excuse) *excuses {
	e := &excuses{rule: rule, used: make(map[string]bool, len(list))}
	for _, x := range list {
		e.used[x.Path] = false
	}
	return e
}

// cover reports whether path is excused, and notes that it needed to be.
func (e *excuses) cover(path string) bool {
	if _, ok := e.used[path]; !ok {
		return false
	}
	e.used[path] = true
	return true
}

// stale lists the entries that covered nothing.
func (e *excuses) stale() []Finding {
	var found []Finding
	for path, used := range e.used {
		if !used {
			found = append(found, Finding{
				File: path,
				What: fmt.Sprintf("is excused from the rule %q and does not break it", e.rule),
				Mend: "delete the entry from the excuse list",
			})
		}
	}
	return found
}
