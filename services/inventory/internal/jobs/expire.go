// Package jobs says when the inventory does what nobody asks for: it gives free
// what expired reservations hold. What that means is the domain's.
package jobs

import (
	"context"
	"fmt"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/slipway-dev/slipway/platform/serve/jobs"
)

// ExpireArgs asks for one sweep over the reservations whose time is up.
type ExpireArgs struct{}

// Kind is the job's name in the database.
func (ExpireArgs) Kind() string { return "expire_reservations" }

// InsertOpts keep one sweep at a time in the queue. It is not tried again, as
// the next one is due sooner.
func (ExpireArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{MaxAttempts: 1, UniqueOpts: river.UniqueOpts{ByState: []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable,
		rivertype.JobStateRunning, rivertype.JobStateScheduled,
	}}}
}

// Expirer gives free what expired reservations hold; *inventory.Inventory is one.
type Expirer interface {
	Expire(ctx context.Context) (int, error)
}

type expireWorker struct {
	river.WorkerDefaults[ExpireArgs]
	expirer Expirer
}

// Work sweeps once. What a sweep cut short has not done is left for the next.
func (w *expireWorker) Work(ctx context.Context, _ *river.Job[ExpireArgs]) error {
	if _, err := w.expirer.Expire(ctx); err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	return nil
}

// New makes the configuration of the service's jobs: a sweep each interval.
func New(expirer Expirer, interval time.Duration) (jobs.Config, error) {
	if expirer == nil || interval <= 0 {
		return jobs.Config{}, fmt.Errorf("make jobs: an expirer and an interval above 0 are required, not %v and %v", expirer, interval)
	}
	workers := river.NewWorkers()
	if err := river.AddWorkerSafely(workers, &expireWorker{expirer: expirer}); err != nil {
		return jobs.Config{}, fmt.Errorf("add worker: %w", err)
	}
	args := func() (river.JobArgs, *river.InsertOpts) { return ExpireArgs{}, nil }
	sweep := river.NewPeriodicJob(river.PeriodicInterval(interval), args, &river.PeriodicJobOpts{RunOnStart: true})
	return jobs.Config{Workers: workers, Periodic: []*river.PeriodicJob{sweep}}, nil
}
