package catalog

import (
	"cmp"
	"fmt"
)

// maxNanos is the largest |Nanos|: one unit less one nano.
const maxNanos = 999_999_999

// Money is an amount as in google.type.Money: exact, never a float. The tags
// are for page tokens.
type Money struct {
	Currency string `json:"c"` // three letters, ISO 4217
	Units    int64  `json:"u"` // whole units
	Nanos    int32  `json:"n"` // billionths of a unit, of the same sign as Units
}

// problem says what is wrong with the amount, or nothing.
func (m Money) problem() string {
	switch {
	case !isCurrency(m.Currency):
		return "currency_code must be three capital letters (ISO 4217), e.g. EUR"
	case m.Nanos < -maxNanos || m.Nanos > maxNanos:
		return "nanos must be from -999999999 to 999999999"
	case m.Units > 0 && m.Nanos < 0, m.Units < 0 && m.Nanos > 0:
		return "units and nanos must not have opposite signs"
	default:
		return ""
	}
}

// Compare orders amounts of one currency by size, others by currency code.
func (m Money) Compare(o Money) int {
	return cmp.Or(
		cmp.Compare(m.Currency, o.Currency),
		cmp.Compare(m.Units, o.Units),
		cmp.Compare(m.Nanos, o.Nanos),
	)
}

// IsNegative reports whether the amount is below zero.
func (m Money) IsNegative() bool { return m.Units < 0 || m.Nanos < 0 }

// String is the amount in full precision, e.g. "EUR -12.990000000".
func (m Money) String() string {
	sign, units, nanos := "", uint64(m.Units), m.Nanos //nolint:gosec // negation below makes it the magnitude
	if m.IsNegative() {
		sign, units, nanos = "-", -units, -nanos
	}
	return fmt.Sprintf("%s %s%d.%09d", m.Currency, sign, units, nanos)
}

func isCurrency(code string) bool {
	if len(code) != 3 {
		return false
	}
	for _, c := range code {
		if c < 'A' || c > 'Z' {
			return false
		}
	}
	return true
}
