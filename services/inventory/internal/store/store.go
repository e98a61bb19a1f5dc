// Package store keeps stock, reservations and the ledger in PostgreSQL. The
// queries are sqlc's (package db). It translates rows and errors; what moves when
// is the domain's business, that nothing moves halfway is the statements'.
package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/slipway-dev/slipway/platform/serve/database"
	"github.com/slipway-dev/slipway/platform/serve/errs"
	"github.com/slipway-dev/slipway/services/inventory/internal/inventory"
	"github.com/slipway-dev/slipway/services/inventory/internal/store/db"
)

// Migrations are the goose scripts that make the schema, in folder migrations.
//
//go:embed migrations/*.sql
var Migrations embed.FS

// checkViolation is an SQLSTATE of PostgreSQL's appendix A.
const checkViolation = "23514"

// Store is an inventory.Store.
type Store struct {
	queries *db.Queries
}

var _ inventory.Store = (*Store)(nil)

// New makes a store on a pool. The schema must be there.
func New(pool db.DBTX) *Store { return &Store{queries: db.New(pool)} }

// Item reads one item.
func (s *Store) Item(ctx context.Context, sku string) (inventory.Item, error) {
	r, err := s.queries.GetItem(ctx, sku)
	if errors.Is(err, pgx.ErrNoRows) {
		return inventory.Item{}, inventory.ErrItemNotFound.With("name", inventory.Item{SKU: sku}.Name())
	}
	if err != nil {
		return inventory.Item{}, fmt.Errorf("read item: %w", err)
	}
	return toItem(r), nil
}

// Items reads those of the SKUs that have an item, in any order.
func (s *Store) Items(ctx context.Context, skus []string) ([]inventory.Item, error) {
	rows, err := s.queries.GetItems(ctx, skus)
	if err != nil {
		return nil, fmt.Errorf("read items: %w", err)
	}
	items := make([]inventory.Item, len(rows))
	for i, r := range rows {
		items[i] = toItem(itemRow(r))
	}
	return items, nil
}

// ListItems reads the items behind the SKU, in order.
func (s *Store) ListItems(ctx context.Context, after string, limit int32) ([]inventory.Item, error) {
	rows, err := s.queries.ListItems(ctx, db.ListItemsParams{After: after, RowLimit: limit})
	if err != nil {
		return nil, fmt.Errorf("list items: %w", err)
	}
	items := make([]inventory.Item, len(rows))
	for i, r := range rows {
		items[i] = toItem(itemRow(r))
	}
	return items, nil
}

// ListEntries reads the entries of the SKU before the number, the latest first.
func (s *Store) ListEntries(ctx context.Context, sku string, before int64, limit int32) ([]inventory.Entry, error) {
	if before == 0 {
		before = math.MaxInt64
	}
	rows, err := s.queries.ListEntries(ctx, db.ListEntriesParams{Sku: sku, Before: before, RowLimit: limit})
	if err != nil {
		return nil, fmt.Errorf("list entries: %w", err)
	}
	entries := make([]inventory.Entry, len(rows))
	for i, r := range rows {
		entries[i] = inventory.Entry{
			SKU: r.Sku, Number: r.Number, Kind: inventory.Kind(r.Kind),
			OnHandDelta: r.OnHandDelta, ReservedDelta: r.ReservedDelta,
			Reason: r.Reason, ReservationID: r.ReservationID.String, CreateTime: r.CreateTime.UTC(),
		}
	}
	return entries, nil
}

// Adjustment reads what was adjusted under the request id.
func (s *Store) Adjustment(ctx context.Context, requestID string) (inventory.Adjustment, bool, error) {
	r, err := s.queries.GetAdjustment(ctx, requestID)
	if errors.Is(err, pgx.ErrNoRows) {
		return inventory.Adjustment{}, false, nil
	}
	if err != nil {
		return inventory.Adjustment{}, false, fmt.Errorf("read entry: %w", err)
	}
	return inventory.Adjustment{
		SKU: r.Sku, Delta: r.OnHandDelta, Reason: r.Reason, RequestID: requestID, Time: r.CreateTime.UTC(),
	}, true, nil
}

