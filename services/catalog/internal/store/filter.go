package store

import (
	"fmt"
	"strings"

	"github.com/slipway-dev/slipway/services/catalog/internal/catalog"
)

// filter turns a filter into a condition that is never null.
func (b *builder) filter(f catalog.Filter) (string, error) {
	switch f := f.(type) {
	case catalog.And:
		return b.join(f, " AND ", "TRUE")
	case catalog.Or:
		return b.join(f, " OR ", "FALSE")
	case catalog.Not:
		inner, err := b.filter(f.Filter)
		return "NOT (" + inner + ")", err
	case catalog.Compare:
		return b.compare(f)
	case catalog.TitleContains:
		return "strpos(lower(title), lower(" + b.arg(f.Text) + "::text)) > 0", nil
	case catalog.LabelEquals:
		return "labels @> jsonb_build_object(" + b.arg(f.Key) + "::text, " + b.arg(f.Value) + "::text)", nil
	case catalog.HasLabel:
		return "labels ? " + b.arg(f.Key), nil
	default:
		return "", fmt.Errorf("filter by %T: not supported", f)
	}
}

func (b *builder) join(parts []catalog.Filter, operator, none string) (string, error) {
	if len(parts) == 0 {
		return none, nil
	}
	conditions := make([]string, len(parts))
	for i, part := range parts {
		condition, err := b.filter(part)
		if err != nil {
			return "", err
		}
		conditions[i] = "(" + condition + ")"
	}
	return strings.Join(conditions, operator), nil
}

func (b *builder) compare(c catalog.Compare) (string, error) {
	operator, ok := map[catalog.Op]string{
		catalog.Equal: "=", catalog.NotEqual: "<>",
		catalog.Less: "<", catalog.LessOrEqual: "<=",
		catalog.Greater: ">", catalog.GreaterOrEqual: ">=",
	}[c.Op]
	if !ok {
		return "", fmt.Errorf("filter with %q: not supported", c.Op)
	}
	switch c.Field {
	case catalog.FilterSKU:
		return "sku " + operator + " " + b.arg(c.Value.Text), nil
	case catalog.FilterTitle:
		return `title COLLATE "C" ` + operator + " " + b.arg(c.Value.Text), nil
	case catalog.FilterState:
		return "state " + operator + " " + b.arg(c.Value.Text), nil
	case catalog.FilterCurrency:
		return "price_currency " + operator + " " + b.arg(c.Value.Text), nil
	case catalog.FilterUnits:
		return "price_units " + operator + " " + b.arg(c.Value.Integer), nil
	case catalog.FilterCreateTime:
		return "create_time " + operator + " " + b.arg(c.Value.Time), nil
	case catalog.FilterUpdateTime:
		return "update_time " + operator + " " + b.arg(c.Value.Time), nil
	default:
		return "", fmt.Errorf("filter by field %q: not supported", c.Field)
	}
}
