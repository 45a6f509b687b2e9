package billing_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"m3o/internal/auth"
	"m3o/internal/billing"
	"m3o/internal/billing/billingapi"
	"m3o/internal/bus"
	"m3o/internal/bus/outbox"
	"m3o/internal/config"
	"m3o/internal/customers/customersapi"
	"m3o/internal/customers/customersapi/customersapifakes"
	"m3o/internal/db"
	"m3o/internal/db/audit"
	"m3o/internal/db/dbtest"
	"m3o/internal/fault"
	"m3o/internal/money"
	"m3o/internal/rpc"
	"m3o/internal/rpc/rpctest"
	"m3o/pkg/events/proto/customers"
)

// house is a service with its neighbours. Its customers are cus_1, cus_2 and
// cus_gone, who has been deleted.
type house struct {
	t      *testing.T
	db     *db.DB
	bus    *bus.Memory
	outbox *outbox.Outbox
	direct *billing.Service // for what no contract has: sinks

	mu      sync.Mutex
	changed []string // whose tier was said to have changed
	deaf    error    // what whoever listens to changes answers
}

// each runs body on both engines, directly and over loopback.
func each(t *testing.T, body func(t *testing.T, s billingapi.Service, h *house)) {
	t.Helper()
	t.Parallel()
	contract := rpctest.Contract[billingapi.Service]{Routes: billingapi.Routes, Client: func(b bus.Bus) billingapi.Service { return billingapi.NewClient(b) }}
	for name, open := range map[string]func(testing.TB) *db.DB{"sqlite": dbtest.SQLite, "postgres": dbtest.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rpctest.Each(t, contract, func(t *testing.T) (billingapi.Service, *house) { return setup(t, open(t)) }, body)
		})
	}
}

func setup(t *testing.T, d *db.DB) (billingapi.Service, *house) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	h := &house{t: t, db: d, bus: bus.NewMemory(bus.MemoryConfig{Logger: log})}
	h.outbox = outbox.New(d, now, log)
	t.Cleanup(billingapi.NewHook(h.bus, "rep_test", "test").OnTierChanged(func(_ context.Context, customerID string) error {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.changed = append(h.changed, customerID)
		return h.deaf
	}))
	s, err := h.service(config.Map{})
	if err != nil {
		t.Fatal(err)
	}
	h.direct = s
	return s, h
}

func now() time.Time { return time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC) }

// service is a process with that configuration.
func (h *house) service(source config.Source) (*billing.Service, error) {
	fake := &customersapifakes.FakeService{}
	fake.StatusStub = func(_ context.Context, id string) (string, error) {
		status, ok := map[string]string{"cus_1": customersapi.IsVerified, "cus_2": customersapi.Banned, "cus_gone": customersapi.Deleted}[id]
		if !ok {
			return "", fault.New(fault.NotFound, "there is no customer %s", id)
		}
		return status, nil
	}
	return billing.New(billing.Deps{
		DB: h.db, Bus: h.bus, Outbox: h.outbox, Config: source, Log: slog.New(slog.DiscardHandler), Now: now, Customers: fake,
	})
}

// told forgets and returns whose tier was said to have changed.
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

func (h *house) admin() context.Context {
	return auth.With(h.t.Context(), auth.Account{ID: "cus_admin", Type: auth.TypeAdmin})
}

func (h *house) customer() context.Context {
	return auth.With(h.t.Context(), auth.Account{ID: "cus_1", Type: auth.TypeCustomer})
}

// tiers are those that were stated as facts about a customer, oldest first.
func (h *house) tiers(customerID string) (tiers []string) {
	h.t.Helper()
	records, _, err := h.outbox.List(h.t.Context(), customers.Topic, 1000, "")
	if err != nil {
		h.t.Fatal(err)
	}
	for _, r := range slices.Backward(records) {
		var data struct {
			Customer struct{ ID string }
			Changed  struct{ Tier string } `json:"subscription_changed"`
		}
		if err := json.Unmarshal(r.Event.Data, &data); err != nil {
			h.t.Fatal(err)
		}
		if r.Event.TypeName == "SubscriptionChanged" && r.Event.Key == customerID && data.Customer.ID == customerID {
			tiers = append(tiers, data.Changed.Tier)
		}
	}
	return tiers
}

func wantTier(t *testing.T, s billingapi.Service, customerID, want string) {
	t.Helper()
	if tier, err := s.TierOf(t.Context(), customerID); err != nil || tier.ID != want {
		t.Errorf("the tier of %s is %q, %v; want %q", customerID, tier.ID, err, want)
	}
}

func wantFault(t *testing.T, err error, code fault.Code, id, detail string) {
	t.Helper()
	f := fault.From(err)
	if err == nil || f.Code != code || (id != "" && f.ID != id) || (detail != "" && f.Detail != detail) {
		t.Errorf("got %v; want %s %s %q", err, code, id, detail)
	}
}

