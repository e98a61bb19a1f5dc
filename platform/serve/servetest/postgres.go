package servetest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// databaseURLVariable names a server to use in place of one started here. The
// user in the URL must be allowed to create databases.
const databaseURLVariable = "SLIPWAY_TEST_DATABASE_URL"

// migrateVariable names a service's binary that brings each fresh database to
// its schema, so that the tests of an earlier release are run on a later one.
const migrateVariable = "SLIPWAY_TEST_MIGRATE"

const databaseTimeout = 30 * time.Second

// shared is the PostgreSQL server of this test process. It is package state
// because one server must serve all tests of a process, whichever asks first.
var shared sharedServer //nolint:gochecknoglobals // see above

type sharedServer struct {
	mu  sync.Mutex
	srv *server
	err error // of the first start; a second try would only be slow
}

// url starts the server on first use.
func (s *sharedServer) url() (string, error) {
	if given := os.Getenv(databaseURLVariable); given != "" {
		return given, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.srv == nil && s.err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		s.srv, s.err = startServer(ctx)
	}
	if s.err != nil {
		return "", s.err
	}
	return s.srv.url(), nil
}

func (s *sharedServer) stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.srv == nil {
		return nil
	}
	err := s.srv.stop()
	s.srv = nil
	return err
}

// Postgres creates an empty database for this test alone and returns its URL.
// The database is dropped when the test ends. The server is the one
// SLIPWAY_TEST_DATABASE_URL names, else one started for this test process from
// installed binaries or, where there are none, from downloaded ones. It ends
// with the process, however that ends.
func Postgres(tb testing.TB) string {
	tb.Helper()
	base, err := shared.url()
	if err != nil {
		tb.Fatalf("start postgres: %v", err)
	}
	name := "test_" + strings.ToLower(rand.Text()[:16])
	if err := execute(tb.Context(), base, "CREATE DATABASE "+name+" TEMPLATE template0"); err != nil {
		tb.Fatalf("create test database: %v", err)
	}
	tb.Cleanup(func() {
		ctx := context.WithoutCancel(tb.Context())
		if err := execute(ctx, base, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			tb.Errorf("drop test database: %v", err)
		}
	})
	u, err := url.Parse(base)
	if err != nil {
		tb.Fatalf("parse %s: not a URL", databaseURLVariable)
	}
	u.Path = "/" + name
	if binary := os.Getenv(migrateVariable); binary != "" {
		cmd := exec.CommandContext(tb.Context(), binary, "migrate")
		cmd.Env = append(os.Environ(), "DATABASE_URL="+u.String())
		if out, err := cmd.CombinedOutput(); err != nil {
			tb.Fatalf("bring test database to the schema of %s: %v\n%s", binary, err, out)
		}
	}
	return u.String()
}

// execute runs one statement over a connection of its own.
func execute(ctx context.Context, url, statement string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, databaseTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("connect to postgres: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	_, err = conn.Exec(ctx, statement)
	return err //nolint:wrapcheck // the caller names the statement
}
