package natsbus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"m3o/internal/bus"
)

// topics are the durable topics: a stream for each, and what waits to be published.
type topics struct {
	bus *Bus

	mu      sync.Mutex
	streams map[string]bool // by topic: those that are there
	lines   map[string]*line
	members map[*member]bool
	counts  jetstream.KeyValue // of deliveries that cost no try; nil: not asked for yet
}

func newTopics(b *Bus) *topics {
	return &topics{bus: b, streams: map[string]bool{}, lines: map[string]*line{}, members: map[*member]bool{}}
}

// Publish implements bus.Bus: nil means that JetStream has the event in its store. Each
// time is one of its own, whatever failed before with the same ctx.
func (b *Bus) Publish(ctx context.Context, e bus.Event) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	return b.Send(ctx, e)()
}

// Send implements bus.Bus. Of each partition one event is on its way at a time, so that
// none can be stored before one that was sent earlier and failed.
func (b *Bus) Send(ctx context.Context, e bus.Event) (settle func() error) {
	l := b.topics.line(b.subjects.partition(e.Topic, e.Partition()))
	place := l.join(ctx)
	return func() error {
		err := l.wait(place)
		if err == nil {
			err = b.topics.publish(ctx, e)
		}
		l.leave(place, err)
		if err != nil {
			return fmt.Errorf("publish event %s of topic %s: %w", e.ID, e.Topic, err)
		}
		return nil
	}
}

// publish stores an event in its stream.
func (t *topics) publish(ctx context.Context, e bus.Event) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := t.stream(ctx, e.Topic); err != nil {
		return err
	}
	if e.Group != "" {
		_, err := t.bus.js.PushConsumer(ctx, t.bus.subjects.stream(e.Topic), consumer(e.Group, e.Partition()))
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			return t.bury(ctx, bus.Letter{Event: e, Group: e.Group, Error: "no group " + e.Group + " subscribed to " + e.Topic})
		}
		if err != nil {
			return fmt.Errorf("look for group %s: %w", e.Group, err)
		}
	}
	_, err := t.bus.js.PublishMsg(ctx, write(t.bus.subjects.partition(e.Topic, e.Partition()), e), jetstream.WithRetryAttempts(0))
	switch {
	case errors.Is(err, jetstream.ErrNoStreamResponse): // somebody has deleted it, or NATS is just starting
		t.forget(e.Topic)
	case errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("%d bytes do not fit into a message of NATS: raise max_payload of nats-server: %w", len(e.Data), err)
	}
	return err
}

// stream sees to it that a topic's stream is there. An event stays until every group has
// acked it; without groups it is not kept at all.
func (t *topics) stream(ctx context.Context, topic string) error {
	t.mu.Lock()
	known := t.streams[topic]
	t.mu.Unlock()
	if known {
		return nil
	}
	name := t.bus.subjects.stream(topic)
	_, err := t.bus.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: name, Subjects: []string{t.bus.subjects.partitions(topic)}, Retention: jetstream.InterestPolicy, Storage: jetstream.FileStorage,
		Discard: jetstream.DiscardNew, Replicas: t.bus.config.Replicas, Duplicates: duplicates,
	})
	if err != nil {
		return fmt.Errorf("make the stream %s: %w", name, err)
	}
	t.mu.Lock()
	t.streams[topic] = true
	t.mu.Unlock()
	return nil
}

// duplicates is for how long JetStream knows an event again that is published twice, as
// after a lost ack.
const duplicates = 2 * time.Minute

func (t *topics) forget(topic string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.streams, topic)
}

// bury stores the letter, however long that takes.
func (t *topics) bury(ctx context.Context, l bus.Letter) error {
	log := t.bus.log.With("event", l.Event.ID, "topic", l.Event.Topic, "type", l.Event.TypeName, "group", l.Group)
	log.ErrorContext(ctx, "event is a dead letter", "tries", l.Tries, "error", l.Error)
	for {
		err := t.bus.config.DeadLetter(ctx, l)
		if err == nil {
			return nil
		}
		log.ErrorContext(ctx, "dead letter cannot be stored", "error", err)
		if !pause(ctx, time.Second) {
			return fmt.Errorf("store event %s as dead letter of group %s: %w", l.Event.ID, l.Group, err)
		}
	}
}

// line is what waits to be published to one partition, in the order of Send.
type line struct {
	mu     sync.Mutex
	queue  []*waiting
	failed map[<-chan struct{}]error // why something failed, by the end of the context that it was sent with, until that
}

// waiting is one event in its line.
type waiting struct {
	ctx  context.Context
	turn chan struct{} // closed when it is the first
	err  error         // one before it, sent with the same context, has failed
}

func (t *topics) line(subject string) *line {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.lines[subject]
	if l == nil {
		l = &line{}
		t.lines[subject] = l
	}
	return l
}

func (l *line) join(ctx context.Context) *waiting {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := &waiting{ctx: ctx, turn: make(chan struct{}), err: l.failed[ctx.Done()]}
	if l.queue = append(l.queue, w); len(l.queue) == 1 {
		close(w.turn)
	}
	return w
}

// wait waits for w's turn. An error says why it must not be published.
func (l *line) wait(w *waiting) error {
	select {
	case <-w.turn:
	case <-w.ctx.Done():
		return w.ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return w.err
}

// leave gives the turn to the next. Those behind that were sent with the same context fail
// with w, and so does what is sent with it from now on.
func (l *line) leave(w *waiting, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	place := slices.Index(l.queue, w)
	l.queue = slices.Delete(l.queue, place, place+1)
	if err != nil && w.err == nil {
		l.fail(w.ctx, l.queue[place:], fmt.Errorf("one before it failed: %w", err))
	}
	if place == 0 && len(l.queue) > 0 {
		close(l.queue[0].turn)
	}
}

// fail remembers why a context takes nothing to the line any more. It is called with mu held.
func (l *line) fail(ctx context.Context, behind []*waiting, err error) {
	for _, w := range behind {
		if w.err == nil && w.ctx.Done() == ctx.Done() {
			w.err = err
		}
	}
	if ctx.Done() == nil || l.failed[ctx.Done()] != nil { // the first never ends, so nothing could be forgotten
		return
	}
	if l.failed == nil {
		l.failed = map[<-chan struct{}]error{}
	}
	l.failed[ctx.Done()] = err
	context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.failed, ctx.Done())
	})
}
