package catalog

import (
	"strings"
	"time"
)

// Page sizes (AIP-158): what zero means and what more is cut down to.
const (
	DefaultPageSize = 50
	MaxPageSize     = 1000
)

// OrderField is what a list can be ordered by.
type OrderField string

// The orders. Each ends in the id, so that no two products are equal in it.
const (
	ByName       OrderField = "name"
	ByCreateTime OrderField = "create_time"
	ByPrice      OrderField = "price" // currency, then amount
)

// Order is the order of a list.
type Order struct {
	Field      OrderField
	Descending bool
}

// ParseOrder reads AIP-132's order_by, of which we allow one field.
func ParseOrder(orderBy string) (Order, error) {
	words := strings.Fields(orderBy)
	order := Order{Field: ByName}
	if len(words) > 0 {
		order.Field = OrderField(words[0])
	}
	if len(words) == 2 && words[1] == "desc" {
		order.Descending = true
	} else if len(words) > 1 {
		return Order{}, ErrOrder.WithField("order_by", "cannot be "+quote(orderBy))
	}
	switch order.Field {
	case ByName, ByCreateTime, ByPrice:
		return order, nil
	default:
		return Order{}, ErrOrder.WithField("order_by", "cannot be "+quote(orderBy))
	}
}

// String is the order as order_by.
func (o Order) String() string {
	if o.Descending {
		return string(o.Field) + " desc"
	}
	return string(o.Field)
}

// Cursor is the place of one product in an order or a ranking. A page starts
// after it. Only the id and what the order needs are set.
type Cursor struct {
	ID         string    `json:"i"`
	CreateTime time.Time `json:"t,omitzero"`
	Price      Money     `json:"p,omitzero"`
	Rank       float32   `json:"r,omitempty"` // of a search
}

// cursorAt is the place of p in the order.
func (o Order) cursorAt(p Product) Cursor {
	c := Cursor{ID: p.ID}
	switch o.Field {
	case ByCreateTime:
		c.CreateTime = p.CreateTime
	case ByPrice:
		c.Price = p.Price
	case ByName:
	}
	return c
}

// Query asks the store for a stretch of the list.
type Query struct {
	Filter Filter // nil is all
	Order  Order
	After  *Cursor // nil is from the start
	Limit  int32
}

// Search asks the store for a stretch of a ranking.
type Search struct {
	Words string
	After *Cursor
	Limit int32
}

// Match is a product a search found, with its rank.
type Match struct {
	Product
	Rank float32
}
