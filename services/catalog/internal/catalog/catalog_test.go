package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/slipway-dev/slipway/services/catalog/internal/catalog"
)

// shelf is a catalog.Store in memory that lists by name alone; the methods a
// test does not need are left to the nil interface.
type shelf struct {
	catalog.Store
	products []catalog.Product // by id
	limits   []int32
}

func (s *shelf) Insert(_ context.Context, p catalog.Product) error {
	s.products = append(s.products, p)
	slices.SortFunc(s.products, func(a, b catalog.Product) int { return strings.Compare(a.ID, b.ID) })
	return nil
}

func (s *shelf) GetAll(context.Context, []string) ([]catalog.Product, error) { return s.products, nil }

func (s *shelf) List(_ context.Context, q catalog.Query) ([]catalog.Product, error) {
	s.limits = append(s.limits, q.Limit)
	var out []catalog.Product
	for _, p := range s.products {
		if (q.After == nil || p.ID > q.After.ID) && len(out) < int(q.Limit) {
			out = append(out, p)
		}
	}
	return out, nil
}

func (s *shelf) Search(ctx context.Context, q catalog.Search) ([]catalog.Match, error) {
	products, err := s.List(ctx, catalog.Query{After: q.After, Limit: q.Limit})
	matches := make([]catalog.Match, len(products))
	for i, p := range products {
		matches[i] = catalog.Match{Product: p, Rank: 0.1}
	}
	return matches, err
}

func newCatalog(tb testing.TB, s catalog.Store) *catalog.Catalog {
	tb.Helper()
	now := func() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 999, time.UTC) }
	c, err := catalog.New(catalog.Config{Store: s, Now: now, NewID: func() string { return "made-up" }})
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func TestNewNeedsAStore(t *testing.T) {
	t.Parallel()
	if _, err := catalog.New(catalog.Config{}); err == nil {
		t.Error("New without a store: no error")
	}
}

func TestCreateFillsInWhatTheClientLeftOut(t *testing.T) {
	t.Parallel()
	content := lamp().Content
	content.State = ""
	p, err := newCatalog(t, &shelf{}).Create(t.Context(), "", content)
	if err != nil {
		t.Fatal(err)
	}
	if p.ID != "made-up" || len(p.UID) != 36 || p.UID[14] != '4' || p.State != catalog.Active {
		t.Errorf("unexpected product %+v", p)
	}
	if want := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC); !p.CreateTime.Equal(want) || !p.UpdateTime.Equal(want) {
		t.Errorf("times %v, %v are not whole microseconds", p.CreateTime, p.UpdateTime)
	}
}

func TestMadeUpIDsAreValidAndDiffer(t *testing.T) {
	t.Parallel()
	c, err := catalog.New(catalog.Config{Store: &shelf{}})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for range 100 {
		p, err := c.Create(t.Context(), "", lamp().Content)
		if err != nil || seen[p.ID] || seen[p.UID] {
			t.Fatalf("product %+v: error %v, or not unique", p, err)
		}
		seen[p.ID], seen[p.UID] = true, true
	}
}

func TestCreateRefusesABadID(t *testing.T) {
	t.Parallel()
	if _, err := newCatalog(t, &shelf{}).Create(t.Context(), "Not Good", lamp().Content); !errors.Is(err, catalog.ErrInvalidName) {
		t.Errorf("error %v, want %v", err, catalog.ErrInvalidName)
	}
}

