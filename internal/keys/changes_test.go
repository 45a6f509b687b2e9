package keys_test

import (
	"testing"

	"m3o/internal/keys/keysapi"
)

// Whoever remembers keys hears of each way in which one may cease to be good, also when
// no event reached it.
func TestChangesNameEveryCustomerWhoseKeysAreNotAsTheyWere(t *testing.T) {
	each(t, func(t *testing.T, s keysapi.Service, h *house) {
		customerID, ctx := h.customer()
		_, number, err := s.Changes(t.Context(), -1)
		if err != nil {
			t.Fatal(err)
		}
		changed := func(what string, want bool) {
			t.Helper()
			list, now, err := s.Changes(t.Context(), number)
			if err != nil {
				t.Fatal(err)
			}
			number = now
			if got := len(list) == 1 && list[0] == (keysapi.Change{Source: "keys", Subject: customerID}); got != want || len(list) > 1 {
				t.Errorf("after %s: %v", what, list)
			}
		}
		changed("nothing", false)
		_, keyID := h.key(s, ctx)
		changed("a new key, which nobody can remember", false)
		for what, change := range map[string]func() error{
			"a block":   func() error { return s.BlockKey(h.admin(), customerID, keyID, "") },
			"an end":    func() error { return s.UnblockKey(h.admin(), customerID, keyID) },
			"all block": func() error { return s.BlockKey(h.admin(), customerID, "", "") },
		} {
			if err := change(); err != nil {
				t.Fatal(err)
			}
			changed(what, true)
		}
		if err := s.Revoke(ctx, keyID); err != nil {
			t.Fatal(err)
		}
		changed("a revocation", true)
		list, now, err := s.Changes(t.Context(), number+1000)
		if err != nil || len(list) != 1 || list[0] != (keysapi.Change{}) || now != number {
			t.Errorf("a number of another history is answered %v up to %d, %v", list, now, err)
		}
	})
}
