package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/emptypb"

	"m3o/internal/bus"
	"m3o/internal/bus/outbox"
	"m3o/internal/db"
	"m3o/internal/db/dbtest"
	"m3o/internal/fault"
	"m3o/pkg/events/proto/customers"
)

func TestAddStoresTheEventWithTheFact(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := setup(t, d)
		h.add("cus_1", "x")
		records, next, err := h.outbox.List(t.Context(), "customers", 0, "")
		if err != nil || len(records) != 1 || next != "" {
			t.Fatalf("got %v %q %v, want one record", records, next, err)
		}
		e := records[0].Event
		if e.ID != records[0].ID || e.Topic != "customers" || e.Source != "customers" || e.Key != "cus_1" || e.Type != 1 || e.TypeName != "Created" {
			t.Errorf("got %+v", e)
		}
		if want := `{"type":1,"customer":{"id":"cus_1","created":"7"},"caller_id":"x"}`; string(e.Data) != want {
			t.Errorf("got %s, want %s", e.Data, want)
		}
		if age := time.Since(e.Time); age < 0 || age > time.Minute || !records[0].PublishedAt.IsZero() {
			t.Errorf("got time %v, published %v", e.Time, records[0].PublishedAt)
		}
	})
}

// Many events in one call: more than a statement takes, and keys that come again.
func TestAddManyKeepsTheOrderOfEachKey(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := setup(t, d)
		keys := []string{"a", "a", "b", "c", "d", "e", "f", "g", "h", "i", "a", "b", "b", "j", "k"}
		var facts []outbox.Fact
		for i, key := range keys {
			facts = append(facts, outbox.Fact{Key: key, Msg: event(key, strconv.Itoa(i))})
		}
		seen := h.subscribe("g", ack)
		h.relay()
		add := func(facts []outbox.Fact) error {
			return d.Tx(t.Context(), func(tx *db.Tx) error {
				return h.outbox.AddMany(t.Context(), tx, "customers", "customers", facts)
			})
		}
		if err := errors.Join(add(nil), add(facts)); err != nil {
			t.Fatal(err)
		}
		last := map[string]int{}
		for range facts {
			e := receive(t, seen)
			var n int
			if _, err := fmt.Sscanf(string(e.Data), `{"type":1,"customer":{"id":"`+e.Key+`","created":"7"},"caller_id":"%d"}`, &n); err != nil {
				t.Fatalf("%s: %v", e.Data, err)
			}
			if before, there := last[e.Key]; keys[n] != e.Key || there && n <= before {
				t.Errorf("key %s: %d came after %d", e.Key, n, before)
			}
			last[e.Key] = n
		}
		var same int
		if err := d.QueryRow(t.Context(), `SELECT COUNT(*) - COUNT(DISTINCT key || ' ' || seq) FROM outbox`).Scan(&same); err != nil || same != 0 {
			t.Errorf("%d events have the number of another of their key, %v", same, err)
		}
		if err := add([]outbox.Fact{{Key: "z", Msg: event("z", "x")}, {Key: "z", Msg: &customers.Event{}}}); err == nil {
			t.Error("an event without a type was added")
		}
	})
}

func TestAddIsUndoneWithItsTransaction(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := setup(t, d)
		failed := errors.New("failed")
		err := d.Tx(t.Context(), func(tx *db.Tx) error {
			if err := h.outbox.Add(t.Context(), tx, "customers", "customers", "k", event("k", "x")); err != nil {
				return err
			}
			return failed
		})
		if !errors.Is(err, failed) || h.unpublished() != 0 {
			t.Errorf("got %v and %d rows, want the error and none", err, h.unpublished())
		}
	})
}

