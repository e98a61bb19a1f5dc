package orders

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Times of an order's life. A reservation must hold for longer than an order may
// be pending, with room for a retried request in between.
const (
	ReservationTTL = 15 * time.Minute // how long stock is reserved
	PendingLimit   = 5 * time.Minute  // how long an order may be pending
	SweepInterval  = 30 * time.Second // how often to look for orders past it
	sweepBatch     = 100

	LateAfter    = 5 * time.Second // how long an order's job has it to itself, see ConfirmLate
	LateInterval = time.Second     // how often to look for orders past it
	lateBatch    = 20
)

// Config is what a Service needs; all but the first four have defaults.
type Config struct {
	Store     Store
	Catalog   Catalog
	Inventory Inventory
	Feed      Feed
	// Now is the clock; time.Now if nil.
	Now func() time.Time
	// Patience is how long a request waits for another with the same key; 5
	// seconds if 0.
	Patience time.Duration
}

// Service is the service's business: what each method of the API, and each job,
// does.
type Service struct {
	Config

	flights *flights
}

// New makes a service. It fails if something it needs is missing.
func New(c Config) (*Service, error) {
	if c.Store == nil || c.Catalog == nil || c.Inventory == nil || c.Feed == nil {
		return nil, errors.New("make orders: Store, Catalog, Inventory and Feed are required")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Patience == 0 {
		c.Patience = 5 * time.Second
	}
	return &Service{Config: c, flights: newFlights()}, nil
}

// Get reads one order.
func (s *Service) Get(ctx context.Context, id string) (Order, error) {
	o, err := s.Store.Get(ctx, id)
	if err != nil {
		return Order{}, fmt.Errorf("get order %s: %w", id, err)
	}
	return o, nil
}

// Cancel gives the order up at somebody's request; see Order.Cancel.
func (s *Service) Cancel(ctx context.Context, id, etag string) (Order, error) {
	o, err := s.Store.Change(ctx, id, func(o Order) (Order, error) { return o.Cancel(etag, Requested, s.Now()) })
	if err != nil {
		return Order{}, fmt.Errorf("cancel order %s: %w", id, err)
	}
	return o, nil
}

// Fulfil says that the order was handed over; see Order.Fulfil.
func (s *Service) Fulfil(ctx context.Context, id, etag string) (Order, error) {
	o, err := s.Store.Change(ctx, id, func(o Order) (Order, error) { return o.Fulfil(etag, s.Now()) })
	if err != nil {
		return Order{}, fmt.Errorf("fulfil order %s: %w", id, err)
	}
	return o, nil
}

// Watch sends the order as it is, then as it was after each change, until it is
// final. It ends with ErrReconnect when draining is closed.
func (s *Service) Watch(ctx context.Context, id string, draining <-chan struct{}, send func(Order) error) error {
	// Subscribe first: a change between reading and subscribing would be lost.
	changed, unsubscribe := s.Feed.Subscribe(id)
	defer unsubscribe()
	o, err := s.Store.Get(ctx, id)
	if err != nil {
		return fmt.Errorf("watch order %s: %w", id, err)
	}
	if err := send(o); err != nil {
		return err
	}
	for !o.State.Final() {
		select {
		case <-changed:
		case <-draining:
			return ErrReconnect.After(time.Second)
		case <-ctx.Done():
			return fmt.Errorf("watch order %s: %w", id, ctx.Err())
		}
		events, err := s.Store.Events(ctx, id, o.Revision)
		if err != nil {
			return fmt.Errorf("watch order %s: %w", id, err)
		}
		for _, e := range events {
			o = e.of(o)
			if err := send(o); err != nil {
				return err
			}
		}
	}
	return nil
}
