//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	ordersv1 "github.com/slipway-dev/slipway/proto/slipway/orders/v1"
)

// TestShopper shops through the gateway as a customer does.
func TestShopper(t *testing.T) {
	c := newCheckout(t)
	c.up(t)
	s := openShop(t, c)
	for _, part := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"all three services run", s.services},
		{"place, watch, cancel and fulfil by REST", s.byREST},
		{"place, watch, cancel and fulfil by gRPC", s.byGRPC},
		{"a key is answered once", s.oneKey},
		{"the last units are sold once", s.lastUnits},
		{"what is refused, and why", s.refusals},
		{"a task of a callee dies and no order fails", s.lostTask},
		{"one order is one trace", s.oneTrace},
		{"every invariant holds", func(t *testing.T) {
			wantIn(t, "the check", c.mustMage(t, "check:invariants", "local").Stdout, "inventory", "orders", "ok")
		}},
	} {
		t.Run(part.name, part.run)
	}
}

func (s *shop) services(t *testing.T) {
	out := s.mustMage(t, "status", "local").Stdout
	wantIn(t, "status", out, "catalog", "inventory", "orders")
	wantIn(t, "graph", s.mustMage(t, "graph").Stdout, "orders", "catalog", "inventory")
}

func (s *shop) byREST(t *testing.T) {
	sku := "GOOD-0"
	before, _ := s.stockOf(t, sku)
	o := s.buy(t, "rest-1", s.products[0], 3)
	if o.State != "PENDING" || o.Total.Units != "31" || o.Total.Nanos != 500000000 {
		t.Errorf("the order is %+v, want PENDING and 31.50", o)
	}
	if states := s.watch(t, o.Name, "CONFIRMED"); states[len(states)-1] != "CONFIRMED" {
		t.Errorf("watched %v", states)
	}
	s.wantUnits(t, sku, before-3)
	cancelled := readOrder(t, s.rest(t, http.StatusOK, "POST", "/v1/"+o.Name+":cancel", map[string]any{}).Raw)
	if cancelled.State != "CANCELLED" {
		t.Errorf("after cancel: %+v", cancelled)
	}
	s.wantUnits(t, sku, before)
	refused := s.rest(t, http.StatusBadRequest, "POST", "/v1/"+o.Name+":fulfil", map[string]any{})
	wantIn(t, "fulfilling what is cancelled", refused.Raw, "reason")

	o = s.buy(t, "rest-2", s.products[0], 1)
	s.watch(t, o.Name, "CONFIRMED")
	fulfilled := readOrder(t, s.rest(t, http.StatusOK, "POST", "/v1/"+o.Name+":fulfil", map[string]any{}).Raw)
	if fulfilled.State != "FULFILLED" {
		t.Errorf("after fulfil: %+v", fulfilled)
	}
	if states := s.watch(t, o.Name, "FULFILLED"); states[len(states)-1] != "FULFILLED" {
		t.Errorf("a watch of a fulfilled order gave %v", states)
	}
}

// watch follows an order by REST until it is in the state, and returns the
// states that it saw.
func (s *shop) watch(t *testing.T, name, until string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url("/v1/"+name+":watch"), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.bearer)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("watch %s: %v", name, err)
	}
	defer resp.Body.Close()
	var states []string
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		var message struct {
			Result json.RawMessage `json:"result"`
			Error  json.RawMessage `json:"error"`
		}
		if err := json.Unmarshal(lines.Bytes(), &message); err != nil || message.Error != nil {
			t.Fatalf("watch %s: %v: %s", name, err, lines.Text())
		}
		o := readOrder(t, string(message.Result))
		if states = append(states, o.State); o.State == until {
			return states
		}
	}
	t.Fatalf("the watch of %s ended after %v", name, states)
	return nil
}

