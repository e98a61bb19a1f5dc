package rollout

import (
	"fmt"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/platform/kit/event"
)

// whole is all of the production traffic, in percent.
const whole = 100

// stages follows a deployment through its lifecycle. ECS tells the present stage
// alone, so that times are as exact as the looks are frequent.
type stages struct {
	past  []event.Stage
	now   event.Stage // no name: none yet
	since time.Time
}

// see takes a look in and returns the stage that ended since the one before.
func (s *stages) see(d Deployment, at time.Time) (ended event.Stage, ok bool) {
	next := event.Stage{Name: d.Stage, Weight: d.Weight}
	if d.State != StateInProgress && d.State != StatePending {
		next = event.Stage{} // what follows is no stage of ours
	}
	if next == s.now {
		return event.Stage{}, false
	}
	ended, ok = s.now, s.now.Name != ""
	if ok {
		ended.Duration = event.Duration(at.Sub(s.since))
		s.past = append(s.past, ended)
	}
	s.now, s.since = next, at
	return ended, ok
}

// reached says how far the deployment came, for one that failed: " at 10 % of
// the traffic (production traffic shift)".
func (s *stages) reached() string {
	if len(s.past) == 0 {
		return ""
	}
	last := s.past[len(s.past)-1]
	return fmt.Sprintf(" at %g %% of the traffic (%s)", last.Weight, stageWords(last.Name))
}

// stageWords is a stage as people read it.
func stageWords(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", " ")) }
