package jobs

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/riverqueue/river"
)

// Config says what a service's jobs are. Only Workers is required.
type Config struct {
	// Workers know how to carry out each kind of job.
	Workers *river.Workers

	// Queues are the queues this process works, river.QueueDefault with ten jobs
	// at a time if there are none.
	Queues map[string]river.QueueConfig

	// Periodic jobs are inserted on schedule by the one process that leads.
	Periodic []*river.PeriodicJob

	// MaxAttempts is how often a job is tried before it is given up; 0 means 25,
	// which is about twenty minutes with the pauses of RetryPolicy.
	MaxAttempts int

	// Timeout ends one attempt of a job; 0 means 20 seconds. A worker with a
	// Timeout of its own overrides it for its kind. Keep it short: RescueAfter
	// must be longer.
	Timeout time.Duration

	// RescueAfter is how long after its start a job whose process is gone is
	// tried again; 0 means Timeout and 5 seconds more. A process that is still
	// there has cancelled the job by then. The leader looks every 30 seconds.
	RescueAfter time.Duration
}

const (
	defaultMaxAttempts = 25
	defaultTimeout     = 20 * time.Second
	rescueMargin       = 5 * time.Second
	defaultWorkers     = 10
)

// complete fills in the defaults.
func (c Config) complete() (Config, error) {
	if c.Workers == nil {
		return Config{}, errors.New("jobs.Config: Workers is required")
	}
	c.MaxAttempts = cmp.Or(c.MaxAttempts, defaultMaxAttempts)
	c.Timeout = cmp.Or(c.Timeout, defaultTimeout)
	c.RescueAfter = cmp.Or(c.RescueAfter, c.Timeout+rescueMargin)
	if c.Timeout <= 0 || c.RescueAfter <= c.Timeout {
		return Config{}, fmt.Errorf("jobs.Config: RescueAfter (%v) must be longer than Timeout (%v), and both more than 0", c.RescueAfter, c.Timeout)
	}
	if len(c.Queues) == 0 {
		c.Queues = map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: defaultWorkers}}
	}
	return c, nil
}
