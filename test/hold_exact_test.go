package test

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// mixture is what a caller calls in turn: whole answers, streams of both kinds, and every failure.
var mixture = []string{
	"/v1/moody/good", "/v1/helloworld/stream", "/v1/moody/reset", "/v1/moody/events", "/v1/moody/bytes", "/v1/moody/fail", "/v1/helloworld/call",
	"/v1/moody/half", "/v1/moody/good", "/v1/moody/garbage", "/v1/moody/slow", "/v1/moody/torn", "/v1/moody/events", "/v1/moody/never",
}

// slip is an answer of 2xx that a caller has seen begin.
type slip struct {
	path  string
	price string // as its head says; empty: it is metered by its bytes
	bytes int64
	whole bool
}

// isPrice says whether a price is one that the slip may cost.
func (s slip) isPrice(price int64) bool {
	switch {
	case s.price != "":
		return s.price == strconv.FormatInt(price, 10)
	case s.whole:
		return price == s.bytes
	}
	return price <= mostBytes // a process that is killed charges up to the last mark
}

// slips are those of all callers, by request id.
type slips struct {
	mu    sync.Mutex
	begun map[string]slip
}

func newSlips() *slips { return &slips{begun: map[string]slip{}} }

func (s *slips) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.begun)
}

// call makes a call and notes its answer; 0 is none.
func (s *slips) call(c client, path string) int {
	a, err := c.send(http.MethodPost, path, strings.NewReader(`{"name":"Jane","messages":3}`))
	if a.status/100 == 2 {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.begun[a.header.Get("M3O-Request-Id")] = slip{path, a.header.Get("M3O-Price"), int64(len(a.body)), err == nil}
	}
	return a.status
}

// reading begins a call that has no end, and notes it.
func (s *slips) reading(t *testing.T, c client, path string) (leave func()) {
	t.Helper()
	var resp *http.Response
	eventually(t, 10*time.Second, "the API not to be left alone for its failures", func() bool {
		resp, leave = c.begin(t, path)
		if resp.StatusCode != http.StatusOK {
			leave()
		}
		return resp.StatusCode == http.StatusOK
	})
	if _, err := io.CopyN(io.Discard, resp.Body, 5*chunkLength); err != nil {
		t.Errorf("%s: %v", path, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun[resp.Header.Get("M3O-Request-Id")] = slip{path: path, price: resp.Header.Get("M3O-Price")}
	return leave
}

// calling calls the mixture from n clients at once, until nobody answers or more says no.
func (s *slips) calling(c client, n int, more func() bool) *sync.WaitGroup {
	var wait sync.WaitGroup
	for i := range n {
		wait.Go(func() {
			for at := i; more(); at++ {
				if s.call(c, mixture[at%len(mixture)]) == 0 {
					return
				}
			}
		})
	}
	return &wait
}

func always() bool { return true }

// paidFor checks that each slip is recorded once at its price, that at most so many other calls are, which a crash cut
// off before their answer, and that the balance and the ledger are what the records say.
func (c customer) paidFor(t *testing.T, s *slips, credit int64, cutOff int) {
	t.Helper()
	var spent int64
	seen := map[string]int{}
	for _, r := range c.records(t, 1000) {
		spent += r.Price
		slip, answered := s.begun[r.RequestID]
		if seen[r.RequestID]++; seen[r.RequestID] > 1 || r.Status != http.StatusOK || answered && !slip.isPrice(r.Price) {
			t.Errorf("recorded for the time %d: %+v of %+v", seen[r.RequestID], r, slip)
		}
	}
	extra := len(seen)
	for id, slip := range s.begun {
		if seen[id] == 0 {
			t.Errorf("answered and not recorded: %s %+v", id, slip)
		} else {
			extra--
		}
	}
	if extra > cutOff {
		t.Errorf("of %d calls recorded %d were not answered, at most %d may be", len(seen), extra, cutOff)
	}
	if b := c.balance(t); b.Current != credit-spent {
		t.Errorf("the calls cost %d, the balance went from %d to %d", spent, credit, b.Current)
	}
	c.addsUp(t, 1000)
}

// credit adds to the sign-up credit of a customer and returns what it has.
func (c customer) credit(t *testing.T, admin client, amount int64) int64 {
	t.Helper()
	if amount > 0 {
		do[any](t, admin, "/balance/Increment", moved(c.id, amount, "For a test", "credit-"+c.id, false))
	}
	return 1_000_000 + amount
}

// unlimited puts a customer into a tier of high rates.
func (c customer) unlimited(t *testing.T, admin client) {
	t.Helper()
	done(t, admin, "/billing/SubscribeTier", map[string]string{"id": "business", "customer_id": c.id})
}

func TestAnsweredIsRecordedIsChargedThroughKillsStreamsAndFailures(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store) {
		const clients, kills = 16, 3
		calls := 200
		if long() {
			calls = 3000
		}
		sys := start(t, s)
		boss := sys.admin(t)
		newMoody(t).sell(t, boss)
		kim := sys.signUp(t, boss, "kim@example.com")
		kim.unlimited(t, boss)
		credit := kim.credit(t, boss, 99_000_000)
		k, served := kim.key(t), newSlips()
		for round := range kills {
			wait := served.calling(sys.as(k.Key), clients, always)
			enough := served.len() + calls
			eventually(t, time.Minute, "the load", func() bool { return served.len() >= enough })
			for _, mood := range []string{"flow", "flowbytes"} { // in the midst of which it is killed
				t.Cleanup(served.reading(t, sys.as(k.Key), "/v1/moody/"+mood))
			}
			sys.kill()
			wait.Wait()
			sys = start(t, s)
			kim.client = sys.as(kim.token)
			if b := kim.balance(t); b.Leased != 0 {
				t.Errorf("the killed process still holds %d", b.Leased)
			}
			kim.paidFor(t, served, credit, (round+1)*clients)
			sys.balanced(t)
		}
		if status := served.call(sys.as(k.Key), "/v1/moody/good"); status != http.StatusOK {
			t.Errorf("after the kills a call is answered %d", status)
		}
	})
}

