package rpc

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	inventoryv1 "github.com/slipway-dev/slipway/proto/slipway/inventory/v1"
	"github.com/slipway-dev/slipway/services/inventory/internal/inventory"
)

// What tells the proto's enum values from the domain's.
const (
	statePrefix = "STATE_"
	kindPrefix  = "KIND_"
)

func itemToProto(i inventory.Item) *inventoryv1.StockItem {
	return &inventoryv1.StockItem{
		Name:       i.Name(),
		Sku:        i.SKU,
		OnHand:     i.OnHand,
		Reserved:   i.Reserved,
		Available:  i.Available(),
		CreateTime: timestamppb.New(i.CreateTime),
		UpdateTime: timestamppb.New(i.UpdateTime),
	}
}

func entryToProto(e inventory.Entry) *inventoryv1.LedgerEntry {
	return &inventoryv1.LedgerEntry{
		Name:          e.Name(),
		Kind:          inventoryv1.LedgerEntry_Kind(inventoryv1.LedgerEntry_Kind_value[kindPrefix+string(e.Kind)]),
		OnHandDelta:   e.OnHandDelta,
		ReservedDelta: e.ReservedDelta,
		Reason:        e.Reason,
		Reservation:   e.ReservationName(),
		CreateTime:    timestamppb.New(e.CreateTime),
	}
}

func reservationToProto(r inventory.Reservation) *inventoryv1.Reservation {
	return &inventoryv1.Reservation{
		Name:       r.Name(),
		Lines:      each(r.Lines, lineToProto),
		State:      inventoryv1.Reservation_State(inventoryv1.Reservation_State_value[statePrefix+string(r.State)]),
		ExpireTime: timestamppb.New(r.ExpireTime),
		CreateTime: timestamppb.New(r.CreateTime),
		UpdateTime: timestamppb.New(r.UpdateTime),
	}
}

func lineToProto(l inventory.Line) *inventoryv1.Reservation_Line {
	return &inventoryv1.Reservation_Line{Sku: l.SKU, Quantity: l.Quantity}
}

func lineOf(l *inventoryv1.Reservation_Line) inventory.Line {
	return inventory.Line{SKU: l.GetSku(), Quantity: l.GetQuantity()}
}

// each applies f to every element.
func each[A, B any](in []A, f func(A) B) []B {
	out := make([]B, len(in))
	for i, a := range in {
		out[i] = f(a)
	}
	return out
}
