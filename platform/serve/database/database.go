// Package database connects a service to PostgreSQL: the pool from the secret
// the platform injects, transactions with retry, migrations. It holds no SQL of
// any service.
package database

import (
	"context"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Config says which database and how to use it.
type Config struct{ URL string }

// Open makes the pool without connecting.
func Open(ctx context.Context, c Config) (*pgxpool.Pool, error) { return nil, nil }

// Beginner starts transactions; *pgxpool.Pool and *pgx.Conn are Beginners.
type Beginner interface {
	BeginTx(ctx context.Context, o pgx.TxOptions) (pgx.Tx, error)
}

// InTx runs fn in a transaction and retries it when PostgreSQL reports a
// serialization failure or a deadlock, so fn must be safe to run again.
func InTx(ctx context.Context, db Beginner, o pgx.TxOptions, fn func(ctx context.Context, tx pgx.Tx) error) error {
	return nil
}

// IsUniqueViolation reports whether err is a violation of the unique
// constraint; an empty name means any.
func IsUniqueViolation(err error, constraint string) bool { return false }

// Migration is one applied migration.
type Migration struct {
	Version  int64
	Source   string
	Duration time.Duration
}

// Migrate brings the database to the newest version under a lock.
func Migrate(ctx context.Context, c Config, migrations fs.FS) ([]Migration, error) { return nil, nil }
