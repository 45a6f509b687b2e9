package bus_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"m3o/internal/bus"
	"m3o/internal/bus/bustest"
)

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

// The handlers come and go while others ask: for the race detector, and nobody
// may ever be served by a stopped one.
func TestMemoryHandlersMayComeAndGo(t *testing.T) {
	t.Parallel()
	b := bus.NewMemory(bus.MemoryConfig{})
	done := make(chan bool)
	go func() {
		defer close(done)
		for range 200 {
			var stopped atomic.Bool
			stop := b.Handle("h", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				if stopped.Load() {
					t.Error("a stopped handler served")
				}
			}))
			stop()
			stopped.Store(true)
		}
	}()
	for {
		select {
		case <-done:
			return
		default:
			w := httptest.NewRecorder()
			b.Handler("h").ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
			if w.Code != http.StatusOK && w.Code != http.StatusServiceUnavailable {
				t.Fatalf("got %d", w.Code)
			}
		}
	}
}

func BenchmarkMemoryHandler(b *testing.B) {
	m := bus.NewMemory(bus.MemoryConfig{})
	b.Cleanup(m.Handle("customers", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m.Handler("customers").ServeHTTP(nil, r)
		}
	})
}
