package cache

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestWhoClosesHandsOver(t *testing.T) {
	t.Parallel()
	caches, _ := setup(t)
	for i := range 100 {
		store(t, caches[0], fmt.Sprint(i), "value")
	}
	caches[0].Close(t.Context())
	for i := range 100 {
		wantValue(t, caches[1], fmt.Sprint(i), "value")
	}
	one, _ := caches[1].Local()
	two, _ := caches[2].Local()
	if one+two != 100 || one < 40 || two < 40 {
		t.Errorf("the elements went %d to one and %d to the other", one, two)
	}
	wantLocal(t, caches[0], 0, 0)
}

func TestAHandedElementKeepsItsAge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		caches, _ := setup(t)
		store(t, caches[0], "k", "v")
		time.Sleep(50 * time.Minute)
		caches[0].Close(t.Context())
		time.Sleep(10*time.Minute - 1)
		wantValue(t, caches[1], "k", "v")
		time.Sleep(time.Nanosecond)
		wantMiss(t, caches[1], "k")
	})
}

func TestWhatIsHandedGoesWhereRoomIs(t *testing.T) {
	t.Parallel()
	b := newBus()
	full, free := join(t, b, "full", keeping(20)), join(t, b, "free", keeping(50))
	leaving := join(t, b, "leaving")
	store(t, full, "own", "12345678901234567")
	for i := range 9 {
		store(t, leaving, fmt.Sprint("key", i), "123456")
	}
	wantValue(t, leaving, "key0", "123456") // so that it is not the first to go
	leaving.Close(t.Context())
	wantLocal(t, full, 1, 20)
	wantLocal(t, free, 5, 50)
	wantValue(t, full, "key0", "123456")
}

func TestWhoIsAboutToCloseTakesNothing(t *testing.T) {
	t.Parallel()
	for when, sent := range map[string]int{pathHolding: 1, pathSpare: 2} {
		l := &listener{Bus: newBus()}
		leaving, other := join(t, l, "leaving"), join(t, l.Bus, "other")
		store(t, leaving, "k", "v")
		l.hear = func(path string) {
			if path == when {
				other.departure.begin()
			}
		}
		before := l.count()
		leaving.Close(t.Context())
		wantLocal(t, other, 0, 0)
		if n := l.count() - before; n != sent {
			t.Errorf("%s: %d requests, want %d", when, n, sent)
		}
	}
}

func TestClosedIsClosed(t *testing.T) {
	t.Parallel()
	caches, _ := setup(t)
	c := caches[0]
	for range 2 {
		c.Close(t.Context())
	}
	_, _, loadErr := c.Load(t.Context(), "k")
	_, lenErr := c.Len(t.Context())
	for what, err := range map[string]error{
		"Store": c.Store(t.Context(), "k", nil), "Load": loadErr, "Len": lenErr,
		"Delete": c.Delete(t.Context(), "k"), "Clear": c.Clear(t.Context()),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v", what, err)
		}
	}
	store(t, caches[1], "k", "v")
	wantValue(t, caches[2], "k", "v")
}

func TestCloseTakesNoMoreThanFourSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		caches, b := setup(t)
		for i := range 100 {
			store(t, caches[0], fmt.Sprint(i), "value")
		}
		stranger(t, b, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == pathHolding {
				_, _ = w.Write([]byte(`{"room": 1000000000}`))
				return
			}
			late(w, r)
		})
		began := time.Now()
		caches[0].Close(t.Context())
		if took := time.Since(began); took > handing {
			t.Errorf("it took %v", took)
		}
	})
}

// A change reaches the heir before the old value does, and then there is no room for the
// new one anywhere. It must not be over while the old value is with the heir.
func TestWhatChangesDuringTheHandoverIsRecalled(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(t *testing.T, c *Cache) error{
		"Store":        func(t *testing.T, c *Cache) error { return c.Store(t.Context(), "k", []byte("new")) },
		"Replicate":    func(t *testing.T, c *Cache) error { return c.Store(t.Context(), "k", []byte("new"), Replicate) },
		"Delete":       func(t *testing.T, c *Cache) error { return c.Delete(t.Context(), "k") },
		"DeletePrefix": func(t *testing.T, c *Cache) error { return c.DeletePrefix(t.Context(), "") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := &listener{Bus: newBus()}
				leaving, other, heir := join(t, l, "leaving"), join(t, l.Bus, "other", keeping(4)), join(t, l.Bus, "heir")
				store(t, leaving, "k", "old")
				var changing sync.WaitGroup
				l.hear = func(path string) {
					if path != pathSpare {
						return
					}
					changing.Go(func() {
						if err := change(t, other); err != nil {
							t.Error(err)
						}
						other.own.remove("k")
						if value, _, _ := heir.Load(t.Context(), "k"); string(value) == "old" {
							t.Error("the change is over, and the old value is found")
						}
					})
					synctest.Wait() // the change waits for the handover
					heir.own.remove("k")
				}
				leaving.Close(t.Context())
				changing.Wait()
				wantMiss(t, heir, "k")
			})
		})
	}
}

func TestWhatHasChangedIsNotHandedOver(t *testing.T) {
	t.Parallel()
	l := &listener{Bus: newBus()}
	leaving, other := join(t, l, "leaving"), join(t, l.Bus, "other")
	for i := range 2 * senders {
		store(t, leaving, fmt.Sprint("key", i), "v")
	}
	l.hear = func(path string) {
		if path == pathHolding {
			l.hear = nil
			leaving.departure.changed("key0", false)
			leaving.departure.changed("key1", true) // and 10 to 15
		}
	}
	leaving.Close(t.Context())
	if n, _ := other.Local(); n != 2*senders-8 {
		t.Errorf("%d were handed over", n)
	}
}
