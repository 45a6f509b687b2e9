package natsbus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"m3o/internal/bus"
	natsbus "m3o/internal/bus/nats"
	"m3o/internal/bus/nats/natstest"
)

func event(n int, key string) bus.Event {
	return bus.Event{ID: "evt_" + strconv.Itoa(n), Topic: "customers", Source: "customers", Key: key, Type: 1, TypeName: "Created",
		Time: time.UnixMicro(1_700_000_000_000_000).UTC(), Data: []byte(`{"type":1}`)}
}

func publish(t *testing.T, b *natsbus.Bus, e bus.Event) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := b.Publish(ctx, e); err != nil {
		t.Fatal(err)
	}
}

// letters keeps dead letters.
func letters(c *natsbus.Config) chan bus.Letter {
	all := make(chan bus.Letter, 100)
	c.DeadLetter = func(_ context.Context, l bus.Letter) error { all <- l; return nil }
	return all
}

func TestAnEventIsACloudEventOnTheWire(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	nc, err := nats.Connect(p.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	e := event(1, "cus a%")
	s, err := nc.SubscribeSync(fmt.Sprintf("%s.topic.customers.%d", p.config.Prefix, e.Partition()))
	if err != nil {
		t.Fatal(err)
	}
	publish(t, p.process(), e)
	m, err := s.NextMsg(patience)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"ce-specversion": "1.0", "ce-id": "evt_1", "ce-source": "customers", "ce-type": "customers.Created", "ce-subject": "cus%20a%25",
		"ce-time": "2023-11-14T22:13:20Z", "ce-typenumber": "1", "content-type": "application/json", "Nats-Msg-Id": "evt_1",
	} {
		if got := m.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if string(m.Data) != `{"type":1}` {
		t.Errorf("the data is %s", m.Data)
	}
}

func TestWhatIsAckedSurvivesARestartOfNATS(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	b := p.process()
	stop := b.Subscribe("customers", "g", func(context.Context, bus.Event) error { return nil })
	stop()
	for i := range 20 {
		publish(t, b, event(i, "k"))
	}
	p.server.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if b.Publish(ctx, event(20, "k")) == nil {
		t.Error("an event was published though NATS is down")
	}
	p.server.Resume()
	eventually(t, "publishing works again", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		return b.Publish(ctx, event(20, "k")) == nil
	})
	seen := make(chan string, 100)
	t.Cleanup(b.Subscribe("customers", "g", func(_ context.Context, e bus.Event) error { seen <- e.ID; return nil }))
	for i := range 21 {
		if got := receive(t, seen); got != "evt_"+strconv.Itoa(i) {
			t.Fatalf("got %s, want evt_%d", got, i)
		}
	}
}

func TestAMemberGoesOnAfterARestartOfNATS(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	publisher, consumer := p.process(), p.process()
	seen := make(chan string, 100)
	t.Cleanup(consumer.Subscribe("customers", "g", func(_ context.Context, e bus.Event) error { seen <- e.ID; return nil }))
	publish(t, publisher, event(1, "k"))
	receive(t, seen)
	p.server.Stop()
	p.server.Resume()
	eventually(t, "publishing works again", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		return publisher.Publish(ctx, event(2, "k")) == nil
	})
	for got := ""; got != "evt_2"; { // the ack of the first may have been lost
		got = receive(t, seen)
	}
}

func TestTriesSurviveTheirProcess(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	p.config.Redelivery, p.config.Backoff = 300*time.Millisecond, []time.Duration{10 * time.Millisecond, 10 * time.Millisecond}
	dead := letters(&p.config)
	publisher := p.process()
	doomed, link := p.linked()
	entered, leave := make(chan bool, 1), make(chan bool)
	t.Cleanup(doomed.Subscribe("customers", "g", func(context.Context, bus.Event) error { entered <- true; <-leave; return nil }))
	t.Cleanup(func() { close(leave) })
	publish(t, publisher, event(1, "k"))
	receive(t, entered)
	link.Cut() // the first try dies with its process
	var tries atomic.Int64
	t.Cleanup(p.process().Subscribe("customers", "g", func(context.Context, bus.Event) error { tries.Add(1); return errors.New("no") }))
	if l := receive(t, dead); l.Tries != 3 || tries.Load() != 2 || l.Error != "no" {
		t.Errorf("%+v after %d tries here, want the third delivery to be the last", l, tries.Load())
	}
}

