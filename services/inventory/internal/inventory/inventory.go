// Package inventory holds what stock and reservations are and the rules they
// obey. It knows neither the wire nor the database: internal/rpc, internal/store
// and internal/jobs translate.
package inventory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Store keeps the stock, the reservations and the ledger. Each method is atomic.
// One that answers done or moved false has changed nothing, because meanwhile
// somebody else did: the caller reads again and decides again.
type Store interface {
	// Item reads one item; ErrItemNotFound if there is none.
	Item(ctx context.Context, sku string) (Item, error)
	// Items reads those of the SKUs that have an item, in any order.
	Items(ctx context.Context, skus []string) ([]Item, error)
	// ListItems reads at most limit items behind the SKU, in order.
	ListItems(ctx context.Context, after string, limit int32) ([]Item, error)
	// ListEntries reads at most limit entries of the SKU before the number, the
	// latest first; from the end if it is 0.
	ListEntries(ctx context.Context, sku string, before int64, limit int32) ([]Entry, error)
	// Adjustment reads what was adjusted under the request id, if anything was.
	Adjustment(ctx context.Context, requestID string) (a Adjustment, found bool, err error)
	// Adjust changes what is on hand and makes the item if there is none, unless
	// the result would be below what is reserved or over MaxOnHand, or the
	// request id is taken.
	Adjust(ctx context.Context, a Adjustment) (item Item, done bool, err error)
	// Reservation reads one reservation; ErrReservationNotFound if there is none.
	Reservation(ctx context.Context, id string) (Reservation, error)
	// Reserve adds the reservation and holds what its lines ask for, unless too
	// little is available or the id is taken.
	Reserve(ctx context.Context, r Reservation) (done bool, err error)
	// Move takes the reservation from m.From to m.To and moves the stock, unless
	// it is no longer in m.From.
	Move(ctx context.Context, id string, m Movement, at time.Time) (done bool, err error)
	// MoveDue makes the movement for at most limit active reservations whose time
	// is up at the given time, and says how many it moved: fewer than there are
	// if somebody else moved some first.
	MoveDue(ctx context.Context, m Movement, at time.Time, limit int32) (moved int, err error)
}

// Config is what an Inventory needs; all but Store has a default.
type Config struct {
	Store Store
	// Now is the clock; time.Now if nil.
	Now func() time.Time
	// Batch is how many reservations expire in one transaction; 100 if 0.
	Batch int32
}

// Inventory is the service's business: what each method of the API does.
type Inventory struct {
	store Store
	now   func() time.Time
	batch int32
}

// maxTries bounds how often an operation reads again after it lost a race. Each
// loss means that another one got through.
const maxTries = 20

