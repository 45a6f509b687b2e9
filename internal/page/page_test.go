package page_test

import (
	"testing"

	"m3o/internal/fault"
	"m3o/internal/page"
)

func TestLimit(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]int{0: 50, 1: 1, 1000: 1000} {
		if got, err := page.Limit(n); got != want || err != nil {
			t.Errorf("Limit(%d) = %d, %v", n, got, err)
		}
	}
	for _, n := range []int{-1, 1001} {
		if _, err := page.Limit(n); !fault.Is(err, fault.Invalid) {
			t.Errorf("Limit(%d): %v", n, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("")
	f.Add(page.Cursor{Time: 1, ID: "req_1"}.String())
	f.Add("AAAA")
	f.Add("%zz")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := page.Parse(s)
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Fatalf("%q: %v", s, err)
			}
			return
		}
		if s != "" && c.String() != s {
			t.Fatalf("%q was read as %+v, which is written %q", s, c, c)
		}
	})
}
