package inventory

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/platform/serve/errs"
)

// Limits of a reservation.
const (
	MaxLines   = 100
	DefaultTTL = 15 * time.Minute
	MinTTL     = time.Second
	MaxTTL     = 24 * time.Hour
)

// State is what became of a reservation.
type State string

// The states. A reservation starts active; the movements below say how it goes
// on, and there is no other way.
const (
	Active    State = "ACTIVE"    // its units are held
	Committed State = "COMMITTED" // its units have left the stock
	Released  State = "RELEASED"  // its units are free again
	Expired   State = "EXPIRED"   // likewise, as the time was up
	Returned  State = "RETURNED"  // its units have come back
)

// Line is some units of one SKU.
type Line struct {
	SKU      string
	Quantity int32
}

// Reservation holds units until it is committed, released or its time is up.
type Reservation struct {
	ID         string
	Lines      []Line // in the order of their SKUs, each another one
	State      State
	ExpireTime time.Time
	CreateTime time.Time
	UpdateTime time.Time
}

// Movement is what a reservation does to the stock when its state changes: for
// each unit of its lines it adds OnHand and Reserved, which are -1, 0 or 1.
type Movement struct {
	Kind             Kind
	From, To         State
	OnHand, Reserved int32
}

// The movements, beside reserving itself.
var (
	commit   = Movement{Kind: KindCommit, From: Active, To: Committed, OnHand: -1, Reserved: -1}
	release  = Movement{Kind: KindRelease, From: Active, To: Released, Reserved: -1}
	expire   = Movement{Kind: KindExpire, From: Active, To: Expired, Reserved: -1}
	giveBack = Movement{Kind: KindReturn, From: Committed, To: Returned, OnHand: 1}
)

// decide says whether the movement is to be made now. If not, either the
// reservation already is as the movement would leave it, or the error says why
// it cannot be made.
func (r Reservation) decide(m Movement, now time.Time) (move bool, err error) {
	switch {
	case r.State == m.To:
		return false, nil
	case r.State == m.From && m.Kind == KindCommit && !now.Before(r.ExpireTime):
		return false, r.refuse(ErrExpired) // the sweep has not come by yet
	case r.State == m.From:
		return true, nil
	case r.State == Expired && m.Kind == KindRelease:
		return false, nil // it holds nothing, which is all that a release wants
	}
	switch r.State {
	case Active:
		return false, r.refuse(ErrNotCommitted)
	case Committed:
		return false, r.refuse(ErrCommitted)
	case Released:
		return false, r.refuse(ErrReleased)
	case Expired:
		return false, r.refuse(ErrExpired)
	case Returned:
		return false, r.refuse(ErrReturned)
	default:
		return false, fmt.Errorf("reservation %s has the unknown state %q", r.ID, r.State)
	}
}

func (r Reservation) refuse(err *errs.Error) error {
	return err.With("name", r.Name())
}

// sorted is lines in the order of their SKUs.
func sorted(lines []Line) []Line {
	return slices.SortedFunc(slices.Values(lines), func(a, b Line) int { return strings.Compare(a.SKU, b.SKU) })
}

func validateReservation(id string, lines []Line, ttl time.Duration) error {
	var fields []errs.Field
	bad := func(path, format string, args ...any) {
		fields = append(fields, errs.Field{Path: path, Description: fmt.Sprintf(format, args...)})
	}
	if !isID(id) {
		bad("reservation_id", "must have 1 to 63 lower case letters and digits, with hyphens between them")
	}
	if len(lines) == 0 || len(lines) > MaxLines {
		bad("reservation.lines", "must have 1 to %d lines, has %d", MaxLines, len(lines))
	}
	seen := make(map[string]bool, len(lines))
	for i, line := range lines {
		path := fmt.Sprintf("reservation.lines[%d]", i)
		if !isSKU(line.SKU) {
			bad(path+".sku", "must have 1 to 64 capital letters, digits, and . - _ between them")
		}
		if line.Quantity < 1 || line.Quantity > MaxQuantity {
			bad(path+".quantity", "must be from 1 to %d", MaxQuantity)
		}
		if seen[line.SKU] {
			bad(path+".sku", "is that of another line; add up the quantities")
		}
		seen[line.SKU] = true
	}
	if ttl < MinTTL || ttl > MaxTTL {
		bad("reservation.ttl", "must be from %v to %v", MinTTL, MaxTTL)
	}
	return invalid(fields)
}

// shortage is ErrInsufficient naming each line that asks for more than is
// available; nil if every line can be served. SKUs without an item have none.
func shortage(lines []Line, items []Item) error {
	available := make(map[string]int32, len(items))
	for _, item := range items {
		available[item.SKU] = item.Available()
	}
	err := ErrInsufficient
	var skus []string
	for i, line := range lines {
		if have := available[line.SKU]; have < line.Quantity {
			skus = append(skus, line.SKU)
			err = err.WithField(fmt.Sprintf("reservation.lines[%d].quantity", i),
				fmt.Sprintf("asks for %d of %s, %d are available", line.Quantity, line.SKU, have))
		}
	}
	if len(skus) == 0 {
		return nil
	}
	err = err.With("skus", strings.Join(skus, ","))
	err.Message = "too little is available of " + strings.Join(skus, ", ")
	return err
}
