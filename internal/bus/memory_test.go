package bus_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"m3o/internal/bus"
	"m3o/internal/bus/bustest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemory(t *testing.T) {
	t.Parallel()
	features := bustest.Features{OneProcess: true, Settles: true, FakeTime: true}
	bustest.Run(t, features, func(_ *testing.T, o bustest.Options) bus.Bus {
		return bus.NewMemory(bus.MemoryConfig{Backoff: o.Backoff, DeadLetter: o.DeadLetter, Logger: slog.New(slog.DiscardHandler)})
	})
}

func TestMemoryAsksForALostDeadLetterToBeStoredAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		b := bus.NewMemory(bus.MemoryConfig{Logger: slog.New(slog.DiscardHandler), DeadLetter: func(context.Context, bus.Letter) error {
			if asked++; asked < 3 {
				return errors.New("no disk")
			}
			return nil
		}})
		defer b.Subscribe("t", "g", func(context.Context, bus.Event) error { return bus.Drop(errors.New("bad")) })()
		if err := b.Publish(t.Context(), bus.Event{ID: "e", Topic: "t"}); err != nil || asked != 3 {
			t.Errorf("Publish: %v after %d tries to store the letter, want nil after 3", err, asked)
		}
	})
}

func TestMemoryDoesNotSettleWhatCouldNotBeBuried(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		full := errors.New("no disk")
		b := bus.NewMemory(bus.MemoryConfig{Logger: slog.New(slog.DiscardHandler),
			DeadLetter: func(context.Context, bus.Letter) error { return full }})
		defer b.Subscribe("t", "g", func(context.Context, bus.Event) error { return bus.Drop(errors.New("bad")) })()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := b.Publish(ctx, bus.Event{ID: "e", Topic: "t"}); !errors.Is(err, full) {
			t.Errorf("Publish: %v, want the reason", err)
		}
	})
}

func TestMemoryLogsAPanicOnceWithItsStack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		b := bus.NewMemory(bus.MemoryConfig{Backoff: []time.Duration{}, Logger: slog.New(slog.NewTextHandler(&out, nil))})
		defer b.Subscribe("t", "g", func(context.Context, bus.Event) error { panic("ouch") })()
		if err := b.Publish(t.Context(), bus.Event{ID: "e", Topic: "t"}); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(out.String(), "memory_test.go"); n != 1 {
			t.Errorf("the stack was logged %d times, want once:\n%s", n, out.String())
		}
	})
}

func TestMemoryLogsAPanicOfAMulticastOnceWithItsStack(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	b := bus.NewMemory(bus.MemoryConfig{Logger: slog.New(slog.NewTextHandler(&out, nil))})
	defer b.Serve("r1", page(func(http.ResponseWriter, *http.Request) { panic("ouch") }))()
	if reply := <-b.Multicast(ask("https://customers/page")); reply.Status != http.StatusInternalServerError {
		t.Errorf("got %d %s", reply.Status, reply.Body)
	}
	if n := strings.Count(out.String(), "memory_test.go"); n != 1 {
		t.Errorf("the stack was logged %d times, want once:\n%s", n, out.String())
	}
}

// watched is a context that counts who waits for its end.
type watched struct {
	context.Context
	done    chan struct{}
	waiting atomic.Int64
}

func (c *watched) Done() <-chan struct{} { return c.done }

func (c *watched) AfterFunc(func()) (stop func() bool) {
	c.waiting.Add(1)
	return func() bool { c.waiting.Add(-1); return true }
}

func TestMemoryForgetsTheCallersContextWithTheLastReply(t *testing.T) {
	t.Parallel()
	m := bus.NewMemory(bus.MemoryConfig{})
	t.Cleanup(m.Serve("r1", page(nothing)))
	ctx := &watched{Context: t.Context(), done: make(chan struct{})}
	t.Cleanup(m.Serve("r2", page(func(http.ResponseWriter, *http.Request) {
		if ctx.waiting.Load() == 0 {
			t.Error("nobody minds the caller's time")
		}
	})))
	for range 2 {
		for range m.Multicast(ask("https://customers/page").WithContext(ctx)) {
		}
	}
	if n := ctx.waiting.Load(); n != 0 {
		t.Errorf("%d still wait for a context that may never end", n)
	}
}

// A handler that is asked for just before a replica stops is as one that was kept.
func TestMemoryPassesOverWhoStopsInAKeptHandler(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := bus.NewMemory(bus.MemoryConfig{})
		t.Cleanup(m.Serve("r1", page(nothing)))
		leave := make(chan bool)
		stop := m.Serve("r2", page(func(http.ResponseWriter, *http.Request) { <-leave }))
		kept := m.Handler("customers")
		go m.Handler("r2.customers").ServeHTTP(discard{}, ask("https://customers/page"))
		synctest.Wait()
		go stop()
		synctest.Wait() // it waits for the request
		for range 10 {
			w := httptest.NewRecorder()
			if kept.ServeHTTP(w, ask("https://customers/page")); w.Code != http.StatusOK {
				t.Errorf("got %d though r1 is there", w.Code)
			}
		}
		leave <- true
		stop()
	})
}

