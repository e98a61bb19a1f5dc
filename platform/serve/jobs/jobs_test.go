package jobs_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/slipway-dev/slipway/platform/serve/database"
	"github.com/slipway-dev/slipway/platform/serve/jobs"
	"github.com/slipway-dev/slipway/platform/serve/servetest"
)

func TestMain(m *testing.M) { os.Exit(servetest.Main(m)) }

// note is a job that says what it does.
type note struct {
	Text string `json:"text"`
}

func (note) Kind() string { return "note" }

// worker does what a test tells it to.
type worker struct {
	river.WorkerDefaults[note]

	work func(ctx context.Context, job *river.Job[note]) error
}

func (w *worker) Work(ctx context.Context, job *river.Job[note]) error { return w.work(ctx, job) }

// bench is one database with jobs' tables.
type bench struct {
	pool *pgxpool.Pool
	log  lockedBuffer
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{}
	var err error
	if b.pool, err = database.Open(t.Context(), database.Defaults(servetest.Postgres(t))); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.pool.Close)
	if _, err := jobs.Migrate(t.Context(), b.pool); err != nil {
		t.Fatal(err)
	}
	return b
}

// client makes a client; it works jobs between start and the returned stop.
func (b *bench) client(t *testing.T, rt jobs.Runtime, cfg jobs.Config, work func(context.Context, *river.Job[note]) error) *jobs.Client {
	t.Helper()
	cfg.Workers = river.NewWorkers()
	river.AddWorker(cfg.Workers, &worker{work: work})
	rt.Pool, rt.Log = b.pool, slog.New(slog.NewJSONHandler(&b.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	c, err := jobs.New(rt, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// run works jobs until stop is called, or the test ends.
func run(t *testing.T, c *jobs.Client, soft time.Duration) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx, soft, 10*time.Second) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run jobs: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func (b *bench) insert(t *testing.T, c *jobs.Client, text string) *rivertype.JobRow {
	t.Helper()
	r, err := c.Insert(t.Context(), note{Text: text}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r.Job
}

func (b *bench) state(t *testing.T, id int64) (state string, attempt int) {
	t.Helper()
	if err := b.pool.QueryRow(t.Context(), "SELECT state, attempt FROM river_job WHERE id = $1", id).Scan(&state, &attempt); err != nil {
		t.Fatal(err)
	}
	return state, attempt
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("it does not happen: %s", what)
		case <-tick.C:
		}
	}
}

// TestJobBelongsToItsTransaction sees that a job of a transaction that was rolled
// back never runs, and one of a transaction that is open does not run yet.
func TestJobBelongsToItsTransaction(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var mu sync.Mutex
	var ran []string
	c := b.client(t, jobs.Runtime{}, jobs.Config{}, func(_ context.Context, job *river.Job[note]) error {
		mu.Lock()
		defer mu.Unlock()
		ran = append(ran, job.Args.Text)
		return nil
	})
	seen := func() string { mu.Lock(); defer mu.Unlock(); return strings.Join(ran, " ") }
	run(t, c, 10*time.Second)
	insert := func(tx pgx.Tx, text string) {
		t.Helper()
		if _, err := c.InsertTx(t.Context(), tx, note{Text: text}, nil); err != nil {
			t.Fatal(err)
		}
	}
	never, err := b.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	insert(never, "never")
	if err := never.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	later, err := b.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	insert(later, "later")
	b.insert(t, c, "first")
	waitFor(t, "the first job", func() bool { return seen() != "" })
	if got := seen(); got != "first" {
		t.Errorf("ran %s before the commit", got)
	}
	if err := later.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the job after its commit", func() bool { return strings.Contains(seen(), "later") })
	if got := seen(); got != "first later" {
		t.Errorf("ran %s", got)
	}
}

// TestJobIsKeptAndRepeated lets a job fail, panic and ask for patience before it
// succeeds, over the life of two clients.
func TestJobIsKeptAndRepeated(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var tries atomic.Int64
	work := func(context.Context, *river.Job[note]) error {
		switch tries.Add(1) {
		case 1:
			return errors.New("not now: customer 4711")
		case 2:
			panic("not now either")
		case 3:
			return river.JobSnooze(time.Millisecond)
		}
		return nil
	}
	first := b.client(t, jobs.Runtime{}, jobs.Config{}, work)
	job := b.insert(t, first, "x") // before anybody works
	stop := run(t, first, 10*time.Second)
	waitFor(t, "the failure", func() bool { return tries.Load() > 0 })
	stop()
	run(t, b.client(t, jobs.Runtime{}, jobs.Config{}, work), 10*time.Second)
	waitFor(t, "success", func() bool { state, _ := b.state(t, job.ID); return state == "completed" })
	log := b.log.String()
	for _, part := range []string{`"msg":"job failed; it will be tried again"`, `"error":"not now: customer 4711"`, `"msg":"panic"`, `"panic":"not now either"`} {
		if !strings.Contains(log, part) {
			t.Errorf("the log lacks %s", part)
		}
	}
	for line := range strings.SplitSeq(log, "\n") {
		if strings.Contains(line, `"level":"INFO"`) && !strings.Contains(line, `"msg":"job`) {
			t.Errorf("River's own line at INFO: %s", line)
		}
	}
}

func TestJobIsGivenUp(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c := b.client(t, jobs.Runtime{}, jobs.Config{MaxAttempts: 1}, func(context.Context, *river.Job[note]) error { return errors.New("no") })
	job := b.insert(t, c, "x")
	run(t, c, 10*time.Second)
	waitFor(t, "the end", func() bool { state, _ := b.state(t, job.ID); return state == "discarded" })
	if !strings.Contains(b.log.String(), `"level":"ERROR","msg":"job failed for good"`) {
		t.Error("nobody is told")
	}
}

// TestDrain has a job that ends when asked and one that only ends when cancelled.
func TestDrain(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		soft  time.Duration
		state string
	}{
		"finishes a running job":         {time.Minute, "completed"},
		"cancels a job that takes long":  {50 * time.Millisecond, "available"},
		"cancels at once without a time": {time.Nanosecond, "available"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			started, release := make(chan struct{}, 9), make(chan struct{})
			c := b.client(t, jobs.Runtime{}, jobs.Config{}, func(ctx context.Context, _ *river.Job[note]) error {
				started <- struct{}{}
				select {
				case <-release:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			})
			job := b.insert(t, c, "x")
			stop := run(t, c, tc.soft)
			<-started
			stopped := make(chan struct{})
			go func() { stop(); close(stopped) }()
			late := b.insert(t, c, "late")
			if tc.state == "completed" {
				waitFor(t, "the client to stop fetching", func() bool {
					return strings.Contains(b.log.String(), "Entering shutdown loop")
				})
				close(release)
			}
			<-stopped
			if state, attempt := b.state(t, job.ID); state != tc.state || attempt > 1 {
				t.Errorf("state is %s after attempt %d, want %s", state, attempt, tc.state)
			}
			if state, _ := b.state(t, late.ID); tc.state != "completed" && state == "running" {
				t.Errorf("the job that came late is %s", state)
			}
		})
	}
}

// TestJobOfAKilledProcessIsRescued makes a job that a process took and never
// gave back.
func TestJobOfAKilledProcessIsRescued(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c := b.client(t, jobs.Runtime{}, jobs.Config{Timeout: 100 * time.Millisecond, RescueAfter: 200 * time.Millisecond},
		func(context.Context, *river.Job[note]) error { return nil })
	job := b.insert(t, c, "x")
	if _, err := b.pool.Exec(t.Context(),
		"UPDATE river_job SET state = 'running', attempt = 1, attempted_at = now() - interval '1 second', attempted_by = '{gone}' WHERE id = $1", job.ID); err != nil {
		t.Fatal(err)
	}
	run(t, c, 10*time.Second)
	waitFor(t, "the rescue", func() bool { state, _ := b.state(t, job.ID); return state == "completed" })
}

// TestLostConnections kills every session of the database, as its restart does.
func TestLostConnections(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var ran atomic.Int64
	c := b.client(t, jobs.Runtime{}, jobs.Config{}, func(context.Context, *river.Job[note]) error { ran.Add(1); return nil })
	run(t, c, 10*time.Second)
	b.insert(t, c, "before")
	waitFor(t, "the first job", func() bool { return ran.Load() == 1 })
	other, err := pgx.ConnectConfig(t.Context(), b.pool.Config().ConnConfig)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(t.Context())
	if _, err := other.Exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "an insert to succeed", func() bool {
		_, err := c.Insert(t.Context(), note{Text: "after"}, nil)
		return err == nil
	})
	waitFor(t, "the job after the loss", func() bool { return ran.Load() >= 2 })
	waitFor(t, "the listener to come back", func() bool {
		var n int
		err := other.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'").Scan(&n)
		return err == nil && n > 0
	})
}

