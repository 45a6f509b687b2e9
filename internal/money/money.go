// Package money owns the one way this house counts money: whole micro-dollars.
//
// One US dollar is 1,000,000 Micros, one cent 10,000. Sums are checked for
// overflow, nothing is ever a float. Everybody may import money; it imports
// nothing of ours.
package money

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
)

// Micros is an amount in micro-dollars. It is written to JSON as a number (a
// field tagged `json:",string"` quotes it) and read from a number or a string.
type Micros int64

// The larger units.
const (
	Cent   Micros = 10_000
	Dollar Micros = 1_000_000
)

// ErrOverflow says that a sum does not fit into 64 bits.
var ErrOverflow = errors.New("amount overflows 64 bits")

// Add is m + n, or ErrOverflow.
func (m Micros) Add(n Micros) (Micros, error) {
	if (n > 0 && m > math.MaxInt64-n) || (n < 0 && m < math.MinInt64-n) {
		return 0, ErrOverflow
	}
	return m + n, nil
}

// Mul is m × n, or ErrOverflow.
func (m Micros) Mul(n int64) (Micros, error) {
	if m == 0 || n == 0 {
		return 0, nil
	}
	p := int64(m) * n
	if p/n != int64(m) || (m == -1 && n == math.MinInt64) || (n == -1 && m == math.MinInt64) {
		return 0, ErrOverflow
	}
	return Micros(p), nil
}

// String shows the amount in dollars with all six decimals, e.g. "-$0.010000".
func (m Micros) String() string {
	sign, u := "", uint64(m)
	if m < 0 {
		sign, u = "-", -u
	}
	return fmt.Sprintf("%s$%d.%06d", sign, u/1_000_000, u%1_000_000)
}

// UnmarshalJSON takes 12 and "12".
func (m *Micros) UnmarshalJSON(text []byte) error {
	n, err := strconv.ParseInt(string(bytes.Trim(text, `"`)), 10, 64)
	if err != nil {
		return fmt.Errorf("%s is not a whole number of micro-dollars", text)
	}
	*m = Micros(n)
	return nil
}
