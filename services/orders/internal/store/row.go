package store

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/slipway-dev/slipway/services/orders/internal/orders"
	"github.com/slipway-dev/slipway/services/orders/internal/store/db"
)

// row is an order with one of its lines; all of sqlc's rows convert to it.
type row = db.GetOrderRow

func one[R ~struct {
	Order     db.Order
	OrderLine db.OrderLine
}](id string, rows []R,
) (orders.Order, error) {
	found := collect(rows)
	if len(found) == 0 {
		return orders.Order{}, orders.ErrNotFound.With("name", orders.Order{ID: id}.Name())
	}
	return found[0], nil
}

// collect makes orders of rows in which the lines of one follow one another.
func collect[R ~struct {
	Order     db.Order
	OrderLine db.OrderLine
}](rows []R,
) []orders.Order {
	var found []orders.Order
	for _, r := range rows {
		r := row(r)
		if len(found) == 0 || found[len(found)-1].ID != r.Order.ID {
			found = append(found, fromRow(r.Order))
		}
		o := &found[len(found)-1]
		o.Lines = append(o.Lines, fromLine(r.OrderLine, r.Order.Currency))
	}
	return found
}

func fromRow(r db.Order) orders.Order {
	return orders.Order{
		ID: r.ID, Customer: r.Customer,
		Total: orders.Money{Currency: r.Currency, Units: r.TotalUnits, Nanos: r.TotalNanos},
		State: orders.State(r.State), CancelReason: orders.CancelReason(r.CancelReason),
		Revision: r.Revision, Settled: r.Settled,
		CreateTime: r.CreateTime.UTC(), UpdateTime: r.UpdateTime.UTC(),
	}
}

func fromLine(r db.OrderLine, currency string) orders.Line {
	return orders.Line{
		ProductID: r.Product, SKU: r.Sku, Title: r.Title, Quantity: r.Quantity,
		UnitPrice: orders.Money{Currency: currency, Units: r.UnitPriceUnits, Nanos: r.UnitPriceNanos},
		Total:     orders.Money{Currency: currency, Units: r.LineTotalUnits, Nanos: r.LineTotalNanos},
	}
}

func toAcceptance(a orders.Acceptance) (db.AcceptOrderParams, error) {
	o := a.Order
	answer, err := encodeAnswer(o)
	if err != nil {
		return db.AcceptOrderParams{}, err
	}
	p := db.AcceptOrderParams{
		Customer: o.Customer, Key: a.Key, Generation: a.Generation, Fingerprint: a.Fingerprint,
		ID: text(o.ID), Answer: answer, CreateTime: o.CreateTime,
		Currency: o.Total.Currency, TotalUnits: o.Total.Units, TotalNanos: o.Total.Nanos,
	}
	for _, l := range o.Lines {
		p.LineCount++
		p.Products = append(p.Products, l.ProductID)
		p.Skus = append(p.Skus, l.SKU)
		p.Titles = append(p.Titles, l.Title)
		p.Quantities = append(p.Quantities, l.Quantity)
		p.UnitPriceUnits = append(p.UnitPriceUnits, l.UnitPrice.Units)
		p.UnitPriceNanos = append(p.UnitPriceNanos, l.UnitPrice.Nanos)
		p.LineTotalUnits = append(p.LineTotalUnits, l.Total.Units)
		p.LineTotalNanos = append(p.LineTotalNanos, l.Total.Nanos)
	}
	return p, nil
}

// answer is an order as it was first answered. The names are short, and stay: a
// later release reads what an earlier one wrote.
type answer struct {
	ID         string       `json:"id"`
	Customer   string       `json:"customer"`
	Lines      []answerLine `json:"lines"`
	Total      orders.Money `json:"total"`
	State      orders.State `json:"state"`
	Revision   int32        `json:"revision"`
	CreateTime time.Time    `json:"created"`
	UpdateTime time.Time    `json:"updated"`
}

type answerLine struct {
	Product   string       `json:"product"`
	SKU       string       `json:"sku"`
	Title     string       `json:"title"`
	Quantity  int32        `json:"n"`
	UnitPrice orders.Money `json:"price"`
	Total     orders.Money `json:"total"`
}

func encodeAnswer(o orders.Order) ([]byte, error) {
	a := answer{
		ID: o.ID, Customer: o.Customer, Lines: make([]answerLine, len(o.Lines)), Total: o.Total,
		State: o.State, Revision: o.Revision, CreateTime: o.CreateTime, UpdateTime: o.UpdateTime,
	}
	for i, l := range o.Lines {
		a.Lines[i] = answerLine{
			Product: l.ProductID, SKU: l.SKU, Title: l.Title, Quantity: l.Quantity, UnitPrice: l.UnitPrice, Total: l.Total,
		}
	}
	data, err := json.Marshal(a)
	if err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	return data, nil
}

func decodeAnswer(data []byte) (orders.Order, error) {
	var a answer
	if err := json.Unmarshal(data, &a); err != nil {
		return orders.Order{}, fmt.Errorf("decode answer: %w", err)
	}
	o := orders.Order{
		ID: a.ID, Customer: a.Customer, Lines: make([]orders.Line, len(a.Lines)), Total: a.Total,
		State: a.State, Revision: a.Revision, CreateTime: a.CreateTime, UpdateTime: a.UpdateTime,
	}
	for i, l := range a.Lines {
		o.Lines[i] = orders.Line{
			ProductID: l.Product, SKU: l.SKU, Title: l.Title, Quantity: l.Quantity, UnitPrice: l.UnitPrice, Total: l.Total,
		}
	}
	return o, nil
}