// Adjust changes what is on hand and enters it in the ledger.
func (s *Store) Adjust(ctx context.Context, a inventory.Adjustment) (inventory.Item, bool, error) {
	r, err := s.queries.Adjust(ctx, db.AdjustParams{
		Sku: a.SKU, Delta: a.Delta, Now: a.Time, MaxOnHand: inventory.MaxOnHand, Reason: a.Reason, RequestID: a.RequestID,
	})
	if errors.Is(err, pgx.ErrNoRows) || database.IsUniqueViolation(err, "ledger_entries_request_id_key") {
		return inventory.Item{}, false, nil
	}
	if err != nil {
		done, err := outcome(0, err)
		return inventory.Item{}, done, err
	}
	return toItem(itemRow(r)), true, nil
}

// Reservation reads one reservation with its lines.
func (s *Store) Reservation(ctx context.Context, id string) (inventory.Reservation, error) {
	r, err := s.queries.GetReservation(ctx, id)
	if errors.Is(err, pgx.ErrNoRows) {
		return inventory.Reservation{}, inventory.ErrReservationNotFound.With("name", inventory.Reservation{ID: id}.Name())
	}
	if err != nil {
		return inventory.Reservation{}, fmt.Errorf("read reservation: %w", err)
	}
	lines := make([]inventory.Line, len(r.Skus))
	for i, sku := range r.Skus {
		lines[i] = inventory.Line{SKU: sku, Quantity: r.Quantities[i]}
	}
	return inventory.Reservation{
		ID: r.ID, Lines: lines, State: inventory.State(r.State), ExpireTime: r.ExpireTime.UTC(),
		CreateTime: r.CreateTime.UTC(), UpdateTime: r.UpdateTime.UTC(),
	}, nil
}

// Reserve adds the reservation and holds what its lines ask for.
func (s *Store) Reserve(ctx context.Context, r inventory.Reservation) (bool, error) {
	p := db.ReserveParams{
		ID: r.ID, State: string(r.State), ExpireTime: r.ExpireTime, Now: r.CreateTime,
		Skus: make([]string, len(r.Lines)), Quantities: make([]int32, len(r.Lines)),
	}
	for i, line := range r.Lines {
		p.Skus[i], p.Quantities[i] = line.SKU, line.Quantity
	}
	return outcome(s.queries.Reserve(ctx, p))
}

// Move changes a reservation's state and moves the stock.
func (s *Store) Move(ctx context.Context, id string, m inventory.Movement, at time.Time) (bool, error) {
	return outcome(s.queries.Move(ctx, db.MoveParams{
		ID: id, FromState: string(m.From), ToState: string(m.To), Kind: string(m.Kind),
		OnHand: m.OnHand, Reserved: m.Reserved, Now: at,
	}))
}

// MoveDue changes the state of reservations whose time is up.
func (s *Store) MoveDue(ctx context.Context, m inventory.Movement, at time.Time, limit int32) (int, error) {
	moved, err := s.queries.MoveDue(ctx, db.MoveDueParams{
		ToState: string(m.To), Kind: string(m.Kind),
		OnHand: m.OnHand, Reserved: m.Reserved, Now: at, RowLimit: limit,
	})
	if err != nil {
		return 0, fmt.Errorf("move due reservations: %w", err)
	}
	return int(moved), nil
}

// outcome tells whether a change was made. The order of the locks leaves no
// room for a deadlock; were there one, its loser would have changed nothing.
func outcome(entries int64, err error) (done bool, _ error) {
	if err == nil {
		return entries > 0, nil
	}
	if c := database.Classify(err); c != nil && c.Kind == errs.Conflict {
		return false, nil
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok &&
		pg.Code == checkViolation && pg.ConstraintName == "stock_items_on_hand_check" {
		return false, errs.Wrap(err, inventory.ErrLimit.Kind, inventory.ErrLimit.Reason, inventory.ErrLimit.Message)
	}
	return false, fmt.Errorf("change rows: %w", err)
}

// itemRow is an item as sqlc reads it. All of its rows of items convert to it.
type itemRow = db.GetItemRow

func toItem(r itemRow) inventory.Item {
	return inventory.Item{
		SKU: r.Sku, OnHand: r.OnHand, Reserved: r.Reserved,
		CreateTime: r.CreateTime.UTC(), UpdateTime: r.UpdateTime.UTC(),
	}
}
