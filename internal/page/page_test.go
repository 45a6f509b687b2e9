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

func TestADamagedCursorIsRefused(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"prd_1", "prd_12", "prd_123", "prd_1234"} {
		whole := page.Cursor{Time: 1, ID: id}
		good := whole.String()
		if got, err := page.Parse(good); got != whole || err != nil {
			t.Errorf("%q: %+v, %v", good, got, err)
		}
		for _, bad := range []string{good + "x", good + "A", good + "AAAA", good + "=", good + "\n", good[:4] + "\r\n" + good[4:], good[:len(good)-1], good[4:], "B" + good[1:]} {
			if got, err := page.Parse(bad); !fault.Is(err, fault.Invalid) {
				t.Errorf("%q: %+v, %v", bad, got, err)
			}
		}
	}
}

func TestTheCursorOfAnotherListIsRefused(t *testing.T) {
	t.Parallel()
	own, other := page.Cursor{Time: 1, ID: "prd_1"}, page.Cursor{Time: 1, ID: "ord_1"}
	if got, err := page.ParseOf("prd_", own.String()); got != own || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := page.ParseOf("prd_", ""); got != (page.Cursor{}) || err != nil {
		t.Errorf("the start: %+v, %v", got, err)
	}
	if got, err := page.ParseOf("prd_", other.String()); !fault.Is(err, fault.Invalid) {
		t.Errorf("%+v, %v", got, err)
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
