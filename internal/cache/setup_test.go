package cache

import (
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"m3o/internal/bus"
)

const host = "shop"

// setup is a cache of three replicas: r0, r1 and r2.
func setup(t *testing.T, changes ...func(*Config)) (caches []*Cache, b bus.Bus) {
	t.Helper()
	b = newBus()
	for i := range 3 {
		caches = append(caches, join(t, b, fmt.Sprintf("r%d", i), changes...))
	}
	return caches, b
}

func newBus() bus.Bus { return bus.NewMemory(bus.MemoryConfig{Logger: slog.New(slog.DiscardHandler)}) }

// join adds a replica, which leaves when the test ends.
func join(t *testing.T, b bus.Bus, replica string, changes ...func(*Config)) *Cache {
	t.Helper()
	config := Config{Bus: b, Host: host, Replica: replica, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
	for _, change := range changes {
		change(&config)
	}
	c := New(config)
	t.Cleanup(c.stop)
	return c
}

func keeping(maxBytes int64) func(*Config) { return func(c *Config) { c.MaxBytes = maxBytes } }

// stranger answers like a replica to whatever the others ask.
func stranger(t *testing.T, b bus.Bus, answer http.HandlerFunc) {
	t.Helper()
	t.Cleanup(b.Serve("stranger", bus.Endpoint{Host: host, Port: portNumber, Method: bus.Any, Path: "/dcache/{what+}", Handler: answer}))
}

// late answers after its time, on a synctest clock.
func late(_ http.ResponseWriter, r *http.Request) {
	<-r.Context().Done()
	time.Sleep(time.Second)
}

// listener is a bus that tells of each request before it is sent.
type listener struct {
	bus.Bus
	mu   sync.Mutex
	sent []string
	hear func(path string)
}

func (l *listener) Multicast(r *http.Request) <-chan bus.Reply {
	l.mu.Lock()
	l.sent = append(l.sent, r.Method+" "+r.URL.Path)
	l.mu.Unlock()
	if l.hear != nil {
		l.hear(r.URL.Path)
	}
	return l.Bus.Multicast(r)
}

func (l *listener) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.sent)
}

func store(t *testing.T, c *Cache, key, value string, options ...StoreOption) {
	t.Helper()
	if err := c.Store(t.Context(), key, []byte(value), options...); err != nil {
		t.Errorf("store %s at %s: %v", key, c.config.Replica, err)
	}
}

func wantValue(t *testing.T, c *Cache, key, want string, options ...LoadOption) {
	t.Helper()
	value, ok, err := c.Load(t.Context(), key, options...)
	if err != nil || !ok || string(value) != want {
		t.Errorf("load %s at %s: %q %v %v, want %q", key, c.config.Replica, value, ok, err, want)
	}
}

func wantMiss(t *testing.T, c *Cache, key string) {
	t.Helper()
	if value, ok, err := c.Load(t.Context(), key); err != nil || ok {
		t.Errorf("load %s at %s: %q %v %v, want a miss", key, c.config.Replica, value, ok, err)
	}
}

func wantLocal(t *testing.T, c *Cache, elements int, weight int64) {
	t.Helper()
	if e, w := c.Local(); e != elements || w != weight {
		t.Errorf("%s keeps %d elements of %d bytes, want %d of %d", c.config.Replica, e, w, elements, weight)
	}
}
