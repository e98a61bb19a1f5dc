package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/slipway-dev/slipway/platform/serve/servetest"
	ordersv1 "github.com/slipway-dev/slipway/proto/slipway/orders/v1"
)

func TestMain(m *testing.M) { os.Exit(servetest.Main(m)) }

const patience = 30 * time.Second

// body is the JSON of an order of one line.
func body(customer, product string, quantity int) string {
	return fmt.Sprintf(`{"customer":"customers/%s","lines":[{"product":"products/%s","quantity":%d}]}`, customer, product, quantity)
}

// reply is what a REST request was answered.
type reply struct {
	code int
	text string
	json map[string]any
}

func (r reply) field(name string) string { s, _ := r.json[name].(string); return s }

// reason is the error's reason.
func (r reply) reason() string {
	details, _ := r.json["details"].([]any)
	for _, d := range details {
		if m, ok := d.(map[string]any); ok && m["reason"] != nil {
			return fmt.Sprint(m["reason"])
		}
	}
	return ""
}

func rest(t *testing.T, s *servetest.Server, method, path, body string, headers ...string) reply {
	t.Helper()
	resp, text := s.Do(t, method, path, body, headers...)
	r := reply{code: resp.StatusCode, text: text}
	if err := json.Unmarshal([]byte(text), &r.json); err != nil {
		t.Fatalf("%s %s: not JSON: %v\n%s", method, path, err, text)
	}
	return r
}

func place(t *testing.T, s *servetest.Server, key, body string) reply {
	t.Helper()
	return rest(t, s, http.MethodPost, "/v1/orders", body, "Idempotency-Key", key)
}

// await polls until the order is in the state.
func await(t *testing.T, s *servetest.Server, name, state string) {
	t.Helper()
	eventually(t, func() string {
		if r := rest(t, s, http.MethodGet, "/v1/"+name, ""); r.field("state") != "STATE_"+state {
			return name + " is " + r.field("state") + ", want " + state
		}
		return ""
	})
}

// eventually polls until check has nothing to say.
func eventually(t *testing.T, check func() string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		wrong := check()
		if wrong == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v: %s", patience, wrong)
		}
		<-tick.C
	}
}

// holds runs the service's invariants.
func holds(t *testing.T, s *shop) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.Database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	for _, i := range service().Invariants {
		rows, err := conn.Query(t.Context(), i.Query)
		if err != nil {
			t.Fatalf("%s: %v", i.Name, err)
		}
		broken, err := pgx.CollectRows(rows, pgx.RowToMap)
		if err != nil || len(broken) > 0 {
			t.Errorf("%s: %v %v", i.Name, broken, err)
		}
	}
}

func TestAnOrdersLife(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	first := place(t, s.Server, "k1", `{"customer":"customers/ada","lines":[
		{"product":"products/lamp","quantity":2},{"product":"products/mug","quantity":3}]}`)
	if first.code != http.StatusOK || first.field("state") != "STATE_PENDING" {
		t.Fatalf("create: %d %s", first.code, first.text)
	}
	total, _ := first.json["total"].(map[string]any)
	if total["units"] != "26" || total["nanos"] != 979999999.0 || total["currencyCode"] != "EUR" {
		t.Errorf("2 times 12.99 and 3 times 0.333333333 make %v", total)
	}
	name := first.field("name")
	await(t, s.Server, name, "CONFIRMED")
	if got := s.inventory.state(name); got != "COMMITTED" {
		t.Errorf("a confirmed order's reservation is %s", got)
	}
	confirmed := rest(t, s.Server, http.MethodGet, "/v1/"+name, "")
	if stale := rest(t, s.Server, http.MethodPost, "/v1/"+name+":fulfil", `{"etag":"`+first.field("etag")+`"}`); stale.code != http.StatusConflict || stale.reason() != "ETAG_MISMATCH" {
		t.Errorf("fulfil with a stale etag: %d %s", stale.code, stale.text)
	}
	fulfil := `{"etag":"` + confirmed.field("etag") + `"}`
	done := rest(t, s.Server, http.MethodPost, "/v1/"+name+":fulfil", fulfil)
	if done.code != http.StatusOK || done.field("state") != "STATE_FULFILLED" {
		t.Fatalf("fulfil: %d %s", done.code, done.text)
	}
	if again := rest(t, s.Server, http.MethodPost, "/v1/"+name+":fulfil", fulfil); again.text != done.text {
		t.Errorf("the same request again: %s, want %s", again.text, done.text)
	}
	if late := rest(t, s.Server, http.MethodPost, "/v1/"+name+":cancel", `{}`); late.code != http.StatusBadRequest || late.reason() != "ORDER_FULFILLED" {
		t.Errorf("cancel after fulfil: %d %s", late.code, late.text)
	}
	// The key still gives the very first answer.
	replay := place(t, s.Server, "k1", `{"lines":[{"quantity":2,"product":"products/lamp"},
		{"quantity":3,"product":"products/mug"}],"customer":"customers/ada"}`)
	if replay.code != http.StatusOK || replay.text != first.text {
		t.Errorf("replay: %d\n%s\nwant\n%s", replay.code, replay.text, first.text)
	}
	holds(t, s)
}

