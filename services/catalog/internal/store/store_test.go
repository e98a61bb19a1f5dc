package store_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/slipway-dev/slipway/platform/serve/database"
	"github.com/slipway-dev/slipway/platform/serve/servetest"
	"github.com/slipway-dev/slipway/services/catalog/internal/catalog"
	"github.com/slipway-dev/slipway/services/catalog/internal/store"
)

func TestMain(m *testing.M) { os.Exit(servetest.Main(m)) }

// newStore is a store on a fresh, migrated database.
func newStore(t *testing.T) *store.Store {
	t.Helper()
	return store.New(newPool(t))
}

func newPool(t *testing.T) *pgxpool.Pool {
	t.Helper()
	url := servetest.Postgres(t)
	if _, _, err := database.Migrate(t.Context(), database.Config{URL: url}, store.Migrations); err != nil {
		t.Fatalf("migrate: %v", err)
	}
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatalf("open pool: %v", err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func product(id string, change ...func(*catalog.Product)) catalog.Product {
	made := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	p := catalog.Product{
		ID: id, UID: uid(id),
		Content: catalog.Content{
			SKU: "SKU-" + strings.ToUpper(id), Title: "Title of " + id, Description: "Something",
			Price:  catalog.Money{Currency: "EUR", Units: 12, Nanos: 990_000_000},
			Labels: map[string]string{"color": "red"}, State: catalog.Active,
		},
		CreateTime: made, UpdateTime: made,
	}
	for _, f := range change {
		f(&p)
	}
	return p
}

func TestWhatIsInsertedIsRead(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for _, p := range []catalog.Product{
		product("full"),
		product("no-labels", func(p *catalog.Product) { p.Labels = nil }),
		product("odd-text", func(p *catalog.Product) {
			p.Title, p.Description = `'"\;--$1 ÅΩЖ 🎉`, ""
			p.Labels = map[string]string{"a": `"{}`, "b": ""}
		}),
		product("largest", func(p *catalog.Product) {
			p.Price = catalog.Money{Currency: "JPY", Units: 1<<63 - 1, Nanos: 999_999_999}
		}),
	} {
		if err := s.Insert(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		got, err := s.Get(t.Context(), p.ID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(p, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-inserted +read):\n%s", p.ID, diff)
		}
		if p.Etag() != got.Etag() {
			t.Errorf("%s: the etag is %s before and %s after the database", p.ID, p.Etag(), got.Etag())
		}
	}
	all, err := s.GetAll(t.Context(), []string{"full", "nowhere", "largest"})
	if err != nil || len(all) != 2 {
		t.Errorf("GetAll: %d products, %v; want the 2 that exist", len(all), err)
	}
}

func TestErrorsAreTheDomains(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	if err := s.Insert(t.Context(), product("a")); err != nil {
		t.Fatal(err)
	}
	keep := func(p catalog.Product) (catalog.Product, error) { return p, nil }
	refuse := errors.New("no")
	for name, c := range map[string]struct {
		do   func(context.Context) error
		want error
	}{
		"same id": {func(ctx context.Context) error {
			return s.Insert(ctx, product("a", func(p *catalog.Product) { p.SKU = "B" }))
		}, catalog.ErrIDTaken},
		"same sku": {func(ctx context.Context) error {
			return s.Insert(ctx, product("b", func(p *catalog.Product) { p.SKU = "SKU-A" }))
		}, catalog.ErrSKUTaken},
		"get nothing":    {func(ctx context.Context) error { _, err := s.Get(ctx, "x"); return err }, catalog.ErrNotFound},
		"update nothing": {func(ctx context.Context) error { _, err := s.Update(ctx, "x", keep); return err }, catalog.ErrNotFound},
		"delete nothing": {func(ctx context.Context) error { return s.Delete(ctx, "x", func(catalog.Product) error { return nil }) }, catalog.ErrNotFound},
		"check objects": {func(ctx context.Context) error {
			return s.Delete(ctx, "a", func(catalog.Product) error { return refuse })
		}, refuse},
		"change objects": {func(ctx context.Context) error {
			_, err := s.Update(ctx, "a", func(p catalog.Product) (catalog.Product, error) { return p, refuse })
			return err
		}, refuse},
	} {
		if err := c.do(t.Context()); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, err := s.Get(t.Context(), "a"); err != nil {
		t.Errorf("refused changes must leave the product: %v", err)
	}
}

func TestUpdateAndDelete(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	if err := s.Insert(t.Context(), product("a")); err != nil {
		t.Fatal(err)
	}
	want := product("a", func(p *catalog.Product) {
		p.Title, p.Description, p.Labels = "New", "Text", map[string]string{"size": "xl"}
		p.Price, p.State = catalog.Money{Currency: "USD", Units: 1}, catalog.Discontinued
		p.UpdateTime = p.UpdateTime.Add(time.Hour)
	})
	if _, err := s.Update(t.Context(), "a", func(catalog.Product) (catalog.Product, error) { return want, nil }); err != nil {
		t.Fatal(err)
	}
	got, err := s.Get(t.Context(), "a")
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("after the update (-want +got), %v:\n%s", err, diff)
	}
	if err := s.Delete(t.Context(), "a", func(catalog.Product) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "a"); !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("after the deletion: %v", err)
	}
}

// TestOneOfManyWritersWithTheSameEtagWins runs updates that all saw the same
// product: one goes through, the others learn that they are late.
func TestOneOfManyWritersWithTheSameEtagWins(t *testing.T) {
	t.Parallel()
	c, err := catalog.New(catalog.Config{Store: newStore(t)})
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.Create(t.Context(), "a", product("a").Content)
	if err != nil {
		t.Fatal(err)
	}
	const writers = 8
	results := make([]error, writers)
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() {
			_, results[i] = c.Update(t.Context(), "a", catalog.Change{
				Fields: []catalog.Field{catalog.FieldTitle}, Etag: p.Etag(),
				Content: catalog.Content{Title: string(rune('A' + i))},
			})
		})
	}
	group.Wait()
	won := 0
	for _, err := range results {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, catalog.ErrEtagMismatch):
			t.Errorf("a late writer got %v", err)
		}
	}
	if won != 1 {
		t.Errorf("%d writers won, want 1", won)
	}
}

func TestADeadlineEndsAQuery(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Get(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("Get: %v", err)
	}
	if _, err := s.List(ctx, catalog.Query{Order: catalog.Order{Field: catalog.ByName}, Limit: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("List: %v", err)
	}
}
