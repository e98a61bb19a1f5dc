// Package store keeps orders in PostgreSQL. The queries are sqlc's (package db).
// It translates rows and errors, queues the jobs that a change makes necessary in
// the change's own transaction, and decides nothing.
package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/slipway-dev/slipway/platform/serve/database"
	"github.com/slipway-dev/slipway/services/orders/internal/orders"
	"github.com/slipway-dev/slipway/services/orders/internal/store/db"
)

// Migrations are the goose scripts that make the schema, in folder migrations.
//
//go:embed migrations/*.sql
var Migrations embed.FS

// Pool is what the store needs of a *pgxpool.Pool.
type Pool interface {
	db.DBTX
	database.Beginner
}

// Queue takes the jobs that a change makes necessary. They are done after the
// transaction has been committed, and never if it is rolled back.
type Queue interface {
	Confirm(ctx context.Context, tx pgx.Tx, orderID string) error
	Settle(ctx context.Context, tx pgx.Tx, orderID string) error
	Release(ctx context.Context, tx pgx.Tx, reservationID string) error
}

// Store is an orders.Store.
type Store struct {
	pool    Pool
	queue   Queue
	queries *db.Queries
}

var _ orders.Store = (*Store)(nil)

// New makes a store on a pool. The schema must be there.
func New(pool Pool, queue Queue) *Store {
	return &Store{pool: pool, queue: queue, queries: db.New(pool)}
}

// errNothing rolls a transaction back that has found nothing to do.
var errNothing = errors.New("nothing to do")

// Key reads a customer's key.
func (s *Store) Key(ctx context.Context, customer, key string) (orders.Key, error) {
	r, err := s.queries.GetKey(ctx, db.GetKeyParams{Customer: customer, Key: key})
	if errors.Is(err, pgx.ErrNoRows) {
		return orders.Key{}, nil
	}
	if err != nil {
		return orders.Key{}, fmt.Errorf("read row: %w", err)
	}
	k := orders.Key{Generation: r.Generation, Answered: len(r.Answer) > 0, Fingerprint: r.Fingerprint}
	if k.Answered {
		if k.Answer, err = decodeAnswer(r.Answer); err != nil {
			return orders.Key{}, err
		}
	}
	return k, nil
}

// Accept adds the order, its lines, its key and the job that confirms it: one
// statement and the job's, in one transaction.
func (s *Store) Accept(ctx context.Context, a orders.Acceptance) (bool, error) {
	params, err := toAcceptance(a)
	if err != nil {
		return false, err
	}
	return s.unlessNothing(ctx, func(ctx context.Context, tx pgx.Tx, q *db.Queries) error {
		n, err := q.AcceptOrder(ctx, params)
		if err != nil {
			return fmt.Errorf("insert rows: %w", err)
		}
		if n == 0 {
			return errNothing
		}
		return s.queue.Confirm(ctx, tx, a.Order.ID)
	})
}

// GiveUp raises the key's generation and queues the release.
func (s *Store) GiveUp(ctx context.Context, a orders.Acceptance) (bool, error) {
	params := db.RaiseGenerationParams{Customer: a.Order.Customer, Key: a.Key, Generation: a.Generation}
	return s.unlessNothing(ctx, func(ctx context.Context, tx pgx.Tx, q *db.Queries) error {
		n, err := q.RaiseGeneration(ctx, params)
		if err != nil {
			return fmt.Errorf("raise generation: %w", err)
		}
		if n == 0 {
			return errNothing
		}
		return s.queue.Release(ctx, tx, a.Order.ID)
	})
}

// Get reads one order.
func (s *Store) Get(ctx context.Context, id string) (orders.Order, error) {
	rows, err := s.queries.GetOrder(ctx, id)
	if err != nil {
		return orders.Order{}, fmt.Errorf("read rows: %w", err)
	}
	return one(id, rows)
}

// Change replaces an order's state under a row lock. The statement compares all
// the same: nothing but the order that change saw is ever replaced.
func (s *Store) Change(
	ctx context.Context, id string, change func(orders.Order) (orders.Order, error),
) (orders.Order, error) {
	var next orders.Order
	err := database.InTx(ctx, s.pool, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		q := s.queries.WithTx(tx)
		rows, err := q.LockOrder(ctx, id)
		if err != nil {
			return fmt.Errorf("lock rows: %w", err)
		}
		o, err := one(id, rows)
		if err != nil {
			return err
		}
		if next, err = change(o); err != nil {
			return err
		}
		if next.Revision == o.Revision {
			return nil
		}
		n, err := q.MoveOrder(ctx, db.MoveOrderParams{
			ID: id, FromState: string(o.State), Revision: o.Revision,
			State: string(next.State), CancelReason: string(next.CancelReason), UpdateTime: next.UpdateTime,
		})
		if err != nil {
			return fmt.Errorf("update row: %w", err)
		}
		if n != 1 {
			return orders.ErrEtagMismatch.With("name", o.Name())
		}
		if next.State == orders.Cancelled {
			return s.queue.Settle(ctx, tx, id)
		}
		return nil
	})
	if err != nil {
		return orders.Order{}, err
	}
	return next, nil
}

// Settled notes that the cancelled order's reservation holds nothing.
func (s *Store) Settled(ctx context.Context, id string) error {
	if _, err := s.queries.SettleOrder(ctx, id); err != nil {
		return fmt.Errorf("update row: %w", err)
	}
	return nil
}

// List reads a stretch of a customer's orders, newest first.
func (s *Store) List(ctx context.Context, query orders.Query) ([]orders.Order, error) {
	params := db.ListOrdersParams{Customer: query.Customer, FromNewest: true, RowLimit: query.Limit}
	if query.After != nil {
		params.FromNewest, params.BeforeTime, params.BeforeID = false, query.After.CreateTime, query.After.ID
	}
	rows, err := s.queries.ListOrders(ctx, params)
	if err != nil {
		return nil, fmt.Errorf("list rows: %w", err)
	}
	return collect(rows), nil
}

// PendingSince lists orders that have been pending from before the time.
func (s *Store) PendingSince(ctx context.Context, before time.Time, limit int32) ([]string, error) {
	ids, err := s.queries.PendingOrders(ctx, db.PendingOrdersParams{CreateTime: before, Limit: limit})
	if err != nil {
		return nil, fmt.Errorf("list rows: %w", err)
	}
	return ids, nil
}

// Events reads the order's history behind the revision.
func (s *Store) Events(ctx context.Context, id string, after int32) ([]orders.Event, error) {
	rows, err := s.queries.GetEvents(ctx, db.GetEventsParams{OrderID: id, Revision: after})
	if err != nil {
		return nil, fmt.Errorf("list rows: %w", err)
	}
	events := make([]orders.Event, len(rows))
	for i, r := range rows {
		events[i] = orders.Event{
			Revision: r.Revision, State: orders.State(r.State),
			CancelReason: orders.CancelReason(r.CancelReason), Time: r.CreateTime.UTC(),
		}
	}
	return events, nil
}

// unlessNothing runs fn in a transaction; false if fn ended it with errNothing.
func (s *Store) unlessNothing(
	ctx context.Context, fn func(ctx context.Context, tx pgx.Tx, q *db.Queries) error,
) (bool, error) {
	err := database.InTx(ctx, s.pool, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		return fn(ctx, tx, s.queries.WithTx(tx))
	})
	if errors.Is(err, errNothing) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, nil
}

func text(s string) pgtype.Text { return pgtype.Text{String: s, Valid: true} }
