package inventory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/slipway-dev/slipway/platform/serve/errs"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// TestDecide lists every state against every movement.
func TestDecide(t *testing.T) {
	t.Parallel()
	type outcome struct {
		move bool
		err  error
	}
	moves, stays := outcome{move: true}, outcome{}
	refused := func(err error) outcome { return outcome{err: err} }
	for _, c := range []struct {
		state                      State
		commit, release, ret, expi outcome
	}{
		{Active, moves, moves, refused(ErrNotCommitted), moves},
		{Committed, stays, refused(ErrCommitted), moves, refused(ErrCommitted)},
		{Released, refused(ErrReleased), stays, refused(ErrReleased), refused(ErrReleased)},
		{Expired, refused(ErrExpired), stays, refused(ErrExpired), stays},
		{Returned, refused(ErrReturned), refused(ErrReturned), stays, refused(ErrReturned)},
	} {
		r := Reservation{ID: "r", State: c.state, ExpireTime: noon}
		for _, m := range []struct {
			Movement
			want outcome
		}{{commit, c.commit}, {release, c.release}, {giveBack, c.ret}, {expire, c.expi}} {
			t.Run(string(c.state)+" "+string(m.Kind), func(t *testing.T) {
				t.Parallel()
				move, err := r.decide(m.Movement, noon.Add(-1))
				if move != m.want.move || !errors.Is(err, m.want.err) {
					t.Errorf("move is %v, %v; want %v, %v", move, err, m.want.move, m.want.err)
				}
			})
		}
	}
	late := Reservation{ID: "r", State: Active, ExpireTime: noon}
	if move, err := late.decide(commit, noon); move || !errors.Is(err, ErrExpired) {
		t.Errorf("commit at the expire time: %v, %v", move, err)
	}
	if move, err := late.decide(release, noon.Add(time.Hour)); !move || err != nil {
		t.Errorf("release past the expire time: %v, %v", move, err)
	}
	if _, err := (Reservation{State: "LOST"}).decide(commit, noon); err == nil || errs.KindOf(err) != errs.Unknown {
		t.Errorf("a state that does not exist: %v", err)
	}
}

// TestMovementsComeFullCircle adds up what a reservation does to the stock on
// each way through its states.
func TestMovementsComeFullCircle(t *testing.T) {
	t.Parallel()
	reserve := Movement{Kind: KindReserve, To: Active, Reserved: 1}
	for name, c := range map[string]struct {
		way    []Movement
		onHand int32
	}{
		"released":  {[]Movement{reserve, release}, 0},
		"expired":   {[]Movement{reserve, expire}, 0},
		"committed": {[]Movement{reserve, commit}, -1},
		"returned":  {[]Movement{reserve, commit, giveBack}, 0},
	} {
		var onHand, reserved int32
		for i, m := range c.way {
			if i > 0 && m.From != c.way[i-1].To {
				t.Errorf("%s: %s starts from %s, not %s", name, m.Kind, m.From, c.way[i-1].To)
			}
			onHand, reserved = onHand+m.OnHand, reserved+m.Reserved
		}
		if onHand != c.onHand || reserved != 0 {
			t.Errorf("%s: %d on hand and %d reserved, want %d and 0", name, onHand, reserved, c.onHand)
		}
	}
}

func TestValidateReservation(t *testing.T) {
	t.Parallel()
	one := []Line{{"A", 1}}
	for name, c := range map[string]struct {
		id    string
		lines []Line
		ttl   time.Duration
		paths string // of the fields that are wrong
	}{
		"least":            {"a", one, MinTTL, ""},
		"most":             {strings.Repeat("a", 63), []Line{{strings.Repeat("A", 64), MaxQuantity}}, MaxTTL, ""},
		"uuid":             {"0b7f3c62-7f0e-4b8e-9a57-0d1f3a1c2b4d", one, time.Minute, ""},
		"no id":            {"", one, time.Minute, "reservation_id"},
		"capitals in id":   {"R", one, time.Minute, "reservation_id"},
		"hyphen at an end": {"r-", one, time.Minute, "reservation_id"},
		"no lines":         {"r", nil, time.Minute, "reservation.lines"},
		"too many lines":   {"r", manyLines(MaxLines + 1), time.Minute, "reservation.lines"},
		"most lines":       {"r", manyLines(MaxLines), time.Minute, ""},
		"same sku":         {"r", []Line{{"A", 1}, {"B", 1}, {"A", 1}}, time.Minute, "reservation.lines[2].sku"},
		"bad lines":        {"r", []Line{{"a", 0}, {"", MaxQuantity + 1}}, time.Minute, "reservation.lines[0].sku reservation.lines[0].quantity reservation.lines[1].sku reservation.lines[1].quantity"},
		"short":            {"r", one, MinTTL - 1, "reservation.ttl"},
		"long":             {"r", one, MaxTTL + 1, "reservation.ttl"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkFields(t, validateReservation(c.id, c.lines, c.ttl), c.paths)
		})
	}
}

