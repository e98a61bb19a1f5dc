package rpc

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	inventoryv1 "github.com/slipway-dev/slipway/proto/slipway/inventory/v1"
	"github.com/slipway-dev/slipway/services/inventory/internal/inventory"
)

// TestEveryStateAndKindHasAName: a value that the proto lacks would be answered
// as UNSPECIFIED, and one that the domain lacks could never be.
func TestEveryStateAndKindHasAName(t *testing.T) {
	t.Parallel()
	states := map[inventoryv1.Reservation_State]bool{inventoryv1.Reservation_STATE_UNSPECIFIED: true}
	for _, s := range []inventory.State{inventory.Active, inventory.Committed, inventory.Released, inventory.Expired, inventory.Returned} {
		states[reservationToProto(inventory.Reservation{State: s}).GetState()] = true
	}
	if len(states) != len(inventoryv1.Reservation_State_name) {
		t.Errorf("states %v of %v", states, inventoryv1.Reservation_State_name)
	}
	kinds := map[inventoryv1.LedgerEntry_Kind]bool{inventoryv1.LedgerEntry_KIND_UNSPECIFIED: true}
	for _, k := range []inventory.Kind{
		inventory.KindAdjust, inventory.KindReserve, inventory.KindRelease, inventory.KindExpire, inventory.KindCommit, inventory.KindReturn,
	} {
		kinds[entryToProto(inventory.Entry{Kind: k}).GetKind()] = true
	}
	if len(kinds) != len(inventoryv1.LedgerEntry_Kind_name) {
		t.Errorf("kinds %v of %v", kinds, inventoryv1.LedgerEntry_Kind_name)
	}
}

func TestLinesSurviveTheWire(t *testing.T) {
	t.Parallel()
	lines := []inventory.Line{{SKU: "A", Quantity: 1}, {SKU: "B", Quantity: 1_000_000}}
	r := reservationToProto(inventory.Reservation{ID: "r", Lines: lines, ExpireTime: time.Unix(1, 0)})
	if diff := cmp.Diff(lines, each(r.GetLines(), lineOf)); diff != "" {
		t.Errorf("lines changed (-want +got):\n%s", diff)
	}
}
