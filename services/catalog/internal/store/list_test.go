package store_test

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/slipway-dev/slipway/services/catalog/internal/catalog"
	"github.com/slipway-dev/slipway/services/catalog/internal/store"
)

func uid(id string) string {
	h := sha256.Sum256([]byte(id))
	return fmt.Sprintf("%x-%x-%x-%x-%x", h[0:4], h[4:6], h[6:8], h[8:10], h[10:16])
}

func ids(products []catalog.Product) string {
	list := make([]string, len(products))
	for i, p := range products {
		list[i] = p.ID
	}
	return strings.Join(list, " ")
}

func TestFilters(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	day := func(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }
	for i, p := range []catalog.Product{
		product("a", func(p *catalog.Product) { p.Title, p.Labels = "Red LAMP 50%", map[string]string{"color": "red"} }),
		product("b", func(p *catalog.Product) {
			p.Title, p.Labels, p.State = "Äpfel", map[string]string{"color": "blue", "size": ""}, catalog.Draft
		}),
		product("c", func(p *catalog.Product) {
			p.Title, p.Labels, p.Price = "Chair", nil, catalog.Money{Currency: "USD", Units: 5}
		}),
	} {
		p.CreateTime = day(i + 1)
		p.UpdateTime = day(i + 11)
		if err := s.Insert(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	compare := func(f catalog.FilterField, op catalog.Op, v catalog.Value) catalog.Filter {
		return catalog.Compare{Field: f, Op: op, Value: v}
	}
	text := func(s string) catalog.Value { return catalog.Value{Text: s} }
	red := catalog.LabelEquals{Key: "color", Value: "red"}
	for name, c := range map[string]struct {
		filter catalog.Filter
		want   string
	}{
		"none":            {nil, "a b c"},
		"sku":             {compare(catalog.FilterSKU, catalog.Equal, text("SKU-B")), "b"},
		"not sku":         {compare(catalog.FilterSKU, catalog.NotEqual, text("SKU-B")), "a c"},
		"title equal":     {compare(catalog.FilterTitle, catalog.Equal, text("Chair")), "c"},
		"title by byte":   {compare(catalog.FilterTitle, catalog.Less, text("D")), "c"},
		"title contains":  {catalog.TitleContains{Text: "red lamp"}, "a"},
		"no wildcard":     {catalog.TitleContains{Text: "%"}, "a"},
		"other script":    {catalog.TitleContains{Text: "pfel"}, "b"},
		"state":           {compare(catalog.FilterState, catalog.Equal, text("DRAFT")), "b"},
		"currency":        {compare(catalog.FilterCurrency, catalog.Equal, text("USD")), "c"},
		"units less":      {compare(catalog.FilterUnits, catalog.Less, catalog.Value{Integer: 12}), "c"},
		"units at most":   {compare(catalog.FilterUnits, catalog.LessOrEqual, catalog.Value{Integer: 12}), "a b c"},
		"units greater":   {compare(catalog.FilterUnits, catalog.Greater, catalog.Value{Integer: 5}), "a b"},
		"created at last": {compare(catalog.FilterCreateTime, catalog.GreaterOrEqual, catalog.Value{Time: day(2)}), "b c"},
		"updated before":  {compare(catalog.FilterUpdateTime, catalog.Less, catalog.Value{Time: day(12)}), "a"},
		"label":           {red, "a"},
		"not label":       {catalog.Not{Filter: red}, "b c"},
		"empty label":     {catalog.LabelEquals{Key: "size", Value: ""}, "b"},
		"has label":       {catalog.HasLabel{Key: "color"}, "a b"},
		"and":             {catalog.And{catalog.HasLabel{Key: "color"}, catalog.Not{Filter: red}}, "b"},
		"or":              {catalog.Or{red, compare(catalog.FilterCurrency, catalog.Equal, text("USD"))}, "a c"},
		"empty and":       {catalog.And{}, "a b c"},
		"empty or":        {catalog.Or{}, ""},
		"or inside and":   {catalog.And{catalog.Or{red, catalog.HasLabel{Key: "size"}}, compare(catalog.FilterState, catalog.Equal, text("DRAFT"))}, "b"},
		"injection":       {compare(catalog.FilterSKU, catalog.Equal, text("' OR TRUE --")), ""},
		"label injection": {catalog.HasLabel{Key: "'||pg_sleep(9)||'"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := s.List(t.Context(), catalog.Query{Filter: c.filter, Order: catalog.Order{Field: catalog.ByName}, Limit: 10})
			if err != nil || ids(got) != c.want {
				t.Errorf("got %q, %v; want %q", ids(got), err, c.want)
			}
		})
	}
}

func TestUnknownFieldsOperatorsAndOrdersAreRefused(t *testing.T) {
	t.Parallel()
	s := store.New(nil) // nothing may reach the database
	for name, q := range map[string]catalog.Query{
		"order":    {Order: catalog.Order{Field: "id; DROP TABLE products"}},
		"field":    {Order: catalog.Order{Field: catalog.ByName}, Filter: catalog.Compare{Field: "uid", Op: catalog.Equal}},
		"operator": {Order: catalog.Order{Field: catalog.ByName}, Filter: catalog.Not{Filter: catalog.And{catalog.Compare{Field: catalog.FilterSKU, Op: "~"}}}},
		"filter":   {Order: catalog.Order{Field: catalog.ByName}, Filter: catalog.Not{}},
	} {
		if got, err := s.List(t.Context(), q); err == nil {
			t.Errorf("%s: no error, %v", name, got)
		}
	}
}

// TestPagesAreStableUnderWrites walks the list in every order while products
// are inserted and deleted behind the cursor: what was there from the start
// comes exactly once and in order.
func TestPagesAreStableUnderWrites(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	c, err := catalog.New(catalog.Config{Store: s})
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		w := walk{store: s, catalog: c, orderBy: rapid.SampledFrom([]string{
			"name", "name desc", "create_time", "create_time desc", "price", "price desc",
		}).Draw(rt, "order")}
		w.clear(t)
		w.run(t, rt)
	})
}

