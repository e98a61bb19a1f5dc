package orders

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// check compares what the clients were told with what the shop has: every
// accepted order once, none that nobody placed, and the stock less by what was
// sold.
func (s *shop) check(ctx context.Context, placed []outcome) error {
	if err := s.find(ctx); err != nil {
		return err
	}
	var unclear, accepted int
	for _, o := range placed {
		if o.unclear {
			unclear++
		}
		if o.order == "" {
			continue
		}
		accepted++
		if _, ok := s.listed[o.order]; !ok {
			return fmt.Errorf("%s was accepted and is lost", o.order)
		}
	}
	// An order without an answer may be there, too.
	if extra := len(s.listed) - accepted; extra < 0 || extra > unclear {
		return fmt.Errorf("%d orders are there for %d that were accepted and %d that failed without saying so", len(s.listed), accepted, unclear)
	}
	sold := map[string]int{}
	waits := make([]time.Duration, 0, len(s.listed))
	for name, o := range s.listed {
		if o.State != confirmed {
			return fmt.Errorf("%s is %s", name, o.State)
		}
		for _, l := range o.Lines {
			sold[l.SKU] += l.Quantity
		}
		waits = append(waits, o.UpdateTime.Sub(o.CreateTime))
	}
	s.confirmed = latencyOf(waits)
	return s.checkStock(ctx, sold)
}

// find lists the orders of this run once none of them is pending.
func (s *shop) find(ctx context.Context) error {
	s.listed = map[string]order{}
	for client := range s.clients {
		var all []order
		err := eventually(ctx, func() (done bool, err error) {
			if all, err = s.list(ctx, client); err != nil {
				return false, err
			}
			for _, o := range all {
				if o.State == pending {
					return false, nil
				}
			}
			return true, nil
		})
		if err != nil {
			return fmt.Errorf("list orders: %w", err)
		}
		for _, o := range all {
			if _, twice := s.listed[o.Name]; twice {
				return fmt.Errorf("%s is listed twice", o.Name)
			}
			s.listed[o.Name] = o
		}
	}
	return nil
}

func (s *shop) checkStock(ctx context.Context, sold map[string]int) error {
	var wrong []error
	for n := range products {
		var item struct {
			OnHand   int `json:"onHand"`
			Reserved int `json:"reserved"`
		}
		if err := s.must(ctx, http.MethodGet, "/v1/stockItems/"+s.sku(n), nil, &item); err != nil {
			return err
		}
		if item.OnHand != initial-sold[s.sku(n)] || item.Reserved != 0 {
			wrong = append(wrong, fmt.Errorf("%s: %d on hand and %d reserved after %d of %d were sold",
				s.sku(n), item.OnHand, item.Reserved, sold[s.sku(n)], initial))
		}
	}
	return errors.Join(wrong...)
}
