package bus

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Memory is the bus within one process. Its goroutines end with the handlers that they
// run, which stop waits for, so there is nothing to close.
type Memory struct {
	config MemoryConfig
	roster roster
	topics topics
}

var _ Bus = (*Memory)(nil)

// MemoryConfig is what a Memory bus is made of.
type MemoryConfig struct {
	// Backoff is how long to wait after each failed try. Default: Schedule().
	Backoff []time.Duration

	// Limit is how long one try of a handler may take until its context is
	// cancelled. Default: 30 seconds.
	Limit time.Duration

	// DeadLetter stores an event that is given up; once for an event and group, as
	// often as it is called. While it fails it is called again, and the event is not
	// settled. Default: nothing is stored, for tests; the log always tells.
	DeadLetter func(ctx context.Context, l Letter) error

	// Logger is told of panics, failed tries and dead letters. Default: slog.Default().
	Logger *slog.Logger
}

// NewMemory returns a bus that nobody is on.
func NewMemory(c MemoryConfig) *Memory {
	if c.Backoff == nil {
		c.Backoff = Schedule()
	}
	if c.Limit == 0 {
		c.Limit = 30 * time.Second
	}
	if c.DeadLetter == nil {
		c.DeadLetter = func(context.Context, Letter) error { return nil }
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return &Memory{config: c}
}

// Serve implements Bus. It panics when an endpoint could not be reached by anybody.
func (m *Memory) Serve(name string, endpoints ...Endpoint) (stop func()) {
	mustBeServable(name, endpoints)
	one := &replica{name: name}
	remove := m.roster.add(one, slices.Clone(endpoints))
	return func() {
		remove()
		one.running.close()
	}
}

// Know puts the endpoints of a replica in another process beside one's own: their
// handlers, which should be Elsewhere, lead there. An endpoint that nobody could reach is
// left out, since another build may have made it. Forget passes them over from then on;
// it does not wait for the requests that are there, and may be called twice. Transports
// call it.
func (m *Memory) Know(name string, endpoints ...Endpoint) (forget func()) {
	endpoints = slices.DeleteFunc(slices.Clone(endpoints), func(e Endpoint) bool { return e.fault() != "" })
	if !hostname.MatchString(strings.ToLower(name)) {
		endpoints = nil
	}
	one := &replica{name: name}
	remove := m.roster.add(one, endpoints)
	return func() {
		one.running.shut()
		remove()
	}
}

// Handler implements Bus. It takes no lock.
func (m *Memory) Handler(host string) http.Handler {
	if s := m.roster.site(host); s != nil {
		return s
	}
	return Unknown(host)
}