func (s *shop) byGRPC(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	client := ordersv1.NewOrderServiceClient(s.dial(t))
	place := func(key string) *ordersv1.Order {
		t.Helper()
		o, err := client.CreateOrder(metadata.AppendToOutgoingContext(ctx, "idempotency-key", key), &ordersv1.CreateOrderRequest{
			Order: &ordersv1.Order{Customer: "customers/bob", Lines: []*ordersv1.Order_Line{{Product: s.products[1], Quantity: 2}}},
		})
		if err != nil {
			t.Fatalf("place by gRPC: %v", err)
		}
		return o
	}
	follow := func(name string) {
		t.Helper()
		stream, err := client.WatchOrder(ctx, &ordersv1.WatchOrderRequest{Name: name})
		if err != nil {
			t.Fatalf("watch by gRPC: %v", err)
		}
		for {
			o, err := stream.Recv()
			if err != nil {
				t.Fatalf("watch by gRPC: %v", err)
			}
			if o.GetState() == ordersv1.Order_STATE_CONFIRMED {
				return
			}
		}
	}
	first := place("grpc-1")
	follow(first.GetName())
	done, err := client.FulfilOrder(ctx, &ordersv1.FulfilOrderRequest{Name: first.GetName()})
	if err != nil || done.GetState() != ordersv1.Order_STATE_FULFILLED {
		t.Errorf("fulfil by gRPC: %v, %v", done, err)
	}
	second := place("grpc-2")
	gone, err := client.CancelOrder(ctx, &ordersv1.CancelOrderRequest{Name: second.GetName()})
	if err != nil || gone.GetState() != ordersv1.Order_STATE_CANCELLED {
		t.Errorf("cancel by gRPC: %v, %v", gone, err)
	}
	_, err = client.CancelOrder(ctx, &ordersv1.CancelOrderRequest{Name: first.GetName()})
	if status.Code(err) != codes.FailedPrecondition {
		t.Errorf("cancelling a fulfilled order: %v, want FailedPrecondition", err)
	}
	s.wantUnits(t, "GOOD-1", plentyOfStock-2)
}

func (s *shop) oneKey(t *testing.T) {
	body := map[string]any{"customer": "customers/eve", "lines": []map[string]any{{"product": s.products[2], "quantity": 1}}}
	first, err := s.place("same", body)
	if err != nil || first.Status != http.StatusOK {
		t.Fatalf("place: %v, %s", err, first.Raw)
	}
	s.watch(t, readOrder(t, first.Raw).Name, "CONFIRMED")
	if again, err := s.place("same", body); err != nil || again.Raw != first.Raw {
		t.Errorf("the same key and body are answered with\n  %s\nand were first with\n  %s", again.Raw, first.Raw)
	}
	body["lines"] = []map[string]any{{"product": s.products[2], "quantity": 2}}
	if other, err := s.place("same", body); err != nil || other.Status != http.StatusConflict {
		t.Errorf("the same key with another body: %v, %d %s", err, other.Status, other.Raw)
	}
}

// lastUnits has 64 shoppers want the last units of a SKU.
func (s *shop) lastUnits(t *testing.T) {
	const units, shoppers = 20, 64
	product := s.offer(t, "last", units)
	var sold, soldOut atomic.Int32
	var all sync.WaitGroup
	for i := range shoppers {
		all.Go(func() {
			a, err := s.place(fmt.Sprintf("last-%d", i), map[string]any{
				"customer": fmt.Sprintf("customers/l%d", i), "lines": []map[string]any{{"product": product, "quantity": 1}},
			})
			switch {
			case err == nil && a.Status == http.StatusOK:
				sold.Add(1)
			case err == nil && a.Status == http.StatusBadRequest && strings.Contains(a.Raw, "INSUFFICIENT_STOCK"):
				soldOut.Add(1)
			default:
				t.Errorf("shopper %d: %v, %d %s", i, err, a.Status, a.Raw)
			}
		})
	}
	all.Wait()
	if sold.Load() != units || soldOut.Load() != shoppers-units {
		t.Errorf("%d sold and %d refused of %d units", sold.Load(), soldOut.Load(), units)
	}
	s.wantUnits(t, "LAST", 0)
}

func (s *shop) refusals(t *testing.T) {
	one := map[string]any{"customer": "customers/eve", "lines": []map[string]any{{"product": s.products[2], "quantity": 1}}}
	missing := s.rest(t, http.StatusBadRequest, "POST", "/v1/orders", one)
	wantIn(t, "an order without a key", missing.Raw, "IDEMPOTENCY_KEY_REQUIRED")
	all := s.bearer
	defer func() { s.bearer = all }()
	s.bearer = s.token(t, "orders.read")
	forbidden, err := s.place("forbidden", one)
	if err != nil || forbidden.Status != http.StatusForbidden {
		t.Errorf("an order with a token that may only read: %v, %d", err, forbidden.Status)
	}
	wantIn(t, "the refusal", forbidden.Raw, "orders.write")
	s.bearer = "not-a-token"
	if a, err := s.place("stranger", one); err != nil || a.Status != http.StatusUnauthorized {
		t.Errorf("an order without a valid token: %v, %d", err, a.Status)
	}
}