func TestCancelGivesTheStockBack(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	name := place(t, s.Server, "k1", body("ada", "lamp", 5)).field("name")
	await(t, s.Server, name, "CONFIRMED")
	cancelled := rest(t, s.Server, http.MethodPost, "/v1/"+name+":cancel", `{}`)
	if cancelled.field("state") != "STATE_CANCELLED" || cancelled.field("cancelReason") != "CANCEL_REASON_REQUESTED" {
		t.Fatalf("cancel: %s", cancelled.text)
	}
	if again := rest(t, s.Server, http.MethodPost, "/v1/"+name+":cancel", `{"etag":"old"}`); again.text != cancelled.text {
		t.Errorf("cancel again: %s, want %s", again.text, cancelled.text)
	}
	eventually(t, func() string {
		if onHand, reserved, _ := s.inventory.counts("LAMP"); onHand != 1000 || reserved != 0 {
			return fmt.Sprintf("%d on hand, %d reserved", onHand, reserved)
		}
		return ""
	})
	if r := rest(t, s.Server, http.MethodPost, "/v1/"+name+":fulfil", `{}`); r.reason() != "ORDER_CANCELLED" {
		t.Errorf("fulfil a cancelled order: %s", r.text)
	}
	holds(t, s)
}

func TestRefusalsLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	for name, c := range map[string]struct {
		body, reason string
		code         int
	}{
		"unknown product": {body("ada", "ghost", 1), "UNKNOWN_PRODUCT", 400},
		"not for sale":    {body("ada", "old", 1), "PRODUCT_NOT_FOR_SALE", 400},
		"no stock":        {body("ada", "lamp", 1001), "INSUFFICIENT_STOCK", 400},
		"too large":       {body("ada", "gold", 3), "TOTAL_TOO_LARGE", 400},
		"two currencies": {
			`{"customer":"customers/ada","lines":[{"product":"products/lamp","quantity":1},{"product":"products/tee","quantity":1}]}`,
			"MIXED_CURRENCIES", 400,
		},
	} {
		if r := place(t, s.Server, "same", c.body); r.code != c.code || r.reason() != c.reason {
			t.Errorf("%s: %d %s, want %d %s", name, r.code, r.text, c.code, c.reason)
		}
	}
	if _, reserved, reservations := s.inventory.counts("LAMP"); reserved != 0 || reservations != 0 {
		t.Errorf("refusals left %d units in %d reservations", reserved, reservations)
	}
	for name, c := range map[string]struct {
		key, body, reason string
	}{
		"no key":        {"", body("ada", "lamp", 1), "IDEMPOTENCY_KEY_REQUIRED"},
		"long key":      {strings.Repeat("x", 256), body("ada", "lamp", 1), "IDEMPOTENCY_KEY_INVALID"},
		"no lines":      {"k", `{"customer":"customers/ada"}`, ""},
		"no quantity":   {"k", body("ada", "lamp", 0), ""},
		"twice":         {"k", `{"customer":"customers/ada","lines":[{"product":"products/lamp","quantity":1},{"product":"products/lamp","quantity":1}]}`, ""},
		"odd customer":  {"k", body("Ada!", "lamp", 1), ""},
		"unknown field": {"k", `{"customer":"customers/ada","tip":1}`, ""},
	} {
		headers := []string{"Idempotency-Key", c.key}
		if c.key == "" {
			headers = nil
		}
		r := rest(t, s.Server, http.MethodPost, "/v1/orders", c.body, headers...)
		if r.code != http.StatusBadRequest || (c.reason != "" && r.reason() != c.reason) {
			t.Errorf("%s: %d %s, want 400 %s", name, r.code, r.text, c.reason)
		}
	}
	// The key of the refusals is free.
	if r := place(t, s.Server, "same", body("ada", "lamp", 1)); r.code != http.StatusOK {
		t.Errorf("the key of a refused request: %d %s", r.code, r.text)
	}
	if r := place(t, s.Server, "same", body("ada", "lamp", 2)); r.code != http.StatusConflict || r.reason() != "IDEMPOTENCY_KEY_REUSED" {
		t.Errorf("another order under the key: %d %s", r.code, r.text)
	}
	if r := place(t, s.Server, "same", body("bob", "lamp", 2)); r.code != http.StatusOK {
		t.Errorf("another customer's key: %d %s", r.code, r.text)
	}
}

