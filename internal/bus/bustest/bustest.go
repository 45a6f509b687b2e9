// Package bustest is the suite that every implementation of bus.Bus passes: each
// promise of package bus is one subtest. Tests of implementations import it.
package bustest

import (
	"context"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"m3o/internal/bus"
)

// Features admits where implementations may differ.
type Features struct {
	// OneProcess: values of the caller's context reach the handler of a request, and
	// the very bus instance is where a panic of a request's handler comes out.
	OneProcess bool

	// Settles: Publish returns only when every group has acked or dead-lettered.
	// Otherwise it returns once the event is stored durably.
	Settles bool

	// FakeTime: the bus starts no goroutine and no input/output that a synctest
	// bubble could not hold, so the suite checks the real schedule, to the second.
	FakeTime bool
}

// Options is what the suite wants of a new bus.
type Options struct {
	Backoff    []time.Duration // nil: the implementation's own, bus.Schedule()
	DeadLetter func(ctx context.Context, l bus.Letter) error
}

// suite is one implementation under test.
type suite struct {
	Features
	open func(t *testing.T, o Options) bus.Bus
}

// Run holds the implementation to the promises. NewBus opens a bus that nobody is
// on yet and that t.Cleanup closes.
func Run(t *testing.T, f Features, newBus func(t *testing.T, o Options) bus.Bus) {
	t.Helper()
	s := suite{f, newBus}
	t.Run("Requests", s.requests)
	t.Run("Replicas", s.replicas)
	t.Run("Routes", s.routes)
	t.Run("Streams", s.streams)
	t.Run("Multicast", s.multicast)
	t.Run("Deadlines", s.deadlines)
	t.Run("Topics", s.topics)
	t.Run("Retries", s.retries)
}

// story runs one promise, in a bubble of fake time where the bus can be there.
func (s suite) story(t *testing.T, name string, tell func(t *testing.T, b *fixture)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		run := func(t *testing.T) {
			b := &fixture{t: t, letters: make(chan bus.Letter, 100), schedule: documented(), patience: 24 * time.Hour, grace: time.Nanosecond, budget: time.Minute}
			o := Options{DeadLetter: b.bury}
			if !s.FakeTime {
				b.schedule = []time.Duration{10 * time.Millisecond, 20 * time.Millisecond, 30 * time.Millisecond}
				o.Backoff, b.patience, b.grace, b.budget = b.schedule, 20*time.Second, 50*time.Millisecond, 300*time.Millisecond
			}
			b.Bus = s.open(t, o)
			tell(t, b)
		}
		if s.FakeTime {
			synctest.Test(t, run)
			return
		}
		run(t)
	})
}

// documented is the schedule as the contract states it.
func documented() []time.Duration {
	return []time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute}
}

// fixture is a bus with what the stories need around it.
type fixture struct {
	bus.Bus
	t        *testing.T
	schedule []time.Duration
	patience time.Duration // until something that should come is missed
	grace    time.Duration // how long something that must not come gets to come
	budget   time.Duration // what a caller gives who does not want to wait for ever
	letters  chan bus.Letter
	sequence int
}

func (b *fixture) bury(_ context.Context, l bus.Letter) error {
	b.letters <- l
	return nil
}

// event makes the next event of a key: its id tells its place, e1, e2, …
func (b *fixture) event(topic, key string) bus.Event {
	b.sequence++
	return bus.Event{
		ID: "e" + strconv.Itoa(b.sequence), Topic: topic, Source: "source.test", Key: key,
		Type: 1, TypeName: "Created", Time: time.UnixMicro(1_700_000_000_000_000).UTC(), Data: []byte(`{"type":1}`),
	}
}

// publish publishes in the background. What it returns waits for Publish to have
// returned nil.
func (b *fixture) publish(events ...bus.Event) (settled func()) {
	b.t.Helper()
	done := make(chan error, 1)
	go func() {
		for _, e := range events {
			if err := b.Publish(b.t.Context(), e); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	return func() {
		b.t.Helper()
		if err := receive(b, done); err != nil {
			b.t.Fatalf("Publish: %v", err)
		}
	}
}

// subscribe adds a member that reports what it is given and answers as told.
func (b *fixture) subscribe(topic, group string, answer func(e bus.Event) error) (seen chan bus.Event, stop func()) {
	seen = make(chan bus.Event, 1000)
	stop = b.Subscribe(topic, group, func(_ context.Context, e bus.Event) error {
		seen <- e
		return answer(e)
	})
	b.t.Cleanup(stop)
	return seen, stop
}

func ack(bus.Event) error { return nil }

// receive waits for the next value, or for the channel to be closed.
func receive[T any](b *fixture, c <-chan T) T {
	b.t.Helper()
	v, _ := next(b, c)
	return v
}

// next is receive that says whether the channel was still open.
func next[T any](b *fixture, c <-chan T) (v T, open bool) {
	b.t.Helper()
	select {
	case v, open = <-c:
		return v, open
	case <-time.After(b.patience):
		b.t.Fatal("nothing came")
		panic("unreachable")
	}
}

// quiet checks that nothing comes.
func quiet[T any](b *fixture, c <-chan T, what string) {
	b.t.Helper()
	select {
	case v := <-c:
		b.t.Errorf("%s: %v", what, v)
	case <-time.After(b.grace):
	}
}

// receiveIDs waits for n events and returns their ids.
func receiveIDs(b *fixture, seen <-chan bus.Event, n int) []string {
	b.t.Helper()
	ids := make([]string, n)
	for i := range ids {
		ids[i] = receive(b, seen).ID
	}
	return ids
}

func equal[T comparable](t *testing.T, what string, got, want []T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// keysApart returns n keys of different partitions.
func keysApart(n int) []string {
	var keys []string
	taken := map[int]bool{}
	for i := 0; len(keys) < n; i++ {
		key := "key" + strconv.Itoa(i)
		if p := (bus.Event{Key: key}).Partition(); !taken[p] {
			taken[p] = true
			keys = append(keys, key)
		}
	}
	return keys
}