// New makes an inventory. It fails without a store.
func New(c Config) (*Inventory, error) {
	if c.Store == nil {
		return nil, errors.New("make inventory: Store is nil")
	}
	if c.Batch < 0 {
		return nil, fmt.Errorf("make inventory: Batch is %d", c.Batch)
	}
	if c.Batch == 0 {
		c.Batch = 100
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	// The database keeps microseconds.
	now := func() time.Time { return c.Now().UTC().Truncate(time.Microsecond) }
	return &Inventory{store: c.Store, now: now, batch: c.Batch}, nil
}

// Item reads the stock of a SKU.
func (v *Inventory) Item(ctx context.Context, sku string) (Item, error) {
	item, err := v.store.Item(ctx, sku)
	if err != nil {
		return Item{}, fmt.Errorf("get stock of %s: %w", sku, err)
	}
	return item, nil
}

// Items reads the stock of SKUs in their order, all of them or an error.
func (v *Inventory) Items(ctx context.Context, skus []string) ([]Item, error) {
	found, err := v.store.Items(ctx, skus)
	if err != nil {
		return nil, fmt.Errorf("get stock of %d SKUs: %w", len(skus), err)
	}
	bySKU := make(map[string]Item, len(found))
	for _, item := range found {
		bySKU[item.SKU] = item
	}
	items := make([]Item, len(skus))
	for i, sku := range skus {
		item, ok := bySKU[sku]
		if !ok {
			return nil, ErrItemNotFound.With("name", itemPrefix+sku)
		}
		items[i] = item
	}
	return items, nil
}

// ListItems returns a page of all items in the order of their SKUs.
func (v *Inventory) ListItems(ctx context.Context, size int32, pageToken string) (Page[Item], error) {
	size, err := pageSize(size)
	if err != nil {
		return Page[Item]{}, err
	}
	list := listID("items")
	start, err := decodeToken(pageToken, list)
	if err != nil {
		return Page[Item]{}, err
	}
	items, err := v.store.ListItems(ctx, start.SKU, size+1)
	if err != nil {
		return Page[Item]{}, fmt.Errorf("list stock: %w", err)
	}
	return cut(items, size, func(i Item) token { return token{List: list, SKU: i.SKU} }), nil
}

// ListEntries returns a page of the SKU's ledger, the latest entry first.
func (v *Inventory) ListEntries(ctx context.Context, sku string, size int32, pageToken string) (Page[Entry], error) {
	size, err := pageSize(size)
	if err != nil {
		return Page[Entry]{}, err
	}
	list := listID("entries", sku)
	start, err := decodeToken(pageToken, list)
	if err != nil {
		return Page[Entry]{}, err
	}
	entries, err := v.store.ListEntries(ctx, sku, start.Number, size+1)
	if err != nil {
		return Page[Entry]{}, fmt.Errorf("list entries of %s: %w", sku, err)
	}
	if len(entries) == 0 && pageToken == "" {
		return Page[Entry]{}, ErrItemNotFound.With("name", itemPrefix+sku) // an item has an entry from its first moment
	}
	return cut(entries, size, func(e Entry) token { return token{List: list, Number: e.Number} }), nil
}

// Adjust changes what is on hand. If it was done before under the same request
// id, it changes nothing. Either way it returns the item as it now is. Its Time
// is set here.
func (v *Inventory) Adjust(ctx context.Context, a Adjustment) (Item, error) {
	if err := a.validate(); err != nil {
		return Item{}, err
	}
	for range maxTries {
		before, found, err := v.store.Adjustment(ctx, a.RequestID)
		switch {
		case err != nil:
			return Item{}, fmt.Errorf("read adjustment %s: %w", a.RequestID, err)
		case found && !a.same(before):
			return Item{}, ErrRequestReused.With("requestId", a.RequestID)
		case found:
			return v.Item(ctx, a.SKU)
		}
		item, err := v.store.Item(ctx, a.SKU)
		isNew := errors.Is(err, ErrItemNotFound)
		if err != nil && (!isNew || a.Delta < 0) {
			return Item{}, fmt.Errorf("adjust stock of %s: %w", a.SKU, err)
		}
		if err := item.refusal(a.Delta); err != nil {
			return Item{}, err
		}
		a.Time = v.now()
		item, done, err := v.store.Adjust(ctx, a)
		if err != nil {
			return Item{}, fmt.Errorf("adjust stock of %s: %w", a.SKU, err)
		}
		if done {
			return item, nil
		}
	}
	return Item{}, ErrContended.With("skus", a.SKU)
}

// Reservation reads one reservation.
func (v *Inventory) Reservation(ctx context.Context, id string) (Reservation, error) {
	r, err := v.store.Reservation(ctx, id)
	if err != nil {
		return Reservation{}, fmt.Errorf("get reservation %s: %w", id, err)
	}
	return r, nil
}

// Reserve holds what the lines ask for, all or nothing, for the duration; 0 is
// DefaultTTL. A reservation with this id and the same lines is returned as it
// is, whatever became of it.
func (v *Inventory) Reserve(ctx context.Context, id string, lines []Line, ttl time.Duration) (Reservation, error) {
	if ttl == 0 {
		ttl = DefaultTTL
	}
	if err := validateReservation(id, lines, ttl); err != nil {
		return Reservation{}, err
	}
	skus := make([]string, len(lines))
	for i, line := range lines {
		skus[i] = line.SKU
	}
	for range maxTries {
		now := v.now()
		r := Reservation{
			ID: id, Lines: sorted(lines), State: Active,
			ExpireTime: now.Add(ttl).Truncate(time.Microsecond), CreateTime: now, UpdateTime: now,
		}
		done, err := v.store.Reserve(ctx, r)
		if err != nil {
			return Reservation{}, fmt.Errorf("reserve %s: %w", id, err)
		}
		if done {
			return r, nil
		}
		before, err := v.store.Reservation(ctx, id)
		switch {
		case err == nil && slices.Equal(before.Lines, r.Lines):
			return before, nil
		case err == nil:
			return Reservation{}, ErrMismatch.With("name", r.Name())
		case !errors.Is(err, ErrReservationNotFound):
			return Reservation{}, fmt.Errorf("reserve %s: %w", id, err)
		}
		items, err := v.store.Items(ctx, skus)
		if err != nil {
			return Reservation{}, fmt.Errorf("reserve %s: %w", id, err)
		}
		if err := shortage(lines, items); err != nil {
			return Reservation{}, err
		}
	}
	return Reservation{}, ErrContended.With("name", reservationPrefix+id)
}

// Commit takes what the reservation holds out of the stock.
func (v *Inventory) Commit(ctx context.Context, id string) (Reservation, error) {
	return v.move(ctx, id, commit)
}

// Release gives what the reservation holds free.
func (v *Inventory) Release(ctx context.Context, id string) (Reservation, error) {
	return v.move(ctx, id, release)
}

// Return puts what the reservation took back into the stock.
func (v *Inventory) Return(ctx context.Context, id string) (Reservation, error) {
	return v.move(ctx, id, giveBack)
}

// move makes the movement once; see Reservation.decide for the rules.
func (v *Inventory) move(ctx context.Context, id string, m Movement) (Reservation, error) {
	for range maxTries {
		r, err := v.store.Reservation(ctx, id)
		if err != nil {
			return Reservation{}, fmt.Errorf("move reservation %s to %s: %w", id, m.To, err)
		}
		now := v.now()
		if needed, err := r.decide(m, now); err != nil || !needed {
			return r, err
		}
		r.State, r.UpdateTime = m.To, latest(now, r.UpdateTime)
		done, err := v.store.Move(ctx, id, m, r.UpdateTime)
		if err != nil {
			return Reservation{}, fmt.Errorf("move reservation %s to %s: %w", id, m.To, err)
		}
		if done {
			return r, nil
		}
	}
	return Reservation{}, ErrContended.With("name", reservationPrefix+id)
}

// Expire gives free what is held by reservations whose time is up, in batches,
// and returns how many there were. It may run anywhere and at once with itself.
func (v *Inventory) Expire(ctx context.Context) (int, error) {
	total := 0
	for {
		n, err := v.store.MoveDue(ctx, expire, v.now(), v.batch)
		if err != nil {
			return total, fmt.Errorf("expire reservations: %w", err)
		}
		total += n
		if n == 0 {
			return total, nil
		}
	}
}

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
