package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

// Migration is one applied migration.
type Migration struct {
	Version  int64
	Source   string // file name
	Duration time.Duration
}

const (
	// migrationLock is the key of the session advisory lock migrations hold. A
	// service has its own database, so one number serves all.
	migrationLock = 7_365_726_965
	lockPoll      = 100 * time.Millisecond
	unlockTimeout = 5 * time.Second
)

// Migrate brings the database to the newest version and returns what it
// applied and the version reached. Concurrent callers wait for one another: the
// later ones find nothing left to do. Migrations run without the statement
// timeout; ctx bounds them. On an error the migrations before it are returned.
func Migrate(ctx context.Context, c Config, migrations fs.FS) (applied []Migration, version int64, err error) {
	dir, err := migrationDir(migrations)
	if err != nil {
		return nil, 0, err
	}
	p, err := c.pool()
	if err != nil {
		return nil, 0, err
	}
	conn := p.ConnConfig
	conn.RuntimeParams["statement_timeout"] = "0"
	conn.RuntimeParams["idle_in_transaction_session_timeout"] = "0"
	// Scripts change types under cached plans, so each statement is sent alone.
	conn.DefaultQueryExecMode = pgx.QueryExecModeExec
	db := stdlib.OpenDB(*conn)
	defer func() { err = errors.Join(err, db.Close()) }()

	provider, err := goose.NewProvider(goose.DialectPostgres, db, dir,
		goose.WithSessionLocker(sessionLock{}), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, 0, fmt.Errorf("read migrations: %w", err)
	}
	results, err := provider.Up(ctx)
	if partial, ok := errors.AsType[*goose.PartialError](err); ok {
		results, err = partial.Applied, fmt.Errorf("%s: %w", partial.Failed.Source.Path, partial.Err)
	}
	for _, r := range results {
		applied = append(applied, Migration{Version: r.Source.Version, Source: r.Source.Path, Duration: r.Duration})
	}
	if err != nil {
		return applied, 0, fmt.Errorf("apply migrations: %w", err)
	}
	version, err = provider.GetDBVersion(ctx)
	if err != nil {
		return applied, 0, fmt.Errorf("read migration version: %w", err)
	}
	return applied, version, nil
}

// migrationDir finds the scripts at the root or in the folder "migrations", the
// two ways an embed directive leaves them.
func migrationDir(fsys fs.FS) (fs.FS, error) {
	if info, err := fs.Stat(fsys, "migrations"); err == nil && info.IsDir() {
		sub, err := fs.Sub(fsys, "migrations")
		if err != nil {
			return nil, fmt.Errorf("open migrations folder: %w", err)
		}
		return sub, nil
	}
	return fsys, nil
}

// sessionLock is a goose lock.SessionLocker. It polls: a session that waits
// inside pg_advisory_lock holds a snapshot, CREATE INDEX CONCURRENTLY by the
// holder waits for that snapshot, and so the two deadlock.
type sessionLock struct{}

// SessionLock takes the lock or waits until ctx ends.
func (sessionLock) SessionLock(ctx context.Context, conn *sql.Conn) error {
	for {
		var got bool
		if err := conn.QueryRowContext(ctx, "SELECT pg_try_advisory_lock($1)", int64(migrationLock)).Scan(&got); err != nil {
			return fmt.Errorf("take migration lock: %w", err)
		}
		if got {
			return nil
		}
		timer := time.NewTimer(lockPoll)
		select {
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("wait for another migration: %w", ctx.Err())
		case <-timer.C:
		}
	}
}

// SessionUnlock releases the lock, also after ctx has ended.
func (sessionLock) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unlockTimeout)
	defer cancel()
	if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_unlock($1)", int64(migrationLock)); err != nil {
		return fmt.Errorf("release migration lock: %w", err)
	}
	return nil
}
