package orders_test

import (
	"context"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/services/orders/internal/orders"
)

// TestLateOrders sees that an order whose job does not come is confirmed after a
// while, not before, and that one which cannot be is no obstacle to the others.
func TestLateOrders(t *testing.T) {
	t.Parallel()
	w := newWorld()
	place := func(key string) (id string) {
		w.finish(w.start("create", func(ctx context.Context, s *orders.Service) {
			o, err := s.Create(ctx, orders.Request{Customer: "ada", Key: key, Items: []orders.Item{{ProductID: "lamp", Quantity: 1}}})
			if err != nil {
				t.Error(err)
			}
			id = o.ID
		}))
		return id
	}
	late := func(fates ...fate) (err error) {
		a := w.start("late", func(ctx context.Context, s *orders.Service) { err = s.ConfirmLate(ctx) })
		for _, f := range fates {
			if !a.ended {
				w.step(a, f)
			}
		}
		w.finish(a)
		return err
	}
	first := place("k1")
	w.now = w.now.Add(orders.LateAfter)
	if err := late(); err != nil || w.orders[first].State != orders.Pending {
		t.Errorf("while its job has it: %v, %s", err, w.orders[first].State)
	}
	w.now = w.now.Add(time.Second)
	second := place("k2")
	w.now = w.now.Add(orders.LateAfter + time.Second)
	if err := late(works, failsBefore); err == nil {
		t.Error("a failure is not told")
	}
	var states [2]orders.State
	for i, id := range []string{first, second} {
		states[i] = w.orders[id].State
	}
	if states != [2]orders.State{orders.Pending, orders.Confirmed} && states != [2]orders.State{orders.Confirmed, orders.Pending} {
		t.Errorf("after one failure the orders are %v, want one of them confirmed", states)
	}
	if err := late(); err != nil {
		t.Error(err)
	}
	for _, id := range []string{first, second} {
		if w.orders[id].State != orders.Confirmed || w.reservations[id].state != "COMMITTED" {
			t.Errorf("%s is %s, its reservation %s", id, w.orders[id].State, w.reservations[id].state)
		}
	}
}
