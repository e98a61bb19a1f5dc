// Package catalog holds what a product is and the rules it obeys. It knows
// neither the wire nor the database: internal/rpc and internal/store translate.
package catalog

import (
	"maps"
	"time"
)

// State says whether a product can be bought.
type State string

// The states. A new product is active unless it says otherwise.
const (
	Draft        State = "DRAFT"        // being written
	Active       State = "ACTIVE"       // for sale
	Discontinued State = "DISCONTINUED" // no longer for sale, kept for orders
)

// Content is the part of a product that clients write.
type Content struct {
	SKU         string
	Title       string
	Description string
	Price       Money
	Labels      map[string]string
	State       State
}

// Product is something the shop sells.
type Product struct {
	Content

	ID         string // last part of the resource name
	UID        string // UUID, never used twice
	CreateTime time.Time
	UpdateTime time.Time
}

// Field is one field of Content.
type Field string

// The fields, named as in the API.
const (
	FieldSKU         Field = "sku"
	FieldTitle       Field = "title"
	FieldDescription Field = "description"
	FieldPrice       Field = "price"
	FieldLabels      Field = "labels"
	FieldState       Field = "state"
)

// Fields lists all fields of Content.
func Fields() []Field {
	return []Field{FieldSKU, FieldTitle, FieldDescription, FieldPrice, FieldLabels, FieldState}
}

// Change is an update: the new values of some fields.
type Change struct {
	Fields  []Field // which of Content's fields to take
	Content Content
	Etag    string // where set, the etag the product must have
}

// Apply returns the product after the change at the time now. It fails when the
// etag is stale or the result would break a rule. A change that changes nothing
// returns the product as it is.
func (p Product) Apply(c Change, now time.Time) (Product, error) {
	if err := p.CheckEtag(c.Etag); err != nil {
		return Product{}, err
	}
	next := p
	for _, f := range c.Fields {
		next.Content = next.with(f, c.Content)
	}
	if next.State == "" {
		next.State = Active
	}
	if err := next.Validate(); err != nil {
		return Product{}, err
	}
	if next.SKU != p.SKU {
		return Product{}, ErrSKUImmutable.WithField("product.sku", "cannot change from "+p.SKU)
	}
	if next.State == Draft && p.State != Draft {
		return Product{}, ErrPublished.With("state", string(p.State))
	}
	if next.equal(p.Content) {
		return p, nil
	}
	next.UpdateTime = after(now, p.UpdateTime)
	return next, nil
}

// after is now in the database's precision, and later than previous even if
// the clock went back.
func after(now, previous time.Time) time.Time {
	now = now.UTC().Truncate(time.Microsecond)
	if !now.After(previous) {
		return previous.Add(time.Microsecond)
	}
	return now
}

// with is the content with one field taken from another.
func (c Content) with(f Field, from Content) Content {
	switch f {
	case FieldSKU:
		c.SKU = from.SKU
	case FieldTitle:
		c.Title = from.Title
	case FieldDescription:
		c.Description = from.Description
	case FieldPrice:
		c.Price = from.Price
	case FieldLabels:
		c.Labels = maps.Clone(from.Labels)
	case FieldState:
		c.State = from.State
	}
	return c
}

func (c Content) equal(o Content) bool {
	return c.SKU == o.SKU && c.Title == o.Title && c.Description == o.Description &&
		c.Price == o.Price && c.State == o.State && maps.Equal(c.Labels, o.Labels)
}