func TestAddRefusesWhatHasNoType(t *testing.T) {
	t.Parallel()
	h := setup(t, dbtest.SQLite(t))
	for name, add := range map[string]func(tx *db.Tx) error{
		"NotSet":  func(tx *db.Tx) error { return h.outbox.Add(t.Context(), tx, "s", "t", "k", &customers.Event{}) },
		"NoField": func(tx *db.Tx) error { return h.outbox.Add(t.Context(), tx, "s", "t", "k", &emptypb.Empty{}) },
	} {
		if err := h.db.Tx(t.Context(), add); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestAddKeepsATypeThatHasNoName(t *testing.T) {
	t.Parallel()
	h := setup(t, dbtest.SQLite(t))
	seen := h.subscribe("g", ack)
	h.relay()
	err := h.db.Tx(t.Context(), func(tx *db.Tx) error {
		return h.outbox.Add(t.Context(), tx, "customers", "customers", "k", &customers.Event{Type: 9999})
	})
	if err != nil {
		t.Fatal(err)
	}
	if e := receive(t, seen); e.Type != 9999 || e.TypeName != "9999" || string(e.Data) != `{"type":9999}` {
		t.Errorf("got %+v", e)
	}
}

func TestOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := setup(t, d)
		once := func(group string, result error) (fresh bool) {
			err := d.Tx(t.Context(), func(tx *db.Tx) (err error) {
				if fresh, err = h.outbox.Once(t.Context(), tx, group, "evt_1"); err != nil {
					return err
				}
				return result
			})
			if !errors.Is(err, result) {
				t.Fatal(err)
			}
			return fresh
		}
		if !once("a", errHandler) || !once("a", nil) {
			t.Error("a rolled back transaction has used up the event")
		}
		if once("a", nil) {
			t.Error("the second time is fresh")
		}
		if !once("b", nil) {
			t.Error("another group is not fresh")
		}
	})
}

// Handlers that meet on the same event: exactly one may do the work.
func TestOnceIsFreshForOneOfMany(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := setup(t, d)
		var wg sync.WaitGroup
		fresh := make([]bool, 8)
		for i := range fresh {
			wg.Go(func() {
				if err := d.Batch(t.Context(), func(tx *db.Tx) (err error) {
					fresh[i], err = h.outbox.Once(t.Context(), tx, "g", "evt_1")
					return err
				}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		n := 0
		for _, f := range fresh {
			if f {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d were fresh, want 1", n)
		}
	})
}

// Writers of two processes whose clocks differ by a minute count up one row a key;
// the events must tell the numbers in order.
func TestOrderOfAKeyIsThatOfItsTransactions(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		here, there := setup(t, d), setup(t, d)
		there.ahead.Store(int64(time.Minute))
		here.exec(`CREATE TABLE counters (key TEXT PRIMARY KEY, n BIGINT NOT NULL)`)
		keys := []string{"a", "b", "c"}
		for _, key := range keys {
			here.exec(`INSERT INTO counters (key, n) VALUES ($1, 0)`, key)
		}
		const writers, each = 8, 15
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				h := []*house{here, there}[w%2]
				for i := range each {
					if err := d.Batch(t.Context(), func(tx *db.Tx) error { return h.countUp(t.Context(), tx, keys[(w+i)%len(keys)]) }); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		seen := here.subscribe("g", ack)
		here.relay()
		last := map[string]int{}
		for range writers * each {
			e := receive(t, seen)
			var n int
			if _, err := fmt.Sscanf(string(e.Data), `{"type":1,"customer":{"id":"`+e.Key+`","created":"7"},"caller_id":"%d"}`, &n); err != nil {
				t.Fatalf("%s: %v", e.Data, err)
			}
			if n != last[e.Key]+1 {
				t.Errorf("key %s: %d came after %d", e.Key, n, last[e.Key])
			}
			last[e.Key] = n
		}
	})
}

func (h *house) countUp(ctx context.Context, tx *db.Tx, key string) error {
	var n int
	if err := tx.QueryRow(ctx, `UPDATE counters SET n = n + 1 WHERE key = $1 RETURNING n`, key).Scan(&n); err != nil {
		return err
	}
	return h.outbox.Add(ctx, tx, "customers", "customers", key, event(key, strconv.Itoa(n)))
}

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := setup(t, d)
		broken := true // the handlers run one at a time
		failing := h.subscribe("failing", func(bus.Event) error {
			if broken {
				return fmt.Errorf("bad \xff\x00 text: %w", errHandler)
			}
			return nil
		})
		fine := h.subscribe("fine", ack)
		h.relay()
		h.add("k", "x")
		h.allPublished()
		l := h.letter()
		if l.Group != "failing" || l.Tries != 3 || l.Error != "bad ?? text: handler failed" || l.Event.Key != "k" || !l.ReplayedAt.IsZero() {
			t.Errorf("got %+v", l)
		}
		drain(failing)
		receive(t, fine)

		replay := func() {
			t.Helper()
			if err := h.outbox.Replay(t.Context(), l.ID); err != nil {
				t.Fatal(err)
			}
			h.allPublished()
		}
		replay()
		if again := h.letter(); again.ID != l.ID || !again.ReplayedAt.IsZero() || len(failing) != 3 {
			t.Errorf("after it died again: got %+v and %d deliveries, want the same letter, to be replayed", again, len(failing))
		}
		drain(failing)
		broken = false
		replay()
		replay()
		if got := receive(t, failing); got.ID != l.Event.ID || string(got.Data) != string(l.Event.Data) || !got.Time.Equal(l.Event.Time) {
			t.Errorf("replayed %+v, want %+v", got, l.Event)
		}
		if len(failing) != 0 || len(fine) != 0 || h.letter().ReplayedAt.IsZero() {
			t.Errorf("%d more deliveries, %d to the other group; replayed at %v", len(failing), len(fine), h.letter().ReplayedAt)
		}
	})
}

