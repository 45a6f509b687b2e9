package split

import (
	"net/http"
	"testing"
	"time"
)

// TestRollingRestart restarts every process in turn under load, as an upgrade does. Who tries once more at another
// gateway sees no failure.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	d := deploy(t, restTwice, restless...)
	m := d.openMarket(t)
	l := d.begin(t)
	var longest time.Duration
	for _, p := range d.processes {
		p.stop(t)
		stopped := time.Now()
		p.restart(t)
		eventually(t, recoveryLimit, "every gateway to serve", func() bool { return l.worksSince(stopped) })
		longest = max(longest, time.Since(stopped))
	}
	last(t, afterwards)
	l.stop()
	calls, served, others := l.rich.figures()
	if served != calls {
		t.Errorf("of %d calls %d were served; the others: %s", calls, served, others)
	}
	row := d.outcome(t, "rolling restart of all processes", m, l)
	row.gap, row.deposit = l.longestGaps()
	row.recovery = longest
	results.add(t, row)
}

// failClosed is how long a gateway that is cut off from the bus may go on with what it remembers (gateway's
// configuration says 5 s), and what a test allows on top of it.
const failClosed = 5*time.Second + 2*time.Second

// TestACutOffGatewayRefuses cuts a gateway off from the bus while a key is revoked at another one: it must not be
// good for ever at the one that was not told.
func TestACutOffGatewayRefuses(t *testing.T) {
	t.Parallel()
	d := deploy(t, twoGateways)
	d.openMarket(t)
	c := d.signUp(t)
	here, there := d.doors()[0], d.doors()[1]
	for _, door := range d.doors() {
		if a := c.as(c.Key).at(door).post(t, viaHTTP, question); a.status != http.StatusOK {
			t.Fatalf("before: %d %s", a.status, a.body)
		}
	}
	there.links[toNATS].Hold()
	cut := time.Now()
	a, err := c.at(here).send("/v1/api/keys/revoke", map[string]string{"id": c.ID})
	t.Logf("the revocation is answered %d %s %v after %v", a.status, a.body, err, time.Since(cut))
	eventually(t, patience, "the other gateway to refuse the key", func() bool {
		return c.as(c.Key).at(here).post(t, viaHTTP, question).status == http.StatusUnauthorized
	})
	var refusal answer
	eventually(t, patience, "the gateway that is cut off to refuse", func() bool {
		refusal, err = c.as(c.Key).at(there).send(viaHTTP, question)
		return err == nil && refusal.status != http.StatusOK
	})
	took := time.Since(cut)
	t.Logf("the gateway that is cut off refuses with %d after %v", refusal.status, took)
	if refusal.status != http.StatusServiceUnavailable && refusal.status != http.StatusUnauthorized || took > failClosed {
		t.Errorf("cut off it answers %d %s after %v", refusal.status, refusal.body, took)
	}
	there.links[toNATS].Mend()
	eventually(t, recoveryLimit, "the key to be refused for what it is", func() bool {
		return c.as(c.Key).at(there).post(t, viaHTTP, question).status == http.StatusUnauthorized
	})
	spare := d.newKey(t, c)
	eventually(t, recoveryLimit, "a good key to be served", func() bool {
		return c.as(spare.Key).at(there).post(t, viaHTTP, question).status == http.StatusOK
	})
}

// TestADeadGatewaySwallowsNothing kills a gateway for good: what it had leased comes back when its leases have ended,
// and what it had served is charged when somebody starts it again.
func TestADeadGatewaySwallowsNothing(t *testing.T) {
	if !long() {
		t.Skip("leases end after a minute: this is for the long run, -faults or M3O_TEST_LONG=1")
	}
	d := deploy(t, twoGateways, restless...)
	m := d.openMarket(t)
	l := d.begin(t)
	dead := d.doors()[1]
	dead.kill()
	last(t, afterwards)
	l.stop()
	if b := l.rich.balance(t); b.Leased == 0 {
		t.Error("the dead gateway has leased nothing: this shows nothing")
	}
	eventually(t, 2*time.Minute, "the leases of the dead gateway to end", func() bool { return l.rich.balance(t).Leased == 0 })
	dead.restart(t)
	d.check(t, m, l.rich)
}
