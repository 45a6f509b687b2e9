package test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// receipts are the request ids of calls that were answered 200.
type receipts struct {
	mu  sync.Mutex
	ids map[string]bool
}

func (r *receipts) add(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ids[id] = true
}

func (r *receipts) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.ids)
}

// calling calls from n clients at once, whole calls and streams, until a connection breaks.
func (r *receipts) calling(c client, n int) *sync.WaitGroup {
	var wait sync.WaitGroup
	for i := range n {
		wait.Go(func() {
			for {
				path, body := "/v1/helloworld/call", `{"name":"Jane"}`
				if i%4 == 0 {
					path, body = "/v1/helloworld/stream", `{"name":"Jane","messages":3}`
				}
				a, err := c.send(http.MethodPost, path, strings.NewReader(body))
				if err != nil {
					return
				}
				if a.status == http.StatusOK {
					r.add(a.header.Get("M3O-Request-Id"))
				}
			}
		})
	}
	return &wait
}

func TestKillUnderLoad(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store) {
		const clients = 16
		rounds, calls := 3, 400
		if long() {
			rounds, calls = 12, 3000
		}
		sys := start(t, s)
		boss := sys.admin(t)
		kay := sys.signUp(t, boss, "kay@example.com")
		done(t, boss, "/billing/SubscribeTier", map[string]string{"id": "business", "customer_id": kay.id})
		k := kay.key(t)
		served := &receipts{ids: map[string]bool{}}
		for round := range rounds {
			wait := served.calling(sys.as(k.Key), clients)
			enough := served.len() + calls
			eventually(t, time.Minute, "the load", func() bool { return served.len() >= enough })
			sys.kill()
			wait.Wait()
			sys = start(t, s)
			kay.client = sys.as(kay.token)
			kay.paidOnce(t, served, (round+1)*clients)
			sys.balanced(t)
		}
		if a, err := sys.as(k.Key).hello(); err != nil || a.status != http.StatusOK {
			t.Errorf("after the crashes a call is answered %d %v", a.status, err)
		}
	})
}

// paidOnce checks that every served call is recorded once and paid once. A crash may record a call whose answer it cut
// off: one for each client.
func (c customer) paidOnce(t *testing.T, served *receipts, cutOff int) {
	t.Helper()
	var spent int64
	seen := map[string]int{}
	for _, r := range c.records(t, 1000) {
		spent += r.Price
		if seen[r.RequestID]++; seen[r.RequestID] > 1 || r.Price != 10 || r.Status != http.StatusOK {
			t.Errorf("recorded for the time %d: %+v", seen[r.RequestID], r)
		}
	}
	lost := 0
	for id := range served.ids {
		if seen[id] == 0 {
			lost++
		}
	}
	if extra := len(seen) - (len(served.ids) - lost); lost > 0 || extra > cutOff {
		t.Errorf("of %d calls answered 200, %d are not in usage; %d more are", len(served.ids), lost, extra)
	}
	if b := c.balance(t); b.Current != 1_000_000-spent {
		t.Errorf("the calls cost %d, the balance went from 1000000 to %d", spent, b.Current)
	}
	eventually(t, time.Minute, "the leases of the dead process to be given back", func() bool { return c.balance(t).Leased == 0 })
	if b := c.balance(t); b.Current != 1_000_000-spent {
		t.Errorf("the calls cost %d, after the leases were closed the balance is %d", spent, b.Current)
	}
	c.addsUp(t, 1000)
}
