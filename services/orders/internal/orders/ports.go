package orders

import (
	"context"
	"time"
)

// Product is what the catalog says of a product.
type Product struct {
	ID      string
	SKU     string
	Title   string
	Price   Money
	ForSale bool
}

// Catalog knows products and prices.
type Catalog interface {
	// Products reads the products in the order of the ids, all or
	// ErrUnknownProduct.
	Products(ctx context.Context, ids []string) ([]Product, error)
}

// Inventory keeps stock. Every call may be repeated and then does nothing more.
type Inventory interface {
	// Reserve holds the units of all lines under the id for ttl, or none:
	// ErrNoStock. If the id is there already, it answers what became of it:
	// ErrReservationMismatch, ErrReservationGone, or until when it holds.
	Reserve(ctx context.Context, id string, lines []Line, ttl time.Duration) (until time.Time, err error)
	// Commit takes what is held out of the stock. ErrReservationGone if it is too
	// late for that.
	Commit(ctx context.Context, id string) error
	// Release gives free what is held; nil also if nothing is. What is committed
	// stays so: ErrReservationCommitted.
	Release(ctx context.Context, id string) error
	// Return puts what was committed back; ErrReservationGone if nothing was.
	Return(ctx context.Context, id string) error
}

// Key is what is known of a customer's idempotency key; the zero value if it has
// not been used.
type Key struct {
	Generation  int32  // how often a reservation made under it was given up
	Answered    bool   // whether an order was accepted
	Fingerprint []byte // of the request that was accepted
	Answer      Order  // the order as it was first answered
}

// Acceptance is an order to accept, and the key it is accepted under.
type Acceptance struct {
	Key         string
	Generation  int32
	Fingerprint []byte
	Order       Order
}

// Store keeps orders. Its methods return this package's errors where one fits;
// ids it does not have are ErrNotFound.
type Store interface {
	// Key reads a customer's key.
	Key(ctx context.Context, customer, key string) (Key, error)
	// Accept adds, in one transaction, the order, the key with its answer and the
	// job that confirms the order. It reports false, and adds nothing, if the key
	// is answered or not of that generation.
	Accept(ctx context.Context, a Acceptance) (bool, error)
	// GiveUp raises the key's generation and, in the same transaction, adds the
	// job that releases the reservation. It reports false, and does nothing, if
	// the key is answered or not of that generation.
	GiveUp(ctx context.Context, a Acceptance) (bool, error)
	// Get reads one order.
	Get(ctx context.Context, id string) (Order, error)
	// Change replaces an order by what change makes of it, while nobody else can
	// change it. An order that becomes cancelled gets the job that settles it, in
	// the same transaction. An error from change is returned as it is.
	Change(ctx context.Context, id string, change func(Order) (Order, error)) (Order, error)
	// Settled notes that the cancelled order's reservation holds nothing.
	Settled(ctx context.Context, id string) error
	// List reads a stretch of a customer's orders, newest first.
	List(ctx context.Context, q Query) ([]Order, error)
	// PendingSince lists orders that have been pending from before the time.
	PendingSince(ctx context.Context, before time.Time, limit int32) ([]string, error)
	// Events reads the order's history behind the revision.
	Events(ctx context.Context, id string, after int32) ([]Event, error)
}

// Feed tells when an order may have changed.
type Feed interface {
	// Subscribe gives a channel that gets a value after every change of the order,
	// and now and then without one. Changes while a value waits are one value.
	Subscribe(id string) (changed <-chan struct{}, unsubscribe func())
}
