package configurator_test

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"m3o/internal/auth"
	"m3o/internal/bus"
	"m3o/internal/config"
	"m3o/internal/configurator"
	"m3o/internal/configurator/configuratorapi"
	"m3o/internal/db"
	"m3o/internal/db/dbtest"
	"m3o/internal/fault"
	"m3o/internal/rpc/rpctest"
)

// house is a configurator of three services that are configured, and somebody who
// listens to changes.
type house struct {
	t      *testing.T
	db     *db.DB
	direct *configurator.Service // for what no contract has: tickers

	mu      sync.Mutex
	changed []string // the names under which values were said to have changed
	deaf    error    // what the listener answers
	broken  error    // what reading the config file answers
}

// each runs body on both engines, directly and over loopback.
func each(t *testing.T, body func(t *testing.T, s configuratorapi.Service, h *house)) {
	t.Helper()
	t.Parallel()
	contract := rpctest.Contract[configuratorapi.Service]{
		Routes: configuratorapi.Routes, Client: func(b bus.Bus) configuratorapi.Service { return configuratorapi.NewClient(b) },
	}
	for name, open := range map[string]func(testing.TB) *db.DB{"sqlite": dbtest.SQLite, "postgres": dbtest.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rpctest.Each(t, contract, func(t *testing.T) (configuratorapi.Service, *house) {
				h := setup(t, open(t))
				return h.direct, h
			}, body)
		})
	}
}

func setup(t *testing.T, d *db.DB) *house {
	t.Helper()
	h := &house{t: t, db: d}
	b := bus.NewMemory(bus.MemoryConfig{Logger: slog.New(slog.DiscardHandler)})
	t.Cleanup(configuratorapi.NewHook(b, "rep_test", "test").OnConfigChanged(func(_ context.Context, host string) error {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.changed = append(h.changed, host)
		return h.deaf
	}))
	s, err := configurator.New(configurator.Deps{
		DB: d, Bus: b, Now: now, Check: configurator.Check(sets(t)...), Reload: func() error { return h.broken },
	})
	if err != nil {
		t.Fatal(err)
	}
	h.direct = s
	return h
}

// sets are the configurations of notes.shop, stock.shop and mail-box.
func sets(t *testing.T) []*config.Set {
	t.Helper()
	limit := config.Property{Name: "Limit", Default: "7", Rule: "int [1,9]"}
	var all []*config.Set
	for _, host := range []string{"notes.shop", "stock.shop", "mail-box"} {
		s := config.NewSet(host, nil)
		if host == "stock.shop" {
			limit.Rule = "int [1,99]"
		}
		config.Add[int](s, limit)
		config.Add[string](s, config.Property{Name: "Title"})
		if host == "mail-box" {
			config.Add[string](s, config.Property{Name: "Password", Secret: true})
		}
		if err := s.Err(); err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

func now() time.Time { return time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC) }

func (h *house) admin() context.Context {
	return auth.With(h.t.Context(), auth.Account{ID: "cus_admin", Type: auth.TypeAdmin})
}

// told forgets and returns what was said to have changed, each name once: a call that
// is delivered twice tells twice.
func (h *house) told() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	told := slices.Compact(h.changed)
	h.changed = nil
	return told
}

// set sets all of host.property=value.
func (h *house) set(s configuratorapi.Service, settings ...[3]string) {
	h.t.Helper()
	for _, one := range settings {
		must(h.t, s.Set(h.admin(), one[0], one[1], one[2]))
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantField wants a fault.Invalid about that argument.
func wantField(t *testing.T, err error, name string) {
	t.Helper()
	f := fault.From(err)
	if err == nil || f.Code != fault.Invalid || len(f.Fields) != 1 || f.Fields[0].Name != name {
		t.Errorf("err = %v, want one about %s", err, name)
	}
}
