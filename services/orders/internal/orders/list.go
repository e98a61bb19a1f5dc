package orders

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// Page sizes (AIP-158): what zero means and what more is cut down to.
const (
	DefaultPageSize = 50
	MaxPageSize     = 500
)

// Cursor is the place of one order among its customer's. A page starts after it.
type Cursor struct {
	CreateTime time.Time `json:"t"`
	ID         string    `json:"i"`
}

// Query asks the store for a stretch of a customer's orders.
type Query struct {
	Customer string
	After    *Cursor // nil is from the newest
	Limit    int32
}

// ListRequest asks for a page of a customer's orders.
type ListRequest struct {
	Customer  string
	PageSize  int32
	PageToken string
}

// Page is a page of orders and the token of the next one, if there is one.
type Page struct {
	Orders    []Order
	NextToken string
}

// List returns a page, newest first. Pages follow one another without gap or
// repetition, whatever is ordered in between.
func (s *Service) List(ctx context.Context, r ListRequest) (Page, error) {
	size := r.PageSize
	switch {
	case size < 0:
		return Page{}, ErrPageSize.WithField("page_size", "is "+strconv.Itoa(int(size)))
	case size == 0:
		size = DefaultPageSize
	}
	size = min(size, MaxPageSize)
	after, err := decodeToken(r.PageToken, r.Customer)
	if err != nil {
		return Page{}, err
	}
	// One more than asked for tells whether there is a next page.
	found, err := s.Store.List(ctx, Query{Customer: r.Customer, After: after, Limit: size + 1})
	if err != nil {
		return Page{}, fmt.Errorf("list orders: %w", err)
	}
	if len(found) <= int(size) {
		return Page{Orders: found}, nil
	}
	last := found[size-1]
	return Page{
		Orders:    found[:size],
		NextToken: encodeToken(r.Customer, Cursor{CreateTime: last.CreateTime, ID: last.ID}),
	}, nil
}

// token is what a page token holds: where the next page starts and for whom.
// Clients must not look inside; it holds nothing they have not seen.
type token struct {
	Customer string `json:"c"`
	After    Cursor `json:"a"`
}

func encodeToken(customer string, after Cursor) string {
	data, err := json.Marshal(token{Customer: customer, After: after})
	if err != nil {
		return "" // unreachable: the struct has only strings and a time of our own
	}
	return base64.RawURLEncoding.EncodeToString(data)
}

// decodeToken reads a token given for the same customer.
func decodeToken(text, customer string) (*Cursor, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // no token: from the start
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, ErrPageToken.WithField("page_token", "is damaged")
	}
	var t token
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&t); err != nil || !isID(t.After.ID) {
		return nil, ErrPageToken.WithField("page_token", "is damaged")
	}
	if t.Customer != customer {
		return nil, ErrPageToken.WithField("page_token", "belongs to another customer's list; only page_size may change from page to page")
	}
	return &t.After, nil
}
