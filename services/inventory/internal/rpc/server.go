// Package rpc is the inventory's gRPC API: it turns messages into domain values
// and back. What a method does is the domain's business.
package rpc

import (
	"context"
	"strconv"

	inventoryv1 "github.com/slipway-dev/slipway/proto/slipway/inventory/v1"
	"github.com/slipway-dev/slipway/services/inventory/internal/inventory"
)

// Server implements slipway.inventory.v1.InventoryService.
type Server struct {
	inventoryv1.UnimplementedInventoryServiceServer
	inventory *inventory.Inventory
}

// New makes a server of the inventory.
func New(v *inventory.Inventory) *Server { return &Server{inventory: v} }

// GetStockItem implements the API.
func (s *Server) GetStockItem(ctx context.Context, r *inventoryv1.GetStockItemRequest) (*inventoryv1.StockItem, error) {
	sku, err := parseItemName(r.GetName(), "name")
	if err != nil {
		return nil, err
	}
	item, err := s.inventory.Item(ctx, sku)
	if err != nil {
		return nil, err
	}
	return itemToProto(item), nil
}

// ListStockItems implements the API.
func (s *Server) ListStockItems(ctx context.Context, r *inventoryv1.ListStockItemsRequest) (*inventoryv1.ListStockItemsResponse, error) {
	page, err := s.inventory.ListItems(ctx, r.GetPageSize(), r.GetPageToken())
	if err != nil {
		return nil, err
	}
	return &inventoryv1.ListStockItemsResponse{StockItems: each(page.Elements, itemToProto), NextPageToken: page.NextToken}, nil
}

// BatchGetStockItems implements the API.
func (s *Server) BatchGetStockItems(ctx context.Context, r *inventoryv1.BatchGetStockItemsRequest) (*inventoryv1.BatchGetStockItemsResponse, error) {
	skus := make([]string, len(r.GetNames()))
	for i, name := range r.GetNames() {
		sku, err := parseItemName(name, "names["+strconv.Itoa(i)+"]")
		if err != nil {
			return nil, err
		}
		skus[i] = sku
	}
	items, err := s.inventory.Items(ctx, skus)
	if err != nil {
		return nil, err
	}
	return &inventoryv1.BatchGetStockItemsResponse{StockItems: each(items, itemToProto)}, nil
}

// AdjustStock implements the API.
func (s *Server) AdjustStock(ctx context.Context, r *inventoryv1.AdjustStockRequest) (*inventoryv1.StockItem, error) {
	sku, err := parseItemName(r.GetName(), "name")
	if err != nil {
		return nil, err
	}
	item, err := s.inventory.Adjust(ctx, inventory.Adjustment{
		SKU: sku, Delta: r.GetDelta(), Reason: r.GetReason(), RequestID: r.GetRequestId(),
	})
	if err != nil {
		return nil, err
	}
	return itemToProto(item), nil
}

// ListLedgerEntries implements the API.
func (s *Server) ListLedgerEntries(ctx context.Context, r *inventoryv1.ListLedgerEntriesRequest) (*inventoryv1.ListLedgerEntriesResponse, error) {
	sku, err := parseItemName(r.GetParent(), "parent")
	if err != nil {
		return nil, err
	}
	page, err := s.inventory.ListEntries(ctx, sku, r.GetPageSize(), r.GetPageToken())
	if err != nil {
		return nil, err
	}
	return &inventoryv1.ListLedgerEntriesResponse{Entries: each(page.Elements, entryToProto), NextPageToken: page.NextToken}, nil
}

// CreateReservation implements the API.
func (s *Server) CreateReservation(ctx context.Context, r *inventoryv1.CreateReservationRequest) (*inventoryv1.Reservation, error) {
	lines := each(r.GetReservation().GetLines(), lineOf)
	reservation, err := s.inventory.Reserve(ctx, r.GetReservationId(), lines, r.GetReservation().GetTtl().AsDuration())
	if err != nil {
		return nil, err
	}
	return reservationToProto(reservation), nil
}

// GetReservation implements the API.
func (s *Server) GetReservation(ctx context.Context, r *inventoryv1.GetReservationRequest) (*inventoryv1.Reservation, error) {
	return reservationBy(ctx, r.GetName(), s.inventory.Reservation)
}

// CommitReservation implements the API.
func (s *Server) CommitReservation(ctx context.Context, r *inventoryv1.CommitReservationRequest) (*inventoryv1.Reservation, error) {
	return reservationBy(ctx, r.GetName(), s.inventory.Commit)
}

// ReleaseReservation implements the API.
func (s *Server) ReleaseReservation(ctx context.Context, r *inventoryv1.ReleaseReservationRequest) (*inventoryv1.Reservation, error) {
	return reservationBy(ctx, r.GetName(), s.inventory.Release)
}

// ReturnReservation implements the API.
func (s *Server) ReturnReservation(ctx context.Context, r *inventoryv1.ReturnReservationRequest) (*inventoryv1.Reservation, error) {
	return reservationBy(ctx, r.GetName(), s.inventory.Return)
}

// reservationBy answers what do makes of the reservation with the name.
func reservationBy(
	ctx context.Context, name string, do func(context.Context, string) (inventory.Reservation, error),
) (*inventoryv1.Reservation, error) {
	id, ok := inventory.ParseReservationName(name)
	if !ok {
		return nil, inventory.ErrInvalidName.WithField("name", "must be the name of a reservation")
	}
	r, err := do(ctx, id)
	if err != nil {
		return nil, err
	}
	return reservationToProto(r), nil
}

func parseItemName(name, path string) (string, error) {
	sku, ok := inventory.ParseItemName(name)
	if !ok {
		return "", inventory.ErrInvalidName.WithField(path, "must be the name of a stock item")
	}
	return sku, nil
}
