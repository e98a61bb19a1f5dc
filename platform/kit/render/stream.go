package render

import (
	"encoding/json"
	"io"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/event"
)

// jsonView writes each event as one line of JSON.
type jsonView struct{ out io.Writer }

func (v *jsonView) event(e event.Event) {
	line, err := json.Marshal(e)
	if err != nil { // data that has no JSON form; say so in the stream itself
		e.Data = event.Notice{Level: event.Warning, Message: err.Error()}
		line, _ = json.Marshal(e) //nolint:errchkjson // a notice has a JSON form
	}
	write(v.out, string(line)+"\n")
}

func (v *jsonView) tick(time.Time) {}
func (v *jsonView) close()         {}

// quietView writes results, and what went wrong.
type quietView struct {
	out, err io.Writer
	screen   watched
}

func (v *quietView) event(e event.Event) {
	switch p := e.Data.(type) {
	case event.Result:
		if p.Replaces {
			v.screen.write(v.out, clean(p.Text))
			return
		}
		write(v.out, complete(clean(p.Text)))
	case event.LogLine:
		if p.Wanted {
			write(v.out, complete(clean(wantedText(p))))
		}
	case event.Verdict:
		if p.Outcome != event.Completed {
			write(v.err, complete(clean(subject(e)+p.String())))
		}
	case event.Notice:
		if p.Level == event.Failure {
			write(v.err, complete(clean(subject(e)+noticeText(p))))
		}
	}
}

func (v *quietView) tick(time.Time) {}
func (v *quietView) close()         {}
