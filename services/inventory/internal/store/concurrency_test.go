package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/slipway-dev/slipway/platform/serve/errs"
	"github.com/slipway-dev/slipway/services/inventory/internal/inventory"
)

// TestEverythingAtOnce lets many clients do random things to few SKUs and few
// reservations while time passes and sweeps run. The invariants hold at every
// moment, and nobody is told of an error that is not of the domain.
func TestEverythingAtOnce(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	skus := []string{"A", "B", "C"}
	for _, sku := range skus {
		b.stock(t, sku, 8)
	}
	const clients, steps = 16, 60
	done := make(chan struct{})
	var checker, group sync.WaitGroup
	checker.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			if err := b.broken(t.Context()); err != nil {
				t.Error(err)
			}
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	})
	for n := range clients {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(n), 1))
			for range steps {
				if err := randomStep(t.Context(), b, random, skus); err != nil {
					t.Errorf("client %d: %v", n, err)
				}
			}
		})
	}
	group.Wait()
	close(done)
	checker.Wait()
	b.clock.Advance(time.Hour)
	if _, err := b.Expire(t.Context()); err != nil {
		t.Error(err)
	}
	items, err := b.Items(t.Context(), skus)
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range items {
		if item.Reserved != 0 {
			t.Errorf("%s: %d are reserved after every reservation has ended", item.SKU, item.Reserved)
		}
	}
	b.checkInvariants(t)
	b.checkDeadlocks(t)
}

// randomStep does something; it fails if the answer is not one of the domain's.
func randomStep(ctx context.Context, b bundle, random *rand.Rand, skus []string) error {
	id := fmt.Sprintf("r%d", random.IntN(40))
	var err error
	switch random.IntN(8) {
	case 0, 1, 2:
		lines := make([]inventory.Line, 0, len(skus))
		for _, i := range random.Perm(len(skus))[:1+random.IntN(len(skus))] {
			lines = append(lines, inventory.Line{SKU: skus[i], Quantity: 1 + random.Int32N(4)})
		}
		_, err = b.Reserve(ctx, id, lines, time.Duration(1+random.IntN(10))*time.Second)
	case 3:
		_, err = b.Commit(ctx, id)
	case 4:
		_, err = b.Release(ctx, id)
	case 5:
		_, err = b.Return(ctx, id)
	case 6:
		a := inventory.Adjustment{SKU: skus[random.IntN(len(skus))], Delta: 5 - random.Int32N(9), Reason: "counted", RequestID: uuid.NewString()}
		if a.Delta == 0 {
			a.Delta = 1
		}
		_, err = b.Adjust(ctx, a)
	case 7:
		b.clock.Advance(time.Second)
		_, err = b.Expire(ctx)
	}
	if err != nil && !slices.Contains([]errs.Kind{errs.NotFound, errs.FailedPrecondition, errs.AlreadyExists}, errs.KindOf(err)) {
		return fmt.Errorf("an error that no client should see: %w", err)
	}
	return nil
}

