package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/slipway-dev/slipway/platform/serve/database"
)

const (
	// migrationLock is the key of the session advisory lock held meanwhile.
	migrationLock = 7_365_726_966
	lockPoll      = 100 * time.Millisecond
	unlockTimeout = 5 * time.Second
)

// Migrate brings the tables of the jobs to the newest version and returns what
// it applied. Concurrent callers wait for one another. The pool needs two
// connections, and should be without a statement timeout.
func Migrate(ctx context.Context, pool *pgxpool.Pool) (applied []database.Migration, err error) {
	unlock, err := lock(ctx, pool)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, fmt.Errorf("read job migrations: %w", err)
	}
	result, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
	if err != nil {
		return nil, fmt.Errorf("apply job migrations: %w", err)
	}
	for _, v := range result.Versions {
		applied = append(applied, database.Migration{
			Version: int64(v.Version), Source: fmt.Sprintf("jobs %d (%s)", v.Version, v.Name), Duration: v.Duration,
		})
	}
	return applied, nil
}

// lock takes the advisory lock on a connection of its own. It polls, as waiting
// inside pg_advisory_lock would keep an index from being built concurrently.
func lock(ctx context.Context, pool *pgxpool.Pool) (unlock func() error, err error) {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("take job migration lock: %w", err)
	}
	for {
		var got bool
		if err := conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", int64(migrationLock)).Scan(&got); err != nil {
			conn.Release()
			return nil, fmt.Errorf("take job migration lock: %w", err)
		}
		if got {
			break
		}
		timer := time.NewTimer(lockPoll)
		select {
		case <-ctx.Done():
			timer.Stop()
			conn.Release()
			return nil, fmt.Errorf("wait for another job migration: %w", ctx.Err())
		case <-timer.C:
		}
	}
	return func() error {
		defer conn.Release()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unlockTimeout)
		defer cancel()
		if _, err := conn.Exec(ctx, "SELECT pg_advisory_unlock($1)", int64(migrationLock)); err != nil {
			return fmt.Errorf("release job migration lock: %w", err)
		}
		return nil
	}, nil
}
