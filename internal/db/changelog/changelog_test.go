package changelog_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"m3o/internal/db"
	"m3o/internal/db/changelog"
	"m3o/internal/db/dbtest"
)

func note(t *testing.T, d *db.DB, source, subject string) {
	t.Helper()
	if err := d.Tx(t.Context(), func(tx *db.Tx) error { return changelog.Note(t.Context(), tx, source, subject) }); err != nil {
		t.Fatal(err)
	}
}

func since(t *testing.T, d *db.DB, number int64) ([]changelog.Change, int64) {
	t.Helper()
	list, upTo, err := changelog.Since(t.Context(), d, number)
	if err != nil {
		t.Fatal(err)
	}
	return list, upTo
}

func TestWhatHasChangedSinceANumber(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		note(t, d, "keys", "a")
		start, err := changelog.Latest(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		if list, upTo := since(t, d, start); len(list) != 0 || upTo != start {
			t.Errorf("nothing has changed: %v, %d", list, upTo)
		}
		note(t, d, "keys", "b")
		note(t, d, "customers", "b")
		note(t, d, "keys", "b")
		list, upTo := since(t, d, start)
		if want := []changelog.Change{{Source: "customers", Subject: "b"}, {Source: "keys", Subject: "b"}}; !slices.Equal(list, want) || upTo != start+3 {
			t.Errorf("%v up to %d", list, upTo)
		}
		if list, upTo := since(t, d, start+1000); len(list) != 0 || upTo != start+3 {
			t.Errorf("a number of another history is answered %v, %d", list, upTo)
		}
	})
}

func TestAChangeThatIsRolledBackIsNone(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		undone := errors.New("undone")
		if err := d.Tx(t.Context(), func(tx *db.Tx) error {
			return errors.Join(changelog.Note(t.Context(), tx, "keys", "a"), undone)
		}); !errors.Is(err, undone) {
			t.Fatal(err)
		}
		if list, upTo := since(t, d, 0); len(list) != 0 || upTo != 0 {
			t.Errorf("%v up to %d", list, upTo)
		}
	})
}

func TestManyChangesAreToldInParts(t *testing.T) {
	t.Parallel()
	d := dbtest.SQLite(t)
	if err := d.Tx(t.Context(), func(tx *db.Tx) error {
		for i := range changelog.Most + 1 {
			if err := changelog.Note(t.Context(), tx, "keys", fmt.Sprint(i)); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	first, upTo := since(t, d, 0)
	if len(first) != changelog.Most || upTo != changelog.Most {
		t.Fatalf("%d changes up to %d", len(first), upTo)
	}
	if rest, upTo := since(t, d, upTo); len(rest) != 1 || upTo != changelog.Most+1 {
		t.Errorf("%v up to %d", rest, upTo)
	}
}

// Whoever asks again and again, each time from where it is, hears of every change,
// however many are made at the same time.
func TestNothingIsMissedAmongWritersWhoMeet(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		const writers, each = 6, 20
		heard, number := map[string]bool{}, int64(0)
		ctx, done := context.WithCancel(t.Context())
		var writing sync.WaitGroup
		for w := range writers {
			writing.Go(func() {
				for i := range each {
					if err := d.Tx(t.Context(), func(tx *db.Tx) error { return changelog.Note(t.Context(), tx, "keys", fmt.Sprint(w, " ", i)) }); err != nil {
						t.Error(err)
					}
				}
			})
		}
		go func() { writing.Wait(); done() }()
		for last := false; !last; {
			last = ctx.Err() != nil
			list, upTo := since(t, d, number)
			number = upTo
			for _, c := range list {
				heard[c.Subject] = true
			}
		}
		if len(heard) != writers*each {
			t.Errorf("heard of %d changes of %d", len(heard), writers*each)
		}
	})
}
