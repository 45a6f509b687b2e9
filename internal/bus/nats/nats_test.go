package natsbus_test

import (
	"log/slog"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"m3o/internal/bus"
	"m3o/internal/bus/bustest"
	natsbus "m3o/internal/bus/nats"
	"m3o/internal/bus/nats/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open opens a process's bus until the test ends.
func open(t testing.TB, c natsbus.Config) *natsbus.Bus {
	t.Helper()
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	b, err := natsbus.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func TestOneProcess(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, url string) {
		bustest.Run(t, bustest.Features{OneProcess: true}, func(t *testing.T, o bustest.Options) bus.Bus {
			return open(t, natsbus.Config{URL: url, Prefix: natstest.Prefix(t, url), Backoff: o.Backoff, DeadLetter: o.DeadLetter})
		})
	})
}

func TestSeveralProcesses(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, url string) {
		bustest.Run(t, bustest.Features{}, func(t *testing.T, o bustest.Options) bus.Bus {
			c := natsbus.Config{URL: url, Prefix: natstest.Prefix(t, url), Backoff: o.Backoff, DeadLetter: o.DeadLetter}
			return &spread{Bus: open(t, c), homes: []*natsbus.Bus{open(t, c), open(t, c)}}
		})
	})
}

// spread is a process that asks and publishes, and two that serve and subscribe in turn.
type spread struct {
	bus.Bus
	homes []*natsbus.Bus
	turn  atomic.Int64
}

func (s *spread) home() bus.Bus { return s.homes[int(s.turn.Add(1))%len(s.homes)] }

func (s *spread) Serve(replica string, endpoints ...bus.Endpoint) (stop func()) {
	return s.home().Serve(replica, endpoints...)
}

func (s *spread) Subscribe(topic, group string, h bus.EventHandler) (stop func()) {
	return s.home().Subscribe(topic, group, h)
}
