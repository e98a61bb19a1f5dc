package render

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/slipway-dev/slipway/platform/kit/event"
)

// maxLive bounds the height of the live part.
const maxLive = 24

// The terminal sequences in use (ECMA-48; cursor visibility is DEC's).
const (
	hideCursor = "\x1b[?25l"
	showCursor = "\x1b[?25h"
	clearDown  = "\x1b[J"
	green      = "\x1b[32m"
	red        = "\x1b[31m"
	yellow     = "\x1b[33m"
	faint      = "\x1b[2m"
	plainStyle = "\x1b[0m"
)

var spinner = []string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"}

// ttyView keeps the steps that are under way in a live part at the bottom,
// which it redraws, and writes what is over above it for good.
type ttyView struct {
	out, err   io.Writer
	steps      *steps
	deployment map[string]string // by service, while its rollout is under way
	color      bool
	size       func() (int, int)
	now        time.Time
	live       int // lines of the live part on the screen
	hidden     bool
	screen     watched // the watched result, in the live part
	piped      bool    // it goes to a pipe besides
}

func newTTY(cfg Config) *ttyView {
	return &ttyView{
		out: cfg.Stdout, err: cfg.Stderr, steps: newSteps(), deployment: map[string]string{},
		color: cfg.Color, size: cfg.Size, now: cfg.Clock.Now(), piped: piped(cfg.Stdout),
	}
}

func (v *ttyView) event(e event.Event) {
	if e.Time.After(v.now) {
		v.now = e.Time
	}
	lines, result := v.apply(e)
	var b strings.Builder
	v.erase(&b)
	columns, _ := v.size()
	for _, l := range lines {
		for text := range strings.SplitSeq(strings.TrimRight(clean(l.text), "\n"), "\n") {
			b.WriteString(v.paint(l.style, l.mark+text) + "\n")
		}
	}
	if result != "" {
		write(v.err, b.String())
		b.Reset()
		write(v.out, complete(clean(result)))
	}
	v.draw(&b, columns)
	write(v.err, b.String())
}

// line is text that stays.
type line struct{ style, mark, text string }

// apply takes an event in; it returns what stays of it, and what is a result.
func (v *ttyView) apply(e event.Event) (lines []line, result string) {
	who := subject(e)
	switch p := e.Data.(type) {
	case event.StepStarted:
		v.steps.start(e, p)
	case event.StepProgress:
		if st := v.steps.byID[p.ID]; st != nil {
			st.progress = progressText(p)
		}
	case event.StepDone:
		return v.done(e, p), ""
	case event.StepFailed:
		st := v.steps.end(e, p.ID)
		delete(v.deployment, st.subject)
		return []line{{red, "✗ ", st.subject + failedText(st.started.Title, p)}}, ""
	case event.Plan:
		return []line{{"", "", p.Text}}, ""
	case event.DeploymentChanged:
		v.deployment[who] = deploymentText(p)
	case event.ServiceMessage:
		return []line{{faint, "  ", who + "ecs: " + p.Message}}, ""
	case event.StageEnded:
		return []line{{faint, "  ", who + p.Stage.String()}}, ""
	case event.TaskStopped:
		return []line{{yellow, "! ", who + stoppedText(p)}}, ""
	case event.LogLine:
		if p.Wanted {
			return nil, wantedText(p)
		}
		return []line{{faint, "  ", who + "| " + p.Message}}, ""
	case event.Notice:
		style := map[event.Level]string{event.Warning: yellow, event.Failure: red}[p.Level]
		return []line{{style, "", who + noticeText(p)}}, ""
	case event.Verdict:
		style := red
		if p.Outcome == event.Completed {
			style = green
		}
		head, rest, _ := strings.Cut(who+p.String(), "\n")
		return []line{{style, "", head}, {"", "", rest}}, ""
	case event.Result:
		if p.Replaces {
			return nil, v.watch(clean(p.Text))
		}
		return nil, p.Text
	}
	return nil, ""
}

// watch puts a watched result on the screen, or into the pipe what is new of it.
func (v *ttyView) watch(text string) (result string) {
	if v.piped {
		return strings.Join(v.screen.change(text), "\n")
	}
	v.screen.change(text)
	return ""
}

