package orders

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// shop is the running cluster's, with products of this run's own.
type shop struct {
	url, token string
	client     *http.Client
	run        string // is in every name of this run
	clients    int

	mu   sync.Mutex
	last map[int]string // each client's latest order

	listed    map[string]order // found by check
	confirmed Latency
}

// order is what is looked at of an order of the API.
type order struct {
	Name       string    `json:"name"`
	State      string    `json:"state"`
	CreateTime time.Time `json:"createTime"`
	UpdateTime time.Time `json:"updateTime"`
	Lines      []struct {
		SKU      string `json:"sku"`
		Quantity int    `json:"quantity"`
	} `json:"lines"`
}

const (
	pending   = "STATE_PENDING"
	confirmed = "STATE_CONFIRMED"
)

const (
	requestLimit = 30 * time.Second
	pollInterval = 20 * time.Millisecond
	pageSize     = 200
)

// newShop makes the run's products and stocks them.
func newShop(ctx context.Context, cfg Config, transport http.RoundTripper) (*shop, error) {
	s := &shop{
		url: strings.TrimSuffix(cfg.URL, "/"), token: cfg.Token, clients: cfg.Clients,
		client: &http.Client{Transport: transport, Timeout: requestLimit},
		run:    strings.ToLower(rand.Text()[:8]), last: map[int]string{},
	}
	for n := range products {
		id := s.product(n)
		product := map[string]any{
			"title": "Enamel mug " + id, "sku": s.sku(n),
			"price": map[string]any{"currencyCode": "EUR", "units": "10", "nanos": 500000000},
		}
		if err := s.must(ctx, http.MethodPost, "/v1/products?productId="+id, product, nil); err != nil {
			return nil, err
		}
		adjustment := map[string]any{"delta": initial, "reason": "bench", "requestId": requestID()}
		if err := s.must(ctx, http.MethodPost, "/v1/stockItems/"+s.sku(n)+":adjust", adjustment, nil); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *shop) name() string { return "shop: three services by the gateway" }

func (s *shop) product(n int) string { return fmt.Sprintf("bench-%s-%d", s.run, n) }
func (s *shop) sku(n int) string     { return strings.ToUpper(s.product(n)) }
func (s *shop) customer(client int) string {
	return fmt.Sprintf("customers/bench-%s-%d", s.run, client)
}

// requestID is a random UUID, version 4 (RFC 9562).
func requestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// place sends one order, once.
func (s *shop) place(ctx context.Context, client, n int) outcome {
	o := outcome{product: productOf(client, n)}
	body := map[string]any{
		"customer": s.customer(client),
		"lines":    []map[string]any{{"product": "products/" + s.product(o.product), "quantity": 1}},
	}
	var placed order
	status, err := s.send(ctx, http.MethodPost, "/v1/orders", fmt.Sprintf("%s-%d-%d", s.run, client, n), body, &placed)
	if err == nil {
		s.mu.Lock()
		s.last[client] = placed.Name
		s.mu.Unlock()
		o.order = placed.Name
		return o
	}
	o.failure, o.unclear = fmt.Sprint("status ", status), status == 0 || status >= http.StatusInternalServerError
	var refused *refusal
	switch {
	case errors.As(err, &refused) && refused.reason != "":
		o.failure += " " + refused.reason
	case status == 0:
		o.failure = "no answer"
	}
	return o
}

// productOf is the product that a client buys with its n-th order. Clients
// begin apart and go through all of them.
func productOf(client, n int) int { return (client*7 + n) % products }

// settle waits for the latest orders: jobs are done in the order of acceptance,
// by and large. What it misses, check waits for.
func (s *shop) settle(ctx context.Context) error {
	for client := range s.clients {
		name := s.last[client]
		if name == "" {
			continue
		}
		err := eventually(ctx, func() (bool, error) {
			var o order
			err := s.must(ctx, http.MethodGet, "/v1/"+name, nil, &o)
			return o.State != pending, err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// eventually polls until done.
func eventually(ctx context.Context, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("orders are pending: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

// refusal is an answer other than 200.
type refusal struct {
	status         int
	reason, answer string
}

func (r *refusal) Error() string { return fmt.Sprintf("got %d: %s", r.status, r.answer) }

// must sends a request that has to succeed.
func (s *shop) must(ctx context.Context, method, path string, body, into any) error {
	if _, err := s.send(ctx, method, path, "", body, into); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

// send sends a request once. The status is 0 if there was no answer.
func (s *shop) send(ctx context.Context, method, path, key string, body, into any) (status int, err error) {
	var reader io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return 0, fmt.Errorf("write body: %w", err)
		}
		reader = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, s.url+path, reader)
	if err != nil {
		return 0, fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, err //nolint:wrapcheck // it names the request
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, fmt.Errorf("read answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return resp.StatusCode, &refusal{resp.StatusCode, reasonIn(raw), string(raw)}
	}
	if into == nil {
		return resp.StatusCode, nil
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return resp.StatusCode, fmt.Errorf("read answer: %w", err)
	}
	return resp.StatusCode, nil
}

// list reads all orders of a client.
func (s *shop) list(ctx context.Context, client int) ([]order, error) {
	var all []order
	for token := ""; ; {
		var page struct {
			Orders []order `json:"orders"`
			Next   string  `json:"nextPageToken"`
		}
		query := url.Values{"customer": {s.customer(client)}, "pageSize": {strconv.Itoa(pageSize)}, "pageToken": {token}}
		if err := s.must(ctx, http.MethodGet, "/v1/orders?"+query.Encode(), nil, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Orders...)
		if token = page.Next; token == "" {
			return all, nil
		}
	}
}

// reasonIn is the reason that an error's body names, if it does (AIP-193).
func reasonIn(raw []byte) string {
	var body struct {
		Details []struct {
			Reason string `json:"reason"`
		} `json:"details"`
	}
	_ = json.Unmarshal(raw, &body) // anything else has no reason
	for _, d := range body.Details {
		if d.Reason != "" {
			return d.Reason
		}
	}
	return ""
}
