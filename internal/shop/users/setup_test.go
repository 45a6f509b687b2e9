package users_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"m3o/internal/auth"
	"m3o/internal/bus"
	"m3o/internal/bus/outbox"
	"m3o/internal/config"
	"m3o/internal/db"
	"m3o/internal/db/dbtest"
	"m3o/internal/fault"
	"m3o/internal/rpc/rpctest"
	"m3o/internal/shop/users"
	"m3o/internal/shop/users/usersapi"
)

const (
	ada      = "ada@example.com"
	password = "correct horse battery"
	secret   = "0123456789abcdef0123456789abcdef"
)

// house is what surrounds the service in a test.
type house struct {
	t       testing.TB
	service *users.Service
	db      *db.DB
	bus     bus.Bus
	outbox  *outbox.Outbox
	config  config.Map

	mu      sync.Mutex
	log     strings.Builder
	now     time.Time
	told    [][2]string // what OnTokenRevoked was about: user and token
	refuses error       // what the sink of OnTokenRevoked answers
}

func setup(t testing.TB, d *db.DB, c config.Map) *house {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	h := &house{
		t: t, db: d, config: c, now: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC),
		bus: bus.NewMemory(bus.MemoryConfig{Logger: quiet}), outbox: outbox.New(d, time.Now, quiet),
	}
	t.Cleanup(usersapi.NewHook(h.bus, "rep_test", "test").OnTokenRevoked(h.hear))
	h.service = h.replica(h.bus)
	return h
}

// replica is one more of the service, over the same database.
func (h *house) replica(b bus.Bus) *users.Service {
	h.t.Helper()
	s, err := users.New(users.Deps{
		DB: h.db, Bus: b, Outbox: h.outbox, Config: h.config, Log: slog.New(slog.NewTextHandler(h, nil)), Now: h.clock, Secret: []byte(secret),
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(s.Register(b))
	return s
}

// each runs a story on both engines; on SQLite also over the bus with every mutating call delivered twice.
func each(t *testing.T, story func(t *testing.T, s usersapi.Service, h *house)) {
	t.Helper()
	t.Parallel()
	contract := rpctest.Contract[usersapi.Service]{Routes: usersapi.Routes, Client: func(b bus.Bus) usersapi.Service { return usersapi.NewClient(b) }}
	rpctest.Each(t, contract, func(t *testing.T) (usersapi.Service, *house) {
		h := setup(t, dbtest.SQLite(t), nil)
		return h.service, h
	}, story)
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		h := setup(t, dbtest.Postgres(t), nil)
		story(t, h.service, h)
	})
}

// Write takes a line of the log.
func (h *house) Write(line []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.log.Write(line)
}

func (h *house) logged() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.log.String()
}

func (h *house) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *house) pass(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

func (h *house) hear(_ context.Context, userID, tokenID string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.told = append(h.told, [2]string{userID, tokenID})
	return h.refuses
}

// deaf makes the sink answer err from now on.
func (h *house) deaf(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refuses = err
}

// lastTold is what the last OnTokenRevoked was about.
func (h *house) lastTold() (told [2]string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.told) > 0 {
		told = h.told[len(h.told)-1]
	}
	return told
}

// facts are what was said on the topic, the latest first: key, type and content.
func (h *house) facts() (facts []string) {
	h.t.Helper()
	records, _, err := h.outbox.List(h.t.Context(), "users", 1000, "")
	must(h.t, err)
	for _, r := range records {
		facts = append(facts, r.Event.Key+" "+r.Event.TypeName+" "+string(r.Event.Data))
	}
	return facts
}

// register makes a user, of type 1 where it is asked for.
func (h *house) register(email string, userType int) usersapi.User {
	h.t.Helper()
	u, err := h.service.RegisterUser(h.asService(), email, "Somebody", password, userType)
	must(h.t, err)
	return u
}

// login is a token of who has an address.
func (h *house) login(email string) string {
	h.t.Helper()
	token, err := h.service.Login(h.t.Context(), email, password)
	must(h.t, err)
	return token
}

func (h *house) asService() context.Context { return auth.AsService(h.t.Context(), "test") }

// as is a context in which a user of the shop calls.
func (h *house) as(u usersapi.User) context.Context {
	return auth.With(h.t.Context(), usersapi.ShopAccount{ID: u.ID, Type: u.Type}.Caller())
}

func (h *house) alive(s usersapi.Service, token string) bool {
	h.t.Helper()
	_, err := s.Authenticate(h.t.Context(), token)
	if err != nil && !fault.Is(err, fault.Unauthenticated) {
		h.t.Fatal(err)
	}
	return err == nil
}

// wantFault fails unless err is a fault of that code.
func wantFault(t testing.TB, err error, code fault.Code) *fault.Error {
	t.Helper()
	if !fault.Is(err, code) {
		t.Fatalf("err = %v, want %s", err, code)
	}
	return fault.From(err)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
