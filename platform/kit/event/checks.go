package event

import (
	"fmt"
	"slices"
	"strings"
)

// Check is one thing that was examined before a rollout. It is ok, failed (not
// OK), or skipped, which is neither: it was not needed, it could not be
// examined because another failed, or what it found refuses nothing.
type Check struct {
	Group   string `json:"group,omitempty"` // what it is about: "image", "secrets"
	Name    string `json:"name"`
	OK      bool   `json:"ok"`
	Skipped bool   `json:"skipped,omitempty"`
	Detail  string `json:"detail,omitempty"` // why it failed or was skipped, or what was found
	Next    string `json:"next,omitempty"`   // the command to type next
}

// Failed reports whether the check refuses a rollout.
func (c Check) Failed() bool { return !c.OK && !c.Skipped }

func (c Check) state() string {
	switch {
	case c.Skipped:
		return "skipped"
	case c.OK:
		return "ok"
	default:
		return "failed"
	}
}

// Checks are all checks of a release against one environment, by groups.
type Checks struct {
	Service  string   `json:"service"`
	Env      string   `json:"environment"`
	Release  string   `json:"release"`
	Failed   int      `json:"failed"` // how many refuse a rollout
	Skipped  int      `json:"skipped"`
	Checks   []Check  `json:"checks"`
	Duration Duration `json:"duration"`
}

// NewChecks counts the checks.
func NewChecks(service, env, release string, list []Check) Checks {
	c := Checks{Service: service, Env: env, Release: release, Checks: list}
	for _, check := range list {
		switch {
		case check.Skipped:
			c.Skipped++
		case !check.OK:
			c.Failed++
		}
	}
	return c
}

// Summary is the result in a few words: "9 checks passed, 2 skipped".
func (c Checks) Summary() string {
	passed := len(c.Checks) - c.Failed - c.Skipped
	text := checksText(passed) + " passed"
	if c.Failed > 0 {
		text = fmt.Sprintf("%d of %s failed", c.Failed, checksText(len(c.Checks)))
	}
	if c.Skipped > 0 {
		text += fmt.Sprintf(", %d skipped", c.Skipped)
	}
	return text
}

func checksText(n int) string {
	if n == 1 {
		return "1 check"
	}
	return fmt.Sprintf("%d checks", n)
}

// String returns the checks as a tree, a group and its checks below it.
func (c Checks) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "verify %s %s in %s: %s\n", c.Service, c.Release, c.Env, c.Summary())
	b.WriteString(c.Tree())
	return b.String()
}

// Tree returns the groups and their checks, without the headline.
func (c Checks) Tree() string {
	var groups []string
	for _, check := range c.Checks {
		if !slices.Contains(groups, check.Group) {
			groups = append(groups, check.Group)
		}
	}
	var b strings.Builder
	for _, group := range groups {
		fmt.Fprintf(&b, "  %s\n", group)
		for _, check := range c.Checks {
			if check.Group == group {
				b.WriteString(check.branch())
			}
		}
	}
	return b.String()
}

// branch is a check in the tree, its command below it.
func (c Check) branch() string {
	const margin = "             "
	text := fmt.Sprintf("    %-7s  %s", c.state(), c.Name)
	if c.Detail != "" {
		text += ": " + indent(c.Detail, margin)
	}
	if c.Next != "" {
		text += "\n" + margin + "next: " + c.Next
	}
	return text + "\n"
}
