package gateway_test

import (
	"bytes"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"m3o/internal/db"
	"m3o/internal/db/dbtest"
)

// monthEnds moves the house's clock to so long before the end of its month.
func (s *door) monthEnds(in time.Duration) {
	now := s.now().UTC()
	end := time.Date(now.Year(), now.Month()+1, 1, 0, 0, 0, 0, time.UTC)
	s.ahead.Add(int64(end.Sub(now) - in))
}

// tally is how many calls of each month were recorded at each price, oldest month first.
func (s *door) tally() (months [2]map[int64]int) {
	s.t.Helper()
	now := s.now().UTC()
	first := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	months = [2]map[int64]int{{}, {}}
	for _, r := range s.records() {
		if r.Time.Before(first) {
			months[0][int64(r.Price)]++
		} else {
			months[1][int64(r.Price)]++
		}
	}
	return months
}

// wantTally checks the tally of a price of 0 and of another price.
func (s *door) wantTally(price int64, free, paid [2]int) {
	s.t.Helper()
	for i, got := range s.tally() {
		if got[0] != free[i] || got[price] != paid[i] || len(got) > 2 {
			s.t.Errorf("month %d: calls by price %v, want %d at 0 and %d at %d", i+1, got, free[i], paid[i], price)
		}
	}
}

// several makes n calls at once and wants each to be served.
func (s *door) several(n int, key, path string) *sync.WaitGroup {
	var wait sync.WaitGroup
	for range n {
		wait.Go(func() {
			if w := s.call(key, path, "{}"); w.Code != http.StatusOK {
				s.t.Errorf("%s: %d %s", path, w.Code, w.Body)
			}
		})
	}
	return &wait
}

func TestEachMonthHasItsOwnFreeCallsAndQuotas(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, path  string
		free, price int64 // of the month, and after that
	}{
		{"FreeCalls", "/v1/demo/free", 40, 1},
		{"Quota", "/v1/demo/quota", 2, 10_000},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dbtest.Each(t, func(t *testing.T, d *db.DB) {
				s := newDoor(t, d)
				s.set(func() { s.tier.FreeCalls = 40 })
				s.credit(10_000_000)
				key := s.key(nil)
				s.monthEnds(10 * time.Second)
				late := newInFlight(s)
				const slow = 5
				for range slow { // begin in the old month and end in the new one
					if !late.begin(key, c.path) {
						t.Fatal("a call in flight was refused")
					}
				}
				if err := s.gateway.Tidy(t.Context()); err != nil {
					t.Fatal(err)
				}
				target := s.target.Load()
				s.answer(func(http.ResponseWriter, *http.Request) {})
				s.several(60, key, c.path).Wait()
				s.monthEnds(0)
				early := s.several(60, key, c.path)
				s.target.Store(target)
				served := late.end()
				early.Wait()
				if served != slow {
					t.Errorf("%d of the %d calls in flight were served", served, slow)
				}
				free, all := int(c.free), [2]int{60 + slow, 60}
				s.wantTally(c.price, [2]int{free, free}, [2]int{all[0] - free, all[1] - free})
				if err := s.balance.Audit(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestAnAllowanceThatIsKeptEndsWithItsMonth(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	s.set(func() { s.tier.FreeCalls = 5 })
	s.credit(1_000)
	key := s.key(nil)
	s.monthEnds(10 * time.Second)
	f := newInFlight(s)
	f.begin(key, "/v1/demo/free")
	if err := s.gateway.Tidy(t.Context()); err != nil { // renews what the call in flight uses
		t.Fatal(err)
	}
	s.monthEnds(-time.Second)
	for range 8 { // in flight together, so that none of them is recorded when another is admitted
		f.begin(key, "/v1/demo/free")
	}
	if n := f.end(); n != 9 {
		t.Errorf("%d calls were served", n)
	}
	s.wantTally(1, [2]int{1, 5}, [2]int{0, 3})
}

func TestWhatWasUsedUpLastMonthIsThereAtOnce(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	s.set(func() { s.tier.FreeCalls, s.tier.Caps = 1, map[string]int64{"demo.paid": 1} })
	s.credit(100_000)
	key := s.key(nil)
	s.monthEnds(500 * time.Millisecond)
	for _, price := range []string{"0", "1"} {
		if w := s.call(key, "/v1/demo/free", "{}"); w.Header().Get("M3O-Price") != price {
			t.Errorf("%d, price %s, want %s", w.Code, w.Header().Get("M3O-Price"), price)
		}
	}
	want(t, s.call(key, "/v1/demo/paid", "{}"), 200, "", "")
	want(t, s.call(key, "/v1/demo/paid", "{}"), 403, "v1.blocked", "Request blocked. Usage cap exceeded")
	s.monthEnds(0)
	want(t, s.call(key, "/v1/demo/paid", "{}"), 200, "", "")
	if w := s.call(key, "/v1/demo/free", "{}"); w.Header().Get("M3O-Price") != "0" {
		t.Errorf("the first call of the month: %d, price %s", w.Code, w.Header().Get("M3O-Price"))
	}
}

func TestACallIsOfTheMonthWhoseAllowanceItUses(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	s.set(func() { s.tier.FreeCalls = 2 })
	s.credit(1_000)
	key := s.key(nil)
	s.monthEnds(10 * time.Second)
	s.several(3, key, "/v1/demo/free").Wait()
	s.wantBalance(999)
	s.ahead.Add(int64(2 * time.Second)) // it is not known any more that nothing is left
	release := s.holdStore()
	var wait sync.WaitGroup
	wait.Go(func() { s.lastOfItsMonth(key) })
	for deadline := time.Now().Add(10 * time.Second); !stands("lastOfItsMonth", "LeaseQuota"); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("the call asks for no allowance")
		}
	}
	s.monthEnds(0)
	release()
	wait.Wait()
	s.several(2, key, "/v1/demo/free").Wait()
	s.wantTally(1, [2]int{2, 2}, [2]int{1, 1})
}

// lastOfItsMonth is a call that is found by its name among the goroutines.
func (s *door) lastOfItsMonth(key string) {
	want(s.t.(*testing.T), s.call(key, "/v1/demo/free", "{}"), 200, "", "")
}

// stands says whether a goroutine is within all of these functions.
func stands(functions ...string) bool {
	text := make([]byte, 4<<20)
	for stack := range bytes.SplitSeq(text[:runtime.Stack(text, true)], []byte("\n\n")) {
		if !slices.ContainsFunc(functions, func(name string) bool { return !bytes.Contains(stack, []byte(name+"(")) }) {
			return true
		}
	}
	return false
}

// holdStore lets nobody write until release is called.
func (s *door) holdStore() (release func()) {
	s.t.Helper()
	held, end, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- s.db.Tx(s.t.Context(), func(*db.Tx) error {
			close(held)
			<-end
			return nil
		})
	}()
	<-held
	return func() {
		close(end)
		if err := <-ended; err != nil {
			s.t.Error(err)
		}
	}
}
