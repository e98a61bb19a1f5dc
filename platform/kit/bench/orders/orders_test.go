package orders

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeShop answers the API; its flags spoil it.
type fakeShop struct {
	mu     sync.Mutex
	orders map[string][]map[string]any // by customer
	onHand map[string]int
	placed int

	lose, keep, refuse bool // the third order is accepted and forgotten, not taken out of the stock, or refused
}

func (f *fakeShop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var body struct {
		Customer string
		Lines    []struct{ Product string }
	}
	raw, _ := io.ReadAll(r.Body)
	_ = json.Unmarshal(raw, &body)
	path := r.URL.Path
	switch {
	case path == "/v1/orders" && r.Method == http.MethodPost:
		f.placed++
		if f.refuse && f.placed == 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, `{"details":[{"reason":"BUSY"}]}`)
			return
		}
		sku := strings.ToUpper(strings.TrimPrefix(body.Lines[0].Product, "products/"))
		now := time.Now()
		o := map[string]any{
			"name": fmt.Sprint("orders/", f.placed), "state": confirmed, "createTime": now, "updateTime": now.Add(7 * time.Millisecond),
			"lines": []any{map[string]any{"sku": sku, "quantity": 1}},
		}
		if !f.lose || f.placed != 3 {
			f.orders[body.Customer] = append(f.orders[body.Customer], o)
		}
		if !f.keep || f.placed != 3 {
			f.onHand[sku]--
		}
		_ = json.NewEncoder(w).Encode(o)
	case path == "/v1/orders":
		_ = json.NewEncoder(w).Encode(map[string]any{"orders": f.orders[r.URL.Query().Get("customer")]})
	case strings.HasSuffix(path, ":adjust"):
		f.onHand[strings.TrimSuffix(strings.TrimPrefix(path, "/v1/stockItems/"), ":adjust")] = initial
	case strings.HasPrefix(path, "/v1/stockItems/"):
		_ = json.NewEncoder(w).Encode(map[string]any{"onHand": f.onHand[strings.TrimPrefix(path, "/v1/stockItems/")]})
	}
}

// TestCheck places orders in a shop that is sound, and in shops that are not.
func TestCheck(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		shop *fakeShop
		want string
	}{
		"sound":               {&fakeShop{}, ""},
		"a refused order":     {&fakeShop{refuse: true}, ""},
		"an order is lost":    {&fakeShop{lose: true}, "is lost"},
		"the stock is not so": {&fakeShop{keep: true}, "on hand"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.shop.orders, test.shop.onHand = map[string][]map[string]any{}, map[string]int{}
			server := httptest.NewServer(test.shop)
			defer server.Close()
			s, err := newShop(t.Context(), Config{URL: server.URL, Clients: 2}, http.DefaultTransport)
			if err != nil {
				t.Fatal(err)
			}
			var placed []outcome
			for n := range 5 {
				placed = append(placed, s.place(t.Context(), n%2, n))
			}
			if test.shop.refuse && placed[2].failure != "status 503 BUSY" {
				t.Errorf("failure %q", placed[2].failure)
			}
			err = s.check(context.WithoutCancel(t.Context()), placed)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("check: %v, want %q", err, test.want)
			}
			if test.want == "" && s.confirmed.P50 != 7 {
				t.Errorf("confirmed after %v ms, want 7", s.confirmed.P50)
			}
		})
	}
}
