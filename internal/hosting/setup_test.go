package hosting_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"m3o/internal/bus"
	"m3o/internal/config"
	"m3o/internal/hosting"
	"m3o/internal/ticker"
)

// diary notes what services do, in order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) note(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
}

func (d *diary) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.lines, ", ")
}

func (d *diary) Write(text []byte) (int, error) {
	d.note(string(text))
	return len(text), nil
}

// service does what its functions say, and notes it in its diary.
type service struct {
	host     string
	diary    *diary
	start    func(context.Context) error
	shutdown func(context.Context) error
	leave    func()
	tickers  []ticker.Ticker
	set      *config.Set
	changed  func(context.Context) error
}

func (s *service) Host() string { return s.host }

func (s *service) Tickers() []ticker.Ticker { return s.tickers }

func (s *service) OnStartup(ctx context.Context) error {
	s.diary.note("start " + s.host)
	if s.start == nil {
		return nil
	}
	return s.start(ctx)
}

func (s *service) Register(bus.Bus) (stop func()) {
	s.diary.note("join " + s.host)
	return func() {
		s.diary.note("leave " + s.host)
		if s.leave != nil {
			s.leave()
		}
	}
}

func (s *service) OnShutdown(ctx context.Context) error {
	s.diary.note("shutdown " + s.host)
	if s.shutdown == nil {
		return nil
	}
	return s.shutdown(ctx)
}

func (s *service) Configured() (*config.Set, config.Callbacks) {
	if s.set == nil {
		return config.NewSet(s.host, nil), nil
	}
	return s.set, config.Callbacks{"Limit": s.changed}
}

// configure gives the service a Limit and notes its changes.
func (s *service) configure(source config.Source) *config.Value[int] {
	s.set = config.NewSet(s.host, source)
	limit := config.Add[int](s.set, config.Property{Name: "Limit", Default: "7", Rule: "int [1,9]"})
	s.changed = func(context.Context) error { s.diary.note("changed " + s.host); return nil }
	return limit
}

// mock is a service that stands in for another.
type mock struct{ *service }

func (mock) Mocked() {}

// bare is a service that does nothing beside.
type bare struct{ joined bool }

func (*bare) Tickers() []ticker.Ticker { return nil }

func (b *bare) Register(bus.Bus) (stop func()) {
	b.joined = true
	return func() { b.joined = false }
}

// in is an app that notes its log in the diary of its own.
func in(deployment hosting.Deployment, source config.Source) (*hosting.App, *diary) {
	log := &diary{}
	return hosting.New(hosting.Config{Deployment: deployment, Source: source, Log: slog.New(slog.NewTextHandler(log, nil))}), log
}

func stopped(t *testing.T, a *hosting.App) {
	t.Helper()
	if err := a.Stop(t.Context()); err != nil {
		t.Errorf("stop: %v", err)
	}
}
