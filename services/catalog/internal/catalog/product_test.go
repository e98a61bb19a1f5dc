package catalog_test

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/slipway-dev/slipway/platform/serve/errs"
	"github.com/slipway-dev/slipway/services/catalog/internal/catalog"
)

func lamp() catalog.Product {
	made := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	return catalog.Product{
		ID: "lamp", UID: "4f0c9f1e-6c1f-4b8c-9a55-0d4a2f1f6a10",
		Content: catalog.Content{
			SKU: "LAMP-1", Title: "Desk lamp", Description: "Bright",
			Price:  catalog.Money{Currency: "EUR", Units: 12, Nanos: 990_000_000},
			Labels: map[string]string{"color": "red"}, State: catalog.Active,
		},
		CreateTime: made, UpdateTime: made,
	}
}

func TestContentValidate(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*catalog.Content)
		want   []string // field paths
	}{
		"valid":             {func(*catalog.Content) {}, nil},
		"free":              {func(c *catalog.Content) { c.Price = catalog.Money{Currency: "EUR"} }, nil},
		"longest title":     {func(c *catalog.Content) { c.Title = strings.Repeat("ä", 200) }, nil},
		"nothing":           {func(c *catalog.Content) { *c = catalog.Content{} }, []string{"product.sku", "product.title", "product.price", "product.state"}},
		"sku in lower case": {func(c *catalog.Content) { c.SKU = "lamp" }, []string{"product.sku"}},
		"sku ends in a dot": {func(c *catalog.Content) { c.SKU = "LAMP." }, []string{"product.sku"}},
		"long sku":          {func(c *catalog.Content) { c.SKU = strings.Repeat("A", 65) }, []string{"product.sku"}},
		"blank title":       {func(c *catalog.Content) { c.Title = " \t" }, []string{"product.title"}},
		"long title":        {func(c *catalog.Content) { c.Title = strings.Repeat("a", 201) }, []string{"product.title"}},
		"NUL in title":      {func(c *catalog.Content) { c.Title = "a\x00" }, []string{"product.title"}},
		"long description":  {func(c *catalog.Content) { c.Description = strings.Repeat("a", 10_001) }, []string{"product.description"}},
		"NUL description":   {func(c *catalog.Content) { c.Description = "\x00" }, []string{"product.description"}},
		"currency":          {func(c *catalog.Content) { c.Price.Currency = "eur" }, []string{"product.price"}},
		"short currency":    {func(c *catalog.Content) { c.Price.Currency = "EU" }, []string{"product.price"}},
		"nanos too large":   {func(c *catalog.Content) { c.Price.Nanos = 1_000_000_000 }, []string{"product.price"}},
		"signs disagree":    {func(c *catalog.Content) { c.Price.Nanos = -1 }, []string{"product.price"}},
		"negative price":    {func(c *catalog.Content) { c.Price = catalog.Money{Currency: "EUR", Nanos: -1} }, []string{"product.price"}},
		"unknown state":     {func(c *catalog.Content) { c.State = "SOLD" }, []string{"product.state"}},
		"label key":         {func(c *catalog.Content) { c.Labels = map[string]string{"Color": "red"} }, []string{"product.labels"}},
		"label value":       {func(c *catalog.Content) { c.Labels = map[string]string{"c": strings.Repeat("a", 64)} }, []string{"product.labels"}},
		"NUL in label":      {func(c *catalog.Content) { c.Labels = map[string]string{"c": "\x00"} }, []string{"product.labels"}},
		"too many labels":   {func(c *catalog.Content) { c.Labels = manyLabels(65) }, []string{"product.labels"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			content := lamp().Content
			c.change(&content)
			err := content.Validate()
			var got []string
			if e, ok := errors.AsType[*errs.Error](err); ok {
				for _, f := range e.Fields {
					got = append(got, f.Path)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("fields at fault (-want +got):\n%s", diff)
			}
		})
	}
}

func TestApply(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 2, 1, 0, 0, 0, 123_456_789, time.UTC)
	for name, c := range map[string]struct {
		state  catalog.State
		change catalog.Change
		want   error
		check  func(before, after catalog.Product) bool
	}{
		"one field": {
			change: catalog.Change{Fields: []catalog.Field{catalog.FieldTitle}, Content: catalog.Content{Title: "Lamp"}},
			check: func(before, after catalog.Product) bool {
				return after.Title == "Lamp" && after.Description == before.Description &&
					after.UpdateTime.Equal(now.Truncate(time.Microsecond)) && after.CreateTime.Equal(before.CreateTime)
			},
		},
		"nothing": {
			change: catalog.Change{Fields: catalog.Fields(), Content: lamp().Content},
			check:  func(before, after catalog.Product) bool { return cmp.Equal(before, after) },
		},
		"right etag": {
			change: catalog.Change{Etag: lamp().Etag()},
			check:  func(before, after catalog.Product) bool { return cmp.Equal(before, after) },
		},
		"stale etag":    {change: catalog.Change{Etag: "old", Fields: catalog.Fields(), Content: lamp().Content}, want: catalog.ErrEtagMismatch},
		"other sku":     {change: catalog.Change{Fields: []catalog.Field{catalog.FieldSKU}, Content: catalog.Content{SKU: "X"}}, want: catalog.ErrSKUImmutable},
		"invalid":       {change: catalog.Change{Fields: []catalog.Field{catalog.FieldTitle}}, want: catalog.ErrInvalid},
		"back to draft": {change: catalog.Change{Fields: []catalog.Field{catalog.FieldState}, Content: catalog.Content{State: catalog.Draft}}, want: catalog.ErrPublished},
		"state reset is active": {
			state:  catalog.Draft,
			change: catalog.Change{Fields: []catalog.Field{catalog.FieldState}},
			check:  func(_, after catalog.Product) bool { return after.State == catalog.Active },
		},
		"draft stays draft": {
			state:  catalog.Draft,
			change: catalog.Change{Fields: []catalog.Field{catalog.FieldState, catalog.FieldTitle}, Content: catalog.Content{State: catalog.Draft, Title: "T"}},
			check:  func(_, after catalog.Product) bool { return after.State == catalog.Draft && after.Title == "T" },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := lamp()
			if c.state != "" {
				before.State = c.state
			}
			got, err := before.Apply(c.change, now)
			if !errors.Is(err, c.want) {
				t.Fatalf("Apply: %v, want %v", err, c.want)
			}
			if c.check != nil && !c.check(before, got) {
				t.Errorf("unexpected product after the change: %+v", got)
			}
		})
	}
}

