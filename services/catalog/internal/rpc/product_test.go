package rpc

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/type/money"
	"pgregory.net/rapid"

	catalogv1 "github.com/slipway-dev/slipway/proto/slipway/catalog/v1"
	"github.com/slipway-dev/slipway/services/catalog/internal/catalog"
)

func TestFieldsOf(t *testing.T) {
	t.Parallel()
	full := &catalogv1.Product{
		Name: "products/a", Sku: "A", Title: "t", Description: "d", Price: &money.Money{},
		Labels: map[string]string{"a": "b"}, State: catalogv1.Product_STATE_DRAFT, Etag: "e",
	}
	all := []catalog.Field{"description", "labels", "price", "sku", "state", "title"}
	for name, c := range map[string]struct {
		paths   []string
		product *catalogv1.Product
		want    []catalog.Field
		err     error
	}{
		"star":             {[]string{"*"}, &catalogv1.Product{}, all, nil},
		"star with others": {[]string{"*", "title"}, full, nil, catalog.ErrUpdateMask},
		"one":              {[]string{"title"}, full, []catalog.Field{"title"}, nil},
		"whole price":      {[]string{"price"}, full, []catalog.Field{"price"}, nil},
		"part of a price":  {[]string{"price.units"}, full, []catalog.Field{"price"}, nil},
		"no part":          {[]string{"price.cents"}, full, nil, catalog.ErrUpdateMask},
		"one label":        {[]string{"labels.a"}, full, nil, catalog.ErrUpdateMask},
		"unknown":          {[]string{"colour"}, full, nil, catalog.ErrUpdateMask},
		"empty path":       {[]string{""}, full, nil, catalog.ErrUpdateMask},
		"passed over":      {[]string{"name", "uid", "etag", "create_time.seconds", "update_time"}, full, nil, nil},
		"no mask, full":    {nil, full, all, nil},
		"no mask, some":    {nil, &catalogv1.Product{Title: "t"}, []catalog.Field{"title"}, nil},
		"no mask, none":    {nil, &catalogv1.Product{Name: "products/a"}, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := fieldsOf(c.paths, c.product)
			slices.Sort(got)
			if diff := cmp.Diff(c.want, got); !errors.Is(err, c.err) || diff != "" {
				t.Errorf("error %v, want %v; fields (-want +got):\n%s", err, c.err, diff)
			}
		})
	}
}

// TestContentSurvivesTheWire turns any content into a message and back.
func TestContentSurvivesTheWire(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := catalog.Product{ID: "a", CreateTime: time.Unix(1, 0), UpdateTime: time.Unix(2, 0), Content: catalog.Content{
			SKU: rapid.String().Draw(t, "sku"), Title: rapid.String().Draw(t, "title"), Description: rapid.String().Draw(t, "text"),
			Price: catalog.Money{
				Currency: rapid.StringMatching(`[A-Z]{3}`).Draw(t, "currency"),
				Units:    rapid.Int64().Draw(t, "units"), Nanos: rapid.Int32().Draw(t, "nanos"),
			},
			Labels: rapid.MapOf(rapid.String(), rapid.String()).Draw(t, "labels"),
			State:  rapid.SampledFrom([]catalog.State{catalog.Draft, catalog.Active, catalog.Discontinued}).Draw(t, "state"),
		}}
		if diff := cmp.Diff(want.Content, contentOf(toProto(want))); diff != "" {
			t.Fatalf("content changed (-want +got):\n%s", diff)
		}
	})
}
