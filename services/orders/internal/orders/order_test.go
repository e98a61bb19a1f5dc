package orders_test

import (
	"errors"
	"math"
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/slipway-dev/slipway/services/orders/internal/orders"
)

func TestTransitions(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	type result struct {
		state orders.State
		err   error
	}
	for from, want := range map[orders.State]struct{ cancel, fulfil result }{
		orders.Pending:   {result{orders.Cancelled, nil}, result{"", orders.ErrPending}},
		orders.Confirmed: {result{orders.Cancelled, nil}, result{orders.Fulfilled, nil}},
		orders.Cancelled: {result{orders.Cancelled, nil}, result{"", orders.ErrCancelled}},
		orders.Fulfilled: {result{"", orders.ErrFulfilled}, result{orders.Fulfilled, nil}},
	} {
		o := orders.Order{ID: "o-1", State: from, Revision: 3, UpdateTime: now}
		c, err := o.Cancel("", orders.Requested, now.Add(time.Second))
		if c.State != want.cancel.state || !errors.Is(err, want.cancel.err) {
			t.Errorf("cancel %s: %s, %v", from, c.State, err)
		}
		f, err := o.Fulfil("", now.Add(time.Second))
		if f.State != want.fulfil.state || !errors.Is(err, want.fulfil.err) {
			t.Errorf("fulfil %s: %s, %v", from, f.State, err)
		}
		for _, next := range []orders.Order{c, f} {
			if moved := next.State != from && next.State != ""; moved && (next.Revision != 4 || next.Etag() == o.Etag() || !next.UpdateTime.After(now)) {
				t.Errorf("%s to %s: revision %d, etag %s", from, next.State, next.Revision, next.Etag())
			}
		}
	}
	o := orders.Order{ID: "o-1", State: orders.Confirmed, Revision: 2}
	if _, err := o.Cancel("stale", orders.Requested, now); !errors.Is(err, orders.ErrEtagMismatch) {
		t.Errorf("a stale etag: %v", err)
	}
	if _, err := o.Cancel(o.Etag(), orders.Requested, now); err != nil {
		t.Errorf("the order's etag: %v", err)
	}
}

func TestMoneyIsExact(t *testing.T) {
	t.Parallel()
	nanos := func(m orders.Money) *big.Int {
		n := new(big.Int).Mul(big.NewInt(m.Units), big.NewInt(1e9))
		return n.Add(n, big.NewInt(int64(m.Nanos)))
	}
	rapid.Check(t, func(t *rapid.T) {
		price := orders.Money{
			Currency: "EUR", Units: rapid.Int64Range(0, math.MaxInt64).Draw(t, "units"),
			Nanos: rapid.Int32Range(0, 999_999_999).Draw(t, "nanos"),
		}
		n := rapid.Int32Range(1, orders.MaxQuantity).Draw(t, "n")
		got, err := price.Times(n)
		want := new(big.Int).Mul(nanos(price), big.NewInt(int64(n)))
		fits := new(big.Int).Quo(want, big.NewInt(1e9)).IsInt64()
		if fits != (err == nil) || (fits && (nanos(got).Cmp(want) != 0 || got.Nanos < 0 || got.Nanos > 999_999_999)) {
			t.Fatalf("%d times %v is %v, %v; want %v nanos", n, price, got, err, want)
		}
		if fits {
			sum, err := got.Plus(price)
			if err == nil && nanos(sum).Cmp(want.Add(want, nanos(price))) != 0 {
				t.Fatalf("%v plus %v is %v", got, price, sum)
			}
		}
	})
	if _, err := (orders.Money{Currency: "EUR"}).Plus(orders.Money{Currency: "USD"}); !errors.Is(err, orders.ErrMixedCurrencies) {
		t.Errorf("EUR plus USD: %v", err)
	}
	if got := (orders.Money{Currency: "EUR", Units: -3, Nanos: -5}).String(); got != "EUR -3.000000005" {
		t.Errorf("got %s", got)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for name, ok := range map[string]bool{
		"orders/o-1": true, "orders/": false, "orders/A": false, "orders/-a": false, "orders/a-": false, "order/a": false, "": false,
	} {
		if _, got := orders.ParseName(name); got != ok {
			t.Errorf("%q: %v", name, got)
		}
	}
	a := orders.Request{Customer: "a", Items: []orders.Item{{ProductID: "x", Quantity: 11}, {ProductID: "y", Quantity: 1}}}
	b := orders.Request{Customer: "a", Items: []orders.Item{{ProductID: "x", Quantity: 1}, {ProductID: "1y", Quantity: 1}}}
	if string(a.Fingerprint()) == string(b.Fingerprint()) {
		t.Error("two requests have one fingerprint")
	}
}