func TestStartWaitsForTheDatabase(t *testing.T) {
	t.Parallel()
	gone, err := database.Open(t.Context(), database.Defaults("postgres://u:p@127.0.0.1:1/x"))
	if err != nil {
		t.Fatal(err)
	}
	defer gone.Close()
	c := (&bench{pool: gone}).client(t, jobs.Runtime{}, jobs.Config{}, nil)
	stop := run(t, c, time.Second)
	stop() // returns without an error
}

func TestMigrateOnceFromMany(t *testing.T) {
	t.Parallel()
	pool, err := database.Open(t.Context(), database.Defaults(servetest.Postgres(t)))
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	var wg sync.WaitGroup
	var total atomic.Int64
	for range 3 {
		wg.Go(func() {
			applied, err := jobs.Migrate(t.Context(), pool)
			if err != nil {
				t.Error(err)
			}
			if len(applied) > 0 && !strings.HasPrefix(applied[0].Source, "jobs 1 ") {
				t.Errorf("applied %+v", applied)
			}
			total.Add(min(int64(len(applied)), 1))
		})
	}
	wg.Wait()
	if total.Load() != 1 {
		t.Errorf("%d of 3 applied something", total.Load())
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for name, cfg := range map[string]jobs.Config{
		"no workers":   {},
		"early rescue": {Workers: river.NewWorkers(), Timeout: time.Minute, RescueAfter: time.Second},
	} {
		if _, err := jobs.New(jobs.Runtime{Pool: b.pool, Log: slog.New(slog.DiscardHandler)}, cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
