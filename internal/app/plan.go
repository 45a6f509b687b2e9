package app

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"m3o/internal/bus"
	"m3o/internal/bus/outbox"
	"m3o/internal/config"
	"m3o/internal/db"
)

// Wiring is a service and what it is tied to.
type Wiring struct {
	Member
	Hears []string // events of other services, as host.event, and durable topics, as topic:name
}

// Wirings shows how the services of this program are tied together, in the order
// in which they are built. Nothing is started.
func Wirings(ctx context.Context) (all []Wiring, err error) {
	err = draft(ctx, func(h *house) error {
		for _, m := range h.members {
			listener := &listener{Bus: bus.NewMemory(bus.MemoryConfig{Logger: discard()})}
			m.service.Register(listener)()
			slices.Sort(listener.hears)
			all = append(all, Wiring{m.Member, slices.Compact(listener.hears)})
		}
		return nil
	})
	return all, err
}

// listener is a bus that notes what is listened to.
type listener struct {
	bus.Bus
	hears []string
}

func (l *listener) Listen(host, event, group string, h http.Handler) (stop func()) {
	l.hears = append(l.hears, host+"."+event)
	return l.Bus.Listen(host, event, group, h)
}

func (l *listener) Subscribe(topic, group string, h bus.EventHandler) (stop func()) {
	l.hears = append(l.hears, "topic:"+topic)
	return l.Bus.Subscribe(topic, group, h)
}

// draft builds the services over an empty store, for looking at them only.
func draft(ctx context.Context, look func(*house) error) error {
	dir, err := os.MkdirTemp("", "m3o")
	if err != nil {
		return fmt.Errorf("make a temporary directory: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	d, err := db.Open(ctx, db.Config{Path: filepath.Join(dir, storeFile)})
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	now := func() time.Time { return time.Now().UTC() }
	h, err := build(parts{
		db: d, bus: bus.NewMemory(bus.MemoryConfig{Logger: discard()}), outbox: outbox.New(d, now, discard()), config: config.Unset{},
		metrics: prometheus.NewRegistry(), log: discard(), now: now, data: dir,
	})
	if err != nil {
		return err
	}
	return look(h)
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
