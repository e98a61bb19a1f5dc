package render

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/event"
)

// heartbeat is how long plain output may be silent while work is under way.
const heartbeat = 30 * time.Second

// plainView writes a line for each change and never goes back.
type plainView struct {
	out, err io.Writer
	steps    *steps
	last     map[string]string // last line of each kind, to print changes only
	spoke    time.Time
	clock    interface{ Now() time.Time }
	screen   watched
}

func newPlain(cfg Config) *plainView {
	return &plainView{out: cfg.Stdout, err: cfg.Stderr, steps: newSteps(), last: map[string]string{}, clock: cfg.Clock, spoke: cfg.Clock.Now()}
}

func (v *plainView) say(subject, text string) {
	for line := range strings.SplitSeq(strings.TrimRight(clean(text), "\n"), "\n") {
		write(v.err, subject+line+"\n")
	}
	v.spoke = v.clock.Now()
}

func (v *plainView) event(e event.Event) {
	who := subject(e)
	switch p := e.Data.(type) {
	case event.StepStarted:
		v.steps.start(e, p)
		v.say(who, p.Title+" ...")
	case event.StepProgress:
		v.progress(p)
	case event.StepDone:
		v.say(who, doneText(v.steps.end(e, p.ID).started.Title, p))
	case event.StepFailed:
		v.say(who, failedText(v.steps.end(e, p.ID).started.Title, p))
	case event.Plan:
		v.say("", p.Text)
	case event.DeploymentChanged:
		if text := deploymentText(p); v.last[who+"deployment"] != text {
			v.last[who+"deployment"] = text
			v.say(who, text)
		}
	case event.ServiceMessage:
		v.say(who, "ecs: "+p.Message)
	case event.StageEnded:
		v.say(who, p.Stage.String())
	case event.TaskStopped:
		v.say(who, stoppedText(p))
	case event.LogLine:
		if p.Wanted {
			write(v.out, complete(clean(wantedText(p))))
			v.spoke = v.clock.Now()
			return
		}
		v.say(who, "| "+p.Message)
	case event.Notice:
		v.say(who, noticeText(p))
	case event.Verdict:
		v.say("", who+p.String())
	case event.Result:
		if p.Replaces {
			v.screen.write(v.out, clean(p.Text))
			return
		}
		write(v.out, complete(clean(p.Text)))
	}
}

// progress says what a step says it does, not each number on the way.
func (v *plainView) progress(p event.StepProgress) {
	st := v.steps.byID[p.ID]
	if st == nil {
		return
	}
	st.progress = progressText(p)
	if p.Message != "" && v.last[p.ID] != p.Message {
		v.last[p.ID] = p.Message
		v.say(st.subject, st.started.Title+": "+p.Message)
	}
}

func (v *plainView) tick(now time.Time) {
	active := v.steps.active()
	if len(active) == 0 || now.Sub(v.spoke) < heartbeat {
		return
	}
	for _, st := range active {
		text := fmt.Sprintf("%s: still going after %s", st.started.Title, event.Duration(now.Sub(st.began)))
		if st.progress != "" {
			text += " (" + st.progress + ")"
		}
		v.say(st.subject, text)
	}
}

func (v *plainView) close() {}

func doneText(title string, p event.StepDone) string {
	text := title + ": done in " + p.Duration.String()
	if p.Skipped {
		text = title + ": not needed"
	}
	if p.Detail != "" {
		text += " (" + p.Detail + ")"
	}
	return text
}

// failedText tells of a step that failed. An error of many words ends the
// command too and is printed there, once.
func failedText(title string, p event.StepFailed) string {
	text := fmt.Sprintf("%s: failed after %s", title, p.Duration)
	if p.Next == "" && !strings.Contains(p.Error, "\n") {
		text += ": " + p.Error
	}
	return text
}
