// Package rpc is the gRPC API of orders: it turns messages into domain values and
// back. What a method does is the domain's business.
package rpc

import (
	"context"

	"google.golang.org/grpc"

	"github.com/slipway-dev/slipway/platform/serve"
	ordersv1 "github.com/slipway-dev/slipway/proto/slipway/orders/v1"
	"github.com/slipway-dev/slipway/services/orders/internal/orders"
)

// Server implements slipway.orders.v1.OrderService.
type Server struct {
	ordersv1.UnimplementedOrderServiceServer
	orders *orders.Service
}

// New makes a server of the service.
func New(s *orders.Service) *Server { return &Server{orders: s} }

// CreateOrder implements the API.
func (s *Server) CreateOrder(ctx context.Context, r *ordersv1.CreateOrderRequest) (*ordersv1.Order, error) {
	request, err := requestOf(r.GetOrder(), serve.IdempotencyKey(ctx))
	if err != nil {
		return nil, err
	}
	return answer(s.orders.Create(ctx, request))
}

// GetOrder implements the API.
func (s *Server) GetOrder(ctx context.Context, r *ordersv1.GetOrderRequest) (*ordersv1.Order, error) {
	id, err := parseName(r.GetName())
	if err != nil {
		return nil, err
	}
	return answer(s.orders.Get(ctx, id))
}

// ListOrders implements the API.
func (s *Server) ListOrders(ctx context.Context, r *ordersv1.ListOrdersRequest) (*ordersv1.ListOrdersResponse, error) {
	customer, ok := orders.ParseCustomer(r.GetCustomer())
	if !ok {
		return nil, orders.ErrInvalid.WithField("customer", "must be the name of a customer, customers/{id}")
	}
	page, err := s.orders.List(ctx, orders.ListRequest{
		Customer: customer, PageSize: r.GetPageSize(), PageToken: r.GetPageToken(),
	})
	if err != nil {
		return nil, err
	}
	response := &ordersv1.ListOrdersResponse{
		Orders: make([]*ordersv1.Order, len(page.Orders)), NextPageToken: page.NextToken,
	}
	for i, o := range page.Orders {
		response.Orders[i] = toProto(o)
	}
	return response, nil
}

// CancelOrder implements the API.
func (s *Server) CancelOrder(ctx context.Context, r *ordersv1.CancelOrderRequest) (*ordersv1.Order, error) {
	id, err := parseName(r.GetName())
	if err != nil {
		return nil, err
	}
	return answer(s.orders.Cancel(ctx, id, r.GetEtag()))
}

// FulfilOrder implements the API.
func (s *Server) FulfilOrder(ctx context.Context, r *ordersv1.FulfilOrderRequest) (*ordersv1.Order, error) {
	id, err := parseName(r.GetName())
	if err != nil {
		return nil, err
	}
	return answer(s.orders.Fulfil(ctx, id, r.GetEtag()))
}

// WatchOrder implements the API.
func (s *Server) WatchOrder(r *ordersv1.WatchOrderRequest, stream grpc.ServerStreamingServer[ordersv1.Order]) error {
	id, err := parseName(r.GetName())
	if err != nil {
		return err
	}
	ctx := stream.Context()
	return s.orders.Watch(ctx, id, serve.Draining(ctx), func(o orders.Order) error { return stream.Send(toProto(o)) })
}

// answer is a method's result.
func answer(o orders.Order, err error) (*ordersv1.Order, error) {
	if err != nil {
		return nil, err
	}
	return toProto(o), nil
}

func parseName(name string) (string, error) {
	id, ok := orders.ParseName(name)
	if !ok {
		return "", orders.ErrInvalidName.WithField("name", "must be the name of an order")
	}
	return id, nil
}
