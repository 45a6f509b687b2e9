package outbox_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"m3o/internal/bus"
	"m3o/internal/db"
	"m3o/internal/db/dbtest"
	"m3o/internal/db/lease"
)

// The process dies after the commit and before it publishes.
func TestRelayDeliversWhatWasCommittedBefore(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		setup(t, d).add("k", "x") // nobody relays in that process
		h := setup(t, d)
		seen := h.subscribe("g", ack)
		h.relay()
		if e := receive(t, seen); e.Key != "k" || e.Source != "customers" {
			t.Errorf("got %+v", e)
		}
		h.allPublished()
	})
}

// The process dies after the handlers are done and before the row is marked: the
// event comes again, and Once keeps its effect single.
func TestRelayDeliversAgainWhatIsNotMarked(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := setup(t, d)
		h.exec(`CREATE TABLE effects (event TEXT NOT NULL)`)
		seen := h.subscribe("g", func(e bus.Event) error {
			return d.Tx(t.Context(), func(tx *db.Tx) error {
				fresh, err := h.outbox.Once(t.Context(), tx, "g", e.ID)
				if err != nil || !fresh {
					return err
				}
				_, err = tx.Exec(t.Context(), `INSERT INTO effects (event) VALUES ($1)`, e.ID)
				return err
			})
		})
		h.add("k", "x")
		first := h.relay()
		h.allPublished()
		first.Stop()
		h.exec(`UPDATE outbox SET published_at = NULL`)
		h.relay()
		if a, b := receive(t, seen), receive(t, seen); a.ID != b.ID {
			t.Errorf("got %s and %s, want the same event twice", a.ID, b.ID)
		}
		h.allPublished()
		if n := h.count(`SELECT COUNT(*) FROM effects`); n != 1 {
			t.Errorf("it had %d effects, want 1", n)
		}
	})
}

// Of two processes one publishes; the other follows when the first stops.
func TestRelaysOfTwoProcessesTakeTurns(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		var mu sync.Mutex
		running, handled := map[string]int{}, map[string]int{}
		handle := func(e bus.Event) error {
			mu.Lock()
			running[e.Key]++
			if running[e.Key] > 1 {
				t.Errorf("two events of key %s at a time", e.Key)
			}
			mu.Unlock()
			runtime.Gosched() // a chance to overtake
			mu.Lock()
			defer mu.Unlock()
			running[e.Key]--
			handled[e.ID]++
			return nil
		}
		one, two := setup(t, d), setup(t, d)
		atOne, atTwo := one.subscribe("g", handle), two.subscribe("g", handle)
		first := one.relay()
		for i := range 50 {
			one.add("k"+strconv.Itoa(i%5), "x")
		}
		receive(t, atOne)
		two.relay()
		for i := range 50 {
			two.add("k"+strconv.Itoa(i%5), "x")
		}
		one.allPublished()
		if len(atTwo) != 0 {
			t.Errorf("the second relay published %d events beside the first", len(atTwo))
		}
		first.Stop()
		two.add("k", "x")
		receive(t, atTwo)
		two.allPublished()
		mu.Lock()
		defer mu.Unlock()
		for eventID, n := range handled {
			if n != 1 {
				t.Errorf("event %s was handled %d times", eventID, n)
			}
		}
		if len(handled) != 101 {
			t.Errorf("%d events were handled, want 101", len(handled))
		}
	})
}

func TestRelayWaitsForTheLeaseOfADeadProcess(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := setup(t, d)
		if ours, err := lease.New(d, "dead", h.now).Acquire(t.Context(), "outbox.customers", 10*time.Second); !ours || err != nil {
			t.Fatal(ours, err)
		}
		seen := h.subscribe("g", ack)
		h.relay()
		h.add("k", "x")
		select {
		case <-seen:
			t.Fatal("it published beside the holder of the lease")
		case <-time.After(100 * time.Millisecond):
		}
		h.ahead.Store(int64(11 * time.Second))
		receive(t, seen)
	})
}

// The process was frozen and another has taken the lease: what has not been
// settled is not tried again here.
func TestRelayComesDownWhenItLosesItsLease(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := setup(t, d)
		seen := h.subscribe("g", func(bus.Event) error { return bus.After(time.Hour, errHandler) })
		h.relay()
		h.add("k", "x")
		receive(t, seen)
		h.exec(`UPDATE leases SET holder = 'other', until = $1 WHERE name = 'outbox.customers'`, db.Micro(h.now().Add(time.Minute)))
		h.ahead.Store(int64(9 * time.Second)) // beyond half of the term: it renews
		receive(t, h.warned)                  // and learns that it has lost
		h.ahead.Store(int64(2 * time.Minute))
		receive(t, seen)
	})
}

// Each event waits for the one before, so the poll alone would take twice the limit.
func TestRelayIsNudgedByACommit(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := setup(t, d)
		seen := h.subscribe("g", ack)
		h.relay()
		h.add("k", "the first takes the lease")
		receive(t, seen)
		start := time.Now()
		const n = 20
		for range n {
			h.add("k", "x")
			receive(t, seen)
		}
		if took := time.Since(start); took > n*125*time.Millisecond {
			t.Errorf("%d events took %v, as if they waited for the poll", n, took)
		}
	})
}

