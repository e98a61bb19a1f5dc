package scheduler

import (
	"cmp"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/jonboulle/clockwork"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/scheduler/plan"
	"github.com/slipway-dev/slipway/platform/kit/localcluster/state"
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