func TestMemoryRefusesWhatNobodyCouldReach(t *testing.T) {
	t.Parallel()
	h := http.NotFoundHandler()
	for want, e := range map[string]bus.Endpoint{
		"this is no host":      {Host: "a..b", Method: "GET", Handler: h},
		"this is no port":      {Host: "a", Port: 65536, Method: "GET", Handler: h},
		"this is no method":    {Host: "a", Method: "get", Handler: h},
		"this is no path":      {Host: "a", Method: "GET", Path: "x", Handler: h},
		"there is no handler":  {Host: "a", Method: "GET"},
		"span a whole segment": {Host: "a", Method: "GET", Path: "/x{y}", Handler: h},
		"take the rest":        {Host: "a", Method: "GET", Path: "/{x+}/y", Handler: h},
		"be called":            {Host: "called", Method: "GET", Handler: h},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if p := fmt.Sprint(recover()); !strings.Contains(p, want) {
					t.Errorf("panicked with %s, want %s", p, want)
				}
			}()
			replica := "r1"
			if e.Host == "called" {
				replica = ""
			}
			bus.NewMemory(bus.MemoryConfig{}).Serve(replica, e)
		})
	}
}

// page is an endpoint at https://customers/page.
func page(h http.HandlerFunc) bus.Endpoint {
	return bus.Endpoint{Host: "customers", Port: 443, Method: http.MethodGet, Path: "/page", Queue: "customers", Handler: h}
}

func ask(url string) *http.Request { return httptest.NewRequest(http.MethodGet, url, nil) }

func nothing(http.ResponseWriter, *http.Request) {}

func TestMemoryFindsAHandlerWithoutAllocating(t *testing.T) {
	m := bus.NewMemory(bus.MemoryConfig{})
	pattern := page(nothing)
	pattern.Path = "/things/{id}/{rest+}"
	t.Cleanup(m.Serve("r1", page(nothing), pattern))
	t.Cleanup(m.Serve("r2", page(nothing), pattern))
	for _, r := range []*http.Request{ask("https://customers/page"), ask("https://customers/things/7/a/b")} {
		n := testing.AllocsPerRun(1000, func() { m.Handler("customers").ServeHTTP(nil, r) })
		if n != 0 {
			t.Errorf("%s: %v allocations", r.URL, n)
		}
	}
}

func BenchmarkMemoryHandler(b *testing.B) {
	for name, url := range map[string]string{"Exact": "https://customers/page", "Pattern": "https://customers/things/7/a/b"} {
		b.Run(name, func(b *testing.B) {
			m := bus.NewMemory(bus.MemoryConfig{})
			pattern := page(nothing)
			pattern.Path = "/things/{id}/{rest+}"
			b.Cleanup(m.Serve("r1", page(nothing), pattern))
			r := ask(url)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					m.Handler("customers").ServeHTTP(nil, r)
				}
			})
		})
	}
}

func BenchmarkMemoryUnknownHost(b *testing.B) {
	m := bus.NewMemory(bus.MemoryConfig{})
	b.Run("NotFound", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			m.Handler("nobody")
		}
	})
	b.Run("Answered", func(b *testing.B) {
		r := ask("https://nobody/")
		b.ReportAllocs()
		for b.Loop() {
			m.Handler("nobody").ServeHTTP(discard{}, r)
		}
	})
}

// discard is an answer that nobody reads.
type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) WriteHeader(int)             {}
func (discard) Write(p []byte) (int, error) { return len(p), nil }

func BenchmarkMemoryMulticast(b *testing.B) {
	for _, replicas := range []int{0, 1, 4} {
		b.Run(strconv.Itoa(replicas), func(b *testing.B) {
			m := bus.NewMemory(bus.MemoryConfig{})
			e := page(nothing)
			e.Queue = ""
			for i := range replicas {
				b.Cleanup(m.Serve("r"+strconv.Itoa(i), e))
			}
			ctx, cancel := context.WithTimeout(b.Context(), time.Hour)
			defer cancel()
			r := ask("https://customers/page").WithContext(ctx)
			b.ReportAllocs()
			for b.Loop() {
				for range m.Multicast(r) {
				}
			}
		})
	}
}

// BenchmarkMemoryServe starts and stops a replica of 100 endpoints.
func BenchmarkMemoryServe(b *testing.B) {
	m := bus.NewMemory(bus.MemoryConfig{})
	endpoints := make([]bus.Endpoint, 100)
	for i := range endpoints {
		endpoints[i] = page(nothing)
		endpoints[i].Path = "/page" + strconv.Itoa(i)
	}
	b.ReportAllocs()
	for b.Loop() {
		m.Serve("r1", endpoints...)()
	}
}
