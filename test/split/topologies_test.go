package split

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestTopologies holds every topology to the same: what one process does, several do together.
func TestTopologies(t *testing.T) {
	t.Parallel()
	for _, of := range []topology{oneProcess, twoGateways, eachAlone} {
		t.Run(of.name, func(t *testing.T) {
			t.Parallel()
			d := deploy(t, of)
			if of.name == twoGateways.name || long() {
				t.Run("Journey", d.journey) // first: it counts what is on sale
			}
			m := d.openMarket(t)
			t.Run("Exactness", d.exactness)
			t.Run("TheLastAffordableCall", d.lastCall)
			t.Run("Reconciliation", func(t *testing.T) { d.reconciliation(t, m) })
			t.Run("RepeatedDeliveries", func(t *testing.T) { d.deliveries(t, m) })
			t.Run("RepeatedRequests", func(t *testing.T) { d.repeatedRequests(t, m) })
			t.Run("Withdrawals", d.withdrawals)
			t.Run("NoErrorIsLogged", d.calm)
		})
	}
}

// together calls from n callers at once, spread over the gateways, and counts the answers by status.
func (d *deployment) together(s *shopper, n int, path string) map[int]int {
	l := &load{doors: d.doors(), latest: map[string]time.Time{}}
	var mu sync.Mutex
	var wait sync.WaitGroup
	count, begin := map[int]int{}, make(chan struct{})
	for i := range n {
		wait.Go(func() {
			<-begin
			status := s.attempt(l, l.doors[i%len(l.doors)], path)
			mu.Lock()
			defer mu.Unlock()
			count[status]++
		})
	}
	close(begin)
	wait.Wait()
	return count
}

// exactness: credit for fifty calls serves fifty, however many come at once and at which gateway.
func (d *deployment) exactness(t *testing.T) {
	const paid, calls = 50, 400
	s := d.shopper(t)
	d.adjust(t, s.customer, paid*price-signUpCredit, "exact")
	if count := d.together(s, calls, viaBus); count[http.StatusOK] != paid || count[http.StatusPaymentRequired] != calls-paid {
		t.Errorf("credit for %d calls, and %d at once: %v", paid, calls, count)
	}
	d.check(t, nil, s)
	if b := s.balance(t); b.Current != 0 {
		t.Errorf("%+v", b)
	}
}

// lastCall: of callers at all gateways that race for the last affordable call, one is served; and a call that can be
// paid is served wherever it comes, also when another gateway has leased the money.
func (d *deployment) lastCall(t *testing.T) {
	const racers = 16
	s := d.shopper(t)
	d.adjust(t, s.customer, -signUpCredit, "nothing")
	for round := range 5 {
		d.adjust(t, s.customer, price, fmt.Sprint("round-", round))
		count := d.together(s, racers, viaBus)
		if count[http.StatusOK] != 1 || count[http.StatusPaymentRequired] != racers-1 {
			t.Errorf("round %d: credit for 1 call, %d at once: %v", round, racers, count)
		}
	}
	l := &load{doors: d.doors(), latest: map[string]time.Time{}}
	d.adjust(t, s.customer, int64(2*len(l.doors))*price, "in turn")
	for i := range 2 * len(l.doors) {
		eventually(t, 5*time.Second, "money that another gateway has leased", func() bool {
			return s.attempt(l, l.doors[i%len(l.doors)], viaBus) == http.StatusOK
		})
	}
	d.check(t, nil, s)
}

// reconciliation: after a load of all kinds the books say what was answered.
func (d *deployment) reconciliation(t *testing.T, m *market) {
	l := d.begin(t)
	length := time.Second
	if long() {
		length = 20 * time.Second
	}
	last(t, length)
	if !within(t.Context(), spendLimit, func() bool { return l.poor.count() >= poorCalls }) {
		_, _, others := l.poor.figures()
		t.Fatalf("of %d calls that the poor shopper can pay %d were served within %v; the others: %s; its leases:\n%s",
			poorCalls, l.poor.count(), spendLimit, others, d.leases(t, l.poor))
	}
	l.stop()
	if calls, served, others := l.rich.figures(); served != calls || l.rich.retried > 0 {
		t.Errorf("of %d calls %d were served, %d at the second try; the others: %s", calls, served, l.rich.retried, others)
	}
	d.check(t, m, l.rich, l.poor)
}

// calm: where nothing is disturbed, nothing is logged as an error, but what a busy machine was too slow for.
func (d *deployment) calm(t *testing.T) {
	for _, p := range d.processes {
		for line := range strings.Lines(p.logs.String()) {
			if strings.Contains(line, "level=ERROR") && !tooSlow.MatchString(line) {
				t.Errorf("the log of %s: %s", p.name, line)
			}
		}
	}
}

var tooSlow = regexp.MustCompile("context (deadline exceeded|canceled)|i/o timeout")

// everywhere is how long a change may take to reach every gateway.
const everywhere = time.Second

// withdrawals: what is taken away is gone at every gateway within a second.
func (d *deployment) withdrawals(t *testing.T) {
	c := d.signUp(t)
	spare := d.newKey(t, c)
	d.changes(t, c.as(spare.Key), "a revoked key", func(a answer) bool { return a.status == http.StatusUnauthorized },
		func() { do[any](t, c.client, "/v1/api/keys/revoke", map[string]string{"id": spare.ID}) })
	caller := c.as(c.Key)
	d.changes(t, caller, "a new price", func(a answer) bool { return a.header.Get("M3O-Price") == "11" },
		func() { d.reprice(t, 11) })
	d.changes(t, caller, "the old price", func(a answer) bool { return a.header.Get("M3O-Price") == fmt.Sprint(price) },
		func() { d.reprice(t, price) })
	d.changes(t, caller, "a blocked key", func(a answer) bool { return a.status == http.StatusForbidden },
		func() { do[any](t, d.boss, "/v1/BlockKey", map[string]string{"user_id": c.id, "key_id": c.ID}) })
	d.changes(t, caller, "an unblocked key", func(a answer) bool { return a.status == http.StatusOK },
		func() { do[any](t, d.boss, "/v1/UnblockKey", map[string]string{"user_id": c.id, "key_id": c.ID}) })
	d.changes(t, caller, "a banned customer", func(a answer) bool { return a.status == http.StatusForbidden },
		func() { do[any](t, d.boss, "/customers/Ban", map[string]string{"id": c.id}) })
}

func (d *deployment) reprice(t *testing.T, price int64) {
	t.Helper()
	do[any](t, d.boss, "/publicapi/Update", map[string]any{"api": map[string]any{"name": httpSeller, "pricing": map[string]int64{"Echo.Say": price}}})
}

// changes makes a change and wants it seen at every gateway in time, by callers that every gateway knows already.
func (d *deployment) changes(t *testing.T, caller client, what string, seen func(answer) bool, change func()) {
	t.Helper()
	for _, door := range d.doors() {
		caller.at(door).post(t, viaHTTP, question)
	}
	change()
	changed := time.Now()
	for _, door := range d.doors() {
		if !within(t.Context(), startLimit, func() bool { return seen(caller.at(door).post(t, viaHTTP, question)) }) {
			t.Fatalf("%s is never seen at %s", what, door.name)
		}
	}
	if took := time.Since(changed); took > everywhere {
		t.Errorf("%s was seen everywhere after %v", what, took)
	}
}
