package main

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/genproto/googleapis/type/money"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/slipway-dev/slipway/platform/serve/servetest"
	catalogv1 "github.com/slipway-dev/slipway/proto/slipway/catalog/v1"
	inventoryv1 "github.com/slipway-dev/slipway/proto/slipway/inventory/v1"
)

// shop is orders with a catalog and an inventory in memory, which keep to what
// the real ones' protos say.
type shop struct {
	*servetest.Server

	catalog   *fakeCatalog
	inventory *fakeInventory
	callees   map[string]string
}

// newShop starts one; its options add to the service's.
func newShop(t *testing.T, options ...grpc.ServerOption) *shop {
	t.Helper()
	s := &shop{catalog: newCatalog(), inventory: newInventory()}
	s.callees = map[string]string{
		"catalog": servetest.Callee(t, func(r grpc.ServiceRegistrar) {
			catalogv1.RegisterCatalogServiceServer(r, s.catalog)
		}, options...),
		"inventory": servetest.Callee(t, func(r grpc.ServiceRegistrar) {
			inventoryv1.RegisterInventoryServiceServer(r, s.inventory)
		}, options...),
	}
	s.Server = servetest.Start(t, service(), servetest.Options{Callees: s.callees})
	return s
}

// second starts another task of the service on the same database.
func (s *shop) second(t *testing.T) *servetest.Server {
	t.Helper()
	return servetest.Start(t, service(), servetest.Options{Callees: s.callees, Database: s.Database})
}

// fakeCatalog answers BatchGetProducts.
type fakeCatalog struct {
	catalogv1.UnimplementedCatalogServiceServer

	mu       sync.Mutex
	products map[string]*catalogv1.Product
}

func newCatalog() *fakeCatalog {
	c := &fakeCatalog{products: make(map[string]*catalogv1.Product)}
	c.put("lamp", "EUR", 12, 990_000_000, catalogv1.Product_STATE_ACTIVE)
	c.put("mug", "EUR", 0, 333_333_333, catalogv1.Product_STATE_ACTIVE)
	c.put("tee", "USD", 20, 0, catalogv1.Product_STATE_ACTIVE)
	c.put("old", "EUR", 5, 0, catalogv1.Product_STATE_DISCONTINUED)
	c.put("gold", "EUR", 1<<62, 0, catalogv1.Product_STATE_ACTIVE)
	return c
}

func (c *fakeCatalog) put(id, currency string, units int64, nanos int32, state catalogv1.Product_State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.products["products/"+id] = &catalogv1.Product{
		Name: "products/" + id, Sku: strings.ToUpper(id), Title: "The " + id, State: state,
		Price: &money.Money{CurrencyCode: currency, Units: units, Nanos: nanos},
	}
}

func (c *fakeCatalog) BatchGetProducts(_ context.Context, r *catalogv1.BatchGetProductsRequest) (*catalogv1.BatchGetProductsResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := &catalogv1.BatchGetProductsResponse{}
	for _, name := range r.GetNames() {
		p, ok := c.products[name]
		if !ok {
			return nil, refusal(codes.NotFound, "PRODUCT_NOT_FOUND", map[string]string{"name": name})
		}
		out.Products = append(out.Products, p)
	}
	return out, nil
}

// fakeInventory keeps stock as the inventory does: all lines or none, states that
// only move forward, and every call may be repeated.
type fakeInventory struct {
	inventoryv1.UnimplementedInventoryServiceServer

	mu           sync.Mutex
	onHand       map[string]int32
	reserved     map[string]int32
	reservations map[string]*inventoryv1.Reservation
	ttlLimit     time.Duration // where set, reservations hold no longer
}

func newInventory() *fakeInventory {
	return &fakeInventory{
		onHand:       map[string]int32{"LAMP": 1000, "MUG": 1000, "TEE": 1000, "OLD": 10, "GOLD": 1000},
		reserved:     make(map[string]int32),
		reservations: make(map[string]*inventoryv1.Reservation),
	}
}

func (f *fakeInventory) CreateReservation(_ context.Context, r *inventoryv1.CreateReservationRequest) (*inventoryv1.Reservation, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	name, lines := "reservations/"+r.GetReservationId(), r.GetReservation().GetLines()
	if got, ok := f.reservations[name]; ok {
		if !sameLines(got.GetLines(), lines) {
			return nil, refusal(codes.AlreadyExists, "RESERVATION_MISMATCH", nil)
		}
		f.expire(got)
		return clone(got), nil
	}
	for _, l := range lines {
		if f.onHand[l.GetSku()]-f.reserved[l.GetSku()] < l.GetQuantity() {
			return nil, refusal(codes.FailedPrecondition, "INSUFFICIENT_STOCK", map[string]string{"skus": l.GetSku()})
		}
	}
	for _, l := range lines {
		f.reserved[l.GetSku()] += l.GetQuantity()
	}
	ttl := r.GetReservation().GetTtl().AsDuration()
	if f.ttlLimit > 0 {
		ttl = min(ttl, f.ttlLimit)
	}
	f.reservations[name] = &inventoryv1.Reservation{
		Name: name, Lines: lines, State: inventoryv1.Reservation_STATE_ACTIVE,
		ExpireTime: timestamppb.New(time.Now().Add(ttl)),
	}
	return clone(f.reservations[name]), nil
}

