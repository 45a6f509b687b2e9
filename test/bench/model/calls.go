package main

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"m3o/internal/bus"
	"m3o/internal/helloworld"
	"m3o/internal/helloworld/helloworldapi"
	"m3o/internal/keys/keysapi"
)

// calls are the figures of the run time.
func calls() []figure {
	return []figure{
		{"typed call, direct", time.Microsecond, 5, direct},
		{"typed call over the bus, with encoding", 5 * time.Microsecond, 0, overTheBus},
		{"raw request through the bus", 5 * time.Microsecond, 20, raw},
		{"unknown host", 10 * time.Microsecond, 0, unknown},
		{"multicast to 4 replicas, warm", 20 * time.Microsecond, 0, multicast},
		{"multicast to nobody", 10 * time.Microsecond, 0, multicastToNobody},
		{"start and stop of an idle service", 2 * time.Millisecond, 0, idleStart},
	}
}

func newBus() bus.Bus {
	return bus.NewMemory(bus.MemoryConfig{Logger: slog.New(slog.DiscardHandler)})
}

// greeter is the smallest service, on a bus until the benchmark ends.
func greeter(b *testing.B, on bus.Bus) *helloworld.Service {
	s, err := helloworld.New(helloworld.Deps{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.Register(on))
	return s
}

func direct(b *testing.B) { call(b, greeter(b, newBus())) }

func overTheBus(b *testing.B) {
	on := newBus()
	greeter(b, on)
	call(b, helloworldapi.NewClient(on))
}

func call(b *testing.B, s helloworldapi.Service) {
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Call(ctx, "John"); err != nil {
			b.Fatal(err)
		}
	}
}

// sink takes an answer and keeps nothing but its status.
type sink struct {
	header http.Header
	status int
}

func (w *sink) Header() http.Header         { return w.header }
func (w *sink) WriteHeader(status int)      { w.status = status }
func (w *sink) Write(p []byte) (int, error) { return len(p), nil }

func raw(b *testing.B) {
	on := newBus()
	greeter(b, on)
	send(b, on, "helloworld", http.StatusOK)
}

func unknown(b *testing.B) { send(b, newBus(), "nobody", http.StatusServiceUnavailable) }

func send(b *testing.B, on bus.Bus, host string, want int) {
	const body = `{"name":"John"}`
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "https://"+host+"/call", nil)
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.ContentLength = int64(len(body))
	w := &sink{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.header)
		r.Body = io.NopCloser(strings.NewReader(body))
		on.Handler(host).ServeHTTP(w, r)
	}
	if w.status != want {
		b.Fatalf("status %d", w.status)
	}
}

func multicast(b *testing.B) {
	on := newBus()
	for i := range 4 {
		hook := keysapi.NewHook(on, "rep"+strconv.Itoa(i), "")
		b.Cleanup(hook.OnKeysChanged(func(context.Context, string) error { return nil }))
	}
	fire(b, on, 4)
}

func multicastToNobody(b *testing.B) { fire(b, newBus(), 0) }

func fire(b *testing.B, on bus.Bus, want int) {
	ctx, trigger := context.Background(), keysapi.NewMulticastTrigger(on)
	b.ReportAllocs()
	for b.Loop() {
		if answers, err := trigger.OnKeysChanged(ctx, "cus_1").Wait(); err != nil || len(answers) != want {
			b.Fatal(answers, err)
		}
	}
}

func idleStart(b *testing.B) {
	on := newBus()
	b.ReportAllocs()
	for b.Loop() {
		s, err := helloworld.New(helloworld.Deps{})
		if err != nil {
			b.Fatal(err)
		}
		s.Register(on)()
	}
}
