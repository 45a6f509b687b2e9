package balance_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"m3o/internal/auth"
	"m3o/internal/balance"
	"m3o/internal/balance/balanceapi"
	"m3o/internal/billing/billingapi/billingapifakes"
	"m3o/internal/bus"
	"m3o/internal/bus/outbox"
	"m3o/internal/config"
	"m3o/internal/customers/customersapi"
	"m3o/internal/customers/customersapi/customersapifakes"
	"m3o/internal/db"
	"m3o/internal/id"
	"m3o/internal/money"
	"m3o/internal/rpc/rpctest"
	"m3o/internal/usage"
	"m3o/internal/usage/usageapi"
	"m3o/pkg/events/proto/customers"
)

// house is the balance service with its real neighbour usage over one database;
// customers and billing are fakes.
type house struct {
	db      *db.DB
	bus     bus.Bus
	outbox  *outbox.Outbox
	balance *balance.Service
	usage   *usage.Service
}

// testingT is what *testing.T and *rapid.T have in common here.
type testingT interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// newHouse starts the services; facts flow until the test ends.
func newHouse(t *testing.T, d *db.DB) *house {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	ob := outbox.New(d, time.Now, log)
	b := bus.NewMemory(bus.MemoryConfig{Logger: log, DeadLetter: ob.DeadLetter})
	people := &customersapifakes.FakeService{}
	people.StatusReturns(customersapi.IsVerified, nil)
	u, err := usage.New(usage.Deps{DB: d, Bus: b, Outbox: ob, Config: config.Unset{}, Metrics: prometheus.NewRegistry(), Log: log, Now: time.Now, Billing: &billingapifakes.FakeService{}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := balance.New(balance.Deps{DB: d, Bus: b, Outbox: ob, Config: config.Unset{}, Metrics: prometheus.NewRegistry(), Log: log, Now: time.Now, Customers: people, Usage: u})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(u.Register(b))
	t.Cleanup(s.Register(b))
	for _, source := range []string{customersapi.Host, usageapi.Host, balanceapi.Host} {
		relay := ob.Relay(b, source)
		relay.Start()
		t.Cleanup(relay.Stop)
	}
	return &house{db: d, bus: b, outbox: ob, balance: s, usage: u}
}

func contract() rpctest.Contract[balanceapi.Service] {
	return rpctest.Contract[balanceapi.Service]{Routes: balanceapi.Routes, Client: func(b bus.Bus) balanceapi.Service { return balanceapi.NewClient(b) }}
}

func admin(ctx context.Context) context.Context {
	return auth.With(ctx, auth.Account{ID: "cus_admin", Type: auth.TypeAdmin})
}

func as(ctx context.Context, customerID string) context.Context {
	return auth.With(ctx, auth.Account{ID: customerID, Type: auth.TypeCustomer})
}

// state states a fact as the customers service does, and waits until it is taken.
func (h *house) state(t testingT, ctx context.Context, kind customers.EventType, customerID string) {
	t.Helper()
	err := h.db.Tx(ctx, func(tx *db.Tx) error {
		return h.outbox.Add(ctx, tx, customersapi.Host, customers.Topic, customerID, &customers.Event{Type: kind, Customer: &customers.Customer{Id: customerID}})
	})
	if err != nil {
		t.Fatal(err)
	}
	h.outbox.Delivered(ctx, customersapi.Host, customerID)
}

// serve records served calls on a lease and says which were refused.
func (h *house) serve(t testingT, ctx context.Context, customerID, lease string, price money.Micros, calls int) []string {
	t.Helper()
	var batch []usageapi.Call
	for range calls {
		batch = append(batch, usageapi.Call{
			RequestID: id.New("req"), CustomerID: customerID, KeyID: "key_1", Service: "helloworld", Endpoint: "Helloworld.Call",
			Status: 200, Price: price, Time: time.Now(), Lease: lease,
		})
	}
	refused, err := h.usage.Record(ctx, batch)
	if err != nil {
		t.Fatal(err)
	}
	return refused
}

// sound checks the ledger's invariants in the store itself.
func (h *house) sound(t testingT, ctx context.Context) {
	t.Helper()
	for name, query := range map[string]string{
		"sum of all accounts":        `SELECT CAST(COALESCE(SUM(balance), 0) AS BIGINT) FROM ledger_accounts`,
		"sum of all entries":         `SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM ledger_entries`,
		"transfers that do not sum":  `SELECT COUNT(*) FROM (SELECT transfer_id FROM ledger_entries GROUP BY transfer_id HAVING SUM(amount) <> 0) AS broken`,
		"accounts unlike their sums": `SELECT COUNT(*) FROM ledger_accounts a WHERE a.balance <> (SELECT SUM(e.amount) FROM ledger_entries e WHERE e.owner = a.owner AND e.account = a.name)`,
		"leased unlike the leases": `SELECT COUNT(*) FROM ledger_accounts a WHERE a.name = 'leased' AND a.balance <>
			(SELECT COALESCE(SUM(l.amount - l.posted), 0) FROM ledger_leases l WHERE l.customer_id = a.owner AND NOT l.closed)`,
	} {
		var n int64
		if err := h.db.QueryRow(ctx, query).Scan(&n); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if n != 0 {
			t.Fatalf("%s: %d, want 0", name, n)
		}
	}
}

var keys = func() func() string {
	n := make(chan int, 1)
	n <- 0
	return func() string {
		i := <-n
		n <- i + 1
		return fmt.Sprint("k", i)
	}
}()

// holding is what a gateway knows of its lease of a customer's money.
type holding struct {
	service                 balanceapi.Service
	customer, holder, lease string
	turn                    int64
	granted                 money.Micros
}

func hold(s balanceapi.Service, holder, customer string) *holding {
	return &holding{service: s, customer: customer, holder: holder, lease: id.New("lse")}
}

// request is the next one of the gateway.
func (g *holding) request(need, want money.Micros) balanceapi.LeaseRequest {
	g.turn++
	return balanceapi.LeaseRequest{CustomerID: g.customer, LeaseID: g.lease, Holder: g.holder, Turn: g.turn, Granted: g.granted, Need: need, Want: want}
}

func (g *holding) ask(ctx context.Context, need, want money.Micros) (balanceapi.Lease, error) {
	lease, err := g.service.Lease(ctx, g.request(need, want))
	g.granted += lease.Granted
	return lease, err
}

func (g *holding) giveBack(ctx context.Context, amount money.Micros) error {
	g.turn++
	g.granted -= amount
	return g.service.Return(ctx, g.lease, g.turn, amount)
}
