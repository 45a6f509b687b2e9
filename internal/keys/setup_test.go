package keys_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"testing"
	"time"

	"m3o/internal/auth"
	"m3o/internal/bus"
	"m3o/internal/bus/outbox"
	"m3o/internal/customers/customersapi"
	"m3o/internal/customers/customersapi/customersapifakes"
	"m3o/internal/db"
	"m3o/internal/db/dbtest"
	"m3o/internal/fault"
	"m3o/internal/id"
	"m3o/internal/keys"
	"m3o/internal/keys/keysapi"
	"m3o/internal/publicapi/publicapiapi"
	"m3o/internal/publicapi/publicapiapi/publicapiapifakes"
	"m3o/internal/rpc"
	"m3o/internal/rpc/rpctest"
	"m3o/pkg/events/proto/customers"
)

// house is a service with its neighbours.
type house struct {
	t      *testing.T
	db     *db.DB
	bus    *bus.Memory
	outbox *outbox.Outbox
	status map[string]string // of customers
	direct *keys.Service     // for what no contract has: sinks

	mu      sync.Mutex
	now     time.Time
	changed []string // whose keys were said to have changed
	deaf    error    // what whoever listens to changes answers
}

// each runs body on both engines, directly and over loopback.
func each(t *testing.T, body func(t *testing.T, s keysapi.Service, h *house)) {
	t.Helper()
	t.Parallel()
	contract := rpctest.Contract[keysapi.Service]{Routes: keysapi.Routes, Client: func(b bus.Bus) keysapi.Service { return keysapi.NewClient(b) }}
	for name, open := range map[string]func(testing.TB) *db.DB{"sqlite": dbtest.SQLite, "postgres": dbtest.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rpctest.Each(t, contract, func(t *testing.T) (keysapi.Service, *house) { return setup(t, open(t)) }, body)
		})
	}
}

func setup(t *testing.T, d *db.DB) (keysapi.Service, *house) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	h := &house{t: t, db: d, now: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC), status: map[string]string{}}
	h.bus = bus.NewMemory(bus.MemoryConfig{Logger: log})
	h.outbox = outbox.New(d, h.clock, log)
	t.Cleanup(keysapi.NewHook(h.bus, "rep_test", "test").OnKeysChanged(func(_ context.Context, customerID string) error {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.changed = append(h.changed, customerID)
		return h.deaf
	}))
	s, err := keys.New(keys.Deps{
		DB: d, Bus: h.bus, Outbox: h.outbox, Log: log, Now: h.clock,
		Customers: h.customers(), PublicAPI: onSale("helloworld", "db"),
	})
	if err != nil {
		t.Fatal(err)
	}
	h.direct = s
	return s, h
}

func (h *house) customers() customersapi.Service {
	fake := &customersapifakes.FakeService{}
	fake.StatusStub = func(_ context.Context, id string) (string, error) {
		h.mu.Lock()
		defer h.mu.Unlock()
		if status, ok := h.status[id]; ok {
			return status, nil
		}
		return "", fault.New(fault.NotFound, "there is no customer %s", id)
	}
	return fake
}

func onSale(names ...string) publicapiapi.Service {
	var c publicapiapi.Catalogue
	for _, name := range names {
		c.APIs = append(c.APIs, publicapiapi.Route{Name: name})
	}
	fake := &publicapiapifakes.FakeService{}
	fake.SnapshotReturns(c, nil)
	return fake
}

func (h *house) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *house) setStatus(customerID, status string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status[customerID] = status
}

// told forgets and returns whose keys were said to have changed.
func (h *house) told() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	told := h.changed
	h.changed = nil
	return told
}

func (h *house) setDeaf(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.deaf = err
}

// customer is a new verified customer and a context in which it calls.
func (h *house) customer() (string, context.Context) {
	customerID := id.New("cus")
	h.setStatus(customerID, customersapi.IsVerified)
	return customerID, auth.With(h.t.Context(), auth.Account{ID: customerID, Type: auth.TypeCustomer})
}

func (h *house) admin() context.Context {
	return auth.With(h.t.Context(), auth.Account{ID: "cus_admin", Type: auth.TypeAdmin})
}

// key generates a key with all scopes.
func (h *house) key(s keysapi.Service, ctx context.Context) (text, keyID string) {
	h.t.Helper()
	text, keyID, err := s.Generate(ctx, []string{"*"}, "a key", time.Time{}, 0)
	if err != nil {
		h.t.Fatal(err)
	}
	return text, keyID
}

// facts are the types of the facts stated about a customer, oldest first.
func (h *house) facts(customerID string) (types []string) {
	h.t.Helper()
	records, _, err := h.outbox.List(h.t.Context(), customers.Topic, 1000, "")
	if err != nil {
		h.t.Fatal(err)
	}
	for _, r := range records {
		var data struct{ Customer struct{ ID string } }
		if err := json.Unmarshal(r.Event.Data, &data); err != nil {
			h.t.Fatal(err)
		}
		if r.Event.Key == customerID && data.Customer.ID == customerID && r.Event.Source == keysapi.Host {
			types = append([]string{r.Event.TypeName}, types...)
		}
	}
	return types
}

// deliver gives the service an event of the topic customers.
func (h *house) deliver(eventID string, event *customers.Event) error {
	data, err := json.Marshal(map[string]any{"type": int(event.GetType()), "customer": map[string]any{"id": event.GetCustomer().GetId()}})
	if err != nil {
		h.t.Fatal(err)
	}
	handle := rpc.Sink(keysapi.Host, h.direct.OnCustomers)
	return handle(h.t.Context(), bus.Event{ID: eventID, Topic: customers.Topic, Data: data})
}

func wantFault(t *testing.T, err error, code fault.Code, id, detail string) {
	t.Helper()
	f := fault.From(err)
	if err == nil || f.Code != code || (id != "" && f.ID != id) || (detail != "" && f.Detail != detail) {
		t.Errorf("got %v; want %s %s %q", err, code, id, detail)
	}
}
