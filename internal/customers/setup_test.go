package customers_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"m3o/internal/auth"
	"m3o/internal/bus"
	"m3o/internal/bus/outbox"
	"m3o/internal/config"
	"m3o/internal/customers"
	"m3o/internal/customers/customersapi"
	"m3o/internal/db"
	"m3o/internal/db/dbtest"
	"m3o/internal/emails/emailsapi/emailsapifakes"
	"m3o/internal/fault"
	"m3o/internal/rpc/rpctest"
)

const (
	ada      = "ada@example.com"
	password = "correct horse battery"
)

// house is what surrounds the service in a test.
type house struct {
	t       *testing.T
	service *customers.Service
	db      *db.DB
	outbox  *outbox.Outbox
	emails  *emailsapifakes.FakeService
	log     *strings.Builder

	mu      sync.Mutex
	now     time.Time
	tick    time.Duration // by which each look at the clock moves it
	told    []string      // customers that OnCustomerChanged was about
	refuses error         // what the sink of OnCustomerChanged answers
}

func setup(t *testing.T, d *db.DB, c config.Map) *house {
	t.Helper()
	h := &house{t: t, db: d, emails: &emailsapifakes.FakeService{}, log: &strings.Builder{}, now: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)}
	quiet := slog.New(slog.DiscardHandler)
	b := bus.NewMemory(bus.MemoryConfig{Logger: quiet})
	h.outbox = outbox.New(d, time.Now, quiet)
	relay := h.outbox.Relay(b, customersapi.Host)
	relay.Start()
	t.Cleanup(relay.Stop)
	t.Cleanup(customersapi.NewHook(b, "rep_test", "test").OnCustomerChanged(h.changed))
	service, err := customers.New(customers.Deps{
		DB: d, Bus: b, Outbox: h.outbox, Config: c, Log: slog.New(slog.NewTextHandler(h.log, nil)), Now: h.clock, Emails: h.emails,
	})
	if err != nil {
		t.Fatal(err)
	}
	h.service = service
	return h
}

// each runs a story on both engines; on SQLite also over the bus with every mutating call delivered twice.
func each(t *testing.T, story func(t *testing.T, s customersapi.Service, h *house)) {
	t.Helper()
	t.Parallel()
	contract := rpctest.Contract[customersapi.Service]{Routes: customersapi.Routes, Client: func(b bus.Bus) customersapi.Service { return customersapi.NewClient(b) }}
	rpctest.Each(t, contract, func(t *testing.T) (customersapi.Service, *house) {
		h := setup(t, dbtest.SQLite(t), nil)
		return h.service, h
	}, story)
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		h := setup(t, dbtest.Postgres(t), nil)
		story(t, h.service, h)
	})
}

func (h *house) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(h.tick)
	return h.now
}

func (h *house) pass(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

func (h *house) changed(_ context.Context, customerID string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.told = append(h.told, customerID)
	return h.refuses
}

func (h *house) wasTold(customerID string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Contains(h.told, customerID)
}

// code is the code in the last mail: the line that has no blank.
func (h *house) code(to string) string {
	h.t.Helper()
	for i := h.emails.SendCallCount() - 1; i >= 0; i-- {
		_, address, _, text := h.emails.SendArgsForCall(i)
		if address != to {
			continue
		}
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); line != "" && !strings.Contains(line, " ") {
				return line
			}
		}
	}
	h.t.Fatalf("no mail with a code went to %s", to)
	return ""
}

// facts are the types of the facts about a customer, in their order.
func (h *house) facts(customerID string) []string {
	h.t.Helper()
	records, _, err := h.outbox.List(h.t.Context(), "customers", 1000, "")
	if err != nil {
		h.t.Fatal(err)
	}
	var names []string
	for _, r := range slices.Backward(records) {
		if r.Event.Key == customerID {
			names = append(names, r.Event.TypeName)
		}
	}
	return names
}

// join signs an address up and verifies it.
func (h *house) join(email string) customersapi.Verified {
	h.t.Helper()
	if err := h.service.SignUp(h.t.Context(), email); err != nil {
		h.t.Fatal(err)
	}
	v, err := h.service.Verify(h.t.Context(), email, h.code(email), password)
	if err != nil {
		h.t.Fatal(err)
	}
	return v
}

// as is a context in which the owner of an access token calls.
func (h *house) as(token string) context.Context {
	h.t.Helper()
	s, err := h.service.Authenticate(h.t.Context(), token)
	if err != nil {
		h.t.Fatal(err)
	}
	a := auth.Account{ID: s.CustomerID, Type: auth.TypeCustomer, Session: s.ID}
	if s.Admin {
		a.Type = auth.TypeAdmin
	}
	return auth.With(h.t.Context(), a)
}

// admin is a context in which an admin calls, and its id.
func (h *house) admin() (context.Context, string) {
	h.t.Helper()
	c, _, err := h.service.Provision(h.t.Context(), "root@example.com", password, "Root", true)
	if err != nil {
		h.t.Fatal(err)
	}
	return auth.With(h.t.Context(), auth.Account{ID: c.ID, Type: auth.TypeAdmin}), c.ID
}

func (h *house) status(customerID string) string {
	h.t.Helper()
	status, err := h.service.Status(h.t.Context(), customerID)
	if err != nil {
		h.t.Fatal(err)
	}
	return status
}

func (h *house) alive(token string) bool {
	h.t.Helper()
	_, err := h.service.Authenticate(h.t.Context(), token)
	if err != nil && !fault.Is(err, fault.Unauthenticated) {
		h.t.Fatal(err)
	}
	return err == nil
}

// wantFault fails unless err is a fault of that code.
func wantFault(t *testing.T, err error, code fault.Code) *fault.Error {
	t.Helper()
	if !fault.Is(err, code) {
		t.Fatalf("err = %v, want %s", err, code)
	}
	var f *fault.Error
	errors.As(err, &f)
	return f
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