func TestACustomerWhoNeverChoseHasTheFreeTier(t *testing.T) {
	each(t, func(t *testing.T, s billingapi.Service, h *house) {
		tier, err := s.TierOf(t.Context(), "cus_1")
		if err != nil || tier.ID != "free" || tier.Price != 0 || tier.FreeCalls != 10_000 || tier.Rate != 1000 || len(tier.Caps) != 0 {
			t.Errorf("%+v, %v", tier, err)
		}
		account, err := s.ReadAccount(h.customer(), "")
		if err != nil || account.ID == "" || !slices.Equal(account.Admins, []string{"cus_1"}) || len(account.Subscriptions) != 1 || account.Subscriptions[0].ID != "free" {
			t.Errorf("%+v, %v", account, err)
		}
		again, err := s.ReadAccount(h.admin(), "cus_1")
		if err != nil || again.ID != account.ID {
			t.Errorf("an admin reads %+v, %v", again, err)
		}
	})
}

func TestAnAdminSetsAnyTierWithoutPayment(t *testing.T) {
	each(t, func(t *testing.T, s billingapi.Service, h *house) {
		if err := s.SubscribeTier(h.admin(), "pro", "", "cus_1"); err != nil {
			t.Fatal(err)
		}
		tier, err := s.TierOf(t.Context(), "cus_1")
		if err != nil || tier.ID != "pro" || tier.Price != 35*money.Dollar || tier.FreeCalls != 1_000_000 {
			t.Errorf("%+v, %v", tier, err)
		}
		wantTier(t, s, "cus_2", "free")
		if told := h.told(); !slices.Contains(told, "cus_1") {
			t.Errorf("told %v", told)
		}
		if got := h.tiers("cus_1"); !slices.Equal(got, []string{"pro"}) {
			t.Errorf("facts %v", got)
		}
		trail, err := audit.Of(t.Context(), h.db, "cus_1", 10)
		if err != nil || len(trail) != 1 || trail[0].Action != "billing.SubscribeTier" || trail[0].Detail["tier"] != "pro" {
			t.Errorf("audit %+v, %v", trail, err)
		}
		if account, err := s.ReadAccount(h.customer(), ""); err != nil || account.Subscriptions[0].ID != "pro" {
			t.Errorf("%+v, %v", account, err)
		}
	})
}

func TestTheSameTierAgainIsNoChangeButTellsEverybody(t *testing.T) {
	each(t, func(t *testing.T, s billingapi.Service, h *house) {
		h.setDeaf(errors.New("deaf"))
		wantFault(t, s.SubscribeTier(h.admin(), "pro", "", "cus_1"), fault.Unavailable, "", "")
		h.setDeaf(nil)
		h.told()
		if err := s.SubscribeTier(h.admin(), "pro", "", "cus_1"); err != nil {
			t.Fatal(err)
		}
		if told := h.told(); !slices.Contains(told, "cus_1") {
			t.Errorf("told %v", told)
		}
		if err := s.SubscribeTier(h.admin(), "free", "", "cus_2"); err != nil {
			t.Fatal(err)
		}
		if got := h.tiers("cus_1"); !slices.Equal(got, []string{"pro"}) {
			t.Errorf("facts %v", got)
		}
		if got := h.tiers("cus_2"); got != nil {
			t.Errorf("free for free is a change: %v", got)
		}
	})
}

func TestACustomerMayLeaveAPaidTierButNotEnterOne(t *testing.T) {
	each(t, func(t *testing.T, s billingapi.Service, h *house) {
		wantFault(t, s.SubscribeTier(h.customer(), "solo", "", ""), fault.PaymentRequired, "billing.SubscribeTier",
			"this tier must be paid: payments are not set up on this server")
		wantTier(t, s, "cus_1", "free")
		if err := s.SubscribeTier(h.admin(), "solo", "", "cus_1"); err != nil {
			t.Fatal(err)
		}
		if err := s.SubscribeTier(h.customer(), "solo", "", "cus_1"); err != nil {
			t.Errorf("the tier in force: %v", err)
		}
		wantFault(t, s.SubscribeTier(h.customer(), "pro", "", ""), fault.PaymentRequired, "", "")
		wantTier(t, s, "cus_1", "solo")
		if err := s.SubscribeTier(h.customer(), "free", "", ""); err != nil {
			t.Fatal(err)
		}
		wantTier(t, s, "cus_1", "free")
		if got := h.tiers("cus_1"); !slices.Equal(got, []string{"solo", "free"}) {
			t.Errorf("facts %v", got)
		}
	})
}

func TestSubscribeTierRefuses(t *testing.T) {
	each(t, func(t *testing.T, s billingapi.Service, h *house) {
		for _, tier := range []string{"", "gold", "FREE"} {
			wantFault(t, s.SubscribeTier(h.admin(), tier, "", "cus_1"), fault.Invalid, "billing.SubscribeTier", "Subscription ID not valid")
		}
		wantFault(t, s.SubscribeTier(h.customer(), "free", "", "cus_2"), fault.Forbidden, "", "")
		wantFault(t, s.SubscribeTier(t.Context(), "free", "", ""), fault.Unauthenticated, "", "")
		wantFault(t, s.SubscribeTier(h.admin(), "pro", "", "cus_unknown"), fault.NotFound, "", "")
		wantFault(t, s.SubscribeTier(h.admin(), "pro", "", "cus_gone"), fault.NotFound, "", "")
		_, err := s.ReadAccount(h.customer(), "cus_2")
		wantFault(t, err, fault.Forbidden, "", "")
		_, err = s.ReadAccount(h.admin(), "cus_unknown")
		wantFault(t, err, fault.NotFound, "", "")
	})
}