func TestOverGRPC(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	client := ordersv1.NewOrderServiceClient(s.Conn)
	request := &ordersv1.CreateOrderRequest{Order: &ordersv1.Order{
		Customer: "customers/ada", Lines: []*ordersv1.Order_Line{{Product: "products/lamp", Quantity: 1}},
	}}
	_, err := client.CreateOrder(t.Context(), request)
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("without a key: %v", err)
	}
	ctx := metadata.AppendToOutgoingContext(t.Context(), "idempotency-key", "k1")
	o, err := client.CreateOrder(ctx, request)
	if err != nil {
		t.Fatal(err)
	}
	if over := rest(t, s.Server, http.MethodGet, "/v1/"+o.GetName(), ""); over.field("name") != o.GetName() {
		t.Errorf("over REST: %s", over.text)
	}
	request.Order.Lines[0].Quantity = 2
	_, err = client.CreateOrder(ctx, request)
	if status.Code(err) != codes.AlreadyExists || reason(err) != "IDEMPOTENCY_KEY_REUSED" {
		t.Errorf("another order under the key: %v", err)
	}
	if _, err := client.GetOrder(t.Context(), &ordersv1.GetOrderRequest{Name: "orders/nowhere"}); status.Code(err) != codes.NotFound {
		t.Errorf("get nothing: %v", err)
	}
	list, err := client.ListOrders(t.Context(), &ordersv1.ListOrdersRequest{Customer: "customers/ada"})
	if err != nil || len(list.GetOrders()) != 1 {
		t.Errorf("list: %v %v", list, err)
	}
}

func reason(err error) string {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return ""
}

// TestManyClientsWithOneKeyPlaceOneOrder sends the same request 64 times at once
// to two tasks.
func TestManyClientsWithOneKeyPlaceOneOrder(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	tasks := []*servetest.Server{s.Server, s.second(t)}
	const clients = 64
	answers := make([]reply, clients)
	var group sync.WaitGroup
	for i := range clients {
		group.Go(func() { answers[i] = place(t, tasks[i%2], "one", body("ada", "lamp", 1)) })
	}
	group.Wait()
	accepted := make(map[string]int)
	for _, a := range answers {
		if a.code == http.StatusOK {
			accepted[a.text]++
		} else if a.code != http.StatusConflict || a.reason() != "IDEMPOTENCY_KEY_IN_USE" {
			t.Errorf("%d %s", a.code, a.text)
		}
	}
	if len(accepted) != 1 {
		t.Errorf("%d different answers: %v", len(accepted), accepted)
	}
	if _, _, reservations := s.inventory.counts("LAMP"); reservations != 1 {
		t.Errorf("%d reservations, want 1", reservations)
	}
	if list := rest(t, s.Server, http.MethodGet, "/v1/orders?customer=customers/ada", ""); len(list.json["orders"].([]any)) != 1 {
		t.Errorf("list: %s", list.text)
	}
	holds(t, s)
}

func TestPagesFollowOneAnotherWhileOrdersComeIn(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	var want []string
	for i := range 7 {
		want = append([]string{place(t, s.Server, fmt.Sprint("k", i), body("ada", "mug", 1)).field("name")}, want...)
	}
	var got []string
	token := ""
	for page := 0; page == 0 || token != ""; page++ {
		r := rest(t, s.Server, http.MethodGet, "/v1/orders?customer=customers/ada&pageSize=3&pageToken="+token, "")
		for _, o := range r.json["orders"].([]any) {
			got = append(got, o.(map[string]any)["name"].(string))
		}
		token = r.field("nextPageToken")
		place(t, s.Server, fmt.Sprint("new", page), body("ada", "mug", 1))
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("pages have\n%v, want\n%v", got, want)
	}
	r := rest(t, s.Server, http.MethodGet, "/v1/orders?customer=customers/ada&pageSize=3", "")
	other := rest(t, s.Server, http.MethodGet, "/v1/orders?customer=customers/bob&pageToken="+r.field("nextPageToken"), "")
	if other.code != http.StatusBadRequest || other.reason() != "INVALID_PAGE_TOKEN" {
		t.Errorf("another customer's token: %d %s", other.code, other.text)
	}
}
