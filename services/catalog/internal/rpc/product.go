package rpc

import (
	"strings"

	"google.golang.org/genproto/googleapis/type/money"
	"google.golang.org/protobuf/types/known/timestamppb"

	catalogv1 "github.com/slipway-dev/slipway/proto/slipway/catalog/v1"
	"github.com/slipway-dev/slipway/services/catalog/internal/catalog"
)

// statePrefix tells the proto's enum values from the domain's.
const statePrefix = "STATE_"

func toProto(p catalog.Product) *catalogv1.Product {
	return &catalogv1.Product{
		Name:        p.Name(),
		Uid:         p.UID,
		Sku:         p.SKU,
		Title:       p.Title,
		Description: p.Description,
		Price:       &money.Money{CurrencyCode: p.Price.Currency, Units: p.Price.Units, Nanos: p.Price.Nanos},
		Labels:      p.Labels,
		State:       catalogv1.Product_State(catalogv1.Product_State_value[statePrefix+string(p.State)]),
		Etag:        p.Etag(),
		CreateTime:  timestamppb.New(p.CreateTime),
		UpdateTime:  timestamppb.New(p.UpdateTime),
	}
}

func allToProto(products []catalog.Product) []*catalogv1.Product {
	out := make([]*catalogv1.Product, len(products))
	for i, p := range products {
		out[i] = toProto(p)
	}
	return out
}

func contentOf(p *catalogv1.Product) catalog.Content {
	c := catalog.Content{
		SKU:         p.GetSku(),
		Title:       p.GetTitle(),
		Description: p.GetDescription(),
		Price: catalog.Money{
			Currency: p.GetPrice().GetCurrencyCode(),
			Units:    p.GetPrice().GetUnits(),
			Nanos:    p.GetPrice().GetNanos(),
		},
		Labels: p.GetLabels(),
	}
	if p.GetState() != catalogv1.Product_STATE_UNSPECIFIED {
		c.State = catalog.State(strings.TrimPrefix(p.GetState().String(), statePrefix))
	}
	return c
}

// fieldsOf reads an update mask (AIP-134). Without one, every field that p sets
// is meant. The name, the etag and output-only fields are passed over, so that
// a product may be sent back as it was read.
func fieldsOf(paths []string, p *catalogv1.Product) ([]catalog.Field, error) {
	if len(paths) == 1 && paths[0] == "*" {
		return catalog.Fields(), nil
	}
	if len(paths) == 0 {
		return populated(p), nil
	}
	var fields []catalog.Field
	for _, path := range paths {
		root, rest, nested := strings.Cut(path, ".")
		switch root {
		case "name", "uid", "etag", "create_time", "update_time":
			continue
		case "price": // money is changed as a whole
			if !nested || rest == "currency_code" || rest == "units" || rest == "nanos" {
				fields = append(fields, catalog.FieldPrice)
				continue
			}
		case "sku", "title", "description", "labels", "state":
			if !nested {
				fields = append(fields, catalog.Field(root))
				continue
			}
		}
		return nil, catalog.ErrUpdateMask.WithField("update_mask",
			"has "+strings.ToValidUTF8(path, "?")+"; it may have sku, title, description, price, labels, state or, alone, *")
	}
	return fields, nil
}

func populated(p *catalogv1.Product) []catalog.Field {
	var fields []catalog.Field
	for field, set := range map[catalog.Field]bool{
		catalog.FieldSKU:         p.GetSku() != "",
		catalog.FieldTitle:       p.GetTitle() != "",
		catalog.FieldDescription: p.GetDescription() != "",
		catalog.FieldPrice:       p.GetPrice() != nil,
		catalog.FieldLabels:      len(p.GetLabels()) > 0,
		catalog.FieldState:       p.GetState() != catalogv1.Product_STATE_UNSPECIFIED,
	} {
		if set {
			fields = append(fields, field)
		}
	}
	return fields
}
