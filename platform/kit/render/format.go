package render

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/event"
)

// ansi matches the escape sequences of terminals (ECMA-48).
var ansi = regexp.MustCompile(`\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\-_])`)

// subject names whom an event is about: "catalog: ", or nothing.
func subject(e event.Event) string {
	if e.Service == "" {
		return ""
	}
	return e.Service + ": "
}

// deploymentText is a deployment's state in one line.
func deploymentText(d event.DeploymentChanged) string {
	text := fmt.Sprintf("%s %s: %d of %d running, %d healthy", d.Release, strings.ToLower(strings.ReplaceAll(d.State, "_", " ")), d.Running, d.Desired, d.Healthy)
	if d.Release == "" {
		text = d.Revision + text
	}
	if d.Pending > 0 {
		text += fmt.Sprintf(", %d pending", d.Pending)
	}
	if d.Failed > 0 {
		text += fmt.Sprintf(", %d failed", d.Failed)
	}
	if d.Stage != "" {
		text += fmt.Sprintf(", %s, %g %% of the traffic", strings.ToLower(strings.ReplaceAll(d.Stage, "_", " ")), d.Weight)
	}
	return text
}

func stoppedText(t event.TaskStopped) string {
	var text strings.Builder
	fmt.Fprintf(&text, "task %s stopped: %s", t.Task, t.Reason)
	for _, c := range t.Containers {
		if c.ExitCode != nil {
			fmt.Fprintf(&text, "; container %s exited with code %d", c.Name, *c.ExitCode)
		}
		if c.Reason != "" {
			fmt.Fprintf(&text, "; container %s: %s", c.Name, c.Reason)
		}
	}
	return text.String()
}

func noticeText(n event.Notice) string {
	text := n.Message
	if n.Level != event.Info {
		text = string(n.Level) + ": " + text
	}
	if n.Next != "" {
		text += "\nnext: " + n.Next
	}
	return text
}

// progressText is how far a step is: "4 of 10 tasks", "1.2 of 3.4 MB".
func progressText(p event.StepProgress) string {
	var amount string
	switch {
	case p.Unit == "bytes" && p.Total > 0:
		amount = fmt.Sprintf("%s of %s", bytesText(p.Done), bytesText(p.Total))
	case p.Unit == "bytes" && p.Done > 0:
		amount = bytesText(p.Done)
	case p.Total > 0:
		amount = strings.TrimSpace(fmt.Sprintf("%d of %d %s", p.Done, p.Total, p.Unit))
	case p.Done > 0:
		amount = strings.TrimSpace(fmt.Sprintf("%d %s", p.Done, p.Unit))
	}
	if p.Message != "" && amount != "" {
		return p.Message + ", " + amount
	}
	return p.Message + amount
}

func bytesText(n int64) string {
	switch {
	case n < 1000:
		return strconv.FormatInt(n, 10) + " B"
	case n < 1000*1000:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	default:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
}

// wantedText is a log line that the user asked for.
func wantedText(l event.LogLine) string {
	task := l.Task
	if len(task) > 8 {
		task = task[:8]
	}
	return strings.TrimSpace(fmt.Sprintf("%s %s %s", l.At.UTC().Format("15:04:05.000"), task, strings.TrimRight(l.Message, "\n")))
}

// complete returns text with exactly one line end.
func complete(text string) string { return strings.TrimRight(text, "\n") + "\n" }

// step is a piece of work that is under way.
type step struct {
	started  event.StepStarted
	subject  string
	began    time.Time
	progress string
}

// steps are the pieces of work that are under way, oldest first.
type steps struct {
	order []string
	byID  map[string]*step
}

func newSteps() *steps { return &steps{byID: map[string]*step{}} }

func (s *steps) start(e event.Event, p event.StepStarted) {
	if s.byID[p.ID] == nil {
		s.order = append(s.order, p.ID)
	}
	s.byID[p.ID] = &step{started: p, subject: subject(e), began: e.Time}
}

// end removes a step and returns it; one that never started gets a stand-in.
func (s *steps) end(e event.Event, id string) *step {
	st := s.byID[id]
	if st == nil {
		return &step{started: event.StepStarted{ID: id, Title: id}, subject: subject(e), began: e.Time}
	}
	delete(s.byID, id)
	for i, other := range s.order {
		if other == id {
			s.order = append(s.order[:i:i], s.order[i+1:]...)
			break
		}
	}
	return st
}

func (s *steps) active() []*step {
	list := make([]*step, 0, len(s.order))
	for _, id := range s.order {
		list = append(list, s.byID[id])
	}
	return list
}

// depth counts the enclosing steps that are under way.
func (s *steps) depth(st *step) int {
	depth := 0
	for parent := s.byID[st.started.Parent]; parent != nil && depth < 4; parent = s.byID[parent.started.Parent] {
		depth++
	}
	return depth
}

func (s *step) title() string { return s.subject + s.started.Title }
