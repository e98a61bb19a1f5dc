package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jonboulle/clockwork"

	"github.com/slipway-dev/slipway/platform/serve/database"
	"github.com/slipway-dev/slipway/platform/serve/servetest"
	"github.com/slipway-dev/slipway/services/inventory/internal/inventory"
	"github.com/slipway-dev/slipway/services/inventory/internal/store"
)

func TestMain(m *testing.M) { os.Exit(servetest.Main(m)) }

// bundle is an inventory on a fresh database and a clock of its own.
type bundle struct {
	*inventory.Inventory

	pool  *pgxpool.Pool
	clock *clockwork.FakeClock
}

func newBundle(tb testing.TB) bundle {
	tb.Helper()
	url := servetest.Postgres(tb)
	if _, _, err := database.Migrate(tb.Context(), database.Defaults(url), store.Migrations); err != nil {
		tb.Fatalf("migrate: %v", err)
	}
	config := database.Defaults(url)
	config.MaxConns = 20
	pool, err := database.Open(context.WithoutCancel(tb.Context()), config)
	if err != nil {
		tb.Fatalf("open pool: %v", err)
	}
	tb.Cleanup(pool.Close)
	clock := clockwork.NewFakeClockAt(time.Date(2026, 1, 2, 3, 4, 5, 6789, time.UTC))
	v, err := inventory.New(inventory.Config{Store: store.New(pool), Now: clock.Now, Batch: 3})
	if err != nil {
		tb.Fatal(err)
	}
	return bundle{Inventory: v, pool: pool, clock: clock}
}

// stock brings units of a SKU in.
func (b bundle) stock(tb testing.TB, sku string, units int32) {
	tb.Helper()
	a := inventory.Adjustment{SKU: sku, Delta: units, Reason: "delivery", RequestID: uuid.NewString()}
	if _, err := b.Adjust(tb.Context(), a); err != nil {
		tb.Fatalf("bring in %s: %v", sku, err)
	}
}

// broken lists the invariants that do not hold, with the rows that break them.
func (b bundle) broken(ctx context.Context) error {
	var all []error
	for _, i := range store.Invariants() {
		rows, err := b.pool.Query(ctx, i.Query)
		if err != nil {
			return fmt.Errorf("%s: %w", i.Name, err)
		}
		found, err := pgx.CollectRows(rows, pgx.RowToMap)
		if err != nil {
			return fmt.Errorf("%s: %w", i.Name, err)
		}
		for _, row := range found {
			all = append(all, fmt.Errorf("broken: %s: %v", i.Name, row))
		}
	}
	return errors.Join(all...)
}

func (b bundle) checkInvariants(tb testing.TB) {
	tb.Helper()
	if err := b.broken(tb.Context()); err != nil {
		tb.Error(err)
	}
}

