package gateway_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"m3o/internal/auth"
	"m3o/internal/balance"
	"m3o/internal/balance/balanceapi"
	"m3o/internal/billing/billingapi"
	"m3o/internal/billing/billingapi/billingapifakes"
	"m3o/internal/bus"
	"m3o/internal/bus/outbox"
	"m3o/internal/config"
	"m3o/internal/customers/customersapi"
	"m3o/internal/customers/customersapi/customersapifakes"
	"m3o/internal/db"
	"m3o/internal/fault"
	"m3o/internal/gateway"
	"m3o/internal/keys/keysapi"
	"m3o/internal/keys/keysapi/keysapifakes"
	"m3o/internal/limit"
	"m3o/internal/money"
	"m3o/internal/publicapi/publicapiapi"
	"m3o/internal/publicapi/publicapiapi/publicapiapifakes"
	"m3o/internal/usage"
	"m3o/internal/usage/usageapi"
)

// door is a gateway over the real usage and balance; keys, the catalogue and the
// tiers are what the test says.
type door struct {
	t       testing.TB
	gateway *gateway.Service
	balance *balance.Service
	usage   *usage.Service
	db      *db.DB
	bus     bus.Bus
	outbox  *outbox.Outbox
	log     *slog.Logger
	target  atomic.Pointer[http.HandlerFunc]
	journal string

	mu        sync.Mutex
	keys      map[string]keysapi.Record // by hash
	tier      billingapi.Tier
	catalogue publicapiapi.Catalogue
	down      map[string]bool // fakes that answer fault.Unavailable

	limits *limit.Shared // is given to the gateway; nil: its own rates

	every   time.Duration // how often the gateway asks what has changed; 0: never
	changes []keysapi.Change
	asked   atomic.Int64 // how often it has, and was answered

	late      sync.WaitGroup // requests that get there yet
	ahead     atomic.Int64   // of the house's clock, in nanoseconds
	leases    atomic.Int64   // how often balance was asked for a lease, and has decided
	leased    func()         // called once, after balance has decided on a lease and before the gateway hears of it
	tierAsked func()         // called once, before billing says a tier
	closing   func()         // called once, before a lease is closed
	lose      int            // so many answers of balance and usage to requests for leases get lost
	fate      func() fate    // of each request to balance and usage; nil: it is answered
}

const customer = "cus_a"

