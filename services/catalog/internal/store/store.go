// Package store keeps products in PostgreSQL. Fixed queries are sqlc's (package
// db); the list, whose condition the client writes, is built here. It translates
// rows and errors, and decides nothing.
package store

import (
	"context"
	"embed"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/slipway-dev/slipway/platform/serve/database"
	"github.com/slipway-dev/slipway/services/catalog/internal/catalog"
	"github.com/slipway-dev/slipway/services/catalog/internal/store/db"
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

// Store is a catalog.Store.
type Store struct {
	pool    Pool
	queries *db.Queries
}

var _ catalog.Store = (*Store)(nil)

// New makes a store on a pool. The schema must be there.
func New(pool Pool) *Store { return &Store{pool: pool, queries: db.New(pool)} }

// Insert adds a product; ErrIDTaken or ErrSKUTaken if it cannot.
func (s *Store) Insert(ctx context.Context, p catalog.Product) error {
	err := s.queries.InsertProduct(ctx, toRow(p))
	switch {
	case database.IsUniqueViolation(err, "products_pkey"):
		return catalog.ErrIDTaken.With("name", p.Name())
	case database.IsUniqueViolation(err, "products_sku_key"):
		return catalog.ErrSKUTaken.With("sku", p.SKU)
	case err != nil:
		return fmt.Errorf("insert row: %w", err)
	}
	return nil
}

// Get reads one product.
func (s *Store) Get(ctx context.Context, id string) (catalog.Product, error) {
	r, err := s.queries.GetProduct(ctx, id)
	if err != nil {
		return catalog.Product{}, readError(err, id)
	}
	return fromRow(row(r)), nil
}

// GetAll reads those of the ids that exist, in any order.
func (s *Store) GetAll(ctx context.Context, ids []string) ([]catalog.Product, error) {
	rows, err := s.queries.GetProducts(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("read rows: %w", err)
	}
	products := make([]catalog.Product, len(rows))
	for i, r := range rows {
		products[i] = fromRow(row(r))
	}
	return products, nil
}

// Update replaces a product under a row lock.
func (s *Store) Update(
	ctx context.Context, id string, change func(catalog.Product) (catalog.Product, error),
) (catalog.Product, error) {
	var next catalog.Product
	err := s.locked(ctx, id, func(q *db.Queries, p catalog.Product) (err error) {
		if next, err = change(p); err != nil {
			return err
		}
		if next.UpdateTime.Equal(p.UpdateTime) {
			return nil // nothing has changed
		}
		r := toRow(next)
		err = q.UpdateProduct(ctx, db.UpdateProductParams{
			ID: r.ID, Title: r.Title, Description: r.Description,
			PriceCurrency: r.PriceCurrency, PriceUnits: r.PriceUnits, PriceNanos: r.PriceNanos,
			Labels: r.Labels, State: r.State, UpdateTime: r.UpdateTime,
		})
		if err != nil {
			return fmt.Errorf("update row: %w", err)
		}
		return nil
	})
	if err != nil {
		return catalog.Product{}, err
	}
	return next, nil
}

// Delete removes a product under a row lock.
func (s *Store) Delete(ctx context.Context, id string, check func(catalog.Product) error) error {
	return s.locked(ctx, id, func(q *db.Queries, p catalog.Product) error {
		if err := check(p); err != nil {
			return err
		}
		if err := q.DeleteProduct(ctx, id); err != nil {
			return fmt.Errorf("delete row: %w", err)
		}
		return nil
	})
}

// Search ranks the products that match.
func (s *Store) Search(ctx context.Context, search catalog.Search) ([]catalog.Match, error) {
	params := db.SearchProductsParams{Query: search.Words, FromStart: true, RowLimit: search.Limit}
	if search.After != nil {
		params.FromStart, params.AfterRank, params.AfterID = false, search.After.Rank, search.After.ID
	}
	rows, err := s.queries.SearchProducts(ctx, params)
	if err != nil {
		return nil, fmt.Errorf("search rows: %w", err)
	}
	matches := make([]catalog.Match, len(rows))
	for i, r := range rows {
		matches[i] = catalog.Match{Rank: r.Rank, Product: fromRow(row{
			ID: r.ID, Uid: r.Uid, Sku: r.Sku, Title: r.Title, Description: r.Description,
			PriceCurrency: r.PriceCurrency, PriceUnits: r.PriceUnits, PriceNanos: r.PriceNanos,
			Labels: r.Labels, State: r.State, CreateTime: r.CreateTime, UpdateTime: r.UpdateTime,
		})}
	}
	return matches, nil
}

// locked runs fn in a transaction that holds the product's row.
func (s *Store) locked(ctx context.Context, id string, fn func(*db.Queries, catalog.Product) error) error {
	return database.InTx(ctx, s.pool, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		q := s.queries.WithTx(tx)
		r, err := q.LockProduct(ctx, id)
		if err != nil {
			return readError(err, id)
		}
		return fn(q, fromRow(row(r)))
	})
}

func readError(err error, id string) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return catalog.ErrNotFound.With("name", catalog.Product{ID: id}.Name())
	}
	return fmt.Errorf("read row: %w", err)
}

// row is a product as the table has it, less the generated column. All of
// sqlc's rows convert to it.
type row = db.InsertProductParams

func toRow(p catalog.Product) row {
	labels := p.Labels
	if labels == nil {
		labels = map[string]string{} // a nil map would be a JSON null
	}
	return row{
		ID: p.ID, Uid: p.UID, Sku: p.SKU, Title: p.Title, Description: p.Description,
		PriceCurrency: p.Price.Currency, PriceUnits: p.Price.Units, PriceNanos: p.Price.Nanos,
		Labels: labels, State: string(p.State), CreateTime: p.CreateTime, UpdateTime: p.UpdateTime,
	}
}

func fromRow(r row) catalog.Product {
	return catalog.Product{
		ID: r.ID, UID: r.Uid,
		Content: catalog.Content{
			SKU: r.Sku, Title: r.Title, Description: r.Description,
			Price:  catalog.Money{Currency: r.PriceCurrency, Units: r.PriceUnits, Nanos: r.PriceNanos},
			Labels: r.Labels, State: catalog.State(r.State),
		},
		CreateTime: r.CreateTime.UTC(), UpdateTime: r.UpdateTime.UTC(),
	}
}
