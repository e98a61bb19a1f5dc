package rpc

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-dev/slipway/platform/serve/errs"
	"github.com/slipway-dev/slipway/services/catalog/internal/catalog"
)

func parser(t *testing.T) *filterParser {
	t.Helper()
	p, err := newFilterParser()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestFilterParse(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	sku := func(s string) catalog.Filter {
		return catalog.Compare{Field: catalog.FilterSKU, Op: catalog.Equal, Value: catalog.Value{Text: s}}
	}
	units := func(op catalog.Op, n int64) catalog.Filter {
		return catalog.Compare{Field: catalog.FilterUnits, Op: op, Value: catalog.Value{Integer: n}}
	}
	for text, want := range map[string]catalog.Filter{
		"":                      nil,
		"  ":                    nil,
		`sku = "A"`:             sku("A"),
		`sku="A"`:               sku("A"),
		`(sku = "A")`:           sku("A"),
		`NOT sku = "A"`:         catalog.Not{Filter: sku("A")},
		`-sku = "A"`:            catalog.Not{Filter: sku("A")},
		`sku = "A" OR sku="B"`:  catalog.Or{sku("A"), sku("B")},
		`sku = "A" AND sku="B"`: catalog.And{sku("A"), sku("B")},
		// AIP-160: OR binds more tightly than AND.
		`sku = "A" AND sku = "B" OR sku = "C"`:             catalog.And{sku("A"), catalog.Or{sku("B"), sku("C")}},
		`price.units < 20`:                                 units(catalog.Less, 20),
		`price.units >= -5`:                                units(catalog.GreaterOrEqual, -5),
		`price.currency_code != "EUR"`:                     catalog.Compare{Field: catalog.FilterCurrency, Op: catalog.NotEqual, Value: catalog.Value{Text: "EUR"}},
		`state = STATE_DRAFT`:                              catalog.Compare{Field: catalog.FilterState, Op: catalog.Equal, Value: catalog.Value{Text: "DRAFT"}},
		`create_time > "2026-01-02T12:00:00Z"`:             catalog.Compare{Field: catalog.FilterCreateTime, Op: catalog.Greater, Value: catalog.Value{Time: noon}},
		`update_time <= timestamp("2026-01-02T12:00:00Z")`: catalog.Compare{Field: catalog.FilterUpdateTime, Op: catalog.LessOrEqual, Value: catalog.Value{Time: noon}},
		`title:"lamp"`:                                     catalog.TitleContains{Text: "lamp"},
		`title:lamp`:                                       catalog.TitleContains{Text: "lamp"},
		`labels.color = "red"`:                             catalog.LabelEquals{Key: "color", Value: "red"},
		`labels.color != "red"`:                            catalog.Not{Filter: catalog.LabelEquals{Key: "color", Value: "red"}},
		`labels:color`:                                     catalog.HasLabel{Key: "color"},
		`labels:"color"`:                                   catalog.HasLabel{Key: "color"},
	} {
		got, err := parser(t).parse(text)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("parse(%s): %v (-want +got):\n%s", text, err, diff)
		}
	}
}

func TestFilterErrors(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`sku =`:                           "ends too early",
		`sku = "A" sku = "B"`:             "AND or OR",
		`sku`:                             "non-bool",
		`color = "red"`:                   "undeclared identifier 'color'",
		`sku = ABC`:                       "undeclared identifier 'ABC'",
		`sku = 5`:                         "cannot use '=' between values of these types",
		`price.units < 2.5`:               "cannot use '<' between values of these types",
		`state = "ACTIVE"`:                "cannot use '='",
		`state < STATE_ACTIVE`:            "cannot use '<'",
		`create_time > "yesterday"`:       "invalid timestamp",
		`create_time:*`:                   "",
		`sku:"A"`:                         "can use : on title and labels only",
		`labels.color:"red"`:              "can use : on title and labels only",
		`labels.color < "red"`:            "only by = and !=",
		`1 = 1`:                           "a field on the left",
		`"a" = sku`:                       "a field on the left",
		`sku = title`:                     "quoted text",
		`price.units = price.units`:       "whole number",
		`create_time = update_time`:       "quoted text",
		`STATE_DRAFT = STATE_DRAFT`:       "a field on the left",
		`state = state`:                   "one of its values",
		`duration("1s") = duration("1s")`: "a field on the left",
		"sku = \"\x00\"":                  "",
		`(`:                               "",
		`sku = "A`:                        "",
		"\xff":                            "",
	} {
		_, err := parser(t).parse(text)
		e, ok := errors.AsType[*errs.Error](err)
		if !ok || !errors.Is(err, catalog.ErrFilter) || len(e.Fields) != 1 || e.Fields[0].Path != "filter" {
			t.Errorf("parse(%q): error %v is not about the filter", text, err)
			continue
		}
		if got := e.Fields[0].Description; !strings.Contains(got, want) {
			t.Errorf("parse(%q): %q does not say %q", text, got, want)
		}
	}
}

// TestDeepFiltersAreCheap feeds the longest filters the API admits in shapes
// that make careless parsers take exponential time.
func TestDeepFiltersAreCheap(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"parentheses":        strings.Repeat("(", 990) + `sku = "A"` + strings.Repeat(")", 990),
		"open parentheses":   strings.Repeat("(", 2000),
		"functions":          strings.Repeat("f(", 1000),
		"nots":               strings.Repeat("NOT (", 300) + `sku = "A"` + strings.Repeat(")", 300),
		"minuses":            strings.Repeat("-", 2000),
		"many":               `sku = "A"` + strings.Repeat(` OR sku = "A"`, 140),
		"many with brackets": `sku = "A"` + strings.Repeat(` AND (sku = "A")`, 120),
	} {
		_, _ = parser(t).parse(text) // either answer is right; a hang fails by go test's own timeout
		t.Log(name)
	}
}
