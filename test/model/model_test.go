package model_test

import (
	"log/slog"
	"sync"
	"testing"

	"m3o/internal/bus"
	natsbus "m3o/internal/bus/nats"
	"m3o/internal/bus/nats/natstest"
	"m3o/test/model"
)

// TestInMemory runs the suite with everything in one process.
func TestInMemory(t *testing.T) {
	t.Parallel()
	model.Run(t, model.Transport{Name: "Memory", New: func(*testing.T) func() bus.Bus {
		b := bus.NewMemory(bus.MemoryConfig{Logger: slog.New(slog.DiscardHandler)})
		return func() bus.Bus { return b }
	}})
}

// TestOverNATS runs it with every service in a process of its own, as far as the bus can
// tell: each has a connection, and nothing else in common with the others. It goes first
// and one server after the other, since some checks look at the clock.
func TestOverNATS(t *testing.T) {
	t.Run("Embedded", func(t *testing.T) { model.Run(t, overNATS(natstest.Start(t).URL)) })
	if url := natstest.Given(t); url != "" {
		t.Run("Given", func(t *testing.T) { model.Run(t, overNATS(url)) })
	}
}

// overNATS gives each process a link of its own to the server, so that it can be killed.
func overNATS(url string) model.Transport {
	links := &sync.Map{} // *natsbus.Bus → *natstest.Link
	return model.Transport{Name: "NATS", New: func(t *testing.T) func() bus.Bus {
		prefix := natstest.Prefix(t, url)
		return func() bus.Bus {
			link := natstest.NewLink(t, url)
			b, err := natsbus.Open(t.Context(), natsbus.Config{URL: link.URL, Prefix: prefix, Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = b.Close() })
			links.Store(b, link)
			return b
		}
	}, Kill: func(b bus.Bus) {
		link, _ := links.Load(b)
		link.(*natstest.Link).Cut()
	}}
}