func manyLines(n int) []Line {
	lines := make([]Line, n)
	for i := range lines {
		lines[i] = Line{SKU: fmt.Sprintf("S%d", i), Quantity: 1}
	}
	return lines
}

func TestValidateAdjustment(t *testing.T) {
	t.Parallel()
	good := Adjustment{SKU: "A", Delta: 1, Reason: "found", RequestID: "x"}
	for name, c := range map[string]struct {
		change func(*Adjustment)
		paths  string
	}{
		"good":        {func(*Adjustment) {}, ""},
		"long reason": {func(a *Adjustment) { a.Reason = strings.Repeat("ß", MaxReason) }, ""},
		"too long":    {func(a *Adjustment) { a.Reason = strings.Repeat("ß", MaxReason+1) }, "reason"},
		"blank":       {func(a *Adjustment) { a.Reason = " \t" }, "reason"},
		"NUL":         {func(a *Adjustment) { a.Reason = "a\x00" }, "reason"},
		"zero":        {func(a *Adjustment) { a.Delta = 0 }, "delta"},
		"most":        {func(a *Adjustment) { a.Delta = -MaxOnHand }, ""},
		"too many":    {func(a *Adjustment) { a.Delta = MaxOnHand + 1 }, "delta"},
		"nothing":     {func(a *Adjustment) { *a = Adjustment{} }, "name delta reason request_id"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := good
			c.change(&a)
			checkFields(t, a.validate(), c.paths)
		})
	}
}

func checkFields(t *testing.T, err error, want string) {
	t.Helper()
	var paths []string
	if e, ok := errors.AsType[*errs.Error](err); ok {
		for _, f := range e.Fields {
			paths = append(paths, f.Path)
		}
	}
	if got := strings.Join(paths, " "); got != want || (want != "") != errors.Is(err, ErrInvalid) {
		t.Errorf("wrong are %q (%v), want %q", got, err, want)
	}
}

func TestRefusal(t *testing.T) {
	t.Parallel()
	item := Item{SKU: "A", OnHand: 10, Reserved: 4}
	full := Item{SKU: "A", OnHand: MaxOnHand}
	for name, c := range map[string]struct {
		item  Item
		delta int32
		want  error
	}{
		"all that is free":    {item, -6, nil},
		"one that is not":     {item, -7, ErrInsufficient},
		"up to the limit":     {item, MaxOnHand - 10, nil},
		"over the limit":      {item, MaxOnHand - 9, ErrLimit},
		"no overflow":         {full, MaxOnHand, ErrLimit},
		"out of a full item":  {full, -MaxOnHand, nil},
		"into what never was": {Item{}, 1, nil},
	} {
		if err := c.item.refusal(c.delta); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestShortageNamesTheLinesAsTheyWereSent(t *testing.T) {
	t.Parallel()
	items := []Item{{SKU: "A", OnHand: 5, Reserved: 3}, {SKU: "B", OnHand: 1}}
	err := shortage([]Line{{"Z", 1}, {"B", 1}, {"A", 3}}, items)
	e, ok := errors.AsType[*errs.Error](err)
	if !ok || e.Metadata["skus"] != "Z,A" || len(e.Fields) != 2 ||
		e.Fields[0].Path != "reservation.lines[0].quantity" || e.Fields[1].Path != "reservation.lines[2].quantity" ||
		e.Fields[1].Description != "asks for 3 of A, 2 are available" {
		t.Errorf("%+v", e)
	}
	if err := shortage([]Line{{"A", 2}, {"B", 1}}, items); err != nil {
		t.Errorf("there is enough: %v", err)
	}
	if len(ErrInsufficient.Fields) != 0 || ErrInsufficient.Message != "too little is available" {
		t.Errorf("the shared error has changed: %+v", ErrInsufficient)
	}
}

// TestNamesAreReadBack makes names of ids and ids of names.
func TestNamesAreReadBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		sku := rapid.StringMatching(`[A-Z0-9]([A-Z0-9._-]{0,62}[A-Z0-9])?`).Draw(t, "sku")
		if got, ok := ParseItemName(Item{SKU: sku}.Name()); !ok || got != sku {
			t.Fatalf("%q, %v", got, ok)
		}
		id := rapid.StringMatching(`[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?`).Draw(t, "id")
		if got, ok := ParseReservationName(Reservation{ID: id}.Name()); !ok || got != id {
			t.Fatalf("%q, %v", got, ok)
		}
	})
	for _, name := range []string{"", "stockItems/", "stockItems/a", "stockItems/A-", "stockItems/A/entries/1", "reservations/R", "r", "reservations/-r"} {
		_, item := ParseItemName(name)
		_, reservation := ParseReservationName(name)
		if item || reservation {
			t.Errorf("%q is taken for a name", name)
		}
	}
}

