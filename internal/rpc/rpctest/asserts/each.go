package asserts

import (
	"log/slog"
	"testing"

	"m3o/internal/bus"
)

// NewBus is a bus that nobody is on.
func NewBus() bus.Bus {
	return bus.NewMemory(bus.MemoryConfig{Logger: slog.New(slog.DiscardHandler)})
}

// EachWay runs body as the parallel subtests direct and loopback, each with a bus of its own. That of loopback delivers
// every mutating call twice.
func EachWay(t *testing.T, body func(t *testing.T, b bus.Bus, direct bool)) {
	t.Helper()
	t.Run("direct", func(t *testing.T) {
		t.Parallel()
		body(t, NewBus(), true)
	})
	t.Run("loopback", func(t *testing.T) {
		t.Parallel()
		body(t, Twice(t, NewBus()), false)
	})
}
