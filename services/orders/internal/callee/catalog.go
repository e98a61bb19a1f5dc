package callee

import (
	"context"
	"fmt"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	catalogv1 "github.com/slipway-dev/slipway/proto/slipway/catalog/v1"
	"github.com/slipway-dev/slipway/services/orders/internal/orders"
)

// Catalog is an orders.Catalog.
type Catalog struct {
	client catalogv1.CatalogServiceClient
}

var _ orders.Catalog = (*Catalog)(nil)

// NewCatalog makes one of a connection.
func NewCatalog(conn grpc.ClientConnInterface) *Catalog {
	return &Catalog{client: catalogv1.NewCatalogServiceClient(conn)}
}

// Products reads the products in the order of the ids with one call.
func (c *Catalog) Products(ctx context.Context, ids []string) ([]orders.Product, error) {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = orders.Line{ProductID: id}.ProductName()
	}
	response, err := c.client.BatchGetProducts(ctx, &catalogv1.BatchGetProductsRequest{Names: names})
	if err != nil {
		return nil, catalogError(ctx, names, err)
	}
	products := make([]orders.Product, len(response.GetProducts()))
	for i, p := range response.GetProducts() {
		id, ok := orders.ParseProduct(p.GetName())
		if !ok || i >= len(ids) || id != ids[i] {
			return nil, fmt.Errorf("call catalog: product %d of the answer is %q", i, p.GetName())
		}
		products[i] = orders.Product{
			ID: id, SKU: p.GetSku(), Title: p.GetTitle(), ForSale: p.GetState() == catalogv1.Product_STATE_ACTIVE,
			Price: orders.Money{
				Currency: p.GetPrice().GetCurrencyCode(), Units: p.GetPrice().GetUnits(), Nanos: p.GetPrice().GetNanos(),
			},
		}
	}
	return products, nil
}

func catalogError(ctx context.Context, names []string, err error) error {
	if status.Code(err) != codes.NotFound {
		return failure(ctx, "catalog", err)
	}
	unknown := orders.ErrUnknownProduct
	if _, metadata := reasonOf(err); metadata["name"] != "" {
		unknown = unknown.With("name", metadata["name"])
		if i := slices.Index(names, metadata["name"]); i >= 0 {
			unknown = unknown.WithField(fmt.Sprintf("order.lines[%d].product", i), "does not exist")
		}
	}
	return unknown
}
