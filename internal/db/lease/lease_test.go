package lease_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"m3o/internal/db"
	"m3o/internal/db/dbtest"
	"m3o/internal/db/lease"
)

// clock is set by the test.
type clock struct{ micro atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.micro.Store(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro())
	return c
}

func (c *clock) now() time.Time          { return db.Time(c.micro.Load()) }
func (c *clock) advance(d time.Duration) { c.micro.Add(d.Microseconds()) }

func acquire(t *testing.T, k *lease.Keeper, want bool) {
	t.Helper()
	got, err := k.Acquire(t.Context(), "relay", time.Minute)
	if err != nil || got != want {
		t.Fatalf("Acquire = %v, %v; want %v", got, err, want)
	}
}

func TestLease(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		c := newClock()
		a, b := lease.New(d, "a", c.now), lease.New(d, "b", c.now)

		acquire(t, a, true)
		acquire(t, b, false)
		if got, err := b.Acquire(t.Context(), "another", time.Minute); err != nil || !got {
			t.Fatalf("another name: %v, %v", got, err)
		}
		c.advance(40 * time.Second)
		acquire(t, a, true) // renewed: until 1:40
		c.advance(59 * time.Second)
		acquire(t, b, false)
		c.advance(time.Second)
		acquire(t, b, true) // a's time is over
		acquire(t, a, false)

		if err := a.Release(t.Context(), "relay"); err != nil { // no longer a's
			t.Fatal(err)
		}
		acquire(t, a, false)
		for range 2 {
			if err := b.Release(t.Context(), "relay"); err != nil {
				t.Fatal(err)
			}
		}
		acquire(t, a, true)
	})
}

func TestLease_OneOfManyWins(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		c := newClock()
		for round := range 5 {
			var won atomic.Int32
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() {
					got, err := lease.New(d, fmt.Sprint("holder", i), c.now).Acquire(t.Context(), "relay", time.Minute)
					if err != nil {
						t.Error(err)
					}
					if got {
						won.Add(1)
					}
				})
			}
			wg.Wait()
			if won.Load() != 1 {
				t.Fatalf("round %d: %d hold the lease", round, won.Load())
			}
			c.advance(time.Minute)
		}
	})
}
