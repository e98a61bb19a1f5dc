package orders

import (
	"fmt"
	"math/big"
)

const nanosPerUnit = 1_000_000_000

// Money is an amount as in google.type.Money: exact, never a float. The tags are
// for answers on record.
type Money struct {
	Currency string `json:"c"`           // three letters, ISO 4217
	Units    int64  `json:"u,omitempty"` // whole units
	Nanos    int32  `json:"n,omitempty"` // billionths of a unit, of the same sign as Units
}

// Times is n times the amount, or ErrTotalTooLarge.
func (m Money) Times(n int32) (Money, error) {
	return fromNanos(m.Currency, new(big.Int).Mul(m.nanos(), big.NewInt(int64(n))))
}

// Plus is the sum of two amounts of one currency; ErrMixedCurrencies,
// ErrTotalTooLarge.
func (m Money) Plus(o Money) (Money, error) {
	if m.Currency != o.Currency {
		return Money{}, ErrMixedCurrencies.With("currencies", m.Currency+","+o.Currency)
	}
	return fromNanos(m.Currency, new(big.Int).Add(m.nanos(), o.nanos()))
}

// String is the amount in full precision, e.g. "EUR 12.990000000".
func (m Money) String() string {
	n, sign := m.nanos(), ""
	if n.Sign() < 0 {
		sign = "-"
	}
	units, nanos := new(big.Int).QuoRem(n.Abs(n), big.NewInt(nanosPerUnit), new(big.Int))
	return fmt.Sprintf("%s %s%s.%09d", m.Currency, sign, units, nanos.Int64())
}

// nanos is the whole amount in billionths.
func (m Money) nanos() *big.Int {
	n := new(big.Int).Mul(big.NewInt(m.Units), big.NewInt(nanosPerUnit))
	return n.Add(n, big.NewInt(int64(m.Nanos)))
}

func fromNanos(currency string, n *big.Int) (Money, error) {
	units, nanos := new(big.Int).QuoRem(n, big.NewInt(nanosPerUnit), new(big.Int))
	if !units.IsInt64() {
		return Money{}, ErrTotalTooLarge
	}
	return Money{Currency: currency, Units: units.Int64(), Nanos: int32(nanos.Int64())}, nil //nolint:gosec // below nanosPerUnit
}
