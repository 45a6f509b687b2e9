package split

import (
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
)

// Where the requests between processes are on NATS, and by how much later each comes again.
const (
	requests   = "m3o.call.*"
	retoldWith = 30 * time.Millisecond
)

// retell has every request between processes delivered a second time until the test ends, a moment later and so beside
// others or out of order. It says how many were. Nobody may be killed meanwhile: whoever listens at the subject of a
// process keeps NATS from telling that nobody is there.
func (d *deployment) retell(t *testing.T) (retold func() int) {
	t.Helper()
	conn, err := natsgo.Connect("nats://"+d.nats.address().Name, natsgo.NoEcho())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	var n atomic.Int64
	if _, err := conn.Subscribe(requests, func(m *natsgo.Msg) {
		if m.Reply == "" { // not the beginning of a request
			return
		}
		time.AfterFunc(rand.N(retoldWith), func() {
			if conn.PublishMsg(&natsgo.Msg{Subject: m.Subject, Reply: m.Reply, Header: m.Header, Data: m.Data}) == nil {
				n.Add(1)
			}
		})
	}); err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	return func() int { return int(n.Load()) }
}

// repeatedRequests: every request of a load is delivered twice, and changes no total.
func (d *deployment) repeatedRequests(t *testing.T, m *market) {
	if d.nats == nil {
		t.Skip("the memory bus has no wire at which a request could be repeated")
	}
	l := d.begin(t)
	retold := d.retell(t)
	begun, before := time.Now(), l.rich.count()
	eventually(t, startLimit, "calls at every gateway", func() bool { return l.rich.count() > before+20*callers && l.worksSince(begun) })
	eventually(t, spendLimit, "the poor shopper to spend everything", func() bool { return l.poor.count() >= poorCalls })
	l.stop()
	if retold() < callers {
		t.Errorf("%d requests came twice: this shows nothing", retold())
	}
	d.check(t, m, l.rich, l.poor)
	t.Logf("%d requests were delivered twice", retold())
}
