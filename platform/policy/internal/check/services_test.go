package check

import (
	"slices"
	"testing"
)

const manifests = `
-- services/orders/service.yaml --
name: orders
team: checkout
http: {routes: ["/v1/orders*"]}
grpc: {service: slipway.orders.v1.OrderService}
calls: [gift-cards]
-- services/gift-cards/service.yaml --
name: gift-cards
team: checkout
http:
  routes: ["/v1/giftCards*"]
grpc: {service: slipway.giftcards.v1.GiftCardService}
-- services/worker/service.yaml --
name: worker
team: checkout
calls:
  - orders
  - gift-cards
`

func TestServices(t *testing.T) {
	services, found := Services(parse(t, manifests+"-- services/bad/service.yaml --\nname: [\n"))
	expect(t, found, "services/bad/service.yaml: cannot be read")
	if len(services) != 3 {
		t.Fatalf("read %d services, want 3", len(services))
	}
	cards, orders, worker := services[0], services[1], services[2]
	if cards.Proto() != "slipway/giftcards" || orders.Proto() != "slipway/orders" || worker.Proto() != "" {
		t.Errorf("protos: %q %q %q", cards.Proto(), orders.Proto(), worker.Proto())
	}
	if !slices.Equal(orders.Calls, []string{"gift-cards"}) || !slices.Equal(worker.Calls, []string{"orders", "gift-cards"}) {
		t.Errorf("calls: %q %q", orders.Calls, worker.Calls)
	}
}

func TestServiceParts(t *testing.T) {
	expect(t, ServiceParts(parse(t, `
-- services/README.md --
-- services/whole/service.yaml --
name: whole
grpc: {service: slipway.whole.v1.WholeService}
-- services/whole/README.md --
-- services/whole/go.mod --
module m.x/whole
-- services/whole/cmd/whole/main.go --
package main
-- proto/slipway/whole/v1/whole_service.proto --
-- services/half/service.yaml --
name: other
grpc: {service: slipway.half.v1.HalfService}
-- services/half/cmd/other/main.go --
package main
`)),
		"services/half/README.md: is missing",
		"services/half/cmd/half/main.go: is missing",
		"services/half/go.mod: is missing",
		"services/half/service.yaml: names the service other",
		"services/half/service.yaml: serves slipway.half.v1.HalfService, and there is no proto/slipway/half",
	)
}

func TestMethods(t *testing.T) {
	expect(t, Methods(parse(t, manifests+`
-- proto/slipway/auth/v1/auth.proto --
syntax = "proto3";
package slipway.auth.v1;
-- proto/slipway/orders/v1/order_service.proto --
syntax = "proto3";
package slipway.orders.v1;
service OrderService {
  rpc GetOrder(GetOrderRequest) returns (Order) {
    option (google.api.http) = {get: "/v1/{name=orders/*}"};
    option (slipway.auth.v1.rule).scopes = "orders.read";
    option idempotency_level = NO_SIDE_EFFECTS;
  }
  rpc ListOrders(ListOrdersRequest) returns (ListOrdersResponse) {
    option (google.api.http) = {get: "/v1/orders"};
    option (slipway.auth.v1.rule) = {scopes: ["orders.read"]};
    option idempotency_level = IDEMPOTENT;
  }
  rpc CancelOrder(CancelOrderRequest) returns (Order) {
    option (google.api.http) = {
      post: "/v1/{name=orders/*}:cancel"
      body: "*"
    };
  }
  rpc Ping(PingRequest) returns (PingResponse) {
    option (google.api.http) = {get: "/v2/ping/{word}"};
    option (slipway.auth.v1.rule).public = true;
    option idempotency_level = NO_SIDE_EFFECTS;
  }
  rpc Internal(InternalRequest) returns (InternalResponse) {
    option (slipway.auth.v1.rule).scopes = "orders.write";
  }
}
-- proto/slipway/stray/v1/stray_service.proto --
syntax = "proto3";
package slipway.stray.v1;
service StrayService {
  rpc GetStray(GetStrayRequest) returns (Stray) {
    option (slipway.auth.v1.rule).public = true;
  }
}
-- proto/slipway/stray/v1/broken.proto --
syntax = "proto3"
`)),
		"order_service.proto:9: ListOrders is a GET and does not say that it changes nothing",
		"order_service.proto:14: CancelOrder says nobody who may call it",
		"order_service.proto:20: Ping answers at /v2/ping/x, and no route in services/orders/service.yaml leads there: /v1/orders*",
		"broken.proto: proto/slipway/stray/v1/broken.proto:",
		"stray_service.proto:4: slipway.stray.v1.StrayService is served by nobody",
	)
}

func TestWildcard(t *testing.T) {
	for _, c := range []struct {
		pattern, path string
		want          bool
	}{
		{"/v1/a*", "/v1/a", true},
		{"/v1/a*", "/v1/a/b:c", true},
		{"/v1/a", "/v1/a/b", false},
		{"/v?/a", "/v2/a", true},
		{"/v?/a", "/v/a", false},
		{"*/a", "/x/y/a", true},
		{"", "", true},
	} {
		if got := wildcard(c.pattern, c.path); got != c.want {
			t.Errorf("wildcard(%q, %q) = %v", c.pattern, c.path, got)
		}
	}
}
