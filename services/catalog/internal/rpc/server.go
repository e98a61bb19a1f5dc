// Package rpc is the catalog's gRPC API: it turns messages into domain values
// and back. What a method does is the domain's business.
package rpc

import (
	"context"
	"strconv"

	"google.golang.org/protobuf/types/known/emptypb"

	catalogv1 "github.com/slipway-dev/slipway/proto/slipway/catalog/v1"
	"github.com/slipway-dev/slipway/services/catalog/internal/catalog"
)

// Server implements slipway.catalog.v1.CatalogService.
type Server struct {
	catalogv1.UnimplementedCatalogServiceServer
	catalog *catalog.Catalog
	filters *filterParser
}

// New makes a server of the catalog.
func New(c *catalog.Catalog) (*Server, error) {
	filters, err := newFilterParser()
	if err != nil {
		return nil, err
	}
	return &Server{catalog: c, filters: filters}, nil
}

// CreateProduct implements the API.
func (s *Server) CreateProduct(ctx context.Context, r *catalogv1.CreateProductRequest) (*catalogv1.Product, error) {
	p, err := s.catalog.Create(ctx, r.GetProductId(), contentOf(r.GetProduct()))
	if err != nil {
		return nil, err
	}
	return toProto(p), nil
}

// GetProduct implements the API.
func (s *Server) GetProduct(ctx context.Context, r *catalogv1.GetProductRequest) (*catalogv1.Product, error) {
	id, err := parseName(r.GetName(), "name")
	if err != nil {
		return nil, err
	}
	p, err := s.catalog.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	return toProto(p), nil
}

// UpdateProduct implements the API.
func (s *Server) UpdateProduct(ctx context.Context, r *catalogv1.UpdateProductRequest) (*catalogv1.Product, error) {
	id, err := parseName(r.GetProduct().GetName(), "product.name")
	if err != nil {
		return nil, err
	}
	content := contentOf(r.GetProduct())
	fields, err := fieldsOf(r.GetUpdateMask().GetPaths(), r.GetProduct())
	if err != nil {
		return nil, err
	}
	p, err := s.catalog.Update(ctx, id, catalog.Change{Fields: fields, Content: content, Etag: r.GetProduct().GetEtag()})
	if err != nil {
		return nil, err
	}
	return toProto(p), nil
}

// DeleteProduct implements the API.
func (s *Server) DeleteProduct(ctx context.Context, r *catalogv1.DeleteProductRequest) (*emptypb.Empty, error) {
	id, err := parseName(r.GetName(), "name")
	if err != nil {
		return nil, err
	}
	if err := s.catalog.Delete(ctx, id, r.GetEtag()); err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, nil
}

// ListProducts implements the API.
func (s *Server) ListProducts(ctx context.Context, r *catalogv1.ListProductsRequest) (*catalogv1.ListProductsResponse, error) {
	filter, err := s.filters.parse(r.GetFilter())
	if err != nil {
		return nil, err
	}
	page, err := s.catalog.List(ctx, catalog.ListRequest{
		Filter: filter, FilterText: r.GetFilter(), OrderBy: r.GetOrderBy(),
		PageSize: r.GetPageSize(), PageToken: r.GetPageToken(),
	})
	if err != nil {
		return nil, err
	}
	return &catalogv1.ListProductsResponse{Products: allToProto(page.Products), NextPageToken: page.NextToken}, nil
}

// SearchProducts implements the API.
func (s *Server) SearchProducts(ctx context.Context, r *catalogv1.SearchProductsRequest) (*catalogv1.SearchProductsResponse, error) {
	page, err := s.catalog.Search(ctx, catalog.SearchRequest{
		Words: r.GetQuery(), PageSize: r.GetPageSize(), PageToken: r.GetPageToken(),
	})
	if err != nil {
		return nil, err
	}
	return &catalogv1.SearchProductsResponse{Products: allToProto(page.Products), NextPageToken: page.NextToken}, nil
}

// BatchGetProducts implements the API.
func (s *Server) BatchGetProducts(ctx context.Context, r *catalogv1.BatchGetProductsRequest) (*catalogv1.BatchGetProductsResponse, error) {
	ids := make([]string, len(r.GetNames()))
	for i, name := range r.GetNames() {
		id, err := parseName(name, "names["+strconv.Itoa(i)+"]")
		if err != nil {
			return nil, err
		}
		ids[i] = id
	}
	products, err := s.catalog.BatchGet(ctx, ids)
	if err != nil {
		return nil, err
	}
	return &catalogv1.BatchGetProductsResponse{Products: allToProto(products)}, nil
}

func parseName(name, path string) (string, error) {
	id, ok := catalog.ParseName(name)
	if !ok {
		return "", catalog.ErrInvalidName.WithField(path, "must be the name of a product")
	}
	return id, nil
}
