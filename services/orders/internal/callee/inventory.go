package callee

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	inventoryv1 "github.com/slipway-dev/slipway/proto/slipway/inventory/v1"
	"github.com/slipway-dev/slipway/services/orders/internal/orders"
)

// reservationPrefix comes before the id in a reservation's name.
const reservationPrefix = "reservations/"

// Inventory is an orders.Inventory.
type Inventory struct {
	client inventoryv1.InventoryServiceClient
}

var _ orders.Inventory = (*Inventory)(nil)

// NewInventory makes one of a connection.
func NewInventory(conn grpc.ClientConnInterface) *Inventory {
	return &Inventory{client: inventoryv1.NewInventoryServiceClient(conn)}
}

// Reserve holds the units of the lines, or says what became of the reservation.
func (i *Inventory) Reserve(ctx context.Context, id string, lines []orders.Line, ttl time.Duration) (time.Time, error) {
	r := &inventoryv1.Reservation{
		Lines: make([]*inventoryv1.Reservation_Line, len(lines)), Ttl: durationpb.New(ttl),
	}
	for n, l := range lines {
		r.Lines[n] = &inventoryv1.Reservation_Line{Sku: l.SKU, Quantity: l.Quantity}
	}
	got, err := i.client.CreateReservation(ctx, &inventoryv1.CreateReservationRequest{Reservation: r, ReservationId: id})
	if err != nil {
		return time.Time{}, inventoryError(ctx, err)
	}
	if got.GetState() != inventoryv1.Reservation_STATE_ACTIVE {
		return time.Time{}, orders.ErrReservationGone // also if committed: then an order stands on it
	}
	return got.GetExpireTime().AsTime(), nil
}

// Commit takes what is held out of the stock.
func (i *Inventory) Commit(ctx context.Context, id string) error {
	_, err := i.client.CommitReservation(ctx, &inventoryv1.CommitReservationRequest{Name: reservationPrefix + id})
	return inventoryError(ctx, err)
}

// Release gives free what is held.
func (i *Inventory) Release(ctx context.Context, id string) error {
	_, err := i.client.ReleaseReservation(ctx, &inventoryv1.ReleaseReservationRequest{Name: reservationPrefix + id})
	return inventoryError(ctx, err)
}

// Return puts what was committed back.
func (i *Inventory) Return(ctx context.Context, id string) error {
	_, err := i.client.ReturnReservation(ctx, &inventoryv1.ReturnReservationRequest{Name: reservationPrefix + id})
	return inventoryError(ctx, err)
}

// inventoryError is the domain's error for the inventory's reason.
func inventoryError(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	reason, metadata := reasonOf(err)
	switch reason {
	case "INSUFFICIENT_STOCK":
		noStock := orders.ErrNoStock
		if skus := metadata["skus"]; skus != "" {
			noStock = noStock.With("skus", skus)
		}
		return noStock
	case "RESERVATION_MISMATCH":
		return orders.ErrReservationMismatch
	case "RESERVATION_COMMITTED":
		return orders.ErrReservationCommitted
	case "RESERVATION_EXPIRED", "RESERVATION_RELEASED", "RESERVATION_RETURNED":
		return orders.ErrReservationGone
	}
	if status.Code(err) == codes.NotFound {
		return orders.ErrReservationGone
	}
	return failure(ctx, "inventory", err)
}
