// Package jobs runs background work that is kept in the service's own database:
// a job is inserted in the transaction that makes it necessary, is carried out
// at least once, and is tried again until it succeeds. It is a thin layer over
// River that fits it to the runtime: one life with the listeners, a drain within
// the budget, one trace with the request that caused the job. A job may run more
// than once, so a worker must be safe to repeat.
package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"

	"github.com/slipway-dev/slipway/platform/serve/internal/telemetry"
)

// Client inserts jobs (InsertTx and its relatives) and works them while it runs.
type Client struct {
	*river.Client[pgx.Tx]

	log *slog.Logger
}

// Runtime is what the process gives the jobs; Builder.Jobs fills it in.
type Runtime struct {
	Pool      *pgxpool.Pool
	Log       *slog.Logger
	Telemetry *telemetry.Telemetry // nil traces nothing
}

const (
	startPause = time.Second // between tries to start while the database is away
	fetchPause = 20 * time.Millisecond

	// connsToListen is the size of a pool that can spare a connection for being
	// told of new jobs (LISTEN). With a smaller one the jobs are asked for every
	// second, as they also are while that connection is lost.
	connsToListen = 4
)

// New makes the client. It does not connect.
func New(rt Runtime, cfg Config) (*Client, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	inner, err := river.NewClient(riverpgxv5.New(rt.Pool), &river.Config{
		Workers:              cfg.Workers,
		Queues:               cfg.Queues,
		PeriodicJobs:         cfg.Periodic,
		MaxAttempts:          cfg.MaxAttempts,
		JobTimeout:           cfg.Timeout,
		RescueStuckJobsAfter: cfg.RescueAfter,
		RetryPolicy:          RetryPolicy{},
		FetchCooldown:        fetchPause,
		PollOnly:             rt.Pool.Config().MaxConns < connsToListen,
		Middleware:           []rivertype.Middleware{&tracer{telemetry: rt.Telemetry, log: rt.Log}},
		Logger:               slog.New(quiet{rt.Log.Handler()}),
	})
	if err != nil {
		return nil, fmt.Errorf("make job client: %w", err)
	}
	return &Client{Client: inner, log: rt.Log}, nil
}

// Run works jobs until ctx ends. Then it fetches no more, and waits for the
// running ones up to the time soft; it cancels those that are left, which are
// tried again here or elsewhere, and waits up to the time hard for them to return.
// While the database is away it tries to start again and again.
func (c *Client) Run(ctx context.Context, soft, hard time.Duration) error {
	background := context.WithoutCancel(ctx)
	for {
		err := c.Start(background)
		if err == nil {
			break
		}
		c.log.LogAttrs(ctx, slog.LevelWarn, "jobs cannot start yet", slog.Any("error", err))
		timer := time.NewTimer(startPause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
	<-ctx.Done()
	wait, cancel := context.WithTimeout(background, soft)
	defer cancel()
	if err := c.Stop(wait); err == nil {
		return nil
	}
	c.log.LogAttrs(ctx, slog.LevelWarn, "jobs are cancelled: they did not end within the drain")
	wait, cancel = context.WithTimeout(background, hard)
	defer cancel()
	if err := c.StopAndCancel(wait); err != nil {
		return fmt.Errorf("stop jobs: %w", err)
	}
	return nil
}
