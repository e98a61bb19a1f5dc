package deploy

import (
	"strings"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/bench/figures"
	"github.com/slipway-dev/slipway/platform/kit/bench/sandbox"
	"github.com/slipway-dev/slipway/platform/kit/event"
)

// phase is a part of a command between two moments.
type phase struct {
	name string
	took time.Duration
}

// course is a deploy as its events tell it. Times that did not come are zero.
type course struct {
	firstEvent time.Time // go and mage have started the kit
	building   time.Time // the first step of the build began
	built      time.Time // the last step before the plan ended: pushed, signed
	verdict    time.Time
	phases     []phase // one after another, in order, from the command's start
}

// ends says which part of a build a message of its progress ends.
var ends = []struct{ begins, part string }{
	{"compress", "compile"},
	{"push", "compress"},
}

// courseOf reads a command's events.
func courseOf(r sandbox.Result) course {
	var c course
	at := r.Began
	until := func(name string, when time.Time) {
		if when.After(at) {
			c.phases = append(c.phases, phase{name, when.Sub(at)})
			at = when
		}
	}
	titles, planned := map[string]string{}, false
	for _, e := range r.Events {
		if c.firstEvent.IsZero() {
			c.firstEvent = e.Time
			until("go and mage start", e.Time)
		}
		switch d := e.Data.(type) {
		case event.StepStarted:
			titles[d.ID] = d.Title
			if c.building.IsZero() && strings.HasPrefix(d.Title, "build ") {
				c.building = e.Time
			}
		case event.StepProgress:
			for _, end := range ends {
				if !planned && strings.HasPrefix(d.Message, end.begins) {
					until(end.part, e.Time)
				}
			}
		case event.StepDone:
			if !planned {
				c.built = e.Time
			}
			until(phaseName(titles[d.ID], planned), e.Time)
		case event.Plan:
			planned = true
			until("plan", e.Time)
		case event.Verdict:
			c.verdict = e.Time
		}
	}
	until("end", r.Ended)
	return c
}

// phaseName is a step's title without what differs from deploy to deploy.
func phaseName(title string, planned bool) string {
	switch {
	case strings.HasPrefix(title, "roll out "):
		return "roll out"
	case !planned && strings.HasPrefix(title, "build "):
		return "push"
	default:
		return title
	}
}

// Phase is a part of a deploy, over all runs.
type Phase struct {
	Name    string         `json:"name"`
	Seconds figures.Spread `json:"seconds"`
}

// phasesOf puts the runs' phases together, in the first run's order; one that a
// run did not have is left out of its spread.
func phasesOf(courses []course) []Phase {
	var order []string
	values := map[string][]float64{}
	for _, c := range courses {
		for _, p := range c.phases {
			if values[p.name] == nil {
				order = append(order, p.name)
			}
			values[p.name] = append(values[p.name], p.took.Seconds())
		}
	}
	out := make([]Phase, 0, len(order))
	for _, name := range order {
		out = append(out, Phase{name, figures.Of(values[name])})
	}
	return out
}
