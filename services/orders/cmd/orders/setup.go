package main

import (
	"context"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"

	"github.com/slipway-dev/slipway/platform/serve"
	ordersv1 "github.com/slipway-dev/slipway/proto/slipway/orders/v1"
	"github.com/slipway-dev/slipway/services/orders/internal/callee"
	"github.com/slipway-dev/slipway/services/orders/internal/jobs"
	"github.com/slipway-dev/slipway/services/orders/internal/orders"
	"github.com/slipway-dev/slipway/services/orders/internal/rpc"
	"github.com/slipway-dev/slipway/services/orders/internal/store"
	"github.com/slipway-dev/slipway/services/orders/internal/store/feed"
)

// setup joins the parts.
func setup(_ context.Context, b *serve.Builder) error {
	catalog, err := b.Conn("catalog", "catalog.read")
	if err != nil {
		return err
	}
	inventory, err := b.Conn("inventory", "inventory.reserve")
	if err != nil {
		return err
	}
	queue := &jobs.Queue{}
	changes := feed.New(feed.Config{Pool: b.Pool(), Log: b.Logger()})
	s, err := orders.New(orders.Config{
		Store:   store.New(b.Pool(), queue),
		Catalog: callee.NewCatalog(catalog), Inventory: callee.NewInventory(inventory),
		Feed: changes,
	})
	if err != nil {
		return err
	}
	client, err := b.Jobs(jobs.Config(s))
	if err != nil {
		return err
	}
	queue.Use(client)
	b.Go("feed", changes.Run)
	b.Go("late", jobs.NewLate(jobs.LateConfig{Work: s, Log: b.Logger()}).Run)
	ordersv1.RegisterOrderServiceServer(b, rpc.New(s))
	b.Gateway(func(ctx context.Context, mux *runtime.ServeMux, conn grpc.ClientConnInterface) error {
		return ordersv1.RegisterOrderServiceHandlerClient(ctx, mux, ordersv1.NewOrderServiceClient(conn))
	})
	return nil
}
