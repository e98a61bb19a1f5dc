package store

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/slipway-dev/slipway/services/catalog/internal/catalog"
)

const columns = `id, uid, sku, title, description, price_currency, price_units, price_nanos,
    labels, state, create_time, update_time`

// List reads a stretch of the list in the query's order.
func (s *Store) List(ctx context.Context, q catalog.Query) ([]catalog.Product, error) {
	text, args, err := listSQL(q)
	if err != nil {
		return nil, err
	}
	rows, err := s.pool.Query(ctx, text, args...)
	if err != nil {
		return nil, fmt.Errorf("list rows: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
	if err != nil {
		return nil, fmt.Errorf("list rows: %w", err)
	}
	products := make([]catalog.Product, len(found))
	for i, r := range found {
		products[i] = fromRow(r)
	}
	return products, nil
}

// listSQL builds the statement. Its text is made of constants of this file
// alone; everything that came from a client is an argument.
func listSQL(q catalog.Query) (string, []any, error) {
	keys, err := orderColumns(q.Order.Field)
	if err != nil {
		return "", nil, err
	}
	var b builder
	conditions := make([]string, 0, 2)
	if q.Filter != nil {
		condition, err := b.filter(q.Filter)
		if err != nil {
			return "", nil, err
		}
		conditions = append(conditions, condition)
	}
	if q.After != nil {
		conditions = append(conditions, b.after(q.Order, keys, *q.After))
	}
	text := "SELECT " + columns + " FROM products"
	if len(conditions) > 0 {
		text += " WHERE " + strings.Join(conditions, " AND ")
	}
	direction := ""
	if q.Order.Descending {
		direction = " DESC"
	}
	text += " ORDER BY " + strings.Join(keys, direction+", ") + direction
	text += " LIMIT " + b.arg(q.Limit)
	return text, b.args, nil
}

// orderColumns are the columns of an order; the last one makes it total.
func orderColumns(f catalog.OrderField) ([]string, error) {
	switch f {
	case catalog.ByName:
		return []string{"id"}, nil
	case catalog.ByCreateTime:
		return []string{"create_time", "id"}, nil
	case catalog.ByPrice:
		return []string{"price_currency", "price_units", "price_nanos", "id"}, nil
	default:
		return nil, fmt.Errorf("order by %q: not supported", f)
	}
}

type builder struct{ args []any }

// arg adds an argument and returns its placeholder.
func (b *builder) arg(v any) string {
	b.args = append(b.args, v)
	return "$" + strconv.Itoa(len(b.args))
}

// after is the condition for rows behind the cursor: a comparison of whole
// rows, which an index on the same columns answers.
func (b *builder) after(o catalog.Order, keys []string, c catalog.Cursor) string {
	op := " > "
	if o.Descending {
		op = " < "
	}
	values := make([]string, 0, len(keys))
	switch o.Field {
	case catalog.ByCreateTime:
		values = append(values, b.arg(c.CreateTime))
	case catalog.ByPrice:
		values = append(values, b.arg(c.Price.Currency), b.arg(c.Price.Units), b.arg(c.Price.Nanos))
	case catalog.ByName:
	}
	values = append(values, b.arg(c.ID))
	return "(" + strings.Join(keys, ", ") + ")" + op + "(" + strings.Join(values, ", ") + ")"
}
