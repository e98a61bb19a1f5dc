// Command orders serves orders over gRPC and REST and does their jobs.
package main

import (
	"os"

	"github.com/slipway-dev/slipway/platform/serve"
	ordersv1 "github.com/slipway-dev/slipway/proto/slipway/orders/v1"
	"github.com/slipway-dev/slipway/services/orders/internal/store"
)

func main() { os.Exit(serve.Main(service())) }

func service() serve.Service {
	return serve.Service{
		Name: "orders", Setup: setup, Migrations: store.Migrations, Jobs: true,
		Invariants: store.Invariants(), OpenAPI: ordersv1.OpenAPI,
	}
}
