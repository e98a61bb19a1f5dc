package database

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Open makes the pool. It does not connect: the first query does, so that a
// process starts while its database is still coming up.
func Open(ctx context.Context, c Config) (*pgxpool.Pool, error) {
	p, err := c.pool()
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("make database pool: %w", err)
	}
	return pool, nil
}

// Beginner starts transactions; *pgxpool.Pool and *pgx.Conn are Beginners.
type Beginner interface {
	BeginTx(ctx context.Context, o pgx.TxOptions) (pgx.Tx, error)
}

const (
	txAttempts  = 5
	txFirstWait = 5 * time.Millisecond
)

// InTx runs fn in a transaction and commits it if fn returns nil. When
// PostgreSQL reports a serialization failure or a deadlock it runs fn again, up
// to five times with a growing random pause, so fn must be safe to repeat and
// must not keep results of a run that failed.
func InTx(ctx context.Context, db Beginner, o pgx.TxOptions, fn func(ctx context.Context, tx pgx.Tx) error) error {
	wait := txFirstWait
	for attempt := 1; ; attempt++ {
		err := pgx.BeginTxFunc(ctx, db, o, func(tx pgx.Tx) error { return fn(ctx, tx) })
		if err == nil || !retryable(err) || attempt == txAttempts {
			return err //nolint:wrapcheck // fn's own error must reach the caller unchanged
		}
		timer := time.NewTimer(wait/2 + rand.N(wait)) //nolint:gosec // jitter needs no secrecy
		select {
		case <-ctx.Done():
			timer.Stop()
			return errors.Join(ctx.Err(), err)
		case <-timer.C:
		}
		wait *= 2
	}
}
