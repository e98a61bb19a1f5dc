package orders_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"time"

	"github.com/slipway-dev/slipway/services/orders/internal/orders"
)

// world is a store, a catalog and an inventory in memory, and a clock. Whoever
// uses them is an actor: before each step of it the test decides whether the
// step works, fails or is where the actor's process dies. One actor runs at a
// time, so nothing here is locked.
type world struct {
	now    time.Time
	actors []*actor

	orders map[string]orders.Order
	events map[string][]orders.Event
	keys   map[[2]string]orders.Key
	jobs   []*job

	stock        int32 // of the one SKU, reserved or not
	reservations map[string]*reservation
}

// job is a row of the queue.
type job struct {
	kind, id string
	done     bool
}

type reservation struct {
	state    string
	quantity int32
	until    time.Time
}

const initialStock = 12

func newWorld() *world {
	return &world{
		now:    time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		orders: make(map[string]orders.Order), events: make(map[string][]orders.Event),
		keys: make(map[[2]string]orders.Key), stock: initialStock, reservations: make(map[string]*reservation),
	}
}

// fate is what becomes of a step.
type fate int

const (
	works fate = iota
	failsBefore
	failsAfter // it worked, but nobody is told so
	diesBefore
	diesAfter
)

var errLost = errors.New("connection lost")

// actor is one call of a service, or one job, in a process of its own.
type actor struct {
	name   string
	decide chan fate     // the test's word on the next step
	parked chan struct{} // the actor waits for it, or has ended
	ended  bool
	died   bool
}

type actorKey struct{}

// start runs fn as an actor until its first step.
func (w *world) start(name string, fn func(context.Context, *orders.Service)) *actor {
	a := &actor{name: name, decide: make(chan fate), parked: make(chan struct{})}
	s, err := orders.New(orders.Config{Store: w, Catalog: w, Inventory: w, Feed: quiet{}, Now: func() time.Time { return w.now }})
	if err != nil {
		panic(err)
	}
	w.actors = append(w.actors, a)
	go func() {
		a.died = true
		defer func() { a.ended = true; close(a.parked) }()
		fn(context.WithValue(context.Background(), actorKey{}, a), s)
		a.died = false
	}()
	<-a.parked
	return a
}

// step lets the actor take its next step and go on to the one after.
func (w *world) step(a *actor, f fate) {
	a.decide <- f
	<-a.parked
	if a.ended {
		w.actors = slices.DeleteFunc(w.actors, func(b *actor) bool { return b == a })
	}
}

// finish lets the actor come to its end.
func (w *world) finish(a *actor) {
	for !a.ended {
		w.step(a, works)
	}
	w.actors = slices.DeleteFunc(w.actors, func(b *actor) bool { return b == a })
}

// do is a step: a call that changes or reads something at once.
func do(ctx context.Context, effect func() error) error {
	a := ctx.Value(actorKey{}).(*actor)
	a.parked <- struct{}{}
	switch <-a.decide {
	case failsBefore:
		return errLost
	case failsAfter:
		_ = effect()
		return errLost
	case diesBefore:
		runtime.Goexit()
	case diesAfter:
		_ = effect()
		runtime.Goexit()
	case works:
	}
	return effect()
}

type quiet struct{}

func (quiet) Subscribe(string) (<-chan struct{}, func()) { return nil, func() {} }

func (w *world) Products(ctx context.Context, ids []string) (products []orders.Product, err error) {
	err = do(ctx, func() error {
		for _, id := range ids {
			products = append(products, orders.Product{
				ID: id, SKU: "LAMP", Title: "Lamp", ForSale: true, Price: orders.Money{Currency: "EUR", Units: 3},
			})
		}
		return nil
	})
	return products, err
}

func (w *world) Reserve(ctx context.Context, id string, lines []orders.Line, ttl time.Duration) (until time.Time, err error) {
	err = do(ctx, func() error {
		w.expire()
		if r, ok := w.reservations[id]; ok {
			if until = r.until; r.state != "ACTIVE" {
				return orders.ErrReservationGone
			}
			return nil
		}
		if w.available() < lines[0].Quantity {
			return orders.ErrNoStock
		}
		until = w.now.Add(ttl)
		w.reservations[id] = &reservation{"ACTIVE", lines[0].Quantity, until}
		return nil
	})
	return until, err
}

func (w *world) Commit(ctx context.Context, id string) error { return w.move(ctx, id, "COMMITTED") }

func (w *world) Release(ctx context.Context, id string) error { return w.move(ctx, id, "RELEASED") }

