package database

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// busyAfter is how long a check waits for a connection of the pool.
const busyAfter = 500 * time.Millisecond

// Ready returns a readiness check: does the database answer? A pool whose
// connections are all in use says nothing about that, and a process must not be
// taken for broken because it is busy, so the check then connects on its own.
func Ready(pool *pgxpool.Pool) func(context.Context) error {
	return func(ctx context.Context) error {
		quick, cancel := context.WithTimeout(ctx, busyAfter)
		defer cancel()
		err := pool.Ping(quick)
		if s := pool.Stat(); err == nil || s.AcquiredConns() < s.MaxConns() {
			return err //nolint:wrapcheck // the readiness names the check
		}
		conn, err := pgx.ConnectConfig(ctx, pool.Config().ConnConfig)
		if err != nil {
			return fmt.Errorf("connect beside a busy pool: %w", err)
		}
		return conn.Close(ctx) //nolint:wrapcheck // likewise
	}
}
