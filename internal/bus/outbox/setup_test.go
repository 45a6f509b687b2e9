package outbox_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"m3o/internal/bus"
	"m3o/internal/bus/outbox"
	"m3o/internal/db"
	"m3o/pkg/events/proto/customers"
)

var errHandler = errors.New("handler failed")

// patience is how long anything may take here.
const patience = 30 * time.Second

// house is one process: an outbox and a bus on a database.
type house struct {
	t      testing.TB
	db     *db.DB
	outbox *outbox.Outbox
	bus    *bus.Memory
	ahead  atomic.Int64 // how far the process's clock is ahead
	warned warnings     // what was logged as a warning
}

func setup(t testing.TB, d *db.DB) *house {
	t.Helper()
	h := &house{t: t, db: d, warned: make(warnings, 1000)}
	logger := slog.New(slog.NewTextHandler(h.warned, &slog.HandlerOptions{Level: slog.LevelWarn}))
	h.outbox = outbox.New(d, h.now, logger)
	h.bus = bus.NewMemory(bus.MemoryConfig{
		Backoff: []time.Duration{time.Millisecond, time.Millisecond}, DeadLetter: h.outbox.DeadLetter, Logger: logger,
	})
	return h
}

// warnings are lines of a log; those beyond its capacity are dropped.
type warnings chan string

func (w warnings) Write(p []byte) (int, error) {
	select {
	case w <- string(p):
	default:
	}
	return len(p), nil
}

func (h *house) now() time.Time { return time.Now().Add(time.Duration(h.ahead.Load())) }

// relay starts a relay of the source customers.
func (h *house) relay() *outbox.Relay {
	r := h.outbox.Relay(h.bus, "customers")
	r.Start()
	h.t.Cleanup(r.Stop)
	return r
}

// add commits one event about key that carries text.
func (h *house) add(key, text string) {
	h.t.Helper()
	err := h.db.Tx(h.t.Context(), func(tx *db.Tx) error {
		return h.outbox.Add(h.t.Context(), tx, "customers", "customers", key, event(key, text))
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

func event(key, text string) *customers.Event {
	return &customers.Event{
		Type: customers.EventType_EventTypeCreated, CallerId: text, Customer: &customers.Customer{Id: key, Created: 7},
	}
}

// subscribe reports what the group is given and answers as told.
func (h *house) subscribe(group string, answer func(e bus.Event) error) chan bus.Event {
	seen := make(chan bus.Event, 10_000)
	h.t.Cleanup(h.bus.Subscribe("customers", group, func(_ context.Context, e bus.Event) error {
		seen <- e
		return answer(e)
	}))
	return seen
}

func ack(bus.Event) error { return nil }

func receive[T any](t testing.TB, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// eventually waits until check is true.
func eventually(t testing.TB, what string, check func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !check(); {
		if time.Now().After(deadline) {
			t.Fatalf("in vain: %s", what)
		}
		<-time.After(2 * time.Millisecond)
	}
}

// count is the one number that a query answers.
func (h *house) count(query string, args ...any) int {
	h.t.Helper()
	var n int
	if err := h.db.QueryRow(h.t.Context(), query, args...).Scan(&n); err != nil {
		h.t.Fatal(err)
	}
	return n
}

func (h *house) unpublished() int {
	return h.count(`SELECT COUNT(*) FROM outbox WHERE published_at IS NULL`)
}

func (h *house) allPublished() {
	h.t.Helper()
	eventually(h.t, "everything is published", func() bool { return h.unpublished() == 0 })
}

func (h *house) exec(query string, args ...any) {
	h.t.Helper()
	if _, err := h.db.Exec(h.t.Context(), query, args...); err != nil {
		h.t.Fatal(err)
	}
}

// keysApart returns n keys of different partitions.
func keysApart(n int) []string {
	var keys []string
	taken := map[int]bool{}
	for i := 0; len(keys) < n; i++ {
		key := "cus_" + strconv.Itoa(i)
		if p := (bus.Event{Key: key}).Partition(); !taken[p] {
			taken[p] = true
			keys = append(keys, key)
		}
	}
	return keys
}

// letter is the only dead letter.
func (h *house) letter() outbox.Letter {
	h.t.Helper()
	letters, _, err := h.outbox.DeadLetters(h.t.Context(), 0, "")
	if err != nil || len(letters) != 1 {
		h.t.Fatalf("got %d letters, %v, want one", len(letters), err)
	}
	return letters[0]
}

func drain(seen chan bus.Event) {
	for len(seen) > 0 {
		<-seen
	}
}

func wantFalling(t *testing.T, ids []string, n int) {
	t.Helper()
	if len(ids) != n || !slices.IsSortedFunc(ids, func(a, b string) int { return strings.Compare(b, a) }) {
		t.Errorf("got %v, want %d falling ids", ids, n)
	}
}
