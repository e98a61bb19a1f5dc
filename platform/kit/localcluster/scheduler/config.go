package scheduler

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/jonboulle/clockwork"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/plan"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/state"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/task"
)

// Config is what a Scheduler is made of.
type Config struct {
	// Store keeps the records; the scheduler is its only writer of them.
	Store *state.Store
	// Runtime runs tasks, Targets is the load balancer.
	Runtime Runtime
	Targets Targets
	// Alarms are what deployments may watch; nil has none.
	Alarms Alarms
	// Clock tells the time and wakes the scheduler.
	Clock clockwork.Clock
	// IDs is the random source that identifiers are made from.
	IDs io.Reader
	// Account (12 digits), Region and Zone appear in ARNs and tasks. Zone is
	// the region's zone a when empty.
	Account, Region, Zone string
	// MetadataBaseURL is where the task metadata endpoint listens, without a
	// trailing slash.
	MetadataBaseURL string
	// TargetHost is the address tasks listen on; 127.0.0.1 when empty.
	TargetHost string
	// BackoffFirst and BackoffMax bound the wait between starts of a failing
	// task, one second and five minutes when zero. StableAfter is how long a
	// task has to be up for its end to start a new count, a minute when zero.
	BackoffFirst, BackoffMax, StableAfter time.Duration
	// Minute is how long a minute of a bake time lasts, a minute when zero: on
	// a laptop nobody wants to wait for whole ones.
	Minute time.Duration
	// Logger hears what the scheduler cannot tell a caller.
	Logger *slog.Logger
}

func (c Config) validate() error {
	var missing []error
	need := func(ok bool, name string) {
		if !ok {
			missing = append(missing, errors.New("scheduler config: "+name+" is missing"))
		}
	}
	need(c.Store != nil, "Store")
	need(c.Runtime != nil, "Runtime")
	need(c.Targets != nil, "Targets")
	need(c.Clock != nil, "Clock")
	need(c.IDs != nil, "IDs")
	need(len(c.Account) == 12, "Account of 12 digits")
	need(c.Region != "", "Region")
	need(c.Logger != nil, "Logger")
	return errors.Join(missing...)
}

func (c Config) complete() Config {
	c.Zone = cmp.Or(c.Zone, c.Region+"a")
	c.TargetHost = cmp.Or(c.TargetHost, "127.0.0.1")
	c.BackoffFirst = cmp.Or(c.BackoffFirst, time.Second)
	c.BackoffMax = cmp.Or(c.BackoffMax, 5*time.Minute)
	c.StableAfter = cmp.Or(c.StableAfter, time.Minute)
	c.Minute = cmp.Or(c.Minute, time.Minute)
	return c
}

func (c Config) backoff(desired int) plan.Backoff {
	return plan.Backoff{Free: plan.Threshold(desired), First: c.BackoffFirst, Max: c.BackoffMax}
}

// Runtime runs tasks. It reports progress through a func(task.Report) that it
// was given when it was made (Scheduler.Report); reports of one task arrive in
// order, and the last one has every container STOPPED. Reports may be sent
// from within Start or Stop.
type Runtime interface {
	// Start accepts a task and returns at once. An error means that the task
	// was not accepted and will never report. Starting a task twice is an error.
	Start(ctx context.Context, spec task.Spec) error
	// Stop ends a task: SIGTERM, then after the container's grace SIGKILL. It
	// returns at once; a final report follows. Stopping a task that is unknown
	// or is stopping already does nothing.
	Stop(taskARN string, grace map[string]time.Duration)
	// Recover is called once, before anything else, after the scheduler opened
	// its state: it kills or re-adopts what an earlier run left behind and
	// returns the ARNs of the tasks it adopted. Each adopted task then reports
	// its state afresh.
	Recover(ctx context.Context) ([]string, error)
}

// Targets is the load balancer's side: target groups and their members.
type Targets interface {
	// Register adds a target; registering one that is there changes its
	// address. An unknown group is an error.
	Register(groupARN string, t Target) error
	// Deregister starts draining. The channel is closed when no request is in
	// flight or the deregistration delay is over, at once for an unknown
	// target.
	Deregister(groupARN, id string) (drained <-chan struct{})
	// Share makes a listener rule send so many percent of its requests to each
	// target group. An unknown rule or group is an error.
	Share(ruleARN string, percent map[string]float64) error
	// Health is the target's present state. The implementation calls
	// Scheduler.TargetChanged whenever it changes.
	Health(groupARN, id string) TargetHealth
}

// Alarms tells which of the named CloudWatch alarms are in state ALARM. An alarm
// that does not exist is an error.
type Alarms interface {
	Firing(names []string) ([]string, error)
}

// Target is one task's address in a target group.
type Target struct {
	// ID is the task's ARN.
	ID string
	// Host is an address, Port the host port the runtime allotted.
	Host string
	Port int
}

// TargetHealth is a target's state in the words of the Elastic Load Balancing
// API (TargetHealth).
type TargetHealth struct {
	// State is initial, healthy, unhealthy, draining or unused.
	State string
	// Reason is a code such as Target.ResponseCodeMismatch, Description a
	// sentence.
	Reason, Description string
}

// Target states.
const (
	TargetInitial   = "initial"
	TargetHealthy   = "healthy"
	TargetUnhealthy = "unhealthy"
	TargetDraining  = "draining"
	TargetUnused    = "unused"
)