// done writes a step for good when it stands alone; steps within another
// vanish into it.
func (v *ttyView) done(e event.Event, p event.StepDone) []line {
	st := v.steps.end(e, p.ID)
	delete(v.deployment, st.subject)
	if st.started.Parent != "" && v.steps.byID[st.started.Parent] != nil {
		return nil
	}
	mark, style := "✓ ", green
	if p.Skipped {
		mark, style = "- ", faint
	}
	return []line{{style, mark, st.subject + doneText(st.started.Title, p)}}
}

func (v *ttyView) tick(now time.Time) {
	v.now = now
	if len(v.steps.order) == 0 {
		return // a watched result is drawn when it changes
	}
	var b strings.Builder
	v.erase(&b)
	columns, _ := v.size()
	v.draw(&b, columns)
	write(v.err, b.String())
}

// erase takes the live part off the screen; the cursor is at its top then.
func (v *ttyView) erase(b *strings.Builder) {
	if v.live > 0 {
		fmt.Fprintf(b, "\x1b[%dA\r%s", v.live, clearDown)
		v.live = 0
	}
}

// draw puts the live part on the screen, at most as high as the terminal.
func (v *ttyView) draw(b *strings.Builder, columns int) {
	_, rows := v.size()
	limit := max(1, min(maxLive, rows-1))
	lines := v.liveLines()
	if over := len(lines) - limit; over > 0 {
		lines = append(lines[:limit-1:limit-1], line{faint, "", fmt.Sprintf("  and %d more", over+1)})
	}
	if len(lines) > 0 && !v.hidden {
		b.WriteString(hideCursor)
		v.hidden = true
	}
	if len(lines) == 0 && v.hidden {
		b.WriteString(showCursor)
		v.hidden = false
	}
	for _, l := range lines {
		// One column stays free: a full line would wrap on some terminals.
		b.WriteString(v.paint(l.style, fit(l.mark+oneLine(clean(l.text)), columns-1)) + "\n")
	}
	v.live = len(lines)
}

func (v *ttyView) liveLines() []line {
	var lines []line
	if !v.piped {
		for _, text := range v.screen.lines {
			lines = append(lines, line{"", "", text})
		}
	}
	told := map[string]bool{}
	for _, st := range v.steps.active() {
		frame := spinner[int(v.now.Sub(st.began).Milliseconds()/100)%len(spinner)]
		text := fmt.Sprintf("%s %s", st.title(), event.Duration(v.now.Sub(st.began)))
		if st.progress != "" {
			text += "  " + st.progress
		}
		lines = append(lines, line{"", strings.Repeat("  ", v.steps.depth(st)) + frame + " ", text})
		if d := v.deployment[st.subject]; d != "" && !told[st.subject] {
			told[st.subject] = true
			lines = append(lines, line{faint, "    ", d})
		}
	}
	return lines
}

func (v *ttyView) close() {
	var b strings.Builder
	v.erase(&b)
	if !v.piped && len(v.screen.lines) > 0 {
		b.WriteString(strings.Join(v.screen.lines, "\n") + "\n") // whole, as nothing redraws it any more
	}
	for _, st := range v.steps.active() {
		b.WriteString(v.paint(yellow, "! "+clean(st.title())+": not finished") + "\n")
	}
	if v.hidden {
		b.WriteString(showCursor)
		v.hidden = false
	}
	write(v.err, b.String())
}

func (v *ttyView) paint(style, text string) string {
	if style == "" || !v.color || text == "" {
		return text
	}
	return style + text + plainStyle
}

func oneLine(text string) string { return strings.ReplaceAll(strings.TrimSpace(text), "\n", " ") }

// fit cuts text to a number of columns.
func fit(text string, columns int) string {
	text = strings.ReplaceAll(text, "\t", " ")
	if columns < 1 {
		return ""
	}
	if utf8.RuneCountInString(text) <= columns {
		return text
	}
	runes := []rune(text)
	return string(runes[:columns-1]) + "…"
}