func TestRelayFindsWhatAnotherProcessAdded(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h, other := setup(t, d), setup(t, d)
		seen := h.subscribe("g", ack)
		h.relay()
		h.add("k", "x")
		receive(t, seen)
		other.add("k", "y")
		receive(t, seen)
	})
}

func TestDeliveredWaitsForTheGroups(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := setup(t, d)
		seen := h.subscribe("g", ack)
		h.relay()
		h.add("k", "the first takes the lease")
		receive(t, seen)
		h.add("k", "x")
		h.outbox.Delivered(t.Context(), "customers", "k")
		if len(seen) != 1 {
			t.Errorf("it returned when the group had seen %d events, want 1", len(seen))
		}
	})
}

func TestRelayPublishesOnlyItsSource(t *testing.T) {
	t.Parallel()
	h := setup(t, dbtest.SQLite(t))
	seen := h.subscribe("g", ack)
	h.relay()
	for _, source := range []string{"balance", "customers"} {
		if err := h.db.Tx(t.Context(), func(tx *db.Tx) error {
			return h.outbox.Add(t.Context(), tx, source, "customers", "k", event("k", "x"))
		}); err != nil {
			t.Fatal(err)
		}
	}
	if e := receive(t, seen); e.Source != "customers" {
		t.Errorf("got an event of %s", e.Source)
	}
	eventually(t, "one is marked", func() bool { return h.unpublished() == 1 })
}

// A handler that fails for ever: other keys go on, and so do other groups.
func TestRelayGoesOnBesideAPoisonedKey(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := setup(t, d)
		keys := keysApart(2)
		var mended atomic.Bool
		handled := make(chan string, 100)
		h.subscribe("failing", func(e bus.Event) error {
			if e.Key == keys[0] && !mended.Load() {
				return bus.After(5*time.Millisecond, errHandler)
			}
			handled <- e.Key
			return nil
		})
		fine := h.subscribe("fine", ack)
		h.relay()
		for range 3 {
			for _, key := range keys {
				h.add(key, "x")
			}
		}
		for range 3 {
			if key := receive(t, handled); key != keys[1] {
				t.Errorf("got an event of %s", key)
			}
		}
		for range 6 {
			receive(t, fine)
		}
		h.add(keys[0], "one more, in another read")
		receive(t, fine)
		eventually(t, "the other key is published", func() bool { return h.unpublished() == 4 })
		mended.Store(true)
		h.allPublished()
	})
}

// counting is a bus that counts what is sent.
type counting struct {
	*bus.Memory
	sent atomic.Int32
}

func (b *counting) Send(ctx context.Context, e bus.Event) func() error {
	b.sent.Add(1)
	return b.Memory.Send(ctx, e)
}

// More events than may be in flight wait in their order, and other partitions do not.
func TestRelayBoundsWhatIsInFlight(t *testing.T) {
	t.Parallel()
	h := setup(t, dbtest.SQLite(t))
	keys := keysApart(2)
	open := make(chan bool)
	handled := make(chan string, 1000)
	h.subscribe("g", func(e bus.Event) error {
		if e.Key == keys[0] {
			<-open
		}
		handled <- e.Key + string(e.Data)
		return nil
	})
	var want []string
	for i := range 150 {
		h.add(keys[0], strconv.Itoa(i))
		want = append(want, fmt.Sprintf(`%s{"type":1,"customer":{"id":"%s","created":"7"},"caller_id":"%d"}`, keys[0], keys[0], i))
	}
	b := &counting{Memory: h.bus}
	r := h.outbox.Relay(b, "customers")
	t.Cleanup(r.Stop)
	r.Start()
	h.add(keys[1], "x")
	if got := receive(t, handled); got[:len(keys[1])] != keys[1] {
		t.Errorf("got %s, want the other key's", got)
	}
	if n := b.sent.Load(); n != 64+1 {
		t.Errorf("%d events were sent, want 64 of the one partition and 1 of the other", n)
	}
	close(open)
	var got []string
	for range want {
		got = append(got, receive(t, handled))
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	h.allPublished()
}

// failing is a bus whose publishing fails the first times.
type failing struct {
	*bus.Memory
	left atomic.Int32
}

func (b *failing) Send(ctx context.Context, e bus.Event) func() error {
	if b.left.Add(-1) >= 0 {
		return func() error { return errHandler }
	}
	return b.Memory.Send(ctx, e)
}

func TestRelayPublishesAgainAfterAnError(t *testing.T) {
	t.Parallel()
	h := setup(t, dbtest.SQLite(t))
	seen := h.subscribe("g", ack)
	b := &failing{Memory: h.bus}
	b.left.Store(1)
	r := h.outbox.Relay(b, "customers")
	t.Cleanup(r.Stop)
	h.add("k", "x")
	r.Start()
	receive(t, seen)
	h.allPublished()
}

// strict is a bus on which the first event fails, at once, and with it all that is sent
// after it with the same context.
type strict struct {
	*bus.Memory
	mu     sync.Mutex
	failed map[<-chan struct{}]bool
}

func (b *strict) Send(ctx context.Context, e bus.Event) func() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failed == nil {
		b.failed = map[<-chan struct{}]bool{ctx.Done(): true}
	}
	if b.failed[ctx.Done()] {
		return func() error { return errHandler }
	}
	return b.Memory.Send(ctx, e)
}

