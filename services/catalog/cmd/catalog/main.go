// Command catalog serves the product catalog over gRPC and REST.
package main

import (
	"context"
	"os"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"

	"github.com/slipway-dev/slipway/platform/serve"
	catalogv1 "github.com/slipway-dev/slipway/proto/slipway/catalog/v1"
	"github.com/slipway-dev/slipway/services/catalog/internal/catalog"
	"github.com/slipway-dev/slipway/services/catalog/internal/rpc"
	"github.com/slipway-dev/slipway/services/catalog/internal/store"
)

func main() { os.Exit(serve.Main(service())) }

func service() serve.Service {
	return serve.Service{Name: "catalog", Setup: setup, Migrations: store.Migrations, OpenAPI: catalogv1.OpenAPI}
}

func setup(_ context.Context, b *serve.Builder) error {
	products, err := catalog.New(catalog.Config{Store: store.New(b.Pool())})
	if err != nil {
		return err
	}
	server, err := rpc.New(products)
	if err != nil {
		return err
	}
	catalogv1.RegisterCatalogServiceServer(b, server)
	b.Gateway(func(ctx context.Context, mux *runtime.ServeMux, conn grpc.ClientConnInterface) error {
		return catalogv1.RegisterCatalogServiceHandlerClient(ctx, mux, catalogv1.NewCatalogServiceClient(conn))
	})
	return nil
}