func (f *fakeInventory) CommitReservation(_ context.Context, r *inventoryv1.CommitReservationRequest) (*inventoryv1.Reservation, error) {
	return f.move(r.GetName(), inventoryv1.Reservation_STATE_COMMITTED)
}

func (f *fakeInventory) ReleaseReservation(_ context.Context, r *inventoryv1.ReleaseReservationRequest) (*inventoryv1.Reservation, error) {
	return f.move(r.GetName(), inventoryv1.Reservation_STATE_RELEASED)
}

func (f *fakeInventory) ReturnReservation(_ context.Context, r *inventoryv1.ReturnReservationRequest) (*inventoryv1.Reservation, error) {
	return f.move(r.GetName(), inventoryv1.Reservation_STATE_RETURNED)
}

// move is the table of the reservation's states.
func (f *fakeInventory) move(name string, next inventoryv1.Reservation_State) (*inventoryv1.Reservation, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, ok := f.reservations[name]
	if !ok {
		return nil, refusal(codes.NotFound, "RESERVATION_NOT_FOUND", nil)
	}
	f.expire(r)
	state := strings.TrimPrefix(r.GetState().String(), "STATE_")
	switch {
	case r.GetState() == next,
		next == inventoryv1.Reservation_STATE_RELEASED && r.GetState() == inventoryv1.Reservation_STATE_EXPIRED:
	case next == inventoryv1.Reservation_STATE_RETURNED && r.GetState() == inventoryv1.Reservation_STATE_ACTIVE:
		return nil, refusal(codes.FailedPrecondition, "RESERVATION_NOT_COMMITTED", nil)
	case next == inventoryv1.Reservation_STATE_RETURNED && r.GetState() == inventoryv1.Reservation_STATE_COMMITTED:
		f.shift(r, 1, 0)
		r.State = next
	case next != inventoryv1.Reservation_STATE_RETURNED && r.GetState() == inventoryv1.Reservation_STATE_ACTIVE:
		if next == inventoryv1.Reservation_STATE_COMMITTED {
			f.shift(r, -1, 0)
		}
		f.shift(r, 0, -1)
		r.State = next
	default:
		return nil, refusal(codes.FailedPrecondition, "RESERVATION_"+state, nil)
	}
	return clone(r), nil
}

func (f *fakeInventory) expire(r *inventoryv1.Reservation) {
	if r.GetState() == inventoryv1.Reservation_STATE_ACTIVE && !time.Now().Before(r.GetExpireTime().AsTime()) {
		f.shift(r, 0, -1)
		r.State = inventoryv1.Reservation_STATE_EXPIRED
	}
}

// shift adds the lines so many times.
func (f *fakeInventory) shift(r *inventoryv1.Reservation, onHand, reserved int32) {
	for _, l := range r.GetLines() {
		f.onHand[l.GetSku()] += onHand * l.GetQuantity()
		f.reserved[l.GetSku()] += reserved * l.GetQuantity()
	}
}

// state is what became of an order's reservation.
func (f *fakeInventory) state(order string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, ok := f.reservations["reservations/"+strings.TrimPrefix(order, "orders/")]
	if !ok {
		return "NONE"
	}
	return strings.TrimPrefix(r.GetState().String(), "STATE_")
}

// counts are the units of a SKU in stock and reserved, and all reservations.
func (f *fakeInventory) counts(sku string) (onHand, reserved int32, reservations int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.onHand[sku], f.reserved[sku], len(f.reservations)
}

func sameLines(a, b []*inventoryv1.Reservation_Line) bool {
	count := make(map[string]int32)
	for _, l := range a {
		count[l.GetSku()] += l.GetQuantity()
	}
	for _, l := range b {
		count[l.GetSku()] -= l.GetQuantity()
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return len(a) == len(b)
}

func clone(r *inventoryv1.Reservation) *inventoryv1.Reservation {
	return &inventoryv1.Reservation{Name: r.GetName(), Lines: r.GetLines(), State: r.GetState(), ExpireTime: r.GetExpireTime()}
}

func refusal(code codes.Code, reason string, metadata map[string]string) error {
	st, err := status.New(code, reason).WithDetails(&errdetails.ErrorInfo{Reason: reason, Domain: "test.slipway", Metadata: metadata})
	if err != nil {
		panic(err) // a code other than OK always takes details
	}
	return st.Err()
}
