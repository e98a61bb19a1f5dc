package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/slipway-dev/slipway/platform/serve/database"
	"github.com/slipway-dev/slipway/platform/serve/servetest"
	"github.com/slipway-dev/slipway/services/orders/internal/orders"
	"github.com/slipway-dev/slipway/services/orders/internal/store"
)

func TestMain(m *testing.M) { os.Exit(servetest.Main(m)) }

// queue notes the jobs in a table, so that they share the transaction's fate.
type queue struct{}

func (queue) Confirm(ctx context.Context, tx pgx.Tx, id string) error {
	return note(ctx, tx, "confirm "+id)
}

func (queue) Settle(ctx context.Context, tx pgx.Tx, id string) error {
	return note(ctx, tx, "settle "+id)
}

func (queue) Release(ctx context.Context, tx pgx.Tx, id string) error {
	return note(ctx, tx, "release "+id)
}

func note(ctx context.Context, tx pgx.Tx, job string) error {
	_, err := tx.Exec(ctx, "INSERT INTO queue (job) VALUES ($1)", job)
	return err
}

func newStore(t *testing.T) (*store.Store, *pgxpool.Pool) {
	t.Helper()
	url := servetest.Postgres(t)
	if _, _, err := database.Migrate(t.Context(), database.Defaults(url), store.Migrations); err != nil {
		t.Fatalf("migrate: %v", err)
	}
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatalf("open pool: %v", err)
	}
	t.Cleanup(pool.Close)
	if _, err := pool.Exec(t.Context(), "CREATE TABLE queue (n serial, job text)"); err != nil {
		t.Fatal(err)
	}
	return store.New(pool, queue{}), pool
}

func jobs(t *testing.T, pool *pgxpool.Pool) string {
	t.Helper()
	var all string
	if err := pool.QueryRow(t.Context(), "SELECT coalesce(string_agg(job, ', ' ORDER BY n), '') FROM queue").Scan(&all); err != nil {
		t.Fatal(err)
	}
	return all
}

var made = time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)

func acceptance(id, key string, generation int32) orders.Acceptance {
	price := orders.Money{Currency: "EUR", Units: 1<<62 - 1, Nanos: 999_999_999}
	free := orders.Money{Currency: "EUR"}
	return orders.Acceptance{
		Key: key, Generation: generation, Fingerprint: []byte("print of " + id),
		Order: orders.Order{
			ID: id, Customer: "ada", Total: price, State: orders.Pending, Revision: 1, CreateTime: made, UpdateTime: made,
			Lines: []orders.Line{
				{ProductID: "z", SKU: "Z", Title: `'"\;--$1 ÅΩЖ 🎉`, Quantity: 1, UnitPrice: price, Total: price},
				{ProductID: "a", SKU: "A", Title: "free", Quantity: 9, UnitPrice: free, Total: free},
			},
		},
	}
}

func TestTheKeyDecides(t *testing.T) {
	t.Parallel()
	s, pool := newStore(t)
	ctx := t.Context()
	steps := []struct {
		name string
		do   func() (bool, error)
		want bool
	}{
		{"accept under a new key", func() (bool, error) { return s.Accept(ctx, acceptance("o-1", "k", 0)) }, true},
		{"accept again", func() (bool, error) { return s.Accept(ctx, acceptance("o-2", "k", 0)) }, false},
		{"give up what is answered", func() (bool, error) { return s.GiveUp(ctx, acceptance("o-1", "k", 0)) }, false},
		{"give up", func() (bool, error) { return s.GiveUp(ctx, acceptance("o-3", "l", 0)) }, true},
		{"give up again", func() (bool, error) { return s.GiveUp(ctx, acceptance("o-3", "l", 0)) }, false},
		{"accept what was given up", func() (bool, error) { return s.Accept(ctx, acceptance("o-3", "l", 0)) }, false},
		{"accept the next generation", func() (bool, error) { return s.Accept(ctx, acceptance("o-4", "l", 1)) }, true},
	}
	for _, step := range steps {
		if got, err := step.do(); got != step.want || err != nil {
			t.Errorf("%s: %v, %v", step.name, got, err)
		}
	}
	if got := jobs(t, pool); got != "confirm o-1, release o-3, confirm o-4" {
		t.Errorf("jobs: %s", got)
	}
	want := acceptance("o-1", "k", 0).Order
	got, err := s.Get(ctx, "o-1")
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("order (-accepted +read), %v:\n%s", err, diff)
	}
	if _, err := s.Change(ctx, "o-1", func(o orders.Order) (orders.Order, error) { return o.Cancel("", orders.Requested, made) }); err != nil {
		t.Fatal(err)
	}
	key, err := s.Key(ctx, "ada", "k")
	if diff := cmp.Diff(orders.Key{Answered: true, Fingerprint: []byte("print of o-1"), Answer: want}, key); err != nil || diff != "" {
		t.Errorf("key after a change (-want +got), %v:\n%s", err, diff)
	}
}

