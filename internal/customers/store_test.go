package customers

import (
	"testing"
	"time"

	"m3o/internal/db"
	"m3o/internal/db/dbtest"
)

// Between reading a code and using it others may make it void; the story through the contract cannot be timed so.
func TestACodeThatBecameVoidCannotBeUsed(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	const email = "ada@example.com"
	use := func(t *testing.T, d *db.DB, c code, tries int, at time.Time) (good bool) {
		err := d.Tx(t.Context(), func(tx *db.Tx) (err error) {
			good, err = useCode(t.Context(), tx, email, forVerify, c, tries, at)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return good
	}
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		err := d.Tx(t.Context(), func(tx *db.Tx) error {
			return putCode(t.Context(), tx, email, forVerify, "ABCDEFGH", now.Add(time.Minute))
		})
		if err != nil {
			t.Fatal(err)
		}
		c, err := readCode(t.Context(), d, email, forVerify)
		if err != nil {
			t.Fatal(err)
		}
		if err := missCode(t.Context(), d, email, forVerify, c); err != nil {
			t.Fatal(err)
		}
		if use(t, d, c, 1, now) {
			t.Error("it was used after its one try")
		}
		if use(t, d, c, 2, now.Add(time.Minute)) {
			t.Error("it was used after its end")
		}
		if !use(t, d, c, 2, now) || use(t, d, c, 2, now) {
			t.Error("it was not used exactly once")
		}
	})
}
