// Package model says what can become of a rollout, as states and the events that
// lead from one to the next. It is the page that package rollout and the
// embedded cluster's scheduler are held against: the tests of this package drive
// both through random schedules, and kill the kit before and after each of its
// calls.
package model

import "github.com/slipway-dev/slipway/platform/kit/event"

// State is how far one rollout is.
type State string

// The states of a rollout. Before Shifting ECS has no deployment of it.
const (
	Planned    State = "planned"    // nothing was changed
	Registered State = "registered" // its revision is there and runs nowhere
	Migrating  State = "migrating"  // a task of the revision changes the schema
	Migrated   State = "migrated"   // the schema is the new one; the old release serves
	Shifting   State = "shifting"   // ECS moves tasks and traffic to it
	Reverting  State = "reverting"  // ECS puts the release before it back
	Serving    State = "serving"    // it has every task and all traffic
	Reverted   State = "reverted"   // the release before it has them again
	Broken     State = "broken"     // it failed and nothing was put back
	Overtaken  State = "overtaken"  // a later rollout took its place
	Refused    State = "refused"    // it ended before ECS had a deployment of it
)

// Event is what takes a rollout from one state to another.
type Event string

// The events of a rollout: first what the kit does, then what ECS does, then
// what others do.
const (
	Register     Event = "register"
	BeginMigrate Event = "begin to migrate"
	Migrate      Event = "migrate"
	Update       Event = "update"
	Refuse       Event = "refuse" // a check, a migration or the user is against it
	Complete     Event = "complete"
	Revert       Event = "revert" // breaker, alarm, or the traffic could not be moved
	RevertDone   Event = "revert done"
	GiveUp       Event = "give up" // with nothing to put back, or not able to
	Overtake     Event = "overtake"
)

// transitions lists where each event leads. An event that is not listed cannot
// happen in that state; states without any are ends.
func transitions() map[State]map[Event]State {
	return map[State]map[Event]State{
		Planned:    {Register: Registered, Refuse: Refused},
		Registered: {BeginMigrate: Migrating, Update: Shifting, Overtake: Overtaken, Refuse: Refused},
		Migrating:  {Migrate: Migrated, Refuse: Refused},
		Migrated:   {Update: Shifting, Overtake: Overtaken, Refuse: Refused},
		Shifting:   {Complete: Serving, Revert: Reverting, GiveUp: Broken, Overtake: Overtaken},
		Reverting:  {RevertDone: Reverted, GiveUp: Broken, Overtake: Overtaken},
	}
}

// Next returns the state that an event leads to, false when it cannot happen.
func (s State) Next(e Event) (State, bool) {
	next, ok := transitions()[s][e]
	return next, ok
}

// Over reports whether nothing more can happen to the rollout.
func (s State) Over() bool { return len(transitions()[s]) == 0 }

// Leads reports whether some events lead from s to t, or s is t. A watcher that
// looks now and then misses states, never their order.
func (s State) Leads(t State) bool {
	if s == t {
		return true
	}
	for _, next := range transitions()[s] {
		if next.Leads(t) {
			return true
		}
	}
	return false
}

// Outcome returns what a command that watched the rollout to that state has to
// say; false when it is not over.
func (s State) Outcome() (event.Outcome, bool) {
	switch s {
	case Serving:
		return event.Completed, true
	case Reverted:
		return event.RolledBack, true
	case Broken, Refused:
		return event.Failed, true
	case Overtaken:
		return event.Superseded, true
	default:
		return "", false
	}
}

// Of returns the state of a service deployment by its status in ECS; later says
// that another deployment of the service came after it.
// Source: ServiceDeployment.status in the ECS API reference.
func Of(status string, later bool) State {
	switch status {
	case "SUCCESSFUL":
		return Serving
	case "ROLLBACK_SUCCESSFUL":
		return Reverted
	case "ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS":
		return Reverting
	case "STOPPED", "STOP_REQUESTED":
		if later {
			return Overtaken
		}
		return Broken
	case "ROLLBACK_FAILED":
		return Broken
	default:
		return Shifting
	}
}
