package orders

import (
	"context"
	_ "embed" // for the SQL text
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/slipway-dev/slipway/platform/kit/localcluster/postgres"
)

// floor is a PostgreSQL server of the bench's own with the settings of the
// cluster's. Its clients speak to it themselves, over one connection each: no
// HTTP, no gRPC, no validation, no token, no log, no trace, no second process.
type floor struct {
	dir    string
	server *postgres.Server
	pool   *pgxpool.Pool
}

//go:embed floor.sql
var schema string

// The statements of an order: with BEGIN and COMMIT six round trips and one
// flush to disk. The shop needs eight round trips and two flushes until it
// answers, and more of both until the order is confirmed.
const (
	readKey = `SELECT answer FROM order_keys WHERE customer = $1 AND key = $2`

	readProduct = `SELECT sku, title, currency, units, nanos FROM products WHERE id = $1 AND state = 'ACTIVE'`

	takeStock = `UPDATE stock_items SET on_hand = on_hand - 1, entries = entries + 2, update_time = now()
WHERE sku = $1 AND on_hand >= 1 RETURNING entries`

	writeOrder = `WITH o AS (
    INSERT INTO orders VALUES ($1, $2, $6, $7, $8, 'CONFIRMED', 2, now(), now())
), l AS (
    INSERT INTO order_lines VALUES ($1, 1, $3, $4, $5, 1, $7, $8)
), e AS (
    INSERT INTO order_events VALUES ($1, 1, 'PENDING', now()), ($1, 2, 'CONFIRMED', now())
), k AS (
    INSERT INTO order_keys VALUES ($2, $9, $1, json_build_object('id', $1::text, 'customer', $2::text, 'product', $3::text,
        'sku', $4::text, 'title', $5::text, 'currency', $6::text, 'units', $7::bigint, 'nanos', $8::integer))
), r AS (
    INSERT INTO reservations VALUES ($1, 'COMMITTED', now() + interval '15 minutes', now())
), rl AS (
    INSERT INTO reservation_lines VALUES ($1, $4, 1)
), j AS (
    INSERT INTO jobs (kind, state, args, finalized_at) VALUES ('order_confirm', 'completed', json_build_object('order_id', $1::text), now())
)
INSERT INTO ledger_entries VALUES
    ($4, $10::bigint - 1, 'RESERVE', 0, 1, $1, now()), ($4, $10::bigint, 'COMMIT', -1, -1, $1, now())`
)

func newFloor(ctx context.Context, cfg Config) (f *floor, err error) {
	f = &floor{}
	defer func() {
		if err != nil {
			f.close(ctx)
		}
	}()
	if f.dir, err = os.MkdirTemp(cfg.Dir, "bench-"); err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	// The user that PostgreSQL runs as when started by root walks through.
	if err := os.Chmod(f.dir, 0o755); err != nil { //nolint:gosec // see above
		return nil, fmt.Errorf("open folder: %w", err)
	}
	have, err := postgres.Obtain(ctx, cfg.Cache, nil)
	if err != nil {
		return nil, err //nolint:wrapcheck // it says what it looked for
	}
	if f.server, err = postgres.Start(ctx, postgres.Config{Dir: f.dir, Installations: have}); err != nil {
		return nil, err //nolint:wrapcheck // it says what it started
	}
	const who = "bench"
	if err := f.server.Ensure(ctx, who, who); err != nil {
		return nil, fmt.Errorf("make database: %w", err)
	}
	pool, err := pgxpool.ParseConfig(fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=disable", who, who, f.server.Addr(), who))
	if err != nil {
		return nil, fmt.Errorf("read database address: %w", err)
	}
	pool.MaxConns = int32(min(cfg.Clients, maxConnections)) //nolint:gosec // it is small
	if f.pool, err = pgxpool.NewWithConfig(ctx, pool); err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return f, f.fill(ctx)
}

// maxConnections leaves some of the server's 200 free.
const maxConnections = 150

func (f *floor) fill(ctx context.Context) error {
	if _, err := f.pool.Exec(ctx, schema); err != nil {
		return fmt.Errorf("make tables: %w", err)
	}
	batch := &pgx.Batch{}
	for n := range products {
		id, sku := strconv.Itoa(n), "BENCH-"+strconv.Itoa(n)
		batch.Queue("INSERT INTO products VALUES ($1, $2, $3, 'EUR', 10, 500000000, 'ACTIVE')", id, sku, "Enamel mug "+id)
		batch.Queue("INSERT INTO stock_items VALUES ($1, $2, 0, now())", sku, initial)
	}
	if err := f.pool.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("insert products: %w", err)
	}
	return nil
}

func (f *floor) close(ctx context.Context) {
	if f.pool != nil {
		f.pool.Close()
	}
	if f.server != nil {
		_ = f.server.Stop(context.WithoutCancel(ctx))
	}
	if f.dir != "" {
		_ = os.RemoveAll(f.dir)
	}
}

func (*floor) name() string { return "floor: one transaction on PostgreSQL" }

// place writes one order.
func (f *floor) place(ctx context.Context, client, n int) outcome {
	o := outcome{product: productOf(client, n)}
	id := fmt.Sprintf("order-%d-%d", client, n)
	err := pgx.BeginFunc(ctx, f.pool, func(tx pgx.Tx) error {
		customer, key := "customer-"+strconv.Itoa(client), "key-"+strconv.Itoa(n)
		var answer []byte
		if err := tx.QueryRow(ctx, readKey, customer, key).Scan(&answer); !errors.Is(err, pgx.ErrNoRows) {
			return fmt.Errorf("the key is taken: %w", err)
		}
		var sku, title, currency string
		var units, entries int64
		var nanos int32
		product := strconv.Itoa(o.product)
		if err := tx.QueryRow(ctx, readProduct, product).Scan(&sku, &title, &currency, &units, &nanos); err != nil {
			return fmt.Errorf("read product: %w", err)
		}
		if err := tx.QueryRow(ctx, takeStock, sku).Scan(&entries); err != nil {
			return fmt.Errorf("take stock: %w", err)
		}
		_, err := tx.Exec(ctx, writeOrder, id, customer, product, sku, title, currency, units, nanos, key, entries)
		return err //nolint:wrapcheck // it is told as it is
	})
	if err != nil {
		o.failure, o.unclear = err.Error(), true
		return o
	}
	o.order = id
	return o
}

// settle has nothing to wait for.
func (*floor) settle(context.Context) error { return nil }

// check counts the orders and what is left of the stock.
func (f *floor) check(ctx context.Context, placed []outcome) error {
	var accepted, unclear, orders, sold int
	for _, o := range placed {
		if o.order != "" {
			accepted++
		} else {
			unclear++
		}
	}
	const count = `SELECT (SELECT count(*) FROM orders), (SELECT sum($1 - on_hand) FROM stock_items)`
	if err := f.pool.QueryRow(ctx, count, initial).Scan(&orders, &sold); err != nil {
		return fmt.Errorf("count: %w", err)
	}
	if orders < accepted || orders > accepted+unclear || sold != orders {
		return fmt.Errorf("%d orders and %d units sold for %d that were accepted and %d that failed", orders, sold, accepted, unclear)
	}
	return nil
}