// TestAnyTextAsPageToken feeds tokens that no list gave.
func TestAnyTextAsPageToken(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[A-Za-z0-9_-]{1,40}`)).Draw(t, "token")
		if _, err := decodeToken(text, "list"); text != "" && !errors.Is(err, ErrPageToken) {
			t.Fatalf("%q: %v", text, err)
		}
	})
	good := token{List: listID("entries", "A"), Number: 7}
	if got, err := decodeToken(good.encode(), good.List); err != nil || got != good {
		t.Errorf("%+v, %v", got, err)
	}
	for name, bad := range map[string]token{
		"another list": {List: listID("entries", "B"), Number: 7}, "negative": {List: good.List, Number: -1}, "no sku": {List: good.List, SKU: "a b"},
	} {
		if _, err := decodeToken(bad.encode(), good.List); !errors.Is(err, ErrPageToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// elusive is a store in which every change comes too late.
type elusive struct {
	Store
	tries int
}

func (s *elusive) Reserve(context.Context, Reservation) (bool, error) { s.tries++; return false, nil }

func (s *elusive) Reservation(_ context.Context, id string) (Reservation, error) {
	if id == "new" {
		return Reservation{}, ErrReservationNotFound
	}
	return Reservation{ID: id, State: Active, ExpireTime: noon.Add(time.Hour)}, nil
}

func (s *elusive) Item(context.Context, string) (Item, error) { return Item{SKU: "A", OnHand: 9}, nil }

func (s *elusive) Items(context.Context, []string) ([]Item, error) {
	return []Item{{SKU: "A", OnHand: 9}}, nil
}

func (s *elusive) Adjustment(context.Context, string) (Adjustment, bool, error) {
	return Adjustment{}, false, nil
}

func (s *elusive) Adjust(context.Context, Adjustment) (Item, bool, error) {
	s.tries++
	return Item{}, false, nil
}

func (s *elusive) Move(context.Context, string, Movement, time.Time) (bool, error) {
	s.tries++
	return false, nil
}

// TestLosingEveryRaceEnds gives up after a bounded number of tries and tells the
// client that it may try again.
func TestLosingEveryRaceEnds(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]func(*Inventory) error{
		"reserve": func(v *Inventory) error {
			_, err := v.Reserve(t.Context(), "new", []Line{{"A", 1}}, 0)
			return err
		},
		"commit": func(v *Inventory) error { _, err := v.Commit(t.Context(), "r"); return err },
		"adjust": func(v *Inventory) error {
			_, err := v.Adjust(t.Context(), Adjustment{SKU: "A", Delta: 1, Reason: "x", RequestID: "x"})
			return err
		},
	} {
		s := &elusive{}
		v, err := New(Config{Store: s, Now: func() time.Time { return noon }})
		if err != nil {
			t.Fatal(err)
		}
		if err := do(v); !errors.Is(err, ErrContended) || s.tries != maxTries {
			t.Errorf("%s: %v after %d tries", name, err, s.tries)
		}
	}
}

func TestNewRefusesWhatItCannotUse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]Config{"no store": {}, "negative batch": {Store: &elusive{}, Batch: -1}} {
		if _, err := New(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestSortedLeavesTheCallersLines(t *testing.T) {
	t.Parallel()
	lines := []Line{{"B", 1}, {"A", 2}}
	if got := sorted(lines); !slices.Equal(got, []Line{{"A", 2}, {"B", 1}}) || lines[0].SKU != "B" {
		t.Errorf("%v of %v", got, lines)
	}
}
