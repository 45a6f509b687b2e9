package id_test

import (
	"regexp"
	"testing"

	"m3o/internal/id"
)

func TestNewSortsByTimeAndNamesItsKind(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^cus_[0-9a-v]{26}$`)
	last := ""
	for range 10_000 {
		next := id.New("cus")
		if !form.MatchString(next) {
			t.Fatalf("%q has another form", next)
		}
		if next <= last {
			t.Fatalf("%q does not sort after %q", next, last)
		}
		last = next
	}
}
