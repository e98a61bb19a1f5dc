package event

import (
	"fmt"
	"strings"
	"time"
)

// Outcome is how a rollout ended. Exactly one of them is a success.
type Outcome string

// The outcomes of a rollout.
const (
	Completed  Outcome = "completed"   // our deployment ended well; the release serves
	Failed     Outcome = "failed"      // it ended badly and was not put back
	RolledBack Outcome = "rolled_back" // it ended badly and the release before it serves again
	Superseded Outcome = "superseded"  // a later deployment took its place
	TimedOut   Outcome = "timed_out"   // it was still going when we stopped waiting
	// Interrupted is not an end of the rollout, only of our watching it.
	Interrupted Outcome = "interrupted"
)

// ExitCode returns the exit code of a command whose rollout ended this way:
// 0 completed, 1 failed, 3 rolled back, 4 superseded, 5 timed out,
// 130 interrupted.
func (o Outcome) ExitCode() int {
	switch o {
	case Completed:
		return 0
	case RolledBack:
		return 3
	case Superseded:
		return 4
	case TimedOut:
		return 5
	case Interrupted:
		return 130
	default:
		return 1
	}
}

// Words returns the outcome as people read it: "rolled back".
func (o Outcome) Words() string { return strings.ReplaceAll(string(o), "_", " ") }

// Verdict is the end of a rollout, with its explanation. It is true for one
// deployment, never for "the service".
type Verdict struct {
	Outcome    Outcome   `json:"outcome"`
	Service    string    `json:"service"`
	Env        string    `json:"environment"`
	Release    string    `json:"release"`               // the release that was being rolled out
	Revision   string    `json:"revision,omitempty"`    // family:revision of it
	Deployment string    `json:"deployment,omitempty"`  // service deployment id; empty when none was begun
	Summary    string    `json:"summary"`               // one sentence: what happened
	Why        string    `json:"why,omitempty"`         // one sentence: why, from what ECS keeps of the deployment
	Causes     []string  `json:"causes,omitempty"`      // what ECS and the tasks said besides, most telling first
	Stages     []Stage   `json:"stages,omitempty"`      // of a deployment that moves traffic, in order
	Log        []LogLine `json:"log,omitempty"`         // last lines of a task that failed
	LogTask    string    `json:"log_task,omitempty"`    // the task whose lines these are
	PutBack    string    `json:"put_back,omitempty"`    // the release that ECS put back
	Serving    []Serving `json:"serving"`               // what has running tasks now; null when that could not be read
	Next       []string  `json:"next,omitempty"`        // commands to type next
	Duration   Duration  `json:"duration"`              // from the start of the rollout
	AlreadyRan bool      `json:"already_ran,omitempty"` // nothing had to be done
	URL        string    `json:"url,omitempty"`
	FinishedAt time.Time `json:"finished_at"`
}

// Serving is a release that has running tasks.
type Serving struct {
	Release  string `json:"release"` // "unknown" when the revision carries no release
	Revision string `json:"revision"`
	Running  int    `json:"running"`
}

// ExitCode returns the exit code of the command; see [Outcome.ExitCode].
func (v Verdict) ExitCode() int { return v.Outcome.ExitCode() }

// String returns the verdict as people read it: the summary, then indented
// what explains it, which release serves, and what to type next.
func (v Verdict) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", v.Outcome.Words(), v.Summary)
	if v.Why != "" {
		fmt.Fprintf(&b, "  why: %s\n", indent(v.Why, "    "))
	}
	for _, cause := range v.Causes {
		fmt.Fprintf(&b, "  - %s\n", indent(cause, "    "))
	}
	if len(v.Stages) > 0 {
		b.WriteString("  stages:\n")
	}
	for _, stage := range v.Stages {
		fmt.Fprintf(&b, "    %s\n", stage)
	}
	if len(v.Log) > 0 {
		fmt.Fprintf(&b, "  last log lines of task %s:\n", v.LogTask)
		for _, line := range v.Log {
			fmt.Fprintf(&b, "    | %s\n", indent(line.Message, "    | "))
		}
	}
	b.WriteString("  serving: " + ServingText(v.Serving) + "\n")
	for _, next := range v.Next {
		fmt.Fprintf(&b, "next: %s\n", next)
	}
	return b.String()
}

// ServingText says what serves: "v1 (f:1, 2 tasks)". Nil is not known.
func ServingText(serving []Serving) string {
	if serving == nil {
		return "not known (it could not be read)"
	}
	if len(serving) == 0 {
		return "nothing (no task is running)"
	}
	parts := make([]string, len(serving))
	for i, s := range serving {
		unit := "tasks"
		if s.Running == 1 {
			unit = "task"
		}
		parts[i] = fmt.Sprintf("%s (%s, %d %s)", s.Release, s.Revision, s.Running, unit)
	}
	return strings.Join(parts, " and ")
}

func indent(text, prefix string) string {
	return strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n"+prefix)
}
