package orders

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/slipway-dev/slipway/platform/serve/errs"
)

// Limits of a request.
const (
	MaxLines    = 100
	MaxQuantity = 10_000
)

const (
	createAttempts = 4               // each after another request moved the key on
	cleanupTime    = 3 * time.Second // for giving up a reservation after a failure
)

// Item is a line of a request.
type Item struct {
	ProductID string
	Quantity  int32
}

// Request asks for an order. Key is the customer's idempotency key.
type Request struct {
	Customer string
	Key      string
	Items    []Item
}

// validate reports everything that is wrong with the request, by field.
func (r Request) validate() error {
	var fields []errs.Field
	bad := func(path, description string) {
		fields = append(fields, errs.Field{Path: "order." + path, Description: description})
	}
	if !isID(r.Customer) {
		bad("customer", "must be the name of a customer, customers/{id}")
	}
	if len(r.Items) == 0 || len(r.Items) > MaxLines {
		bad("lines", "must have 1 to "+strconv.Itoa(MaxLines)+" lines")
	}
	seen := make(map[string]bool, len(r.Items))
	for i, item := range r.Items {
		path := "lines[" + strconv.Itoa(i) + "]"
		if !isID(item.ProductID) {
			bad(path+".product", "must be the name of a product, products/{id}")
		} else if seen[item.ProductID] {
			bad(path+".product", "is in a line before; add up the quantities")
		}
		seen[item.ProductID] = true
		if item.Quantity < 1 || item.Quantity > MaxQuantity {
			bad(path+".quantity", "must be from 1 to "+strconv.Itoa(MaxQuantity))
		}
	}
	if len(fields) == 0 {
		return nil
	}
	err := *ErrInvalid
	err.Fields = fields
	err.Message = fields[0].Path + ": " + fields[0].Description
	return &err
}

// Create places an order: it asks the catalog for prices, reserves the stock and
// accepts the order with the job that confirms it. A request that was accepted
// before gets the answer it got first. A refused one leaves nothing behind, not
// even its key.
func (s *Service) Create(ctx context.Context, r Request) (Order, error) {
	if err := errors.Join(checkKey(r.Key), r.validate()); err != nil {
		return Order{}, err
	}
	leave, ok := s.flights.enter(ctx, r.Customer+"/"+r.Key, s.Patience)
	if !ok {
		return Order{}, ErrKeyInUse.After(time.Second)
	}
	defer leave()
	var lines []Line
	for range createAttempts {
		key, err := s.Store.Key(ctx, r.Customer, r.Key)
		if err != nil {
			return Order{}, fmt.Errorf("read idempotency key: %w", err)
		}
		if key.Answered {
			return replay(key, r)
		}
		if lines == nil {
			if lines, err = s.price(ctx, r.Items); err != nil {
				return Order{}, err
			}
		}
		o, ok, err := s.attempt(ctx, r, key.Generation, lines)
		if ok || err != nil {
			return o, err
		}
	}
	return Order{}, ErrKeyInUse.After(time.Second)
}

// replay answers what the key answered first.
func replay(key Key, r Request) (Order, error) {
	if !bytes.Equal(key.Fingerprint, r.Fingerprint()) {
		return Order{}, ErrKeyReused
	}
	return key.Answer, nil
}

// attempt reserves and accepts under one generation of the key. It reports false
// if the key has moved on meanwhile, so that it must be read again.
func (s *Service) attempt(ctx context.Context, r Request, generation int32, lines []Line) (Order, bool, error) {
	o, err := accepted(orderID(r, generation), r.Customer, lines, s.Now())
	if err != nil {
		return Order{}, false, err
	}
	a := Acceptance{Key: r.Key, Generation: generation, Fingerprint: r.Fingerprint(), Order: o}
	until, err := s.Inventory.Reserve(ctx, o.ID, o.Lines, ReservationTTL)
	stale := errors.Is(err, ErrReservationGone) || errors.Is(err, ErrReservationMismatch)
	if err != nil && !stale {
		return Order{}, false, fmt.Errorf("reserve stock: %w", err)
	}
	if stale || until.Before(s.Now().Add(PendingLimit)) {
		// Left by an attempt of long ago: the next generation starts afresh.
		return Order{}, false, s.giveUp(ctx, a)
	}
	ok, err := s.Store.Accept(ctx, a)
	if err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
		defer cancel()
		_ = s.giveUp(ctx, a) // the reservation expires by itself, too
		return Order{}, false, fmt.Errorf("accept order: %w", err)
	}
	if !ok {
		return Order{}, false, s.leftOver(ctx, r, o.ID)
	}
	return o, true, nil
}

// giveUp gives the reservation free once no order can be accepted on it.
func (s *Service) giveUp(ctx context.Context, a Acceptance) error {
	given, err := s.Store.GiveUp(ctx, a)
	if err != nil {
		return fmt.Errorf("give up reservation: %w", err)
	}
	if given { // at once, for the next attempt; the job is there in case this fails
		_ = s.Inventory.Release(ctx, a.Order.ID)
	}
	return nil
}

// leftOver gives free what was reserved under a generation of the key that is
// over, unless the order that was accepted stands on it.
func (s *Service) leftOver(ctx context.Context, r Request, id string) error {
	key, err := s.Store.Key(ctx, r.Customer, r.Key)
	if err != nil {
		return fmt.Errorf("read idempotency key: %w", err)
	}
	if id == key.Answer.ID || (!key.Answered && id == orderID(r, key.Generation)) {
		return nil
	}
	_ = s.Inventory.Release(ctx, id) // nobody can accept it; else it expires
	return nil
}

// price makes lines of items with what the catalog says of the products.
func (s *Service) price(ctx context.Context, items []Item) ([]Line, error) {
	ids := make([]string, len(items))
	for i, item := range items {
		ids[i] = item.ProductID
	}
	products, err := s.Catalog.Products(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("read products: %w", err)
	}
	if len(products) != len(items) {
		return nil, fmt.Errorf("read products: asked for %d, got %d", len(items), len(products))
	}
	lines := make([]Line, len(items))
	for i, p := range products {
		if !p.ForSale {
			return nil, ErrNotForSale.With("name", productPrefix+p.ID).
				WithField("order.lines["+strconv.Itoa(i)+"].product", "is not for sale")
		}
		total, err := p.Price.Times(items[i].Quantity)
		if err != nil {
			return nil, err
		}
		lines[i] = Line{
			ProductID: p.ID, SKU: p.SKU, Title: p.Title,
			Quantity: items[i].Quantity, UnitPrice: p.Price, Total: total,
		}
	}
	return lines, nil
}

// accepted is a new order of the lines.
func accepted(id, customer string, lines []Line, now time.Time) (Order, error) {
	total := Money{Currency: lines[0].Total.Currency}
	for _, l := range lines {
		var err error
		if total, err = total.Plus(l.Total); err != nil {
			return Order{}, err
		}
	}
	now = at(now)
	return Order{
		ID: id, Customer: customer, Lines: lines, Total: total,
		State: Pending, Revision: 1, CreateTime: now, UpdateTime: now,
	}, nil
}
