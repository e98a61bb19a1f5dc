package orders_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/slipway-dev/slipway/platform/serve/errs"
	"github.com/slipway-dev/slipway/services/orders/internal/orders"
)

// run is one history of a world and what its clients were told.
type run struct {
	*world

	t       *rapid.T
	answers map[string]orders.Order // the first answer to each request, by key and quantity
}

// TestInterleavings places, cancels, fulfils and works orders in tasks whose steps
// interleave at random, fail before or after they took effect, or are the last of
// their process. Whatever happens, no order is confirmed without its stock; once
// everything has come to rest, orders, reservations and answers agree.
func TestInterleavings(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := &run{world: newWorld(), t: t, answers: make(map[string]orders.Order)}
		for range rapid.IntRange(1, 120).Draw(t, "length") {
			if len(r.actors) == 0 || (len(r.actors) < 4 && rapid.IntRange(0, 3).Draw(t, "begin") == 0) {
				r.begin()
			} else {
				a := rapid.SampledFrom(r.actors).Draw(t, "actor")
				fates := []fate{works, works, works, works, works, works, failsBefore, failsAfter, diesBefore, diesAfter}
				r.step(a, rapid.SampledFrom(fates).Draw(t, "fate"))
			}
			r.safe()
		}
		for len(r.actors) > 0 {
			r.finish(r.actors[0])
		}
		r.settle()
		r.agree()
	})
}

// begin starts something new.
func (r *run) begin() {
	ids := slices.Sorted(maps.Keys(r.orders))
	kind := rapid.IntRange(0, 10).Draw(r.t, "kind")
	switch {
	case kind < 3 || len(ids) == 0:
		key := rapid.SampledFrom([]string{"k1", "k2", "k3"}).Draw(r.t, "key")
		r.create(key, rapid.SampledFrom([]int32{2, 2, 2, 5}).Draw(r.t, "quantity"))
	case kind < 5:
		id := rapid.SampledFrom(ids).Draw(r.t, "order")
		r.start("cancel", func(ctx context.Context, s *orders.Service) { _, _ = s.Cancel(ctx, id, "") })
	case kind == 5:
		id := rapid.SampledFrom(ids).Draw(r.t, "order")
		r.start("fulfil", func(ctx context.Context, s *orders.Service) { _, _ = s.Fulfil(ctx, id, "") })
	case kind == 6:
		r.now = r.now.Add(time.Duration(rapid.IntRange(1, 16).Draw(r.t, "minutes")) * time.Minute)
	case kind == 7:
		r.start("sweep", func(ctx context.Context, s *orders.Service) { _ = s.Sweep(ctx) })
	case kind == 8:
		r.start("late", func(ctx context.Context, s *orders.Service) { _ = s.ConfirmLate(ctx) })
	default:
		// A job may be worked by two at once: one whose process seems dead is
		// tried elsewhere while it still runs.
		if len(r.jobs) > 0 {
			r.work(rapid.SampledFrom(r.jobs).Draw(r.t, "job"))
		}
	}
}

// create places an order and checks what the client is told.
func (r *run) create(key string, quantity int32) *actor {
	return r.start("create", func(ctx context.Context, s *orders.Service) {
		o, err := s.Create(ctx, orders.Request{
			Customer: "ada", Key: key, Items: []orders.Item{{ProductID: "lamp", Quantity: quantity}},
		})
		if err != nil {
			known := errors.Is(err, errLost) || errors.Is(err, orders.ErrNoStock) ||
				errors.Is(err, orders.ErrKeyReused) || errors.Is(err, orders.ErrKeyInUse)
			if !known {
				r.t.Errorf("create %s: %v", key, err)
			}
			return
		}
		if o.Lines[0].Quantity != quantity {
			r.t.Errorf("create %d under %s: answered the order of %d", quantity, key, o.Lines[0].Quantity)
		}
		first, again := r.answers[key]
		if diff := cmp.Diff(first, o); again && diff != "" {
			r.t.Errorf("%s: another answer than the first (-first +now):\n%s", key, diff)
		}
		r.answers[key] = o
	})
}

// work carries out a job; it is done once that has succeeded.
func (r *run) work(j *job) *actor {
	return r.start(j.kind, func(ctx context.Context, s *orders.Service) {
		do := map[string]func(context.Context, string) error{"confirm": s.Confirm, "settle": s.Settle, "release": s.Release}[j.kind]
		if do(ctx, j.id) == nil {
			j.done = true
		}
	})
}

// safe is what holds at every moment.
func (r *run) safe() {
	for id, o := range r.orders {
		if o.State != orders.Confirmed && o.State != orders.Fulfilled {
			continue
		}
		if got := r.reservations[id].state; got != "COMMITTED" {
			r.t.Fatalf("order %s is %s, its reservation %s", id, o.State, got)
		}
	}
	if r.available() < 0 {
		r.t.Fatalf("%d units are available", r.available())
	}
}