func TestBatchGetKeepsOrderAndIsAllOrNothing(t *testing.T) {
	t.Parallel()
	c := newCatalog(t, filled(t, 3))
	got, err := c.BatchGet(t.Context(), []string{"p-002", "p-000", "p-002"})
	if err != nil || len(got) != 3 || got[0].ID != "p-002" || got[1].ID != "p-000" || got[2].ID != "p-002" {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := c.BatchGet(t.Context(), []string{"p-001", "nowhere"}); !errors.Is(err, catalog.ErrNotFound) || got != nil {
		t.Errorf("got %v, %v; want %v", got, err, catalog.ErrNotFound)
	}
}

func TestPageSizes(t *testing.T) {
	t.Parallel()
	s := filled(t, 0)
	c := newCatalog(t, s)
	for asked, want := range map[int32]int32{0: 50, 1: 1, 1000: 1000, 1001: 1000, 1 << 30: 1000} {
		s.limits = nil
		if _, err := c.List(t.Context(), catalog.ListRequest{PageSize: asked}); err != nil || s.limits[0] != want+1 {
			t.Errorf("page size %d: store asked for %v, want %d and one more (err %v)", asked, s.limits, want, err)
		}
	}
	if _, err := c.List(t.Context(), catalog.ListRequest{PageSize: -1}); !errors.Is(err, catalog.ErrPageSize) {
		t.Errorf("negative page size: %v", err)
	}
	if _, err := c.Search(t.Context(), catalog.SearchRequest{Words: "a", PageSize: -1}); !errors.Is(err, catalog.ErrPageSize) {
		t.Errorf("negative page size of a search: %v", err)
	}
}

func TestParseOrder(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "name", "name": "name", " price  desc ": "price desc", "create_time": "create_time",
		"title": "", "name asc": "", "name, price": "", "price desc, name": "", "desc": "", "name;drop": "",
	} {
		order, err := catalog.ParseOrder(text)
		if (err != nil) != (want == "") || err == nil && order.String() != want {
			t.Errorf("ParseOrder(%q) = %v, %v; want %q", text, order, err, want)
		}
	}
}

func TestPageTokenIsBoundToItsRequest(t *testing.T) {
	t.Parallel()
	c := newCatalog(t, filled(t, 5))
	first := catalog.ListRequest{PageSize: 2, FilterText: "a", OrderBy: "name"}
	page, err := c.List(t.Context(), first)
	if err != nil || page.NextToken == "" {
		t.Fatalf("first page: %+v, %v", page, err)
	}
	for name, r := range map[string]catalog.ListRequest{
		"other filter": {PageToken: page.NextToken, FilterText: "b", OrderBy: "name"},
		"other order":  {PageToken: page.NextToken, FilterText: "a", OrderBy: "name desc"},
		"garbage":      {PageToken: "!!!", FilterText: "a", OrderBy: "name"},
		"cut":          {PageToken: page.NextToken[:len(page.NextToken)-4], FilterText: "a", OrderBy: "name"},
	} {
		if _, err := c.List(t.Context(), r); !errors.Is(err, catalog.ErrPageToken) {
			t.Errorf("%s: error %v, want %v", name, err, catalog.ErrPageToken)
		}
	}
	if _, err := c.Search(t.Context(), catalog.SearchRequest{Words: "a", PageToken: page.NextToken}); !errors.Is(err, catalog.ErrPageToken) {
		t.Errorf("a list's token in a search: %v", err)
	}
	if _, err := c.List(t.Context(), catalog.ListRequest{PageToken: page.NextToken, PageSize: 4, FilterText: "a", OrderBy: " name "}); err != nil {
		t.Errorf("only the page size and spaces differ: %v", err)
	}
}

func TestSearchNeedsAWord(t *testing.T) {
	t.Parallel()
	for _, words := range []string{"", "  ", "a\x00"} {
		if _, err := newCatalog(t, filled(t, 1)).Search(t.Context(), catalog.SearchRequest{Words: words}); !errors.Is(err, catalog.ErrQueryRequired) {
			t.Errorf("search for %q: %v", words, err)
		}
	}
}

// TestPagesPartitionTheList walks lists of any length with any page sizes: each
// product comes exactly once, and only the last page has no token.
func TestPagesPartitionTheList(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		total := rapid.IntRange(0, 30).Draw(rt, "total")
		c := newCatalog(t, filled(t, total))
		var got []string
		token := ""
		for range 50 { // more pages than products: a walk that does not end is cut here
			page, err := c.List(t.Context(), catalog.ListRequest{PageToken: token, PageSize: rapid.Int32Range(1, 7).Draw(rt, "size")})
			if err != nil {
				rt.Fatal(err)
			}
			for _, p := range page.Products {
				got = append(got, p.ID)
			}
			if token = page.NextToken; token == "" {
				break
			}
			if len(page.Products) == 0 {
				rt.Fatal("a page with a next token is empty")
			}
		}
		if len(got) != total || !slices.IsSorted(got) || len(slices.Compact(got)) != total {
			rt.Fatalf("walked %v of %d products", got, total)
		}
	})
}

func filled(tb testing.TB, n int) *shelf {
	tb.Helper()
	s := &shelf{}
	for i := range n {
		p := lamp()
		p.ID = fmt.Sprintf("p-%03d", i)
		s.products = append(s.products, p)
	}
	return s
}