func TestReplayOfNothingIsNotFound(t *testing.T) {
	t.Parallel()
	h := setup(t, dbtest.SQLite(t))
	if err := h.outbox.Replay(t.Context(), "dlt_none"); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("got %v, want not found", err)
	}
}

func TestListsArePaged(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := setup(t, d)
		h.subscribe("g", func(bus.Event) error { return bus.Drop(errHandler) })
		for i := range 5 {
			h.add("k", strconv.Itoa(i))
		}
		h.relay()
		h.allPublished()
		var events, letters []string
		for _, topic := range []string{"", "customers"} {
			events = nil
			for next, more := "", true; more; more = next != "" {
				records, n, err := h.outbox.List(t.Context(), topic, 2, next)
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range records {
					events = append(events, r.ID)
				}
				next = n
			}
			wantFalling(t, events, 5)
		}
		for next, more := "", true; more; more = next != "" {
			page, n, err := h.outbox.DeadLetters(t.Context(), 2, next)
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range page {
				letters = append(letters, l.Event.ID)
			}
			next = n
		}
		wantFalling(t, letters, 5)
		if none, _, err := h.outbox.List(t.Context(), "stripe", 0, ""); err != nil || len(none) != 0 {
			t.Errorf("another topic: got %v %v", none, err)
		}
		if _, _, err := h.outbox.List(t.Context(), "", 1001, ""); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("a limit of 1001: got %v, want invalid", err)
		}
		if _, _, err := h.outbox.DeadLetters(t.Context(), 1, "?"); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("a bad cursor: got %v, want invalid", err)
		}
	})
}

func TestRetainDeletesOnlyWhatIsOldAndDone(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := setup(t, d)
		h.subscribe("g", func(e bus.Event) error {
			if e.Key == "bad" {
				return bus.Drop(errHandler)
			}
			return d.Tx(t.Context(), func(tx *db.Tx) error { _, err := h.outbox.Once(t.Context(), tx, "g", e.ID); return err })
		})
		for range 600 { // more than one small transaction takes
			h.exec(`INSERT INTO inbox (event_id, grp, created_at) VALUES ($1, 'g', 1)`, strconv.Itoa(h.count(`SELECT COUNT(*) FROM inbox`)))
		}
		r := h.relay()
		h.add("good", "x")
		h.add("bad", "x")
		h.allPublished()
		r.Stop()
		h.add("good", "unpublished")
		retain := func() {
			t.Helper()
			if err := h.outbox.Retain(t.Context(), 30*24*time.Hour); err != nil {
				t.Fatal(err)
			}
		}
		sizes := func() string {
			return fmt.Sprint(h.count(`SELECT COUNT(*) FROM outbox`), h.count(`SELECT COUNT(*) FROM inbox`), h.count(`SELECT COUNT(*) FROM dead_letters`))
		}
		if retain(); sizes() != "3 1 1" {
			t.Errorf("young rows: got %s left, want 3 1 1", sizes())
		}
		h.ahead.Store(int64(31 * 24 * time.Hour))
		if retain(); sizes() != "1 0 1" {
			t.Errorf("old rows: got %s left, want 1 0 1: the unpublished event and the letter", sizes())
		}
	})
}