// settle lets everything come to rest: every job is done, time passes.
func (r *run) settle() {
	rest := func() {
		for i := 0; i < len(r.jobs); i++ { //nolint:intrange // jobs add jobs
			if !r.jobs[i].done {
				r.finish(r.work(r.jobs[i]))
			}
			if !r.jobs[i].done {
				r.t.Fatalf("job %s %s does not succeed", r.jobs[i].kind, r.jobs[i].id)
			}
		}
	}
	rest()
	r.now = r.now.Add(time.Hour)
	r.finish(r.start("sweep", func(ctx context.Context, s *orders.Service) { _ = s.Sweep(ctx) }))
	rest()
	r.expire()
}

// agree is what holds at rest.
func (r *run) agree() {
	left := int32(initialStock)
	for id, o := range r.orders {
		got := r.reservations[id].state
		switch o.State {
		case orders.Confirmed, orders.Fulfilled:
			left -= o.Lines[0].Quantity
			if got != "COMMITTED" {
				r.t.Errorf("order %s is %s, its reservation %s", id, o.State, got)
			}
		case orders.Cancelled:
			if got == "COMMITTED" || got == "ACTIVE" || !o.Settled {
				r.t.Errorf("order %s is cancelled (settled: %v), its reservation %s", id, o.Settled, got)
			}
			if o.CancelReason == orders.StockLost && got != "EXPIRED" {
				r.t.Errorf("order %s lost its stock to somebody: its reservation is %s", id, got)
			}
		default:
			r.t.Errorf("order %s is still %s", id, o.State)
		}
		for i, e := range r.events[id] {
			if i > 0 && !r.events[id][i-1].State.CanBecome(e.State) {
				r.t.Errorf("order %s went from %s to %s", id, r.events[id][i-1].State, e.State)
			}
		}
	}
	if r.stock != left || r.available() != left {
		r.t.Errorf("%d units in stock, %d available, want %d of both", r.stock, r.available(), left)
	}
	byKey := make(map[string]int)
	for at, k := range r.keys {
		if !k.Answered {
			continue
		}
		byKey[k.Answer.ID]++
		// The key answers what it answered first, to those who were never told too.
		r.finish(r.create(at[1], k.Answer.Lines[0].Quantity))
		if diff := cmp.Diff(k.Answer, r.answers[at[1]]); diff != "" {
			r.t.Errorf("%s: (-on record +answered):\n%s", at[1], diff)
		}
	}
	for id := range r.orders {
		if byKey[id] != 1 {
			r.t.Errorf("order %s is the answer to %d keys", id, byKey[id])
		}
	}
	r.free()
	for key, o := range r.answers {
		if _, ok := r.orders[o.ID]; !ok {
			r.t.Errorf("%s: the order that was answered is not there", key)
		}
	}
}

// free checks that no key is blocked by what was left under it.
func (r *run) free() {
	r.stock += 100
	for _, key := range []string{"k1", "k2", "k3"} {
		if _, ok := r.answers[key]; ok {
			continue
		}
		r.finish(r.create(key, 2))
		if _, ok := r.answers[key]; !ok {
			r.t.Errorf("%s is unanswered and blocked", key)
		}
	}
}

// TestALostReservationCancels confirms an order whose reservation has expired.
func TestALostReservationCancels(t *testing.T) {
	t.Parallel()
	w := newWorld()
	var placed orders.Order
	w.finish(w.start("create", func(ctx context.Context, s *orders.Service) {
		var err error
		placed, err = s.Create(ctx, orders.Request{Customer: "ada", Key: "k", Items: []orders.Item{{ProductID: "lamp", Quantity: 1}}})
		if err != nil {
			t.Errorf("create: %v", err)
		}
	}))
	w.now = w.now.Add(orders.ReservationTTL)
	w.finish(w.start("confirm", func(ctx context.Context, s *orders.Service) {
		if err := s.Confirm(ctx, placed.ID); err != nil {
			t.Errorf("confirm: %v", err)
		}
	}))
	if got := w.orders[placed.ID]; got.State != orders.Cancelled || got.CancelReason != orders.StockLost {
		t.Errorf("the order is %s (%s)", got.State, got.CancelReason)
	}
}

// TestADependencyThatFailsIsNotARefusal keeps the kinds apart.
func TestADependencyThatFailsIsNotARefusal(t *testing.T) {
	t.Parallel()
	w := newWorld()
	a := w.start("create", func(ctx context.Context, s *orders.Service) {
		_, err := s.Create(ctx, orders.Request{Customer: "ada", Key: "k", Items: []orders.Item{{ProductID: "lamp", Quantity: initialStock + 1}}})
		if !errors.Is(err, orders.ErrNoStock) || !errs.Is(err, errs.FailedPrecondition) {
			t.Errorf("more than there is: %v", err)
		}
	})
	w.finish(a)
	if len(w.reservations)+len(w.keys)+len(w.jobs) != 0 {
		t.Errorf("a refusal left %v %v %v", w.reservations, w.keys, w.jobs)
	}
}
