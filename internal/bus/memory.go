package bus

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// Memory is the bus within one process. It starts no goroutine that outlives the
// call which needs it, so there is nothing to close.
type Memory struct {
	config    MemoryConfig
	servers   roster[*server]   // by lower-case host
	listeners roster[*listener] // by eventName
	topics    topics
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

// server is a handler that can be stopped.
type server struct {
	host    string
	handler http.Handler
	running gate
}

// ServeHTTP answers as Unknown does once the server has stopped: somebody kept it.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.running.enter() {
		Unknown(s.host).ServeHTTP(w, r)
		return
	}
	defer s.running.leave()
	s.handler.ServeHTTP(w, r)
}

// Handle implements Bus.
func (m *Memory) Handle(host string, h http.Handler) (stop func()) {
	s := &server{host: host, handler: h}
	remove := m.servers.add(strings.ToLower(host), s)
	return func() {
		remove()
		s.running.close()
	}
}

// Handler implements Bus. It takes no lock.
func (m *Memory) Handler(host string) http.Handler {
	serving := m.servers.get(strings.ToLower(host))
	if len(serving) == 0 {
		return Unknown(host)
	}
	return serving[len(serving)-1]
}