func TestCreditForSoManyCallsServesSoManyAmongFailures(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store) {
		const clients, paid = 16, 150
		sys := start(t, s)
		boss := sys.admin(t)
		newMoody(t).sell(t, boss)
		cam := sys.signUp(t, boss, "cam@example.com")
		cam.setBalance(t, boss, paid*moodPrice)
		caller, served := sys.as(cam.key(t).Key), newSlips()
		paths := []string{"/v1/moody/good", "/v1/moody/events", "/v1/moody/reset", "/v1/moody/slow", "/v1/moody/fail", "/v1/moody/half", "/v1/moody/garbage"}
		var refused atomic.Int64
		var wait sync.WaitGroup
		for i := range clients {
			wait.Go(func() {
				for at := i; refused.Load() < 2*clients; at++ {
					if served.call(caller, paths[at%len(paths)]) == http.StatusPaymentRequired {
						refused.Add(1)
					}
				}
			})
		}
		wait.Wait()
		eventually(t, 10*time.Second, "the credit to be used up", func() bool { // a failing call has held a part of it
			return served.call(caller, "/v1/moody/good") == http.StatusPaymentRequired && served.len() >= paid
		})
		if served.len() != paid {
			t.Errorf("credit for %d calls served %d", paid, served.len())
		}
		cam.paidFor(t, served, paid*moodPrice, 0)
		cam.empty(t, boss)
		sys.balanced(t)
	})
}

func TestRevokedIsRevokedAmongStreamsAndFailures(t *testing.T) {
	t.Parallel()
	const clients, before, after = 16, 200, 20
	sys := start(t, sqlite(t))
	boss := sys.admin(t)
	newMoody(t).sell(t, boss)
	rob := sys.signUp(t, boss, "rob@example.com")
	rob.unlimited(t, boss)
	credit := rob.credit(t, boss, 9_000_000)
	for range 3 {
		k, served := rob.key(t), newSlips()
		had := len(rob.records(t, 1000))
		caller := sys.as(k.Key)
		var revoked atomic.Bool
		var wait sync.WaitGroup
		for i := range clients {
			wait.Go(func() {
				for at, left := i, after; left > 0; at++ {
					late := revoked.Load()
					status := served.call(caller, mixture[at%len(mixture)])
					if late && status != http.StatusUnauthorized || status == 0 {
						t.Errorf("late is %v, and %s is answered %d", late, mixture[at%len(mixture)], status)
						return
					}
					if late {
						left--
					}
				}
			})
		}
		eventually(t, time.Minute, "the load", func() bool { return served.len() >= before })
		done(t, rob.client, "/v1/api/keys/revoke", map[string]string{"id": k.ID})
		revoked.Store(true)
		wait.Wait()
		if n := len(rob.records(t, 1000)) - had; n != served.len() {
			t.Errorf("%d calls were answered, %d are recorded", served.len(), n)
		}
	}
	var spent int64
	for _, r := range rob.records(t, 1000) {
		spent += r.Price
	}
	if b := rob.balance(t); b.Current != credit-spent {
		t.Errorf("the calls cost %d, the balance went from %d to %d", spent, credit, b.Current)
	}
	rob.empty(t, boss)
	rob.addsUp(t, 1000)
	sys.balanced(t)
}
