package natsbus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"m3o/internal/bus"
)

// member is one subscription of a group. JetStream has a consumer for each partition of a
// group, which has one event at a time out, at one of the members.
type member struct {
	topics *topics
	topic  string
	group  string
	handle bus.EventHandler

	events   chan *nats.Msg
	stopping context.Context // ends when it takes no more
	stop     context.CancelFunc
	listened chan struct{}  // closed when it gets events
	done     chan struct{}  // closed when it has handled its last
	running  sync.WaitGroup // of handlers
}

// Subscribe implements bus.Bus. It returns when the group is there; if that takes more than
// five seconds, as without a connection, it goes on trying.
func (b *Bus) Subscribe(topic, group string, h bus.EventHandler) (stop func()) {
	m := &member{topics: b.topics, topic: topic, group: group, handle: h,
		events: make(chan *nats.Msg, 4*bus.Partitions), listened: make(chan struct{}), done: make(chan struct{})}
	m.stopping, m.stop = context.WithCancel(b.living)
	b.topics.mu.Lock()
	b.topics.members[m] = true
	b.topics.mu.Unlock()
	go m.run()
	select {
	case <-m.listened:
	case <-time.After(subscribeLimit):
		b.log.Warn("a group is not subscribed yet", "topic", topic, "group", group)
	}
	return m.leave
}

// leave takes no more and waits for what runs.
func (m *member) leave() {
	m.stop()
	<-m.done
	m.topics.mu.Lock()
	defer m.topics.mu.Unlock()
	delete(m.topics.members, m)
}

// close lets all members leave.
func (t *topics) close() {
	t.mu.Lock()
	var all []*member
	for m := range t.members {
		all = append(all, m)
	}
	t.mu.Unlock()
	var leaving sync.WaitGroup
	for _, m := range all {
		leaving.Go(m.leave)
	}
	leaving.Wait()
}

const (
	subscribeLimit = 5 * time.Second
	callLimit      = 10 * time.Second // of one call to JetStream
)

// run listens until it is stopped, and then handles what has come.
func (m *member) run() {
	defer close(m.done)
	defer m.running.Wait()
	subscriptions := m.listen()
	for m.stopping.Err() == nil {
		select {
		case message := <-m.events:
			m.take(message)
		case <-m.stopping.Done():
		}
	}
	m.topics.bus.drain(subscriptions...) // what has been sent arrives first
	for len(m.events) > 0 {
		m.take(<-m.events)
	}
}

// take handles an event beside those of other partitions.
func (m *member) take(message *nats.Msg) {
	m.running.Go(func() { m.deliver(message) })
}

// listen subscribes, as often as it takes.
func (m *member) listen() (subscriptions []*nats.Subscription) {
	for {
		subscriptions, err := m.subscribe()
		if err == nil {
			close(m.listened)
			return subscriptions
		}
		for _, s := range subscriptions {
			_ = s.Unsubscribe()
		}
		if m.stopping.Err() != nil {
			return nil
		}
		m.topics.bus.log.Error("a group cannot be subscribed", "topic", m.topic, "group", m.group, "error", err)
		if !pause(m.stopping, time.Second) {
			return nil
		}
	}
}

// Declare makes a group that has no member yet, as its first Subscribe does, so that what
// is published from now on waits for one. A group that is there is left as it is.
func (b *Bus) Declare(ctx context.Context, topic, group string) error {
	return (&member{topics: b.topics, topic: topic, group: group}).declare(ctx)
}

// declare makes the topic's stream and the group's consumers, if they are not there.
func (m *member) declare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	if err := m.topics.stream(ctx, m.topic); err != nil {
		return err
	}
	all, ctx := errgroup.WithContext(ctx)
	for n := range bus.Partitions {
		all.Go(func() error { return m.consume(ctx, n) })
	}
	if err := all.Wait(); err != nil {
		m.topics.forget(m.topic)
		return err
	}
	return nil
}

// subscribe makes the group's consumers, if they are not there, and listens to each.
func (m *member) subscribe() (subscriptions []*nats.Subscription, err error) {
	b := m.topics.bus
	if err := m.declare(m.stopping); err != nil {
		return nil, err
	}
	for n := range bus.Partitions {
		s, err := b.nc.ChanQueueSubscribe(b.subjects.delivery(m.topic, m.group, n), token(m.group), m.events)
		if err != nil {
			return subscriptions, fmt.Errorf("listen to partition %d: %w", n, err)
		}
		subscriptions = append(subscriptions, s)
	}
	return subscriptions, b.nc.FlushTimeout(callLimit)
}

// consume makes the group's consumer of a partition. What was published before it is there
// is not for this group.
func (m *member) consume(ctx context.Context, n int) error {
	b := m.topics.bus
	config := jetstream.ConsumerConfig{
		Durable: consumer(m.group, n), FilterSubject: b.subjects.partition(m.topic, n), DeliverPolicy: jetstream.DeliverNewPolicy,
		DeliverSubject: b.subjects.delivery(m.topic, m.group, n), DeliverGroup: token(m.group),
		AckPolicy: jetstream.AckExplicitPolicy, AckWait: b.config.Redelivery, MaxAckPending: 1, MaxDeliver: -1,
	}
	if _, err := b.js.CreateOrUpdatePushConsumer(ctx, b.subjects.stream(m.topic), config); err != nil {
		return fmt.Errorf("make the consumer %s: %w", config.Durable, err)
	}
	return nil
}