// What is lost while those behind it are still being sent is passed by none of them.
func TestRelayKeepsTheOrderWhenOneIsLostOnTheWay(t *testing.T) {
	t.Parallel()
	h := setup(t, dbtest.SQLite(t))
	keys := keysApart(2)
	handled := make(chan string, 100)
	h.subscribe("g", func(e bus.Event) error {
		handled <- e.Key + " " + string(e.Data)
		return nil
	})
	for i := range 5 {
		h.add(keys[0], strconv.Itoa(i))
	}
	r := h.outbox.Relay(&strict{Memory: h.bus}, "customers")
	t.Cleanup(r.Stop)
	r.Start()
	h.add(keys[1], "x")
	if got := receive(t, handled); !strings.HasPrefix(got, keys[1]) {
		t.Errorf("got %s, want the other key's, which does not wait", got)
	}
	for i := range 5 {
		if got := receive(t, handled); !strings.Contains(got, `"caller_id":"`+strconv.Itoa(i)+`"`) {
			t.Errorf("got %s, want event %d", got, i)
		}
	}
	h.allPublished()
}

func TestRelayStop(t *testing.T) {
	t.Parallel()
	t.Run("BeforeStartOrTwice", func(t *testing.T) {
		t.Parallel()
		h := setup(t, dbtest.SQLite(t))
		seen := h.subscribe("g", ack)
		r := h.outbox.Relay(h.bus, "customers")
		r.Stop()
		r.Stop()
		r.Start()
		h.add("k", "x")
		select {
		case <-seen:
			t.Error("a stopped relay publishes")
		case <-time.After(300 * time.Millisecond):
		}
	})
	t.Run("LeavesWhatIsNotSettled", func(t *testing.T) {
		t.Parallel()
		h := setup(t, dbtest.SQLite(t))
		seen := h.subscribe("g", func(bus.Event) error { return bus.After(time.Hour, errHandler) })
		r := h.relay()
		h.add("k", "x")
		receive(t, seen)
		r.Stop()
		if h.unpublished() != 1 {
			t.Error("an event that no group has handled is marked published")
		}
		if n := h.count(`SELECT COUNT(*) FROM leases WHERE name = 'outbox.customers'`); n != 0 {
			t.Error("the lease is not given back")
		}
	})
	t.Run("WaitsForHandlersAndMarksWhatTheyDid", func(t *testing.T) {
		t.Parallel()
		h := setup(t, dbtest.SQLite(t))
		leave := make(chan bool)
		seen := h.subscribe("g", func(bus.Event) error { <-leave; return nil })
		r := h.relay()
		h.add("k", "x")
		receive(t, seen)
		stopped := make(chan bool)
		go func() { r.Stop(); close(stopped) }()
		select {
		case <-stopped:
			t.Fatal("Stop returned while a handler ran")
		case <-time.After(50 * time.Millisecond):
		}
		leave <- true
		receive(t, stopped)
		if h.unpublished() != 0 {
			t.Error("what the handler did is not marked")
		}
	})
}

// Events a second through commit, relay, handler, its own transaction and mark.
func BenchmarkRelay(b *testing.B) {
	for _, consumers := range []int{0, 1} {
		b.Run(fmt.Sprintf("transactions=%d", consumers), func(b *testing.B) { benchmarkRelay(b, dbtest.SQLite(b), consumers) })
	}
}

func benchmarkRelay(b *testing.B, d *db.DB, consumers int) {
	h := setup(b, d)
	var done sync.WaitGroup
	done.Add(b.N)
	b.Cleanup(h.bus.Subscribe("customers", "g", func(ctx context.Context, e bus.Event) error {
		defer done.Done()
		if consumers == 0 {
			return nil
		}
		return d.Batch(ctx, func(tx *db.Tx) error { _, err := h.outbox.Once(ctx, tx, "g", e.ID); return err })
	}))
	r := h.outbox.Relay(h.bus, "customers")
	r.Start()
	b.Cleanup(r.Stop)
	b.SetParallelism(32)
	var n atomic.Int64
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			key := "cus_" + strconv.FormatInt(n.Add(1)%1000, 10)
			if err := d.Batch(b.Context(), func(tx *db.Tx) error {
				return h.outbox.Add(b.Context(), tx, "customers", "customers", key, event(key, "x"))
			}); err != nil {
				b.Error(err)
			}
		}
	})
	done.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
