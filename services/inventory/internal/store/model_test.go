package store_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/slipway-dev/slipway/services/inventory/internal/inventory"
)

// model says what the inventory must answer, as simply as it can be said.
type model struct {
	b   bundle
	run string // part of every name, as all runs share a database

	items        map[string]*modelItem // by SKU
	reservations map[string]*inventory.Reservation
	adjusted     map[string]inventory.Adjustment // by request id
}

type modelItem struct{ onHand, reserved, entries int }

// TestAnyHistoryIsThatOfTheModel does random things one after the other, on the
// real database and in the model. Both must give the same answers and end with
// the same stock, and after each step every invariant holds.
func TestAnyHistoryIsThatOfTheModel(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		// What an earlier run left must not come due in this one.
		b.clock.Advance(inventory.MaxTTL)
		if _, err := b.Expire(t.Context()); err != nil {
			t.Fatal(err)
		}
		run++
		m := &model{
			b: b, run: strconv.Itoa(run), items: map[string]*modelItem{},
			reservations: map[string]*inventory.Reservation{}, adjusted: map[string]inventory.Adjustment{},
		}
		t.Repeat(map[string]func(*rapid.T){
			"adjust":   m.adjust,
			"readjust": m.readjust,
			"reserve":  m.reserve,
			"commit":   func(t *rapid.T) { m.move(t, inventory.Committed, b.Commit) },
			"release":  func(t *rapid.T) { m.move(t, inventory.Released, b.Release) },
			"return":   func(t *rapid.T) { m.move(t, inventory.Returned, b.Return) },
			"time passes": func(t *rapid.T) {
				b.clock.Advance(time.Duration(rapid.IntRange(1, 20).Draw(t, "seconds")) * time.Second)
			},
			"sweep": m.sweep,
			"":      m.compare,
		})
	})
}

func (m *model) sku(t *rapid.T) string {
	return rapid.SampledFrom([]string{"A", "B", "C"}).Draw(t, "sku") + "-" + m.run
}

func (m *model) now() time.Time { return m.b.clock.Now().UTC().Truncate(time.Microsecond) }

func (m *model) adjust(t *rapid.T) {
	m.adjustAs(t, inventory.Adjustment{
		SKU: m.sku(t), Delta: rapid.Int32Range(-8, 12).Filter(func(n int32) bool { return n != 0 }).Draw(t, "delta"),
		Reason: "counted", RequestID: uuid.NewString(),
	})
}

// readjust repeats an adjustment, as it was or with something else in it.
func (m *model) readjust(t *rapid.T) {
	if len(m.adjusted) == 0 {
		return
	}
	a := m.adjusted[rapid.SampledFrom(slices.Sorted(maps.Keys(m.adjusted))).Draw(t, "request")]
	switch rapid.IntRange(0, 3).Draw(t, "changed") {
	case 0:
		a.SKU = m.sku(t)
	case 1:
		a.Delta++
	case 2:
		a.Reason = "another"
	}
	if a.Delta == 0 {
		a.Delta = 1
	}
	m.adjustAs(t, a)
}

func (m *model) adjustAs(t *rapid.T, a inventory.Adjustment) {
	_, err := m.b.Adjust(t.Context(), a)
	before, repeated := m.adjusted[a.RequestID]
	item := m.items[a.SKU]
	switch {
	case repeated && before != a:
		wantError(t, err, inventory.ErrRequestReused)
	case repeated:
		wantError(t, err, nil)
	case item == nil && a.Delta < 0:
		wantError(t, err, inventory.ErrItemNotFound)
	case item != nil && item.onHand+int(a.Delta) < item.reserved:
		wantError(t, err, inventory.ErrInsufficient)
	default:
		wantError(t, err, nil)
		if item == nil {
			item = &modelItem{}
			m.items[a.SKU] = item
		}
		item.onHand += int(a.Delta)
		item.entries++
		m.adjusted[a.RequestID] = a
	}
}