func TestATierThatIsNoLongerConfiguredIsFree(t *testing.T) {
	each(t, func(t *testing.T, s billingapi.Service, h *house) {
		if err := s.SubscribeTier(h.admin(), "pro", "", "cus_1"); err != nil {
			t.Fatal(err)
		}
		fewer, err := h.service(config.Map{"billing.Tiers": `{"free":{"free_calls":7}}`})
		if err != nil {
			t.Fatal(err)
		}
		wantTier(t, fewer, "cus_1", "free")
	})
}

func TestADeletedCustomersAccountIsDeleted(t *testing.T) {
	each(t, func(t *testing.T, s billingapi.Service, h *house) {
		if err := s.SubscribeTier(h.admin(), "pro", "", "cus_1"); err != nil {
			t.Fatal(err)
		}
		deliver := func(eventID string, kind customers.EventType) {
			t.Helper()
			data, err := json.Marshal(map[string]any{"type": int(kind), "customer": map[string]any{"id": "cus_1"}})
			if err != nil {
				t.Fatal(err)
			}
			e := bus.Event{ID: eventID, Topic: customers.Topic, Data: data}
			if err := rpc.Sink(billingapi.Host, h.direct.OnCustomers)(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
		deliver("evt_1", customers.EventType_EventTypeBanned)
		wantTier(t, s, "cus_1", "pro")
		h.told()
		deliver("evt_2", customers.EventType_EventTypeDeleted)
		wantTier(t, s, "cus_1", "free")
		if told := h.told(); !slices.Equal(told, []string{"cus_1"}) {
			t.Errorf("told %v", told)
		}
		if err := s.SubscribeTier(h.admin(), "pro", "", "cus_1"); err != nil {
			t.Fatal(err)
		}
		deliver("evt_2", customers.EventType_EventTypeDeleted)
		wantTier(t, s, "cus_1", "pro")
	})
}

func TestTiersAreReadFromTheConfiguration(t *testing.T) {
	t.Parallel()
	_, h := setup(t, dbtest.SQLite(t))
	if _, err := h.service(config.Map{"billing.Tiers": `{"free":{"price":0,"free_calls":"5","rate":0,"caps":{"Function.Deploy":0,"db.create":1000}}}`}); err == nil {
		t.Fatal("a text is taken for a number of calls")
	}
	s, err := h.service(config.Map{"billing.Tiers": `{"free":{"price":0,"free_calls":5,"rate":0,"caps":{"Function.Deploy":0,"db.create":1000}}}`})
	if err != nil {
		t.Fatal(err)
	}
	tier, err := s.TierOf(t.Context(), "cus_1")
	if err != nil || tier.FreeCalls != 5 || tier.Rate != 0 || len(tier.Caps) != 2 || tier.Caps["db.create"] != 1000 {
		t.Errorf("%+v, %v", tier, err)
	}
	if allowed, ok := tier.Caps["function.deploy"]; !ok || allowed != 0 {
		t.Error("a cap of 0 is gone")
	}
}

func TestABadTierIsAStartErrorThatNamesIt(t *testing.T) {
	t.Parallel()
	_, h := setup(t, dbtest.SQLite(t))
	for text, says := range map[string][]string{
		`[]`:                               {"JSON object"},
		`{"solo":{}}`:                      {`no tier "free"`},
		`{"free":{"price":1}}`:             {`"free"`, "price"},
		`{"free":{"prize":1}}`:             {`"free"`, "prize"},
		`{"free":{"rate":1.5}}`:            {`"free"`, "rate"},
		`{"free":{"rate":-1}}`:             {`"free"`, "rate"},
		`{"free":{"free_calls":-1}}`:       {`"free"`, "free_calls"},
		`{"free":{},"pro":{"price":-1}}`:   {`"pro"`, "price"},
		`{"free":{},"pro":{"price":0.5}}`:  {`"pro"`},
		`{"free":{"caps":{"a":-1}}}`:       {`"free"`, "caps", "a"},
		`{"free":{"caps":{"A":1,"a":1}}}`:  {`"free"`, "caps", "twice"},
		`{"free":{},"":{"price":1}}`:       {"name"},
		`{"free":{},"pro":{"rate":"all"}}`: {`"pro"`, "rate"},
	} {
		_, err := h.service(config.Map{"billing.Tiers": text})
		if err == nil {
			t.Errorf("%s is taken", text)
			continue
		}
		for _, part := range says {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %q does not say %q", text, err, part)
			}
		}
	}
}
