package money_test

import (
	"encoding/json"
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"m3o/internal/money"
)

func TestArithmeticIsExactOrAnError(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Int64().Draw(t, "a"), rapid.Int64().Draw(t, "b")
		check := func(name string, want *big.Int, got money.Micros, err error) {
			if want.IsInt64() != (err == nil) {
				t.Fatalf("%s of %d and %d: %v", name, a, b, err)
			}
			if err == nil && int64(got) != want.Int64() {
				t.Fatalf("%s of %d and %d = %d", name, a, b, got)
			}
		}
		sum, err := money.Micros(a).Add(money.Micros(b))
		check("sum", new(big.Int).Add(big.NewInt(a), big.NewInt(b)), sum, err)
		product, err := money.Micros(a).Mul(b)
		check("product", new(big.Int).Mul(big.NewInt(a), big.NewInt(b)), product, err)
	})
}

func TestString(t *testing.T) {
	t.Parallel()
	for m, want := range map[money.Micros]string{
		0: "$0.000000", 1: "$0.000001", -money.Cent: "-$0.010000", 3*money.Dollar + 5: "$3.000005", math.MinInt64: "-$9223372036854.775808",
	} {
		if got := m.String(); got != want {
			t.Errorf("%d is %q, want %q", int64(m), got, want)
		}
	}
}

func TestJSONTakesNumbersAndStrings(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]money.Micros{`12`: 12, `"12"`: 12, `-3`: -3} {
		var m money.Micros
		if err := json.Unmarshal([]byte(text), &m); err != nil || m != want {
			t.Errorf("%s is %d (%v), want %d", text, m, err, want)
		}
	}
	for _, text := range []string{`1.5`, `"x"`, `1e3`, `""`, `true`, `9223372036854775808`} {
		var m money.Micros
		if err := json.Unmarshal([]byte(text), &m); err == nil {
			t.Errorf("%s was taken as %d", text, m)
		}
	}
}
