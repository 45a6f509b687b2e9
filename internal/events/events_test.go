package events_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"m3o/internal/auth"
	"m3o/internal/bus"
	"m3o/internal/bus/outbox"
	"m3o/internal/db"
	"m3o/internal/db/audit"
	"m3o/internal/db/dbtest"
	"m3o/internal/events"
	"m3o/internal/events/eventsapi"
	"m3o/internal/fault"
	"m3o/internal/rpc/rpctest"
	"m3o/pkg/events/proto/customers"
	"m3o/pkg/events/proto/publicapi"
)

// house is a service with an outbox.
type house struct {
	t      *testing.T
	db     *db.DB
	bus    *bus.Memory
	outbox *outbox.Outbox
	direct *events.Service // for what no contract has: tickers
	ahead  atomic.Int64    // how far the clock is ahead
}

// each runs body on both engines, directly and over loopback.
func each(t *testing.T, body func(t *testing.T, s eventsapi.Service, h *house)) {
	t.Helper()
	t.Parallel()
	contract := rpctest.Contract[eventsapi.Service]{Routes: eventsapi.Routes, Client: func(b bus.Bus) eventsapi.Service { return eventsapi.NewClient(b) }}
	for name, open := range map[string]func(testing.TB) *db.DB{"sqlite": dbtest.SQLite, "postgres": dbtest.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rpctest.Each(t, contract, func(t *testing.T) (eventsapi.Service, *house) { return setup(t, open(t)) }, body)
		})
	}
}

func setup(t *testing.T, d *db.DB) (eventsapi.Service, *house) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	h := &house{t: t, db: d}
	h.outbox = outbox.New(d, h.now, log)
	h.bus = bus.NewMemory(bus.MemoryConfig{Backoff: []time.Duration{time.Millisecond}, DeadLetter: h.outbox.DeadLetter, Logger: log})
	s, err := events.New(events.Deps{DB: d, Outbox: h.outbox, Now: h.now})
	if err != nil {
		t.Fatal(err)
	}
	h.direct = s
	return s, h
}

func (h *house) now() time.Time { return time.Now().Add(time.Duration(h.ahead.Load())).UTC() }

func (h *house) admin() context.Context {
	return auth.With(h.t.Context(), auth.Account{ID: "cus_admin", Type: auth.TypeAdmin})
}

