//go:build e2e

package e2e

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// shop is a system with goods on its shelves.
type shop struct {
	*checkout
	// products are the goods, scarce the one that there is too little of.
	products []string
	scarce   string
	stock    map[string]int32 // what there was in the beginning, by SKU
}

// order is the part of an order that the tests look at.
type order struct {
	Name     string `json:"name"`
	Customer string `json:"customer"`
	State    string `json:"state"`
	Reason   string `json:"cancelReason"`
	Etag     string `json:"etag"`
	Lines    []struct {
		Product  string `json:"product"`
		SKU      string `json:"sku"`
		Quantity int32  `json:"quantity"`
	} `json:"lines"`
	Total struct {
		CurrencyCode string `json:"currencyCode"`
		Units        string `json:"units"`
		Nanos        int32  `json:"nanos"`
	} `json:"total"`
}

func readOrder(t *testing.T, raw string) order {
	t.Helper()
	var o order
	if err := json.Unmarshal([]byte(raw), &o); err != nil || o.Name == "" {
		t.Fatalf("not an order: %v: %s", err, raw)
	}
	o.State = strings.TrimPrefix(o.State, "STATE_")
	return o
}

// openShop puts goods into the catalog and on the shelves.
func openShop(t *testing.T, c *checkout) *shop {
	t.Helper()
	s := &shop{checkout: c, stock: map[string]int32{}}
	for i := range plentyItems {
		s.products = append(s.products, s.offer(t, fmt.Sprintf("good-%d", i), plentyOfStock))
	}
	s.scarce = s.offer(t, "scarce", scarceStock)
	return s
}

// offer makes a product and stocks it; it returns the product's name.
func (s *shop) offer(t *testing.T, id string, units int32) string {
	t.Helper()
	sku := strings.ToUpper(id)
	name := s.rest(t, http.StatusOK, "POST", "/v1/products?productId="+id, map[string]any{
		"title": "Good " + id, "sku": sku, "price": price("10", 500000000),
	}).text("name")
	s.rest(t, http.StatusOK, "POST", "/v1/stockItems/"+sku+":adjust", map[string]any{
		"delta": units, "reason": "opening", "requestId": requestID(),
	})
	s.stock[sku] = units
	return name
}

// requestID is a random UUID, version 4 (RFC 9562).
func requestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// basket is what the shopper of a number buys: one good or two, and every
// fortieth the scarce one.
func (s *shop) basket(i int) map[string]any {
	line := func(product string, quantity int) map[string]any {
		return map[string]any{"product": product, "quantity": quantity}
	}
	lines := []map[string]any{line(s.products[i%len(s.products)], 1+i%3)}
	switch {
	case i%40 == 7:
		lines = []map[string]any{line(s.scarce, 1)}
	case i%2 == 0:
		lines = append(lines, line(s.products[(i+5)%len(s.products)], 2))
	}
	return map[string]any{"customer": fmt.Sprintf("customers/c%d", i%25), "lines": lines}
}

// place sends an order under a key.
func (s *shop) place(key string, body map[string]any) (answer, error) {
	return s.send("POST", "/v1/orders", body, map[string]string{"Idempotency-Key": key})
}

// buy places an order that has to be accepted.
func (s *shop) buy(t *testing.T, key, product string, quantity int) order {
	t.Helper()
	a, err := s.place(key, map[string]any{
		"customer": "customers/ada", "lines": []map[string]any{{"product": product, "quantity": quantity}},
	})
	if err != nil || a.Status != http.StatusOK {
		t.Fatalf("place order: %v, %d %s", err, a.Status, a.Raw)
	}
	return readOrder(t, a.Raw)
}

// orders lists the orders of all customers of the fault test.
func (s *shop) orders(t *testing.T) []order {
	t.Helper()
	var all []order
	for i := range 25 {
		for token := ""; ; {
			page := s.rest(t, http.StatusOK, "GET", fmt.Sprintf("/v1/orders?customer=customers/c%d&pageSize=200&pageToken=%s", i, url.QueryEscape(token)), nil)
			var body struct {
				Orders []json.RawMessage `json:"orders"`
				Next   string            `json:"nextPageToken"`
			}
			if err := json.Unmarshal([]byte(page.Raw), &body); err != nil {
				t.Fatalf("list orders: %v", err)
			}
			for _, raw := range body.Orders {
				all = append(all, readOrder(t, string(raw)))
			}
			if token = body.Next; token == "" {
				break
			}
		}
	}
	return all
}

// stockOf reads what is on hand and reserved of a SKU.
func (s *shop) stockOf(t *testing.T, sku string) (onHand, reserved int32) {
	t.Helper()
	a := s.rest(t, http.StatusOK, "GET", "/v1/stockItems/"+sku, nil)
	var item struct {
		OnHand   int32 `json:"onHand"`
		Reserved int32 `json:"reserved"`
	}
	if err := json.Unmarshal([]byte(a.Raw), &item); err != nil {
		t.Fatalf("read stock of %s: %v: %s", sku, err, a.Raw)
	}
	return item.OnHand, item.Reserved
}

// wantUnits waits until a SKU has so many units on hand and none reserved.
func (s *shop) wantUnits(t *testing.T, sku string, onHand int32) {
	t.Helper()
	eventually(t, 15*time.Second, "stock of "+sku, func() error {
		if have, reserved := s.stockOf(t, sku); have != onHand || reserved != 0 {
			return fmt.Errorf("%d on hand and %d reserved, want %d and 0", have, reserved, onHand)
		}
		return nil
	})
}

// wantSettled waits until no order is pending.
func (s *shop) wantSettled(t *testing.T) {
	t.Helper()
	eventually(t, 2*time.Minute, "every order is settled", func() error {
		pending := 0
		for _, o := range s.orders(t) {
			if o.State == "PENDING" {
				pending++
			}
		}
		if pending > 0 {
			return fmt.Errorf("%d orders are pending", pending)
		}
		return nil
	})
}