func TestAfterCostsNoTryInWhicheverProcess(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	p.config.Backoff = []time.Duration{time.Millisecond, time.Millisecond}
	dead := letters(&p.config)
	var deliveries atomic.Int64
	handle := func(context.Context, bus.Event) error {
		if deliveries.Add(1) <= 10 {
			return bus.After(time.Millisecond, errors.New("not yet"))
		}
		return errors.New("no")
	}
	for range 3 {
		t.Cleanup(p.process().Subscribe("customers", "g", handle))
	}
	publish(t, p.process(), event(1, "k"))
	if l := receive(t, dead); l.Tries != 13 || deliveries.Load() != 13 {
		t.Errorf("%d deliveries, %+v: want ten that cost nothing and three tries", deliveries.Load(), l)
	}
}

func TestALongHandlerIsNotTakenForDead(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	p.config.Redelivery = 300 * time.Millisecond
	var running, most atomic.Int64
	done := make(chan bool, 10)
	for range 2 {
		t.Cleanup(p.process().Subscribe("customers", "g", func(context.Context, bus.Event) error {
			most.Store(max(most.Load(), running.Add(1)))
			<-time.After(1500 * time.Millisecond) // five times as long as JetStream waits for a word
			running.Add(-1)
			done <- true
			return nil
		}))
	}
	b := p.process()
	publish(t, b, event(1, "k"))
	publish(t, b, event(2, "k"))
	receive(t, done)
	receive(t, done)
	if n := most.Load(); n != 1 || len(done) != 0 {
		t.Errorf("%d handled events of one key at once, %d more were delivered", n, len(done))
	}
}

func TestALetterMayBeReplayedAtOnceAndAgain(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	dead := letters(&p.config)
	b := p.process()
	t.Cleanup(b.Subscribe("customers", "g", func(context.Context, bus.Event) error { return bus.Drop(errors.New("no")) }))
	e := event(1, "k")
	publish(t, b, e)
	for range 3 {
		l := receive(t, dead)
		e.Group = l.Group
		publish(t, b, e)
	}
	receive(t, dead)
}

func TestWhatIsPublishedTwiceIsKeptOnce(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	b := p.process()
	seen := make(chan string, 10)
	t.Cleanup(b.Subscribe("customers", "g", func(_ context.Context, e bus.Event) error { seen <- e.ID; return nil }))
	for range 3 {
		publish(t, b, event(1, "k"))
	}
	publish(t, b, event(2, "k"))
	if got := []string{receive(t, seen), receive(t, seen)}; !slices.Equal(got, []string{"evt_1", "evt_2"}) {
		t.Errorf("got %v", got)
	}
}

func TestALetterThatCannotBeStoredIsNotLost(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	var asked atomic.Int64
	stored := make(chan bus.Letter, 1)
	p.config.DeadLetter = func(_ context.Context, l bus.Letter) error {
		if asked.Add(1) < 2 {
			return errors.New("no disk")
		}
		stored <- l
		return nil
	}
	b := p.process()
	t.Cleanup(b.Subscribe("customers", "g", func(context.Context, bus.Event) error { return bus.Drop(errors.New("no")) }))
	publish(t, b, event(1, "k"))
	if l := receive(t, stored); l.Event.ID != "evt_1" || l.Tries != 1 {
		t.Errorf("%+v", l)
	}
}

func TestWhatCannotBeReadIsADeadLetter(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	dead := letters(&p.config)
	b := p.process()
	t.Cleanup(b.Subscribe("customers", "g", func(context.Context, bus.Event) error { return nil }))
	nc, err := nats.Connect(p.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := nc.Publish(p.config.Prefix+".topic.customers.3", []byte("garbage")); err != nil {
		t.Fatal(err)
	}
	if l := receive(t, dead); string(l.Event.Data) != "garbage" || !strings.Contains(l.Error, "ce-typenumber") {
		t.Errorf("%+v", l)
	}
}

func TestAGroupComesToBeOnceWhoeverIsFirst(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	const members = 5
	seen := make(chan string, 100)
	var joining sync.WaitGroup
	for range members {
		b := p.process()
		joining.Go(func() {
			t.Cleanup(b.Subscribe("customers", "a.group", func(_ context.Context, e bus.Event) error { seen <- e.ID; return nil }))
		})
	}
	joining.Wait()
	b := p.process()
	for i := range 40 {
		publish(t, b, event(i, "k"+strconv.Itoa(i)))
	}
	got := map[string]bool{}
	for range 40 {
		got[receive(t, seen)] = true
	}
	if len(got) != 40 || len(seen) != 0 {
		t.Errorf("%d events, %d more deliveries", len(got), len(seen))
	}
}

// A failure of NATS in the middle must not let a later event of a key overtake an earlier.
func TestTheOrderOfAKeySurvivesFailures(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	publisher, link := p.linked()
	var mu sync.Mutex
	var got []string
	t.Cleanup(p.process().Subscribe("customers", "g", func(_ context.Context, e bus.Event) error {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, e.ID)
		return nil
	}))
	const all = 200
	next := 0
	for round := 0; next < all; round++ {
		next += burst(t, publisher, next, min(all-next, 50), func() {
			if round < 3 {
				link.Cut()
			}
		})
		link.Mend()
	}
	eventually(t, "all have arrived", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return slices.Contains(got, "evt_"+strconv.Itoa(all-1))
	})
	mu.Lock()
	defer mu.Unlock()
	last := -1
	for _, id := range slices.Compact(got) {
		n, err := strconv.Atoi(strings.TrimPrefix(id, "evt_"))
		if err != nil || n > last+1 {
			t.Fatalf("%s came after evt_%d", id, last)
		}
		last = max(last, n)
	}
}

