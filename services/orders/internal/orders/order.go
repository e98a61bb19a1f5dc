package orders

import "time"

// State is how far an order has come.
type State string

// The states. The last two are final.
const (
	Pending   State = "PENDING"   // accepted, its stock reserved
	Confirmed State = "CONFIRMED" // its stock taken
	Cancelled State = "CANCELLED" // given up
	Fulfilled State = "FULFILLED" // handed over
)

// Final reports whether an order in the state never changes again.
func (s State) Final() bool { return s == Cancelled || s == Fulfilled }

// CanBecome reports whether an order may go from s to next. The database holds
// orders to the same table.
func (s State) CanBecome(next State) bool {
	switch s {
	case Pending:
		return next == Confirmed || next == Cancelled
	case Confirmed:
		return next == Cancelled || next == Fulfilled
	case Cancelled, Fulfilled:
		return false
	default:
		return false
	}
}

// States lists every state.
func States() []State { return []State{Pending, Confirmed, Cancelled, Fulfilled} }

// CancelReason is why an order was cancelled; empty if it was not.
type CancelReason string

// The reasons.
const (
	Requested CancelReason = "REQUESTED"  // somebody asked for it
	StockLost CancelReason = "STOCK_LOST" // the reservation ended before it could be committed
	TimedOut  CancelReason = "TIMED_OUT"  // it was PENDING for too long
)

// Line is a number of units of one product, with what the catalog said of it
// when it was ordered.
type Line struct {
	ProductID string
	SKU       string
	Title     string
	Quantity  int32
	UnitPrice Money
	Total     Money // UnitPrice times Quantity
}

// Order is what a customer buys.
type Order struct {
	ID           string // also the id of its reservation
	Customer     string // last part of the customer's name
	Lines        []Line
	Total        Money // the sum of the lines' totals
	State        State
	CancelReason CancelReason
	Revision     int32 // 1 when accepted, one more with each change of state
	Settled      bool  // of a cancelled order: its reservation is known to hold nothing
	CreateTime   time.Time
	UpdateTime   time.Time
}

// moved is the order one revision on, in the state next.
func (o Order) moved(next State, reason CancelReason, now time.Time) (Order, error) {
	if !o.State.CanBecome(next) {
		return Order{}, o.forbidden()
	}
	o.State, o.CancelReason, o.Revision = next, reason, o.Revision+1
	if now = at(now); now.After(o.UpdateTime) { // clocks of two tasks may differ
		o.UpdateTime = now
	}
	return o, nil
}

// forbidden says which state keeps the order from moving.
func (o Order) forbidden() error {
	err := map[State]error{
		Pending:   ErrPending.With("name", o.Name()),
		Confirmed: ErrConfirmed.With("name", o.Name()),
		Cancelled: ErrCancelled.With("name", o.Name()),
		Fulfilled: ErrFulfilled.With("name", o.Name()),
	}[o.State]
	return err
}

// Cancel gives the order up. A cancelled order stays as it is, whatever the etag,
// so that a repeated request is answered like the first.
func (o Order) Cancel(etag string, reason CancelReason, now time.Time) (Order, error) {
	if o.State == Cancelled {
		return o, nil
	}
	if err := o.CheckEtag(etag); err != nil {
		return Order{}, err
	}
	return o.moved(Cancelled, reason, now)
}

// Fulfil says that the order was handed over. A fulfilled order stays as it is.
func (o Order) Fulfil(etag string, now time.Time) (Order, error) {
	if o.State == Fulfilled {
		return o, nil
	}
	if err := o.CheckEtag(etag); err != nil {
		return Order{}, err
	}
	return o.moved(Fulfilled, "", now)
}

// settle moves a pending order on, and leaves one that has moved meanwhile.
func (o Order) settle(next State, reason CancelReason, now time.Time) (Order, error) {
	if o.State != Pending {
		return o, nil
	}
	return o.moved(next, reason, now)
}

// Event is one row of an order's history: the state it came into.
type Event struct {
	Revision     int32
	State        State
	CancelReason CancelReason
	Time         time.Time
}

// of is the order as it was after the event.
func (e Event) of(o Order) Order {
	o.Revision, o.State, o.CancelReason, o.UpdateTime = e.Revision, e.State, e.CancelReason, e.Time
	return o
}

// at is a time as the database keeps it.
func at(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
