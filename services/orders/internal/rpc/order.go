package rpc

import (
	"strconv"

	"google.golang.org/genproto/googleapis/type/money"
	"google.golang.org/protobuf/types/known/timestamppb"

	ordersv1 "github.com/slipway-dev/slipway/proto/slipway/orders/v1"
	"github.com/slipway-dev/slipway/services/orders/internal/orders"
)

// What the proto's enum values have before the domain's.
const (
	statePrefix  = "STATE_"
	reasonPrefix = "CANCEL_REASON_"
)

func toProto(o orders.Order) *ordersv1.Order {
	out := &ordersv1.Order{
		Name:         o.Name(),
		Customer:     o.CustomerName(),
		Lines:        make([]*ordersv1.Order_Line, len(o.Lines)),
		Total:        toMoney(o.Total),
		State:        ordersv1.Order_State(ordersv1.Order_State_value[statePrefix+string(o.State)]),
		CancelReason: ordersv1.Order_CancelReason(ordersv1.Order_CancelReason_value[reasonPrefix+string(o.CancelReason)]),
		Etag:         o.Etag(),
		CreateTime:   timestamppb.New(o.CreateTime),
		UpdateTime:   timestamppb.New(o.UpdateTime),
	}
	for i, l := range o.Lines {
		out.Lines[i] = &ordersv1.Order_Line{
			Product: l.ProductName(), Quantity: l.Quantity, Sku: l.SKU, Title: l.Title,
			UnitPrice: toMoney(l.UnitPrice), LineTotal: toMoney(l.Total),
		}
	}
	return out
}

func toMoney(m orders.Money) *money.Money {
	return &money.Money{CurrencyCode: m.Currency, Units: m.Units, Nanos: m.Nanos}
}

// requestOf reads what clients write of an order; all else in it is ignored.
func requestOf(o *ordersv1.Order, key string) (orders.Request, error) {
	customer, ok := orders.ParseCustomer(o.GetCustomer())
	if !ok {
		return orders.Request{}, orders.ErrInvalid.WithField("order.customer", "must be the name of a customer, customers/{id}")
	}
	r := orders.Request{Customer: customer, Key: key, Items: make([]orders.Item, len(o.GetLines()))}
	for i, l := range o.GetLines() {
		id, ok := orders.ParseProduct(l.GetProduct())
		if !ok {
			return orders.Request{}, orders.ErrInvalid.
				WithField("order.lines["+strconv.Itoa(i)+"].product", "must be the name of a product, products/{id}")
		}
		r.Items[i] = orders.Item{ProductID: id, Quantity: l.GetQuantity()}
	}
	return r, nil
}