func (w *world) Return(ctx context.Context, id string) error { return w.move(ctx, id, "RETURNED") }

func (w *world) move(ctx context.Context, id, next string) error {
	return do(ctx, func() error {
		w.expire()
		r, ok := w.reservations[id]
		switch {
		case !ok:
			return orders.ErrReservationGone
		case r.state == next, next == "RELEASED" && r.state == "EXPIRED":
		case r.state == "ACTIVE" && next == "COMMITTED":
			r.state = next
			w.stock -= r.quantity
		case r.state == "ACTIVE" && next == "RELEASED":
			r.state = next
		case r.state == "COMMITTED" && next == "RETURNED":
			r.state = next
			w.stock += r.quantity
		case r.state == "COMMITTED" && next == "RELEASED":
			return orders.ErrReservationCommitted
		case r.state == "ACTIVE":
			return errors.New("RESERVATION_NOT_COMMITTED")
		default:
			return orders.ErrReservationGone
		}
		return nil
	})
}

func (w *world) expire() {
	for _, r := range w.reservations {
		if r.state == "ACTIVE" && !w.now.Before(r.until) {
			r.state = "EXPIRED"
		}
	}
}

func (w *world) available() int32 {
	n := w.stock
	for _, r := range w.reservations {
		if r.state == "ACTIVE" {
			n -= r.quantity
		}
	}
	return n
}

func (w *world) Key(ctx context.Context, customer, key string) (k orders.Key, err error) {
	err = do(ctx, func() error { k = w.keys[[2]string{customer, key}]; return nil })
	return k, err
}

func (w *world) Accept(ctx context.Context, a orders.Acceptance) (ok bool, err error) {
	err = do(ctx, func() error {
		at := [2]string{a.Order.Customer, a.Key}
		if k := w.keys[at]; k.Answered || k.Generation != a.Generation {
			return nil
		}
		if _, twice := w.orders[a.Order.ID]; twice {
			return errors.New("orders_pkey")
		}
		ok = true
		w.keys[at] = orders.Key{Generation: a.Generation, Answered: true, Fingerprint: a.Fingerprint, Answer: a.Order}
		w.put(a.Order)
		w.jobs = append(w.jobs, &job{kind: "confirm", id: a.Order.ID})
		return nil
	})
	return ok && err == nil, err
}

func (w *world) GiveUp(ctx context.Context, a orders.Acceptance) (ok bool, err error) {
	err = do(ctx, func() error {
		at := [2]string{a.Order.Customer, a.Key}
		k := w.keys[at]
		if k.Answered || k.Generation != a.Generation {
			return nil
		}
		ok = true
		k.Generation++
		w.keys[at] = k
		w.jobs = append(w.jobs, &job{kind: "release", id: a.Order.ID})
		return nil
	})
	return ok && err == nil, err
}

func (w *world) put(o orders.Order) {
	w.orders[o.ID] = o
	w.events[o.ID] = append(w.events[o.ID], orders.Event{Revision: o.Revision, State: o.State, CancelReason: o.CancelReason})
}

func (w *world) Get(ctx context.Context, id string) (o orders.Order, err error) {
	err = do(ctx, func() error {
		var ok bool
		if o, ok = w.orders[id]; !ok {
			return orders.ErrNotFound
		}
		return nil
	})
	return o, err
}

func (w *world) Change(ctx context.Context, id string, change func(orders.Order) (orders.Order, error)) (next orders.Order, err error) {
	err = do(ctx, func() error {
		o, ok := w.orders[id]
		if !ok {
			return orders.ErrNotFound
		}
		if next, err = change(o); err != nil || next.Revision == o.Revision {
			return err
		}
		w.put(next)
		if next.State == orders.Cancelled {
			w.jobs = append(w.jobs, &job{kind: "settle", id: id})
		}
		return nil
	})
	return next, err
}

func (w *world) Settled(ctx context.Context, id string) error {
	return do(ctx, func() error {
		o := w.orders[id]
		o.Settled = true
		w.orders[id] = o
		return nil
	})
}

func (w *world) PendingSince(ctx context.Context, before time.Time, limit int32) (ids []string, err error) {
	err = do(ctx, func() error {
		for id, o := range w.orders {
			if o.State == orders.Pending && o.CreateTime.Before(before) && len(ids) < int(limit) {
				ids = append(ids, id)
			}
		}
		slices.Sort(ids)
		return nil
	})
	return ids, err
}

func (w *world) List(context.Context, orders.Query) ([]orders.Order, error) { return nil, nil }

func (w *world) Events(context.Context, string, int32) ([]orders.Event, error) { return nil, nil }
