package database_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/slipway-dev/slipway/platform/serve/database"
	"github.com/slipway-dev/slipway/platform/serve/errs"
	"github.com/slipway-dev/slipway/platform/serve/servetest"
)

func TestMain(m *testing.M) { os.Exit(servetest.Main(m)) }

func open(t *testing.T, adapt func(*database.Config)) *pgxpool.Pool {
	t.Helper()
	c := database.Defaults(servetest.Postgres(t))
	if adapt != nil {
		adapt(&c)
	}
	pool, err := database.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func execute(t *testing.T, pool *pgxpool.Pool, sql string) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// TestInTxRetriesSerializationFailures lets 16 workers each add to one counter
// under SERIALIZABLE: without the retry most would fail, and a retry that kept
// half a transaction would lose counts.
func TestInTxRetriesSerializationFailures(t *testing.T) {
	t.Parallel()
	pool := open(t, nil)
	execute(t, pool, "CREATE TABLE counter AS SELECT 0 AS n")
	var wg sync.WaitGroup
	var mu sync.Mutex
	runs, done := 0, 0
	for range 4 {
		wg.Go(func() {
			for range 4 {
				err := database.InTx(t.Context(), pool, pgx.TxOptions{IsoLevel: pgx.Serializable}, func(ctx context.Context, tx pgx.Tx) error {
					mu.Lock()
					runs++
					mu.Unlock()
					var n int
					if err := tx.QueryRow(ctx, "SELECT n FROM counter").Scan(&n); err != nil {
						return err
					}
					_, err := tx.Exec(ctx, "UPDATE counter SET n = $1", n+1)
					return err
				})
				if err == nil {
					mu.Lock()
					done++
					mu.Unlock()
				} else if database.Classify(err) == nil || database.Classify(err).Kind != errs.Conflict {
					t.Errorf("got %v", err)
				}
			}
		})
	}
	wg.Wait()
	var n int
	if err := pool.QueryRow(t.Context(), "SELECT n FROM counter").Scan(&n); err != nil {
		t.Fatal(err)
	}
	if n != done {
		t.Errorf("the counter is %d after %d commits", n, done)
	}
	t.Logf("%d commits in %d runs", done, runs)
}

func TestInTxRetriesAndGivesUp(t *testing.T) {
	t.Parallel()
	pool := open(t, nil)
	const conflict = "DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '40001'; END $$"
	for name, tc := range map[string]struct {
		failures, runs int
		ok             bool
	}{
		"at once": {0, 1, true}, "third time": {2, 3, true}, "never": {100, 5, false},
	} {
		runs := 0
		err := database.InTx(t.Context(), pool, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
			runs++
			if runs <= tc.failures {
				_, err := tx.Exec(ctx, conflict)
				return err
			}
			return nil
		})
		if runs != tc.runs || (err == nil) != tc.ok {
			t.Errorf("%s: %d runs, %v", name, runs, err)
		}
	}
	own := errors.New("own")
	runs := 0
	if err := database.InTx(t.Context(), pool, pgx.TxOptions{}, func(context.Context, pgx.Tx) error { runs++; return own }); !errors.Is(err, own) || runs != 1 {
		t.Errorf("an ordinary error: %d runs, %v", runs, err)
	}
}

func TestClassify(t *testing.T) {
	t.Parallel()
	pool := open(t, func(c *database.Config) { c.StatementTimeout = 50 * time.Millisecond })
	execute(t, pool, "CREATE TABLE one (id int CONSTRAINT one_key UNIQUE); INSERT INTO one VALUES (1)")
	gone, err := database.Open(t.Context(), database.Defaults("postgres://u:p@127.0.0.1:1/x"))
	if err != nil {
		t.Fatal(err)
	}
	defer gone.Close()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, tc := range map[string]struct {
		pool *pgxpool.Pool
		ctx  context.Context
		sql  string
		kind errs.Kind // Unknown means not classed
	}{
		"statement timeout": {pool, t.Context(), "SELECT pg_sleep(60)", errs.DeadlineExceeded},
		"killed session":    {pool, t.Context(), "SELECT pg_terminate_backend(pg_backend_pid())", errs.Unavailable},
		"no server":         {gone, t.Context(), "SELECT 1", errs.Unavailable},
		"unique":            {pool, t.Context(), "INSERT INTO one VALUES (1)", errs.Unknown},
		"syntax":            {pool, t.Context(), "SELEKT", errs.Unknown},
		"cancelled":         {pool, cancelled, "SELECT 1", errs.Unknown},
	} {
		_, err := tc.pool.Exec(tc.ctx, tc.sql)
		if err == nil {
			t.Fatalf("%s: no error", name)
		}
		got := database.Classify(fmt.Errorf("query: %w", err))
		if (got == nil) != (tc.kind == errs.Unknown) || (got != nil && got.Kind != tc.kind) {
			t.Errorf("%s: %v is classed as %+v", name, err, got)
		}
		if unique := database.IsUniqueViolation(err, "one_key"); unique != (name == "unique") {
			t.Errorf("%s: unique violation: %v", name, unique)
		}
	}
}

