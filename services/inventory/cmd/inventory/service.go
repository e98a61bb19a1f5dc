package main

import (
	"context"
	"errors"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"

	"github.com/slipway-dev/slipway/platform/serve"
	inventoryv1 "github.com/slipway-dev/slipway/proto/slipway/inventory/v1"
	"github.com/slipway-dev/slipway/services/inventory/internal/inventory"
	"github.com/slipway-dev/slipway/services/inventory/internal/jobs"
	"github.com/slipway-dev/slipway/services/inventory/internal/rpc"
	"github.com/slipway-dev/slipway/services/inventory/internal/store"
)

// config is what the service reads of its environment beyond the runtime's own.
type config struct {
	// SweepInterval is how long the units of an expired reservation may stay held.
	SweepInterval time.Duration `env:"RESERVATION_SWEEP_INTERVAL" envDefault:"5s"`
}

// Validate reports what cannot be.
func (c *config) Validate() error {
	if c.SweepInterval < minSweepInterval {
		return errors.New("RESERVATION_SWEEP_INTERVAL: must be at least " + minSweepInterval.String() + ", is " + c.SweepInterval.String())
	}
	return nil
}

const minSweepInterval = 100 * time.Millisecond

func service() serve.Service {
	cfg := &config{}
	return serve.Service{
		Name:       "inventory",
		Migrations: store.Migrations,
		Jobs:       true,
		Invariants: store.Invariants(),
		OpenAPI:    inventoryv1.OpenAPI,
		Config:     cfg,
		Setup:      func(_ context.Context, b *serve.Builder) error { return setup(b, cfg) },
	}
}

func setup(b *serve.Builder, cfg *config) error {
	stock, err := inventory.New(inventory.Config{Store: store.New(b.Pool())})
	if err != nil {
		return err
	}
	work, err := jobs.New(stock, cfg.SweepInterval)
	if err != nil {
		return err
	}
	if _, err := b.Jobs(work); err != nil {
		return err
	}
	inventoryv1.RegisterInventoryServiceServer(b, rpc.New(stock))
	b.Gateway(func(ctx context.Context, mux *runtime.ServeMux, conn grpc.ClientConnInterface) error {
		return inventoryv1.RegisterInventoryServiceHandlerClient(ctx, mux, inventoryv1.NewInventoryServiceClient(conn))
	})
	return nil
}
