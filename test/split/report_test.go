package split

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// outcome is what came of a fault.
type outcome struct {
	topology, fault string
	calls           int           // of the shopper who can pay for everything
	served          int           // at the first or the second try
	retried         int           // calls whose first try failed
	others          string        // what the calls were answered that were not served
	gap, deposit    time.Duration // the longest times without a served call, and without a deposit
	recovery        time.Duration
	spent           time.Duration // from the end of the fault until the customer with little had spent all of it
	settled         time.Duration // from the end of the load until the books agreed
	complaints      int           // of the books
}

func (o outcome) String() string {
	return fmt.Sprintf("%s: %d calls, %d served, %d at a second try; others: %s; longest gap %v, of deposits %v, recovery %v, last credit %v, books %s",
		o.fault, o.calls, o.served, o.retried, o.none(), o.gap.Round(10*time.Millisecond), o.deposit.Round(10*time.Millisecond),
		o.recovery.Round(10*time.Millisecond), o.spent.Round(10*time.Millisecond), o.books())
}

func (o outcome) none() string {
	if o.others == "" {
		return "none"
	}
	return o.others
}

func (o outcome) books() string {
	if o.complaints > 0 {
		return fmt.Sprintf("%d complaints", o.complaints)
	}
	return fmt.Sprintf("agree after %.2f s", o.settled.Seconds())
}

// outcomes are those of a run, which TestMain writes down.
type outcomes struct {
	mu   sync.Mutex
	all  []outcome
	shop []shopOutcome
}

var results outcomes

func (o *outcomes) add(t *testing.T, one outcome) {
	t.Helper()
	t.Log(one)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all = append(o.all, one)
}

// shopOutcome is what came of a fault of the shop.
type shopOutcome struct {
	fault      string
	orders     int
	placed     int           // answers that say so, some of them to a repeated call
	unanswered int           // calls of which nobody knew at once what became
	recovery   time.Duration // the longest of the fault's
	settled    time.Duration // from the end of the load until the books agreed
}

func (o *outcomes) addShop(t *testing.T, one shopOutcome) {
	t.Helper()
	t.Logf("%+v", one)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.shop = append(o.shop, one)
}

const preface = `# Faults

What happens to m3o in several processes when the ground is taken away under load. The file is written by

` + "```sh" + `
make faults
` + "```" + `

## Method

- The processes are those of the built binary. Each has a link of its own to each engine, a small TCP proxy (` + "`test/split/proxy`" + `) that the test cuts, holds, resets or
  slows down. The engines are the test's own: a Postgres cluster, a NATS server with JetStream and ` + "`SyncAlways`" + `, a Redis.
- The load is %d callers who call every %v in turn a function on the bus, a stream on the bus and an HTTP server, and who try once more at the other gateway when a try is
  answered with 5xx or not at all. Beside them, one customer has credit for %d calls and goes on until all is spent, and an admin pays small amounts in, each again and again until it is
  acknowledged.
- A kill is SIGKILL, and the process is started anew at once; all that three times. A restart of an engine is a kill, a second without it, and a start. A partition lets nothing through and tells nobody; what
  was under way arrives when it is over. A slow link takes 100 ms each way.
- *Longest gap*: the longest time without a served call, and without an acknowledged deposit. *Recovery*: from the end of the fault (the link is mended, the engine takes connections, the process is started) until every
  gateway has served a call, and a deposit was acknowledged, that began after it, and every process says that it is ready. At most 30 s are allowed.
- *Last credit*: from the end of the fault until the customer with little has spent everything, at two calls in %v, so not before it has made its calls. At most %v are
  allowed.
- *Books*: each answered call is recorded once and charged once at the price that its answer named; no refused call is; of those whose answer never came, at most each one once, and for
  the HTTP server only those that it has served. Balance, ledger entries and deposits agree, the ledger sums to 0, nobody owes, the customer with little has spent all of it and not
  more, no event is a dead letter. *After* is how long that took when the load had ended: what a killed process had in hand is taken over when its lease has ended (10 s for
  the relay of a service's facts).

## Figures
`

const heading = `
%s:

| fault | calls | served | at the second try | not served | longest gap | of deposits | recovery | last credit | books |
|---|---|---|---|---|---|---|---|---|---|
`

const shopHeading = `
The shop in 3 processes (the edge with users and graph, products, orders), while eight users order as fast as they are answered, half of them with idempotency keys, each until its order is
placed and then once more. *Recovery* is from the start of the new process until an order was placed that was asked for after it. The books agree when each answered order is there once with what was answered, no other order is there but
for calls without a key that were not answered, stock, reserved and sold add up, what is ordered is sold, each placed order is stated once and published, and products, orders and the
subscriptions have heard of it. What a killed process had reserved and not ordered goes back after the reservation limit, here 2 s:

| fault | orders | answers that say placed | calls not answered | recovery | books |
|---|---|---|---|---|---|
`

// write writes the figures as Markdown.
func (o *outcomes) write(file string) error {
	var text strings.Builder
	fmt.Fprintf(&text, preface, callers, pace, poorCalls, pace, spendLimit)
	for _, of := range []topology{oneProcess, twoGateways, restTwice, eachAlone} {
		fmt.Fprintf(&text, heading, strings.ToUpper(of.name[:1])+of.name[1:])
		for _, r := range o.all {
			if r.topology == of.name {
				fmt.Fprintf(&text, "| %s | %d | %d | %d | %s | %.2f s | %.2f s | %.2f s | %.2f s | %s |\n",
					r.fault, r.calls, r.served, r.retried, r.none(), r.gap.Seconds(), r.deposit.Seconds(), r.recovery.Seconds(), r.spent.Seconds(), r.books())
			}
		}
	}
	text.WriteString(shopHeading)
	for _, r := range o.shop {
		fmt.Fprintf(&text, "| %s | %d | %d | %d | %.2f s | agree after %.2f s |\n", r.fault, r.orders, r.placed, r.unanswered, r.recovery.Seconds(), r.settled.Seconds())
	}
	return os.WriteFile(file, []byte(text.String()), 0o644)
}
