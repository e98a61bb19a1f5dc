// Package jobs carries out later what an accepted request makes necessary. A job
// is inserted in the transaction of its cause and says only when something is
// done; what is done is the domain's business. Every job may run more than once.
package jobs

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/slipway-dev/slipway/platform/serve/jobs"
	"github.com/slipway-dev/slipway/services/orders/internal/orders"
)

// maxAttempts is how often a job is tried: with pauses of up to a minute, for
// some days. A job that is given up leaves stock where it should not be.
const maxAttempts = 5000

// Work is what the jobs do; an *orders.Service does it.
type Work interface {
	Confirm(ctx context.Context, orderID string) error
	Settle(ctx context.Context, orderID string) error
	Release(ctx context.Context, reservationID string) error
	Sweep(ctx context.Context) error
}

// The jobs' arguments. Kinds and keys are in the database: they stay as they are.
type (
	// ConfirmArgs confirms an order.
	ConfirmArgs struct {
		OrderID string `json:"order_id"`
	}
	// SettleArgs gives a cancelled order's stock back.
	SettleArgs struct {
		OrderID string `json:"order_id"`
	}
	// ReleaseArgs releases a reservation that no order stands on.
	ReleaseArgs struct {
		ReservationID string `json:"reservation_id"`
	}
	// SweepArgs cancels orders that are pending for too long.
	SweepArgs struct{}
)

// Kind names the job.
func (ConfirmArgs) Kind() string { return "order_confirm" }

// Kind names the job.
func (SettleArgs) Kind() string { return "order_settle" }

// Kind names the job.
func (ReleaseArgs) Kind() string { return "reservation_release" }

// Kind names the job.
func (SweepArgs) Kind() string { return "order_sweep" }

// Config says what the jobs are and who does them.
func Config(w Work) jobs.Config {
	workers := river.NewWorkers()
	river.AddWorker(workers, river.WorkFunc(func(ctx context.Context, job *river.Job[ConfirmArgs]) error {
		return w.Confirm(ctx, job.Args.OrderID)
	}))
	river.AddWorker(workers, river.WorkFunc(func(ctx context.Context, job *river.Job[SettleArgs]) error {
		return w.Settle(ctx, job.Args.OrderID)
	}))
	river.AddWorker(workers, river.WorkFunc(func(ctx context.Context, job *river.Job[ReleaseArgs]) error {
		return w.Release(ctx, job.Args.ReservationID)
	}))
	river.AddWorker(workers, river.WorkFunc(func(ctx context.Context, _ *river.Job[SweepArgs]) error {
		return w.Sweep(ctx)
	}))
	sweep := river.NewPeriodicJob(river.PeriodicInterval(orders.SweepInterval),
		func() (river.JobArgs, *river.InsertOpts) { return SweepArgs{}, &river.InsertOpts{MaxAttempts: 1} },
		&river.PeriodicJobOpts{RunOnStart: true})
	return jobs.Config{Workers: workers, Periodic: []*river.PeriodicJob{sweep}, MaxAttempts: maxAttempts}
}

// Queue inserts jobs.
type Queue struct{ client *jobs.Client }

// Use gives the queue its client. It comes late, since the client needs the
// workers, these the service, that its store, and that the queue.
func (q *Queue) Use(client *jobs.Client) { q.client = client }

// Confirm inserts the job that confirms the order.
func (q *Queue) Confirm(ctx context.Context, tx pgx.Tx, orderID string) error {
	return q.insert(ctx, tx, ConfirmArgs{OrderID: orderID})
}

// Settle inserts the job that gives a cancelled order's stock back.
func (q *Queue) Settle(ctx context.Context, tx pgx.Tx, orderID string) error {
	return q.insert(ctx, tx, SettleArgs{OrderID: orderID})
}

// Release inserts the job that releases a reservation.
func (q *Queue) Release(ctx context.Context, tx pgx.Tx, reservationID string) error {
	return q.insert(ctx, tx, ReleaseArgs{ReservationID: reservationID})
}

func (q *Queue) insert(ctx context.Context, tx pgx.Tx, args river.JobArgs) error {
	if _, err := q.client.InsertTx(ctx, tx, args, nil); err != nil {
		return fmt.Errorf("insert job %s: %w", args.Kind(), err)
	}
	return nil
}
