package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/slipway-dev/slipway/platform/serve/servetest"
	inventoryv1 "github.com/slipway-dev/slipway/proto/slipway/inventory/v1"
	"github.com/slipway-dev/slipway/services/inventory/internal/store"
)

// client reserves over one of the protocols. What it is told is OK, or the
// reason of the refusal.
type client func(t *testing.T, id string, skus []string) string

const accepted = "OK"

func overGRPC(s *servetest.Server) client {
	api := inventoryv1.NewInventoryServiceClient(s.Conn)
	return func(t *testing.T, id string, skus []string) string {
		t.Helper()
		r := &inventoryv1.Reservation{}
		for _, sku := range skus {
			r.Lines = append(r.Lines, &inventoryv1.Reservation_Line{Sku: sku, Quantity: 1})
		}
		_, err := api.CreateReservation(t.Context(), &inventoryv1.CreateReservationRequest{Reservation: r, ReservationId: id})
		if status.Code(err) == codes.FailedPrecondition {
			return "INSUFFICIENT_STOCK"
		}
		if err != nil {
			return err.Error()
		}
		return accepted
	}
}

func overREST(s *servetest.Server) client {
	return func(t *testing.T, id string, skus []string) string {
		t.Helper()
		lines := make([]map[string]any, len(skus))
		for i, sku := range skus {
			lines[i] = map[string]any{"sku": sku, "quantity": 1}
		}
		resp, body := s.Do(t, http.MethodPost, "/v1/reservations?reservationId="+id, encode(t, map[string]any{"lines": lines}))
		switch {
		case resp.StatusCode == http.StatusOK:
			return accepted
		case resp.StatusCode == http.StatusBadRequest && strings.Contains(body, "INSUFFICIENT_STOCK"):
			return "INSUFFICIENT_STOCK"
		default:
			return resp.Status + " " + body
		}
	}
}