// deliver settles one event, or hands it back to be delivered again later.
func (m *member) deliver(message *nats.Msg) {
	meta, err := message.Metadata()
	if err != nil {
		return // nothing that JetStream has sent
	}
	b := m.topics.bus
	defer m.hold(message)()
	e, err := read(m.topic, message)
	if err != nil {
		m.settle(message, bus.Letter{Event: e, Group: m.group, Error: err.Error(), Tries: int(meta.NumDelivered)})
		return
	}
	if e.Group != "" && e.Group != m.group {
		_ = message.Ack()
		return
	}
	e.Group = ""
	if err = m.try(e); err == nil {
		_ = message.Ack() // if it is lost, the event is delivered again
		return
	}
	drop, after := bus.Steer(err)
	free, known := m.free(e, meta)
	failed := int(meta.NumDelivered) - 1 - free
	switch {
	case after > 0:
		m.setFree(e, meta, free+1)
		_ = message.NakWithDelay(after)
	case drop || known && failed >= len(b.config.Backoff):
		m.settle(message, bus.Letter{Event: e, Group: m.group, Error: err.Error(), Tries: int(meta.NumDelivered)})
	default:
		wait := b.config.Backoff[min(failed, len(b.config.Backoff)-1)]
		b.log.Warn("event failed and will be tried again", "event", e.ID, "topic", e.Topic, "type", e.TypeName, "group", m.group, "after", wait, "error", err)
		_ = message.NakWithDelay(wait)
	}
}

// hold tells JetStream now and then that the event is still being worked at.
func (m *member) hold(message *nats.Msg) (release func()) {
	every := m.topics.bus.config.Redelivery / 3
	var mu sync.Mutex // also for a first beat before timer is set
	var timer *time.Timer
	released := false
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(every, func() {
		mu.Lock()
		defer mu.Unlock()
		if !released {
			_ = message.InProgress()
			timer.Reset(every)
		}
	})
	return func() {
		mu.Lock()
		defer mu.Unlock()
		released = true
		timer.Stop()
	}
}

// settle ends an event as a dead letter. While that cannot be stored, the event stays.
func (m *member) settle(message *nats.Msg, l bus.Letter) {
	if m.topics.bury(m.topics.bus.living, l) == nil {
		_ = message.Ack()
	}
}

// try lets the handler handle e once.
func (m *member) try(e bus.Event) (err error) {
	b := m.topics.bus
	defer func() {
		if p := recover(); p != nil {
			b.log.Error("event handler panicked", "event", e.ID, "topic", e.Topic, "type", e.TypeName, "group", m.group, "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("handler panicked: %v", p)
		}
	}()
	ctx, cancel := context.WithTimeout(b.living, b.config.Limit)
	defer cancel()
	e.Data = bytes.Clone(e.Data)
	return m.handle(ctx, e)
}

// free is how many of an event's deliveries were put off by bus.After and cost no try. It
// is not known while it cannot be read; then the event is not given up.
func (m *member) free(e bus.Event, meta *nats.MsgMetadata) (n int, known bool) {
	if meta.NumDelivered == 1 {
		return 0, true
	}
	ctx, cancel := context.WithTimeout(m.topics.bus.living, callLimit)
	defer cancel()
	counts, err := m.topics.counted(ctx)
	if err != nil {
		return 0, false
	}
	entry, err := counts.Get(ctx, countKey(m.topic, m.group, e.Partition()))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return 0, true
	}
	if err != nil {
		return 0, false
	}
	sequence, count, _ := strings.Cut(string(entry.Value()), " ")
	if sequence != strconv.FormatUint(meta.Sequence.Stream, 10) {
		return 0, true // that was another event
	}
	n, err = strconv.Atoi(count)
	return n, err == nil
}

// setFree notes how many deliveries of the partition's event cost no try. If it cannot,
// this one does.
func (m *member) setFree(e bus.Event, meta *nats.MsgMetadata, n int) {
	ctx, cancel := context.WithTimeout(m.topics.bus.living, callLimit)
	defer cancel()
	counts, err := m.topics.counted(ctx)
	if err == nil {
		_, err = counts.PutString(ctx, countKey(m.topic, m.group, e.Partition()), fmt.Sprintf("%d %d", meta.Sequence.Stream, n))
	}
	if err != nil {
		m.topics.bus.log.Warn("a delivery that should cost no try does", "event", e.ID, "topic", e.Topic, "group", m.group, "error", err)
	}
}

// counted is where deliveries that cost no try are counted.
func (t *topics) counted(ctx context.Context) (jetstream.KeyValue, error) {
	t.mu.Lock()
	counts := t.counts
	t.mu.Unlock()
	if counts != nil {
		return counts, nil
	}
	counts, err := t.bus.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: t.bus.subjects.bucket(), Storage: jetstream.FileStorage, Replicas: t.bus.config.Replicas})
	if err != nil {
		return nil, fmt.Errorf("make the bucket %s: %w", t.bus.subjects.bucket(), err)
	}
	t.mu.Lock()
	t.counts = counts
	t.mu.Unlock()
	return counts, nil
}