// TestCommitOrExpire lets a commit, two sweeps and a release race for each of
// many reservations: one of them wins, and everybody sees the same winner.
func TestCommitOrExpire(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	const rounds = 40
	b.stock(t, "A", rounds)
	for i := range rounds {
		id := fmt.Sprintf("r%d", i)
		if _, err := b.Reserve(t.Context(), id, []inventory.Line{{SKU: "A", Quantity: 1}}, time.Second); err != nil {
			t.Fatal(err)
		}
		var commitErr, releaseErr error
		var group sync.WaitGroup
		group.Go(func() { _, commitErr = b.Commit(t.Context(), id) })
		group.Go(func() { _, releaseErr = b.Release(t.Context(), id) })
		for range 2 {
			group.Go(func() {
				b.clock.Advance(time.Second)
				if _, err := b.Expire(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		r, err := b.Reservation(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		ok := false
		switch r.State {
		case inventory.Committed:
			ok = commitErr == nil && errors.Is(releaseErr, inventory.ErrCommitted)
		case inventory.Released:
			ok = releaseErr == nil && (errors.Is(commitErr, inventory.ErrReleased) || errors.Is(commitErr, inventory.ErrExpired))
		case inventory.Expired:
			ok = releaseErr == nil && errors.Is(commitErr, inventory.ErrExpired)
		case inventory.Active, inventory.Returned: // neither can be the outcome
		}
		if !ok {
			t.Errorf("%s is %s, but the commit said %v and the release %v", id, r.State, commitErr, releaseErr)
		}
	}
	b.checkInvariants(t)
}

// TestTheSameRequestAtOnce sends one request many times at once: it is carried
// out once, and everybody gets its answer.
func TestTheSameRequestAtOnce(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	const clients, rounds = 8, 10
	b.stock(t, "A", 100)
	for i := range rounds {
		adjustment := inventory.Adjustment{SKU: "A", Delta: 1, Reason: "found", RequestID: uuid.NewString()}
		lines := []inventory.Line{{SKU: "A", Quantity: 2}}
		id := fmt.Sprintf("r%d", i)
		var group sync.WaitGroup
		for range clients {
			group.Go(func() {
				if _, err := b.Adjust(t.Context(), adjustment); err != nil {
					t.Error(err)
				}
				if _, err := b.Reserve(t.Context(), id, lines, 0); err != nil {
					t.Error(err)
				}
				if _, err := b.Commit(t.Context(), id); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		for range clients {
			group.Go(func() {
				if _, err := b.Return(t.Context(), id); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
	}
	item, err := b.Item(t.Context(), "A")
	if err != nil || item.OnHand != 100+rounds || item.Reserved != 0 {
		t.Errorf("the item is %+v, %v; want %d on hand and none reserved", item, err, 100+rounds)
	}
	b.checkInvariants(t)
}

// TestNoSKUIsLockedBeforeASmallerOne reserves the same SKUs in every order at
// once.
func TestNoSKUIsLockedBeforeASmallerOne(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	skus := []string{"A", "B", "C", "D", "E"}
	for _, sku := range skus {
		b.stock(t, sku, 10_000)
	}
	var group sync.WaitGroup
	for n := range 16 {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(n), 2))
			for i := range 25 {
				lines := make([]inventory.Line, 0, len(skus))
				for _, s := range random.Perm(len(skus)) {
					lines = append(lines, inventory.Line{SKU: skus[s], Quantity: 1})
				}
				id := fmt.Sprintf("r%d-%d", n, i)
				if _, err := b.Reserve(t.Context(), id, lines, time.Minute); err != nil {
					t.Error(err)
				}
				if i%2 == 0 {
					if _, err := b.Commit(t.Context(), id); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	group.Go(func() {
		for range 20 {
			b.clock.Advance(time.Second)
			if _, err := b.Expire(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
	group.Wait()
	b.checkInvariants(t)
	b.checkDeadlocks(t)
}

// checkDeadlocks asks the server whether it had to end a deadlock. The caller of
// the inventory would not notice: the loser's request is tried again.
func (b bundle) checkDeadlocks(tb testing.TB) {
	tb.Helper()
	b.pool.Reset() // sessions send their statistics when they end, at the latest
	const others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
	ctx, cancel := context.WithTimeout(tb.Context(), 30*time.Second)
	defer cancel()
	for sessions := 1; sessions > 0; {
		if err := b.pool.QueryRow(ctx, others).Scan(&sessions); err != nil {
			tb.Fatalf("wait for the sessions to end: %v", err)
		}
	}
	var deadlocks int
	err := b.pool.QueryRow(ctx, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").Scan(&deadlocks)
	if err != nil || deadlocks > 0 {
		tb.Errorf("there were %d deadlocks (%v)", deadlocks, err)
	}
}