func bringIn(t *testing.T, s *servetest.Server, sku string, units int32) {
	t.Helper()
	_, err := inventoryv1.NewInventoryServiceClient(s.Conn).AdjustStock(t.Context(), &inventoryv1.AdjustStockRequest{
		Name: "stockItems/" + sku, Delta: units, Reason: "delivery", RequestId: uuid.NewString(),
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestTheLastUnits lets 64 clients of both protocols want the last units of a
// SKU, some with another SKU beside it. As many as there are units get one, the
// others learn that there are none left, and the ledger knows of each.
func TestTheLastUnits(t *testing.T) {
	t.Parallel()
	s := servetest.Start(t, service())
	const clients, tries, units = 64, 3, 50
	bringIn(t, s, "LAST", units)
	bringIn(t, s, "PLENTY", clients*tries)
	protocols := []client{overGRPC(s), overREST(s)}
	baskets := [][]string{{"LAST"}, {"LAST", "PLENTY"}, {"PLENTY", "LAST"}}

	var mu sync.Mutex
	told := map[string]int{}
	var won []string
	var group sync.WaitGroup
	start := make(chan struct{})
	for n := range clients {
		group.Go(func() {
			<-start
			for try := range tries {
				id := fmt.Sprintf("c%d-%d", n, try)
				answer := protocols[n%len(protocols)](t, id, baskets[(n+try)%len(baskets)])
				mu.Lock()
				told[answer]++
				if answer == accepted {
					won = append(won, id)
				}
				mu.Unlock()
			}
		})
	}
	close(start)
	group.Wait()
	if told[accepted] != units || told["INSUFFICIENT_STOCK"] != clients*tries-units {
		t.Errorf("the clients were told %v, want %d times OK and %d times INSUFFICIENT_STOCK", told, units, clients*tries-units)
	}
	checkInvariants(t, s)

	api := inventoryv1.NewInventoryServiceClient(s.Conn)
	for _, id := range won {
		group.Go(func() {
			if _, err := api.CommitReservation(t.Context(), &inventoryv1.CommitReservationRequest{Name: "reservations/" + id}); err != nil {
				t.Errorf("commit %s: %v", id, err)
			}
		})
	}
	group.Wait()
	item, err := api.GetStockItem(t.Context(), &inventoryv1.GetStockItemRequest{Name: "stockItems/LAST"})
	if err != nil || item.GetOnHand() != 0 || item.GetReserved() != 0 {
		t.Errorf("after all commits the item is %v, %v; want nothing left", item, err)
	}
	entries, err := api.ListLedgerEntries(t.Context(), &inventoryv1.ListLedgerEntriesRequest{Parent: "stockItems/LAST", PageSize: 1000})
	if err != nil || len(entries.GetEntries()) != 1+2*units {
		t.Errorf("%d entries, %v; want a delivery, and %d times a reservation and its commit", len(entries.GetEntries()), err, units)
	}
	checkInvariants(t, s)
}

// TestReservationsExpire waits for the sweep of the running service.
func TestReservationsExpire(t *testing.T) {
	t.Parallel()
	s := servetest.Start(t, service(), servetest.Options{Env: map[string]string{"RESERVATION_SWEEP_INTERVAL": "100ms"}})
	bringIn(t, s, "A", 5)
	api := inventoryv1.NewInventoryServiceClient(s.Conn)
	resp, body := s.Do(t, http.MethodPost, "/v1/reservations?reservationId=short", `{"lines": [{"sku": "A", "quantity": 5}], "ttl": "1s"}`)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s", resp.Status, body)
	}
	await(t, "the reservation to expire", func() bool {
		r, err := api.GetReservation(t.Context(), &inventoryv1.GetReservationRequest{Name: "reservations/short"})
		return err == nil && r.GetState() == inventoryv1.Reservation_STATE_EXPIRED
	})
	if _, err := api.CommitReservation(t.Context(), &inventoryv1.CommitReservationRequest{Name: "reservations/short"}); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("commit of an expired reservation: %v", err)
	}
	r, err := api.ReleaseReservation(t.Context(), &inventoryv1.ReleaseReservationRequest{Name: "reservations/short"})
	if err != nil || r.GetState() != inventoryv1.Reservation_STATE_EXPIRED {
		t.Errorf("release of an expired reservation: %v, %v; want it as it is", r.GetState(), err)
	}
	if answer := overGRPC(s)(t, "next", []string{"A"}); answer != accepted {
		t.Errorf("reserve what is free again: %s", answer)
	}
	checkInvariants(t, s)
}

// TestTheSweepDrains stops the service while it sweeps: it ends in time, leaves
// nothing half done, and the next process goes on where it stopped.
func TestTheSweepDrains(t *testing.T) {
	t.Parallel()
	fast := servetest.Options{Env: map[string]string{"RESERVATION_SWEEP_INTERVAL": "100ms"}}
	s := servetest.Start(t, service(), fast)
	const reservations = 300
	bringIn(t, s, "A", reservations)
	reserve := overGRPC(s)
	for i := range reservations {
		if answer := reserve(t, fmt.Sprintf("r%d", i), []string{"A"}); answer != accepted {
			t.Fatal(answer)
		}
	}
	// All of them are due at once, and the service is told to stop as soon as the
	// first are swept.
	conn := connect(t, s)
	if _, err := conn.Exec(t.Context(), "UPDATE reservations SET expire_time = create_time + interval '1 microsecond'"); err != nil {
		t.Fatal(err)
	}
	await(t, "the sweep to begin", func() bool { return held(t, conn) < reservations })
	if err := s.Stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	checkInvariants(t, s)
	next := fast
	next.Database = s.Database
	s = servetest.Start(t, service(), next)
	await(t, "the next process to finish", func() bool { return held(t, conn) == 0 })
	checkInvariants(t, s)
}

func held(t *testing.T, conn *pgx.Conn) (reserved int) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), "SELECT reserved FROM stock_items WHERE sku = 'A'").Scan(&reserved); err != nil {
		t.Fatal(err)
	}
	return reserved
}

// checkInvariants runs what `inventory check` runs.
func checkInvariants(t *testing.T, s *servetest.Server) {
	t.Helper()
	conn := connect(t, s)
	for _, i := range store.Invariants() {
		rows, err := conn.Query(t.Context(), i.Query)
		if err != nil {
			t.Fatalf("%s: %v", i.Name, err)
		}
		broken, err := pgx.CollectRows(rows, pgx.RowToMap)
		if err != nil || len(broken) > 0 {
			t.Errorf("%s: %v %v", i.Name, broken, err)
		}
	}
}

func connect(t *testing.T, s *servetest.Server) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.Database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

// await polls until the condition holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		case <-tick.C:
		}
	}
}

func encode(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