// TestRivalsForAKey accepts and gives up at once: either one is accepted, or the
// generation is raised.
func TestRivalsForAKey(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t)
	for round := range 20 {
		key := fmt.Sprint("k", round)
		won := make([]bool, 6)
		var group sync.WaitGroup
		for i := range won {
			group.Go(func() {
				var err error
				a := acceptance(fmt.Sprint("o-", round, "-", i), key, 0)
				if i%2 == 0 {
					won[i], err = s.Accept(t.Context(), a)
				} else {
					won[i], err = s.GiveUp(t.Context(), a)
				}
				if err != nil {
					t.Errorf("%d: %v", i, err)
				}
			})
		}
		group.Wait()
		winners := 0
		for _, w := range won {
			if w {
				winners++
			}
		}
		if winners != 1 {
			t.Errorf("%s: %d of the rivals won", key, winners)
		}
	}
}

func TestChange(t *testing.T) {
	t.Parallel()
	s, pool := newStore(t)
	ctx := t.Context()
	if ok, err := s.Accept(ctx, acceptance("o-1", "k", 0)); !ok || err != nil {
		t.Fatal(ok, err)
	}
	refuse := errors.New("no")
	if _, err := s.Change(ctx, "o-1", func(o orders.Order) (orders.Order, error) { return o, refuse }); !errors.Is(err, refuse) {
		t.Errorf("refused: %v", err)
	}
	if _, err := s.Change(ctx, "o-x", func(o orders.Order) (orders.Order, error) { return o, nil }); !errors.Is(err, orders.ErrNotFound) {
		t.Errorf("nothing: %v", err)
	}
	cancelled, err := s.Change(ctx, "o-1", func(o orders.Order) (orders.Order, error) {
		return o.Cancel("", orders.TimedOut, made.Add(time.Hour))
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Settled(ctx, "o-1"); err != nil {
		t.Fatal(err)
	}
	cancelled.Settled = true
	got, err := s.Get(ctx, "o-1")
	if diff := cmp.Diff(cancelled, got); err != nil || diff != "" {
		t.Errorf("(-changed +read), %v:\n%s", err, diff)
	}
	if got := jobs(t, pool); got != "confirm o-1, settle o-1" {
		t.Errorf("jobs: %s", got)
	}
	events, err := s.Events(ctx, "o-1", 0)
	want := []orders.Event{
		{Revision: 1, State: orders.Pending, Time: made},
		{Revision: 2, State: orders.Cancelled, CancelReason: orders.TimedOut, Time: made.Add(time.Hour)},
	}
	if diff := cmp.Diff(want, events); err != nil || diff != "" {
		t.Errorf("events (-want +got), %v:\n%s", err, diff)
	}
}

// TestTheDatabaseRefuses tries what no code of ours does.
func TestTheDatabaseRefuses(t *testing.T) {
	t.Parallel()
	s, pool := newStore(t)
	for i, id := range []string{"o-pending", "o-done", "o-gone"} {
		if ok, err := s.Accept(t.Context(), acceptance(id, fmt.Sprint("k", i), 0)); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	move := "UPDATE orders SET revision = revision + 1, state = "
	for _, statement := range []string{
		move + "'CONFIRMED' WHERE id = 'o-done'", move + "'FULFILLED' WHERE id = 'o-done'",
		move + "'CANCELLED', cancel_reason = 'REQUESTED' WHERE id = 'o-gone'",
	} {
		if _, err := pool.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	for name, statement := range map[string]string{
		"pending to fulfilled":   move + "'FULFILLED' WHERE id = 'o-pending'",
		"fulfilled to cancelled": move + "'CANCELLED', cancel_reason = 'REQUESTED' WHERE id = 'o-done'",
		"cancelled to confirmed": move + "'CONFIRMED', cancel_reason = '' WHERE id = 'o-gone'",
		"no reason":              move + "'CANCELLED' WHERE id = 'o-pending'",
		"no revision":            "UPDATE orders SET state = 'CONFIRMED' WHERE id = 'o-pending'",
		"unknown state":          move + "'LOST' WHERE id = 'o-pending'",
		"settle what is pending": "UPDATE orders SET settled = true WHERE id = 'o-pending'",
		"another total":          "UPDATE orders SET total_units = 1 WHERE id = 'o-pending'",
		"delete an order":        "DELETE FROM orders WHERE id = 'o-pending'",
		"change a line":          "UPDATE order_lines SET quantity = 2",
		"rewrite history":        "UPDATE order_events SET state = 'PENDING'",
		"delete history":         "DELETE FROM order_events",
		"truncate history":       "TRUNCATE order_events",
		"change an answer":       "UPDATE order_keys SET answer = '{}'",
		"delete a key":           "DELETE FROM order_keys",
	} {
		if _, err := pool.Exec(t.Context(), statement); err == nil || !strings.Contains(err.Error(), "23514") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPendingSince(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t)
	if ok, err := s.Accept(t.Context(), acceptance("o-1", "k", 0)); !ok || err != nil {
		t.Fatal(ok, err)
	}
	for before, want := range map[time.Time]int{made: 0, made.Add(time.Second): 1} {
		if ids, err := s.PendingSince(t.Context(), before, 10); err != nil || len(ids) != want {
			t.Errorf("before %v: %v, %v", before, ids, err)
		}
	}
}