var migrations = fstest.MapFS{
	"00001_init.sql":  {Data: []byte("-- +goose Up\nCREATE TABLE a (id int);\n")},
	"00002_slow.sql":  {Data: []byte("-- +goose Up\nSELECT pg_sleep(0.2);\n")},
	"00003_index.sql": {Data: []byte("-- +goose NO TRANSACTION\n-- +goose Up\nCREATE INDEX CONCURRENTLY a_id ON a (id);\n")},
}

func TestMigrateOnceFromManyProcesses(t *testing.T) {
	t.Parallel()
	c := database.Defaults(servetest.Postgres(t))
	c.StatementTimeout = 50 * time.Millisecond // does not hold for migrations
	var wg sync.WaitGroup
	var mu sync.Mutex
	var applied []string
	for range 6 {
		wg.Go(func() {
			done, version, err := database.Migrate(t.Context(), c, migrations)
			if err != nil || version != 3 {
				t.Errorf("version %d, %v", version, err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, m := range done {
				applied = append(applied, m.Source)
			}
		})
	}
	wg.Wait()
	slices.Sort(applied)
	if got := strings.Join(applied, " "); got != "00001_init.sql 00002_slow.sql 00003_index.sql" {
		t.Errorf("applied %s", got)
	}
}

// TestWaitingMigrationLetsAnIndexBeBuilt holds the lock, lets a migration wait
// for it, and builds an index concurrently: that waits for every snapshot, so
// it deadlocks with a session that waits inside pg_advisory_lock.
func TestWaitingMigrationLetsAnIndexBeBuilt(t *testing.T) {
	t.Parallel()
	c := database.Defaults(servetest.Postgres(t))
	holder, err := pgx.Connect(t.Context(), c.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close(t.Context())
	run := func(sql string, args ...any) {
		t.Helper()
		if _, err := holder.Exec(t.Context(), sql, args...); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	run("CREATE TABLE held (id int)")
	run("SELECT pg_advisory_lock($1)", int64(database.MigrationLock))
	done := make(chan error, 1)
	go func() { _, _, err := database.Migrate(t.Context(), c, migrations); done <- err }()
	for waiters := 0; waiters == 0; {
		const query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE '%advisory_lock%'"
		if err := holder.QueryRow(t.Context(), query).Scan(&waiters); err != nil {
			t.Fatal(err)
		}
	}
	run("CREATE INDEX CONCURRENTLY held_id ON held (id)")
	run("SELECT pg_advisory_unlock($1)", int64(database.MigrationLock))
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestMigrateReportsWhatWasAppliedBeforeAnError(t *testing.T) {
	t.Parallel()
	c := database.Defaults(servetest.Postgres(t))
	broken := fstest.MapFS{
		"1_fine.sql":   {Data: []byte("-- +goose Up\nCREATE TABLE a (id int);\n")},
		"2_broken.sql": {Data: []byte("-- +goose Up\nCREATE TABLE b (id int);\nALTER TABLE nothing ADD x int;\n")},
	}
	applied, _, err := database.Migrate(t.Context(), c, broken)
	if err == nil || !strings.Contains(err.Error(), "2_broken.sql") || len(applied) != 1 {
		t.Errorf("applied %v, %v", applied, err)
	}
	broken["2_broken.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\nCREATE TABLE b (id int);\n")}
	if applied, version, err := database.Migrate(t.Context(), c, broken); err != nil || version != 2 || len(applied) != 1 {
		t.Errorf("after the mend: %v, version %d, %v", applied, version, err)
	}
}