// walk is one walk through a list.
type walk struct {
	store   *store.Store
	catalog *catalog.Catalog
	orderBy string
	made    int
	seen    []catalog.Product
}

func (w *walk) clear(t *testing.T) {
	t.Helper()
	all, err := w.store.List(t.Context(), catalog.Query{Order: catalog.Order{Field: catalog.ByName}, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		w.delete(t, p.ID)
	}
}

func (w *walk) run(t *testing.T, rt *rapid.T) {
	t.Helper()
	var start []string
	for range rapid.IntRange(0, 12).Draw(rt, "products") {
		start = append(start, w.insert(t, rt).ID)
	}
	token := ""
	for range 50 { // more pages than products: a walk that does not end is cut here
		page, err := w.catalog.List(t.Context(), catalog.ListRequest{
			OrderBy: w.orderBy, PageToken: token, PageSize: rapid.Int32Range(1, 4).Draw(rt, "size"),
		})
		if err != nil {
			rt.Fatal(err)
		}
		w.seen = append(w.seen, page.Products...)
		if token = page.NextToken; token == "" {
			break
		}
		w.disturb(t, rt)
	}
	w.check(rt, start)
}

// disturb writes behind the cursor: it deletes a product already seen, or
// inserts one that may land before or after the cursor.
func (w *walk) disturb(t *testing.T, rt *rapid.T) {
	t.Helper()
	if rapid.Bool().Draw(rt, "delete") {
		w.delete(t, rapid.SampledFrom(w.seen).Draw(rt, "victim").ID)
	}
	if rapid.Bool().Draw(rt, "insert") {
		w.insert(t, rt)
	}
}

func (w *walk) check(rt *rapid.T, start []string) {
	got := make([]string, len(w.seen))
	for i, p := range w.seen {
		got[i] = p.ID
	}
	if sorted := slices.Sorted(slices.Values(got)); len(slices.Compact(sorted)) != len(got) {
		rt.Fatalf("a product came twice: %v", got)
	}
	for _, id := range start {
		if !slices.Contains(got, id) {
			rt.Fatalf("%s was there all along and did not come: %v", id, got)
		}
	}
	if !slices.IsSortedFunc(w.seen, w.compare) {
		rt.Fatalf("not in order %s: %v", w.orderBy, got)
	}
}

func (w *walk) compare(a, b catalog.Product) int {
	field, descending := strings.CutSuffix(w.orderBy, " desc")
	result := 0
	switch field {
	case "create_time":
		result = a.CreateTime.Compare(b.CreateTime)
	case "price":
		result = a.Price.Compare(b.Price)
	}
	if result == 0 {
		result = strings.Compare(a.ID, b.ID)
	}
	if descending {
		return -result
	}
	return result
}

// insert adds a product whose keys often equal those of others.
func (w *walk) insert(t *testing.T, rt *rapid.T) catalog.Product {
	t.Helper()
	w.made++
	p := product(fmt.Sprintf("%s%d", rapid.StringMatching(`[a-z][a-z0-9-]?`).Draw(rt, "id"), w.made))
	p.CreateTime = time.Date(2026, 1, 1, 0, 0, rapid.IntRange(0, 3).Draw(rt, "second"), 0, time.UTC)
	p.UpdateTime = p.CreateTime
	p.Price = catalog.Money{
		Currency: rapid.SampledFrom([]string{"EUR", "USD"}).Draw(rt, "currency"),
		Units:    rapid.Int64Range(0, 1).Draw(rt, "units"), Nanos: rapid.Int32Range(0, 1).Draw(rt, "nanos"),
	}
	if err := w.store.Insert(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	return p
}

func (w *walk) delete(t *testing.T, id string) {
	t.Helper()
	_ = w.store.Delete(t.Context(), id, func(catalog.Product) error { return nil }) // may be gone already
}

// TestMoneyRoundTrip stores and reads any price without loss.
func TestMoneyRoundTrip(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	made := 0
	rapid.Check(t, func(rt *rapid.T) {
		made++
		p := product(fmt.Sprintf("m%d", made))
		p.Price = catalog.Money{
			Currency: rapid.StringMatching(`[A-Z]{3}`).Draw(rt, "currency"),
			Units:    rapid.Int64Min(0).Draw(rt, "units"), Nanos: rapid.Int32Range(0, 999_999_999).Draw(rt, "nanos"),
		}
		if err := s.Insert(t.Context(), p); err != nil {
			rt.Fatal(err)
		}
		got, err := s.Get(t.Context(), p.ID)
		if diff := cmp.Diff(p.Price, got.Price); err != nil || diff != "" {
			rt.Fatalf("price changed in the database (%v):\n%s", err, diff)
		}
	})
}

func TestSearchRanksAndPages(t *testing.T) {
	t.Parallel()
	c, err := catalog.New(catalog.Config{Store: newStore(t)})
	if err != nil {
		t.Fatal(err)
	}
	for id, text := range map[string][2]string{
		"title":    {"Oak table", "Seats six"},
		"both":     {"Oak tables", "A table of oak, an oaken table"},
		"body":     {"Desk", "Made of oak, like a table"},
		"body-too": {"Desk", "Made of oak, like a table"},
		"other":    {"Steel chair", "No wood"},
	} {
		content := product(id).Content
		content.Title, content.Description = text[0], text[1]
		if _, err := c.Create(t.Context(), id, content); err != nil {
			t.Fatal(err)
		}
	}
	for words, want := range map[string]string{
		"oak table":    "both title body body-too",
		"tables":       "both title body body-too", // another grammatical form
		"oak -seats":   "both body body-too",
		`"oak table"`:  "both title",
		"steel OR six": "other title",
		"the":          "", // no word of substance
		"'); DROP --":  "",
		"& | ! :* ( )": "",
		"unobtainium":  "",
	} {
		var got []catalog.Product
		token := ""
		for range 10 { // more pages than products: a walk that does not end is cut here
			page, err := c.Search(t.Context(), catalog.SearchRequest{Words: words, PageSize: 1, PageToken: token})
			if err != nil {
				t.Fatalf("search %q: %v", words, err)
			}
			got = append(got, page.Products...)
			if token = page.NextToken; token == "" {
				break
			}
		}
		if ids(got) != want {
			t.Errorf("search %q, one a page: %q, want %q", words, ids(got), want)
		}
	}
}