func TestNothingPassesWhatCouldNotBePublished(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	b := p.process()
	t.Cleanup(b.Subscribe("customers", "g", func(context.Context, bus.Event) error { return nil }))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ahead := b.Send(ctx, event(0, "k"))
	large := event(1, "k")
	large.Data = make([]byte, 2<<20)
	lost := b.Send(ctx, large)
	behind := b.Send(ctx, event(2, "k"))
	other := event(3, "other")
	for i := 0; other.Partition() == large.Partition(); i++ {
		other.Key = "other " + strconv.Itoa(i)
	}
	if err := errors.Join(ahead(), b.Send(ctx, other)()); err != nil {
		t.Fatal(err)
	}
	if err := lost(); err == nil {
		t.Fatal("more than NATS takes has been stored")
	}
	later := b.Send(ctx, event(4, "k"))
	if behind() == nil || later() == nil {
		t.Error("an event has passed one that was sent before it and failed")
	}
	if err := b.Publish(ctx, event(5, "k")); err != nil {
		t.Errorf("published by itself: %v", err)
	}
	again, end := context.WithCancel(ctx)
	defer end()
	if err := b.Send(again, event(1, "k"))(); err != nil {
		t.Errorf("sent anew: %v", err)
	}
}

// burst sends events of one key with one context, as the relay does, and returns how many
// were stored before the first that was not. Half-way something happens.
func burst(t *testing.T, b *natsbus.Bus, from, n int, halfway func()) (stored int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	errs := make([]error, n)
	var settling sync.WaitGroup
	for i := range n {
		settle := b.Send(ctx, event(from+i, "k"))
		settling.Go(func() {
			if i == n/2 {
				halfway()
			}
			errs[i] = settle()
		})
	}
	settling.Wait()
	first := slices.IndexFunc(errs, func(err error) bool { return err != nil })
	if first < 0 {
		return n
	}
	for i, err := range errs[first:] {
		if err == nil {
			t.Errorf("evt_%d was stored though evt_%d, sent before it, was not: %v", from+first+i, from+first, errs[first])
		}
	}
	return first
}

func TestATopicsStreamIsAsPromised(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	b := p.process()
	t.Cleanup(b.Subscribe("customers", "g", func(context.Context, bus.Event) error { return nil }))
	nc, err := nats.Connect(p.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), p.config.Prefix+"-topic-customers")
	if err != nil {
		t.Fatal(err)
	}
	if c := stream.CachedInfo().Config; c.Storage != jetstream.FileStorage || c.Retention != jetstream.InterestPolicy || c.Replicas != 1 {
		t.Errorf("%+v", c)
	}
	n := 0
	for info := range stream.ListConsumers(t.Context()).Info() {
		if n++; info.Config.MaxAckPending != 1 || info.Config.AckPolicy != jetstream.AckExplicitPolicy || info.Config.Durable == "" {
			t.Errorf("%+v", info.Config)
		}
	}
	if n != bus.Partitions {
		t.Errorf("%d consumers", n)
	}
}

func TestAServerWithoutJetStreamIsRefusedWithWhatToDo(t *testing.T) {
	t.Parallel()
	server := natstest.Start(t, natstest.WithoutJetStream)
	_, err := natsbus.Open(t.Context(), natsbus.Config{URL: server.URL})
	if err == nil || !strings.Contains(err.Error(), "--jetstream") {
		t.Errorf("got %v", err)
	}
}