func (m *model) reserve(t *rapid.T) {
	id := fmt.Sprintf("r%d-%s", rapid.IntRange(0, 7).Draw(t, "id"), m.run)
	quantities := rapid.MapOfN(
		rapid.SampledFrom([]string{"A-" + m.run, "B-" + m.run, "C-" + m.run}), rapid.Int32Range(1, 6), 1, 3).Draw(t, "lines")
	ttl := time.Duration(rapid.IntRange(1, 30).Draw(t, "ttl")) * time.Second
	lines := make([]inventory.Line, 0, len(quantities))
	for _, sku := range rapid.Permutation(slices.Sorted(maps.Keys(quantities))).Draw(t, "order") {
		lines = append(lines, inventory.Line{SKU: sku, Quantity: quantities[sku]})
	}
	got, err := m.b.Reserve(t.Context(), id, lines, ttl)

	want := &inventory.Reservation{
		ID: id, State: inventory.Active, CreateTime: m.now(), UpdateTime: m.now(), ExpireTime: m.now().Add(ttl),
	}
	enough := true
	for _, sku := range slices.Sorted(maps.Keys(quantities)) {
		item := m.items[sku]
		enough = enough && item != nil && item.onHand-item.reserved >= int(quantities[sku])
		want.Lines = append(want.Lines, inventory.Line{SKU: sku, Quantity: quantities[sku]})
	}
	before := m.reservations[id]
	switch {
	case before != nil && !slices.Equal(before.Lines, want.Lines):
		wantError(t, err, inventory.ErrMismatch)
		return
	case before != nil:
		want = before
	case !enough:
		wantError(t, err, inventory.ErrInsufficient)
		return
	default:
		m.reservations[id] = want
		m.apply(want, 0, 1)
	}
	wantError(t, err, nil)
	if diff := cmp.Diff(*want, got); diff != "" {
		t.Fatalf("reserve %s (-want +got):\n%s", id, diff)
	}
}

// move tries to bring a reservation into a state. The table of legal ways is
// written out here again, so that a slip in the domain's shows.
func (m *model) move(t *rapid.T, to inventory.State, do func(context.Context, string) (inventory.Reservation, error)) {
	id := fmt.Sprintf("r%d-%s", rapid.IntRange(0, 8).Draw(t, "id"), m.run)
	got, err := do(t.Context(), id)
	r := m.reservations[id]
	if r == nil {
		wantError(t, err, inventory.ErrReservationNotFound)
		return
	}
	type way struct{ from, to inventory.State }
	refused := map[way]error{
		{inventory.Active, inventory.Returned}:    inventory.ErrNotCommitted,
		{inventory.Committed, inventory.Released}: inventory.ErrCommitted,
		{inventory.Released, inventory.Committed}: inventory.ErrReleased,
		{inventory.Released, inventory.Returned}:  inventory.ErrReleased,
		{inventory.Expired, inventory.Committed}:  inventory.ErrExpired,
		{inventory.Expired, inventory.Returned}:   inventory.ErrExpired,
		{inventory.Returned, inventory.Committed}: inventory.ErrReturned,
		{inventory.Returned, inventory.Released}:  inventory.ErrReturned,
	}[way{r.State, to}]
	if r.State == inventory.Active && to == inventory.Committed && !m.now().Before(r.ExpireTime) {
		refused = inventory.ErrExpired
	}
	wantError(t, err, refused)
	if refused != nil {
		return
	}
	switch (way{r.State, to}) {
	case way{inventory.Active, inventory.Committed}:
		m.apply(r, -1, -1)
	case way{inventory.Active, inventory.Released}:
		m.apply(r, 0, -1)
	case way{inventory.Committed, inventory.Returned}:
		m.apply(r, 1, 0)
	default: // it is there already, or expired and holds nothing to release
		to = r.State
	}
	if r.State != to {
		r.State, r.UpdateTime = to, m.now()
	}
	if diff := cmp.Diff(*r, got); diff != "" {
		t.Fatalf("%s to %s (-want +got):\n%s", id, to, diff)
	}
}

func (m *model) sweep(t *rapid.T) {
	n, err := m.b.Expire(t.Context())
	wantError(t, err, nil)
	due := 0
	for _, r := range m.reservations {
		if r.State == inventory.Active && !m.now().Before(r.ExpireTime) {
			r.State, r.UpdateTime = inventory.Expired, m.now()
			m.apply(r, 0, -1)
			due++
		}
	}
	if n != due {
		t.Fatalf("%d reservations expired, want %d", n, due)
	}
}

// apply moves the model's stock by a reservation's lines.
func (m *model) apply(r *inventory.Reservation, onHand, reserved int) {
	for _, line := range r.Lines {
		item := m.items[line.SKU]
		item.onHand += onHand * int(line.Quantity)
		item.reserved += reserved * int(line.Quantity)
		item.entries++
	}
}

// compare holds the database against the model and the invariants.
func (m *model) compare(t *rapid.T) {
	for sku, want := range m.items {
		item, err := m.b.Item(t.Context(), sku)
		wantError(t, err, nil)
		page, err := m.b.ListEntries(t.Context(), sku, 1000, "")
		wantError(t, err, nil)
		got := modelItem{onHand: int(item.OnHand), reserved: int(item.Reserved), entries: len(page.Elements)}
		if got != *want {
			t.Fatalf("%s is %+v, want %+v", sku, got, *want)
		}
	}
	for id, want := range m.reservations {
		got, err := m.b.Reservation(t.Context(), id)
		wantError(t, err, nil)
		if diff := cmp.Diff(*want, got); diff != "" {
			t.Fatalf("reservation (-want +got):\n%s", diff)
		}
	}
	if err := m.b.broken(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func wantError(t *rapid.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("the error is %v, want %v", got, want)
	}
}