// newDoor opens the gateway with one key of one customer, free of limits but its
// balance, and an API called demo.
func newDoor(t testing.TB, d *db.DB, options ...func(*door)) *door {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	s := &door{
		t: t, db: d, log: log,
		journal: t.TempDir(), keys: map[string]keysapi.Record{}, tier: billingapi.Tier{ID: "free", FreeCalls: 10_000}, down: map[string]bool{},
	}
	ob := outbox.New(d, s.now, log)
	s.outbox, s.bus = ob, bus.NewMemory(bus.MemoryConfig{Logger: log, DeadLetter: ob.DeadLetter})
	s.catalogue = publicapiapi.Catalogue{Version: 1, APIs: []publicapiapi.Route{{Name: "demo", Target: "service:demo", Endpoints: []publicapiapi.EndpointRoute{
		{Name: "Demo.Paid", Path: "/paid", Price: 10_000},
		{Name: "Demo.Free", Path: "/free"},
		{Name: "Demo.Quota", Path: "/quota", Price: 10_000, Quota: 2},
		{Name: "Demo.Typed", Path: "/typed", Schema: publicapiapi.Schema{"postcode": "string", "count": "integer", "tags": "array"}},
	}}}}
	s.answer(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, `{"ok":true}`) })
	t.Cleanup(s.bus.Serve("rep_demo", bus.Endpoint{Host: "demo", Port: 443, Method: bus.Any, Path: "/{path+}", Queue: "demo",
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*s.target.Load())(w, r) })}))
	s.services(d, ob)
	for _, option := range options {
		option(s)
	}
	s.open()
	t.Cleanup(func() {
		if err := s.gateway.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return s
}

// services starts usage and balance.
func (s *door) services(d *db.DB, ob *outbox.Outbox) {
	s.t.Helper()
	people := &customersapifakes.FakeService{}
	people.StatusReturns(customersapi.IsVerified, nil)
	var err error
	s.usage, err = usage.New(usage.Deps{DB: d, Bus: s.bus, Outbox: ob, Config: config.Unset{}, Metrics: prometheus.NewRegistry(), Log: s.log, Now: s.now, Billing: &billingapifakes.FakeService{}})
	if err != nil {
		s.t.Fatal(err)
	}
	s.balance, err = balance.New(balance.Deps{DB: d, Bus: s.bus, Outbox: ob, Config: config.Unset{}, Metrics: prometheus.NewRegistry(), Log: s.log, Now: s.now, Customers: people, Usage: s.usage})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(s.usage.Register(s.bus))
	s.t.Cleanup(s.balance.Register(s.bus))
	for _, source := range []string{usageapi.Host, balanceapi.Host} {
		relay := ob.Relay(s.bus, source)
		relay.Start()
		s.t.Cleanup(relay.Stop)
	}
}

// open starts a gateway on the door's journal, as after a kill if there was one before.
func (s *door) open() {
	s.t.Helper()
	keys, tiers, catalogue := &keysapifakes.FakeService{}, &billingapifakes.FakeService{}, &publicapiapifakes.FakeService{}
	keys.LookupCalls(func(_ context.Context, hash string) (keysapi.Record, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		record, ok := s.keys[hash]
		if s.down["keys"] {
			return record, fault.New(fault.Unavailable, "keys are away")
		}
		if !ok {
			return record, fault.New(fault.NotFound, "no such key")
		}
		return record, nil
	})
	keys.ChangesCalls(func(_ context.Context, since int64) ([]keysapi.Change, int64, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.down["keys"] {
			return nil, 0, fault.New(fault.Unavailable, "keys are away")
		}
		s.asked.Add(1)
		return s.changes[min(max(since, 0), int64(len(s.changes))):], int64(len(s.changes)), nil
	})
	tiers.TierOfCalls(func(context.Context, string) (billingapi.Tier, error) {
		s.mu.Lock()
		happens := s.tierAsked
		s.tierAsked = nil
		s.mu.Unlock()
		if happens != nil {
			happens()
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.down["billing"] {
			return billingapi.Tier{}, fault.New(fault.Unavailable, "billing is away")
		}
		return s.tier, nil
	})
	catalogue.SnapshotCalls(func(context.Context) (publicapiapi.Catalogue, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.catalogue, nil
	})
	g, err := gateway.New(gateway.Deps{
		Bus: s.bus, Config: config.Map{"gateway.UpstreamNetworks": `["127.0.0.0/8","::1/128"]`}, Metrics: prometheus.NewRegistry(), Log: s.log, Now: s.now, Secret: houseSecret(), Journal: s.journal,
		Keys: keys, PublicAPI: catalogue, Usage: untold{s.usage, s}, Balance: toldLate{s.balance, s}, Billing: tiers, Revalidate: s.every, Limits: s.limits,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := g.Start(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	s.gateway = g
	s.t.Cleanup(g.Register(s.bus))
}

// houseSecret is what seals the credentials of the catalogue.
func houseSecret() []byte { return bytes.Repeat([]byte{7}, publicapiapi.SecretSize) }

// now is the house's clock.
func (s *door) now() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) }

// toldLate is balance with something happening between a lease and its answer.
type toldLate struct {
	balanceapi.Service
	door *door
}

func (b toldLate) Lease(ctx context.Context, r balanceapi.LeaseRequest) (balanceapi.Lease, error) {
	lease, err := suffer(ctx, b.door, func(ctx context.Context) (balanceapi.Lease, error) { return b.Service.Lease(ctx, r) })
	b.door.leases.Add(1)
	b.door.mu.Lock()
	happens := b.door.leased
	b.door.leased = nil
	b.door.mu.Unlock()
	if happens != nil {
		happens()
	}
	if b.door.loses() {
		return balanceapi.Lease{}, fault.New(fault.Unavailable, "no answer")
	}
	return lease, err
}

func (b toldLate) CloseLease(ctx context.Context, leaseID string) error {
	b.door.mu.Lock()
	happens := b.door.closing
	b.door.closing = nil
	b.door.mu.Unlock()
	if happens != nil {
		happens()
	}
	if b.door.loses() {
		return fault.New(fault.Unavailable, "it does not get there")
	}
	_, err := suffer(ctx, b.door, func(ctx context.Context) (none struct{}, err error) { return none, b.Service.CloseLease(ctx, leaseID) })
	return err
}

func (b toldLate) Return(ctx context.Context, leaseID string, turn int64, amount money.Micros) error {
	_, err := suffer(ctx, b.door, func(ctx context.Context) (none struct{}, err error) {
		return none, b.Service.Return(ctx, leaseID, turn, amount)
	})
	return err
}

// untold is usage with answers that get lost.
type untold struct {
	usageapi.Service
	door *door
}

func (u untold) LeaseQuota(ctx context.Context, r usageapi.QuotaRequest) (usageapi.QuotaLease, error) {
	lease, err := u.Service.LeaseQuota(ctx, r)
	if u.door.loses() {
		return usageapi.QuotaLease{}, fault.New(fault.Unavailable, "no answer")
	}
	return lease, err
}

func (u untold) Record(ctx context.Context, calls []usageapi.Call) ([]string, error) {
	return suffer(ctx, u.door, func(ctx context.Context) ([]string, error) { return u.Service.Record(ctx, calls) })
}

// fate is what becomes of a request between processes.
type fate int

const (
	answered fate = iota
	slow
	unheard    // it does not get there
	unanswered // its answer gets lost
	late       // it gets there when nobody waits for it any more
)

// suffer lets a request have its fate.
func suffer[Answer any](ctx context.Context, s *door, request func(context.Context) (Answer, error)) (answer Answer, err error) {
	s.mu.Lock()
	decide := s.fate
	if decide == nil {
		s.mu.Unlock()
		return request(ctx)
	}
	s.late.Add(1) // with the lock held, so that nobody comes who was not there before fate was taken back
	s.mu.Unlock()
	defer s.late.Done()
	lost := fault.New(fault.Unavailable, "no answer")
	switch decide() {
	case slow:
		time.Sleep(5 * time.Millisecond)
		return request(ctx)
	case unheard:
		return answer, lost
	case unanswered:
		_, _ = request(ctx)
		return answer, lost
	case late:
		s.late.Go(func() {
			time.Sleep(10 * time.Millisecond)
			_, _ = request(context.WithoutCancel(ctx))
		})
		return answer, lost
	}
	return request(ctx)
}

// loses says whether an answer gets lost.
func (s *door) loses() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lose--
	return s.lose >= 0
}

func (s *door) answer(h http.HandlerFunc) { s.target.Store(&h) }

// key issues a key; change may alter its record.
func (s *door) key(change func(*keysapi.Record)) string {
	s.t.Helper()
	text, err := keysapi.NewKey(rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	record := keysapi.Record{ID: "key_" + text[4:8], CustomerID: customer, Scopes: []string{"*"}}
	if change != nil {
		change(&record)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[keysapi.Hash(text)] = record
	return text
}

// set changes what the fakes say.
func (s *door) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

var credits atomic.Int64

func (s *door) credit(amount money.Micros) {
	s.t.Helper()
	_, err := s.balance.Increment(s.admin(), customer, amount, "top-up", fmt.Sprint("top-up ", credits.Add(1)), true)
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *door) admin() context.Context {
	return auth.With(s.t.Context(), auth.Account{ID: "cus_admin", Type: auth.TypeAdmin})
}

// call calls an endpoint with a key and a JSON body.
func (s *door) call(key, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(s.t.Context(), "POST", path, strings.NewReader(body))
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	return s.do(r)
}

func (s *door) do(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.gateway.ServeHTTP(w, r)
	return w
}

func (s *door) wantBalance(want money.Micros) {
	s.t.Helper()
	current, _, err := s.balance.Current(s.admin(), customer)
	if err != nil || current != want {
		s.t.Fatalf("the balance is %d, want %d (%v)", current, want, err)
	}
}

func (s *door) records() []usageapi.Record {
	s.t.Helper()
	records, _, err := s.usage.ListRecords(s.admin(), customer, 1000, "")
	if err != nil {
		s.t.Fatal(err)
	}
	return records
}
