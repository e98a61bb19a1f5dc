package inventory

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/slipway-dev/slipway/platform/serve/errs"
)

// Limits, in units and characters.
const (
	MaxOnHand   = 1_000_000_000
	MaxQuantity = 1_000_000 // of one line
	MaxReason   = 200
)

// Item is the stock of one SKU, in units.
type Item struct {
	SKU        string
	OnHand     int32 // in the warehouse, reserved or not
	Reserved   int32 // of these, held by active reservations
	CreateTime time.Time
	UpdateTime time.Time
}

// Available is how many units can be reserved.
func (i Item) Available() int32 { return i.OnHand - i.Reserved }

// Kind is what moved the stock.
type Kind string

// The kinds of movements.
const (
	KindAdjust  Kind = "ADJUST"
	KindReserve Kind = "RESERVE"
	KindRelease Kind = "RELEASE"
	KindExpire  Kind = "EXPIRE"
	KindCommit  Kind = "COMMIT"
	KindReturn  Kind = "RETURN"
)

// Entry is one movement of one SKU's stock, as the ledger keeps it for ever.
type Entry struct {
	SKU           string
	Number        int64 // of this SKU's entries, from 1 without a gap
	Kind          Kind
	OnHandDelta   int32
	ReservedDelta int32
	Reason        string // of an adjustment
	ReservationID string // of any other kind
	CreateTime    time.Time
}

// Adjustment changes what is on hand for a reason. RequestID tells a repeated
// request from a new one.
type Adjustment struct {
	SKU       string
	Delta     int32
	Reason    string
	RequestID string
	Time      time.Time
}

func (a Adjustment) validate() error {
	var fields []errs.Field
	bad := func(path, format string, args ...any) {
		fields = append(fields, errs.Field{Path: path, Description: fmt.Sprintf(format, args...)})
	}
	if !isSKU(a.SKU) {
		bad("name", "must be the name of a stock item")
	}
	if a.Delta == 0 || a.Delta > MaxOnHand || a.Delta < -MaxOnHand {
		bad("delta", "must be from -%d to %d and not zero", MaxOnHand, MaxOnHand)
	}
	if n := utf8.RuneCountInString(a.Reason); strings.TrimSpace(a.Reason) == "" || n > MaxReason {
		bad("reason", "must say why, in at most %d characters", MaxReason)
	}
	if strings.ContainsRune(a.Reason, 0) {
		bad("reason", "must not contain the NUL character")
	}
	if a.RequestID == "" {
		bad("request_id", "is required")
	}
	return invalid(fields)
}

// same reports whether both ask for the same, whenever they do.
func (a Adjustment) same(b Adjustment) bool {
	return a.SKU == b.SKU && a.Delta == b.Delta && a.Reason == b.Reason
}

// refusal says why the item cannot be adjusted by delta; nil if it can.
func (i Item) refusal(delta int32) error {
	switch after := int64(i.OnHand) + int64(delta); {
	case after < int64(i.Reserved):
		return ErrInsufficient.With("skus", i.SKU).WithField("delta",
			fmt.Sprintf("takes out %d of %s, %d are available and %d reserved", -int64(delta), i.SKU, i.Available(), i.Reserved))
	case after > MaxOnHand:
		return ErrLimit.With("sku", i.SKU).WithField("delta", fmt.Sprintf("would make %d of %s", after, i.SKU))
	}
	return nil
}