func TestWhatIsReservedIsRead(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.stock(t, "A", 10)
	b.stock(t, "B", 10)
	lines := []inventory.Line{{SKU: "B", Quantity: 2}, {SKU: "A", Quantity: 3}}
	made, err := b.Reserve(t.Context(), "r", lines, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	now := b.clock.Now().Truncate(time.Microsecond)
	want := inventory.Reservation{
		ID: "r", Lines: []inventory.Line{{SKU: "A", Quantity: 3}, {SKU: "B", Quantity: 2}}, State: inventory.Active,
		ExpireTime: now.Add(time.Minute), CreateTime: now, UpdateTime: now,
	}
	if diff := cmp.Diff(want, made); diff != "" {
		t.Errorf("made (-want +got):\n%s", diff)
	}
	read, err := b.Reservation(t.Context(), "r")
	if diff := cmp.Diff(want, read); err != nil || diff != "" {
		t.Errorf("read: %v (-want +got):\n%s", err, diff)
	}
	b.clock.Advance(time.Second)
	committed, err := b.Commit(t.Context(), "r")
	want.State, want.UpdateTime = inventory.Committed, now.Add(time.Second)
	if diff := cmp.Diff(want, committed); err != nil || diff != "" {
		t.Errorf("committed: %v (-want +got):\n%s", err, diff)
	}
	entries, err := b.ListEntries(t.Context(), "A", 0, "")
	if err != nil {
		t.Fatal(err)
	}
	wantEntries := []inventory.Entry{
		{SKU: "A", Number: 3, Kind: inventory.KindCommit, OnHandDelta: -3, ReservedDelta: -3, ReservationID: "r", CreateTime: now.Add(time.Second)},
		{SKU: "A", Number: 2, Kind: inventory.KindReserve, ReservedDelta: 3, ReservationID: "r", CreateTime: now},
		{SKU: "A", Number: 1, Kind: inventory.KindAdjust, OnHandDelta: 10, Reason: "delivery", CreateTime: now},
	}
	if diff := cmp.Diff(wantEntries, entries.Elements); diff != "" {
		t.Errorf("ledger (-want +got):\n%s", diff)
	}
	b.checkInvariants(t)
}

// TestTheLedgerOnlyGrows tries to rewrite history by SQL.
func TestTheLedgerOnlyGrows(t *testing.T) { //nolint:tparallel // the end checks what all cases left
	t.Parallel()
	b := newBundle(t)
	b.stock(t, "A", 10)
	for name, statement := range map[string]string{
		"update":         "UPDATE ledger_entries SET on_hand_delta = 1",
		"update of none": "UPDATE ledger_entries SET reason = 'x' WHERE sku = 'B'",
		"delete":         "DELETE FROM ledger_entries",
		"truncate":       "TRUNCATE ledger_entries",
		"cascade":        "TRUNCATE stock_items, reservations CASCADE",
		"upsert": `INSERT INTO ledger_entries SELECT * FROM ledger_entries
			ON CONFLICT (sku, number) DO UPDATE SET on_hand_delta = 1`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := b.pool.Exec(t.Context(), statement)
			if err == nil || !strings.Contains(err.Error(), "the ledger only grows") {
				t.Errorf("%v, want it refused", err)
			}
		})
	}
	b.checkInvariants(t)
}

// TestTheDatabaseRefusesWhatTheCodeMustNotTry goes round the statements: the
// checks are the last line.
func TestTheDatabaseRefusesWhatTheCodeMustNotTry(t *testing.T) { //nolint:tparallel // the end checks what all cases left
	t.Parallel()
	b := newBundle(t)
	b.stock(t, "A", 10)
	if _, err := b.Reserve(t.Context(), "r", []inventory.Line{{SKU: "A", Quantity: 4}}, 0); err != nil {
		t.Fatal(err)
	}
	const enter = "INSERT INTO ledger_entries (sku, number, kind, on_hand_delta, reserved_delta, reason, reservation_id, request_id, create_time) VALUES "
	for name, c := range map[string]struct{ statement, constraint string }{
		"negative stock":        {"UPDATE stock_items SET on_hand = -1, reserved = 0", "on_hand_check"},
		"negative reserve":      {"UPDATE stock_items SET reserved = -1", "reserved_check"},
		"promised twice":        {"UPDATE stock_items SET reserved = 11", "reserved_check"},
		"less than is reserved": {"UPDATE stock_items SET on_hand = 3", "reserved_check"},
		"unknown state":         {"UPDATE reservations SET state = 'LOST'", "state_check"},
		"line of nothing":       {"INSERT INTO reservation_lines VALUES ('r', 'B', 0)", "quantity_check"},
		"reserved twice":        {enter + "('A', 3, 'RESERVE', 0, 4, '', 'r', NULL, now())", "reservation_id_sku_kind"},
		"no such line":          {enter + "('A', 3, 'COMMIT', -4, -4, '', 'x', NULL, now())", "reservation_id_sku_fkey"},
		"no such item":          {enter + "('B', 1, 'ADJUST', 1, 0, 'x', NULL, gen_random_uuid(), now())", "sku_fkey"},
		"no reason":             {enter + "('A', 3, 'ADJUST', 1, 0, '', NULL, gen_random_uuid(), now())", "check"},
		"wrong direction":       {enter + "('A', 3, 'RELEASE', 0, 4, '', 'r', NULL, now())", "check"},
		"unknown kind":          {enter + "('A', 3, 'GIFT', 1, 0, '', 'r', NULL, now())", "check"},
		"number taken":          {enter + "('A', 1, 'RELEASE', 0, -4, '', 'r', NULL, now())", "pkey"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := b.pool.Exec(t.Context(), c.statement)
			if err == nil || !strings.Contains(err.Error(), c.constraint) {
				t.Errorf("%v, want a violation of %s", err, c.constraint)
			}
		})
	}
	b.checkInvariants(t)
}