// state commits a fact about a customer and one about an API.
func (h *house) state() {
	h.t.Helper()
	ctx := h.t.Context()
	err := h.db.Tx(ctx, func(tx *db.Tx) error {
		created := &customers.Event{Type: customers.EventType_EventTypeCreated, Customer: &customers.Customer{Id: "cus_1"}}
		if err := h.outbox.Add(ctx, tx, "customers", customers.Topic, "cus_1", created); err != nil {
			return err
		}
		enabled := &publicapi.Event{Type: publicapi.EventType_EventTypeAPIEnable, ApiEnable: &publicapi.APIEnable{Name: "db"}}
		return h.outbox.Add(ctx, tx, "publicapi", publicapi.Topic, "db", enabled)
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

// relay publishes what customers has stated, and waits until nothing is left.
func (h *house) relay() {
	h.t.Helper()
	r := h.outbox.Relay(h.bus, "customers")
	r.Start()
	defer r.Stop()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		records, _, err := h.outbox.List(h.t.Context(), customers.Topic, 1000, "")
		if err != nil {
			h.t.Fatal(err)
		}
		open := 0
		for _, record := range records {
			if record.PublishedAt.IsZero() {
				open++
			}
		}
		if open == 0 {
			return
		}
		if time.Now().After(deadline) {
			h.t.Fatal("facts are not published")
		}
	}
}

func wantFault(t *testing.T, err error, code fault.Code) {
	t.Helper()
	if !fault.Is(err, code) {
		t.Errorf("got %v; want %s", err, code)
	}
}

func TestListShowsFactsNewestFirst(t *testing.T) {
	each(t, func(t *testing.T, s eventsapi.Service, h *house) {
		h.state()
		all, next, err := s.List(h.admin(), "", 0, "")
		if err != nil || len(all) != 2 || next != "" || all[0].Topic != "publicapi" {
			t.Fatalf("%+v, %q, %v", all, next, err)
		}
		e := all[1]
		if e.Topic != "customers" || e.Type != 1 || e.TypeName != "Created" || e.Source != "customers" || e.Key != "cus_1" || e.Published ||
			!strings.Contains(string(e.Data), `"cus_1"`) || e.Time.IsZero() {
			t.Errorf("%+v", e)
		}
		one, _, err := s.List(h.admin(), "customers", 0, "")
		if err != nil || len(one) != 1 || one[0].ID != e.ID {
			t.Errorf("%+v, %v", one, err)
		}
		h.relay()
		if one, _, err = s.List(h.admin(), "customers", 0, ""); err != nil || !one[0].Published {
			t.Errorf("%+v, %v", one, err)
		}
	})
}

func TestListsArePaged(t *testing.T) {
	each(t, func(t *testing.T, s eventsapi.Service, h *house) {
		h.state()
		h.state()
		seen, cursor := map[string]bool{}, ""
		for range 4 {
			events, next, err := s.List(h.admin(), "", 1, cursor)
			if err != nil || len(events) != 1 {
				t.Fatalf("%+v, %v", events, err)
			}
			seen[events[0].ID], cursor = true, next
		}
		if len(seen) != 4 || cursor != "" {
			t.Errorf("%d different, cursor %q", len(seen), cursor)
		}
		_, _, err := s.List(h.admin(), "", 1001, "")
		wantFault(t, err, fault.Invalid)
		_, _, err = s.List(h.admin(), "", 1, "nonsense")
		wantFault(t, err, fault.Invalid)
	})
}

func TestADeadLetterIsListedAndReplayed(t *testing.T) {
	each(t, func(t *testing.T, s eventsapi.Service, h *house) {
		var well atomic.Bool
		var taken atomic.Int64
		t.Cleanup(h.bus.Subscribe(customers.Topic, "billing", func(context.Context, bus.Event) error {
			if !well.Load() {
				return bus.Drop(errors.New("cannot take it"))
			}
			taken.Add(1)
			return nil
		}))
		h.state()
		h.relay()
		letters, _, err := s.DeadLetters(h.admin(), 0, "")
		if err != nil || len(letters) != 1 {
			t.Fatalf("%+v, %v", letters, err)
		}
		l := letters[0]
		if l.Group != "billing" || !strings.Contains(l.Error, "cannot take it") || l.Attempts != 1 || l.Replayed || l.Event.TypeName != "Created" || l.Time.IsZero() {
			t.Errorf("%+v", l)
		}
		well.Store(true)
		if err := s.Replay(h.admin(), l.ID); err != nil {
			t.Fatal(err)
		}
		h.relay()
		if taken.Load() != 1 {
			t.Errorf("taken %d times", taken.Load())
		}
		if letters, _, err = s.DeadLetters(h.admin(), 0, ""); err != nil || !letters[0].Replayed {
			t.Errorf("%+v, %v", letters, err)
		}
		trail, err := audit.Of(t.Context(), h.db, l.ID, 10)
		if err != nil || len(trail) == 0 || trail[0].Action != "events.Replay" || trail[0].Actor != "cus_admin" {
			t.Errorf("audit %+v, %v", trail, err)
		}
	})
}

func TestReplayOfNothingIsRefused(t *testing.T) {
	each(t, func(t *testing.T, s eventsapi.Service, h *house) {
		wantFault(t, s.Replay(h.admin(), "dlt_unknown"), fault.NotFound)
		wantFault(t, s.Replay(h.admin(), ""), fault.Invalid)
	})
}

func TestOnlyAdminsSeeWhatHasHappened(t *testing.T) {
	each(t, func(t *testing.T, s eventsapi.Service, h *house) {
		ctx := auth.With(t.Context(), auth.Account{ID: "cus_1", Type: auth.TypeCustomer})
		_, _, err := s.List(ctx, "", 0, "")
		wantFault(t, err, fault.Forbidden)
		_, _, err = s.DeadLetters(ctx, 0, "")
		wantFault(t, err, fault.Forbidden)
		wantFault(t, s.Replay(ctx, "dlt_1"), fault.Forbidden)
		_, _, err = s.List(t.Context(), "", 0, "")
		wantFault(t, err, fault.Unauthenticated)
	})
}

func TestEmptyListsAreLists(t *testing.T) {
	each(t, func(t *testing.T, s eventsapi.Service, h *house) {
		events, _, err := s.List(h.admin(), "", 0, "")
		if err != nil || events == nil || len(events) != 0 {
			t.Errorf("%#v, %v", events, err)
		}
		letters, _, err := s.DeadLetters(h.admin(), 0, "")
		if err != nil || letters == nil || len(letters) != 0 {
			t.Errorf("%#v, %v", letters, err)
		}
	})
}

func TestSweepDeletesWhatIsPublishedAndOlderThanThirtyDays(t *testing.T) {
	each(t, func(t *testing.T, s eventsapi.Service, h *house) {
		h.state()
		h.relay() // publishes the customer's fact only
		h.ahead.Store(int64(29 * 24 * time.Hour))
		if err := h.direct.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if events, _, err := s.List(h.admin(), "", 0, ""); err != nil || len(events) != 2 {
			t.Errorf("after 29 days: %+v, %v", events, err)
		}
		h.ahead.Store(int64(31 * 24 * time.Hour))
		if err := h.direct.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if events, _, err := s.List(h.admin(), "", 0, ""); err != nil || len(events) != 1 || events[0].Topic != "publicapi" {
			t.Errorf("after 31 days: %+v, %v", events, err)
		}
	})
}