func TestUpdateTimeGrowsEvenIfTheClockGoesBack(t *testing.T) {
	t.Parallel()
	p := lamp()
	got, err := p.Apply(catalog.Change{Fields: []catalog.Field{catalog.FieldTitle}, Content: catalog.Content{Title: "x"}}, p.UpdateTime.Add(-time.Hour))
	if err != nil || !got.UpdateTime.After(p.UpdateTime) {
		t.Errorf("update time %v, want after %v (err %v)", got.UpdateTime, p.UpdateTime, err)
	}
}

// TestEtagChangesExactlyWithContent draws pairs of contents, often equal or
// nearly so, and compares equality of etags with equality of contents.
func TestEtagChangesExactlyWithContent(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := lamp(), lamp()
		a.Content = contents().Draw(t, "a")
		b.Content = contents().Draw(t, "b")
		if rapid.Bool().Draw(t, "same") {
			b.Content = a.Content
			b.Labels = maps.Clone(a.Labels)
			b.UpdateTime = a.UpdateTime.Add(time.Hour)
		}
		same := a.SKU == b.SKU && a.Title == b.Title && a.Description == b.Description &&
			a.Price == b.Price && a.State == b.State && maps.Equal(a.Labels, b.Labels)
		if (a.Etag() == b.Etag()) != same {
			t.Fatalf("contents equal: %v, etags %s and %s", same, a.Etag(), b.Etag())
		}
	})
}

func TestEtagTellsNeighbouringFieldsApart(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for name, c := range map[string]catalog.Content{
		"title":       {Title: "ab"},
		"description": {Description: "ab"},
		"both":        {Title: "a", Description: "b"},
		"one label":   {Labels: map[string]string{"ab": ""}},
		"its value":   {Labels: map[string]string{"a": "b"}},
		"two labels":  {Labels: map[string]string{"a": "", "b": ""}},
	} {
		etag := catalog.Product{UID: "u", Content: c}.Etag()
		if other, taken := seen[etag]; taken {
			t.Errorf("%s and %s have the same etag", name, other)
		}
		seen[etag] = name
	}
}

// contents draws from few, short texts, so that collisions by shifting letters
// between neighbouring fields would be found.
func contents() *rapid.Generator[catalog.Content] {
	text := rapid.StringMatching(`[ab]{0,2}`)
	return rapid.Custom(func(t *rapid.T) catalog.Content {
		return catalog.Content{
			SKU: text.Draw(t, "sku"), Title: text.Draw(t, "title"), Description: text.Draw(t, "description"),
			Price: catalog.Money{
				Currency: rapid.SampledFrom([]string{"EUR", "USD"}).Draw(t, "currency"),
				Units:    rapid.Int64Range(-2, 2).Draw(t, "units"), Nanos: rapid.Int32Range(-1, 1).Draw(t, "nanos"),
			},
			Labels: rapid.MapOfN(text, text, 0, 2).Draw(t, "labels"),
			State:  rapid.SampledFrom([]catalog.State{catalog.Draft, catalog.Active}).Draw(t, "state"),
		}
	})
}

func TestParseName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"products/lamp": true, "products/a": true, "products/a-1": true, "products/" + strings.Repeat("a", 63): true,
		"": false, "lamp": false, "products/": false, "products/1a": false, "products/a-": false, "products/A": false,
		"products/a/b": false, "shelves/a": false, "products/a_b": false, "products/" + strings.Repeat("a", 64): false,
	} {
		if _, ok := catalog.ParseName(name); ok != want {
			t.Errorf("ParseName(%q) ok = %v, want %v", name, ok, want)
		}
	}
}

func TestMoney(t *testing.T) {
	t.Parallel()
	for text, m := range map[string]catalog.Money{
		"EUR 12.990000000":                   {Currency: "EUR", Units: 12, Nanos: 990_000_000},
		"EUR -0.000000001":                   {Currency: "EUR", Nanos: -1},
		"USD -9223372036854775808.999999999": {Currency: "USD", Units: -1 << 63, Nanos: -999_999_999},
	} {
		if got := m.String(); got != text {
			t.Errorf("String() = %s, want %s", got, text)
		}
	}
	if (catalog.Money{Currency: "EUR", Units: 9}).Compare(catalog.Money{Currency: "USD", Units: 1}) >= 0 {
		t.Error("currencies must order before amounts")
	}
}

func manyLabels(n int) map[string]string {
	labels := make(map[string]string, n)
	for i := range n {
		labels["k"+strings.Repeat("a", i%60)+string(rune('a'+i/60))] = ""
	}
	return labels
}