// TestInvariantsSeeWhatIsBroken breaks the data behind the back of every check
// and expects the invariant that is about it to tell.
func TestInvariantsSeeWhatIsBroken(t *testing.T) {
	t.Parallel()
	const loosen = `ALTER TABLE ledger_entries DISABLE TRIGGER ledger_only_grows;
		ALTER TABLE stock_items DROP CONSTRAINT stock_items_on_hand_check, DROP CONSTRAINT stock_items_reserved_check;`
	for name, c := range map[string]struct{ statement, invariant string }{
		"oversold":         {"UPDATE stock_items SET reserved = 11 WHERE sku = 'A'", "promised twice"},
		"negative":         {"UPDATE stock_items SET on_hand = -1 WHERE sku = 'A'", "never negative"},
		"stock lost":       {"UPDATE stock_items SET on_hand = 9 WHERE sku = 'A'", "adds up"},
		"entry lost":       {"DELETE FROM ledger_entries WHERE sku = 'A' AND number = 1", "no gap"},
		"history negative": {"UPDATE ledger_entries SET number = 9 WHERE sku = 'A' AND number = 1", "never negative after any entry"},
		"held for nobody":  {"UPDATE reservations SET state = 'EXPIRED' WHERE id = 'held'", "active reservations hold"},
		"never committed":  {"UPDATE reservations SET state = 'COMMITTED' WHERE id = 'held'", "as its reservation's state says"},
		"other quantity":   {"UPDATE reservation_lines SET quantity = 3 WHERE reservation_id = 'done'", "as its reservation's state says"},
		"empty":            {"INSERT INTO reservations VALUES ('x', 'RELEASED', now() + '1h', now(), now())", "as its reservation's state says"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			b.stock(t, "A", 10)
			for _, id := range []string{"held", "done"} {
				if _, err := b.Reserve(t.Context(), id, []inventory.Line{{SKU: "A", Quantity: 2}}, 0); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := b.Commit(t.Context(), "done"); err != nil {
				t.Fatal(err)
			}
			b.checkInvariants(t)
			if _, err := b.pool.Exec(t.Context(), loosen+c.statement); err != nil {
				t.Fatal(err)
			}
			if err := b.broken(t.Context()); err == nil || !strings.Contains(err.Error(), c.invariant) {
				t.Errorf("found %v, want the invariant %q", err, c.invariant)
			}
		})
	}
}

func TestADeadlineEndsAStatement(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, do := range map[string]func() error{
		"item":        func() error { _, err := b.Item(ctx, "A"); return err },
		"list":        func() error { _, err := b.ListItems(ctx, 0, ""); return err },
		"entries":     func() error { _, err := b.ListEntries(ctx, "A", 0, ""); return err },
		"reservation": func() error { _, err := b.Reservation(ctx, "r"); return err },
		"expire":      func() error { _, err := b.Expire(ctx); return err },
		"reserve": func() error {
			_, err := b.Reserve(ctx, "r", []inventory.Line{{SKU: "A", Quantity: 1}}, 0)
			return err
		},
	} {
		if err := do(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
