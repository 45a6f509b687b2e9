package bus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// topics are the groups of each topic.
type topics struct {
	mu     sync.Mutex
	groups map[string][]*group
}

// group is all that subscribed to one topic under one name.
type group struct {
	name  string
	lines [Partitions]line

	mu      sync.Mutex
	members []*member
	turn    int
	joined  chan struct{} // closed by the next member who joins
}

// member is one subscription.
type member struct {
	handle  EventHandler
	running gate
}

// Subscribe implements Bus.
func (m *Memory) Subscribe(topic, name string, h EventHandler) (stop func()) {
	g, one := m.topics.group(topic, name), &member{handle: h}
	g.join(one)
	return func() {
		g.part(one)
		one.running.close()
	}
}

// Declare makes a group that has no member yet, as its first Subscribe does, so that what
// is published from now on waits for one. A group that is there is left as it is.
func (m *Memory) Declare(_ context.Context, topic, group string) error {
	m.topics.group(topic, group)
	return nil
}

// Publish implements Bus: nil means that every group has acked or dead-lettered
// the event. When ctx ends it gives up between two tries, never during one.
func (m *Memory) Publish(ctx context.Context, e Event) error { return m.Send(ctx, e)() }

// Send implements Bus.
func (m *Memory) Send(ctx context.Context, e Event) (settle func() error) {
	groups := m.topics.of(e)
	if e.Group != "" && len(groups) == 0 {
		l := Letter{Event: e, Group: e.Group, Error: "no group " + e.Group + " subscribed to " + e.Topic}
		return func() error { return m.bury(ctx, l) }
	}
	turns := make([]chan struct{}, len(groups))
	for i, g := range groups {
		turns[i] = g.lines[e.Partition()].join()
	}
	return func() error {
		errs := make([]error, len(groups))
		var wg sync.WaitGroup
		for i, g := range groups {
			wg.Go(func() { errs[i] = m.deliver(ctx, g, e, turns[i]) })
		}
		wg.Wait()
		return errors.Join(errs...)
	}
}

// deliver settles e in one group when its turn has come.
func (m *Memory) deliver(ctx context.Context, g *group, e Event, turn chan struct{}) error {
	defer g.lines[e.Partition()].leave(turn)
	select {
	case <-turn:
	case <-ctx.Done():
		return fmt.Errorf("event %s waits behind others in group %s: %w", e.ID, g.name, ctx.Err())
	}
	for failed, tries := 0, 1; ; tries++ {
		one, err := g.enter(ctx)
		if err != nil {
			return fmt.Errorf("event %s waits for a member of group %s: %w", e.ID, g.name, err)
		}
		if err = m.try(one, g, e); err == nil {
			return nil
		}
		drop, wait := Steer(err)
		if wait == 0 {
			if drop || failed == len(m.config.Backoff) {
				return m.bury(ctx, Letter{Event: e, Group: g.name, Error: err.Error(), Tries: tries})
			}
			wait = m.config.Backoff[failed]
			failed++
			m.config.Logger.WarnContext(ctx, "event failed and will be tried again", "event", e.ID, "topic", e.Topic,
				"type", e.TypeName, "group", g.name, "after", wait, "error", err)
		}
		if pauseErr := pause(ctx, wait); pauseErr != nil {
			return fmt.Errorf("event %s waits to be tried again in group %s (%w): %w", e.ID, g.name, err, pauseErr)
		}
	}
}

// try lets a member, which has been entered, handle e once.
func (m *Memory) try(one *member, g *group, e Event) (err error) {
	defer one.running.leave()
	defer func() {
		if p := recover(); p != nil {
			m.config.Logger.Error("event handler panicked", "event", e.ID, "topic", e.Topic,
				"type", e.TypeName, "group", g.name, "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("handler panicked: %v", p)
		}
	}()
	// Not the publisher's context: its values stay there, and its end must not
	// break off work that is nearly done.
	ctx, cancel := context.WithTimeout(context.Background(), m.config.Limit)
	defer cancel()
	e.Data = bytes.Clone(e.Data)
	return one.handle(ctx, e)
}

// bury stores the letter, however long that takes.
func (m *Memory) bury(ctx context.Context, l Letter) error {
	log := m.config.Logger.With("event", l.Event.ID, "topic", l.Event.Topic, "type", l.Event.TypeName, "group", l.Group)
	log.ErrorContext(ctx, "event is a dead letter", "tries", l.Tries, "error", l.Error)
	for {
		err := m.config.DeadLetter(ctx, l)
		if err == nil {
			return nil
		}
		log.ErrorContext(ctx, "dead letter cannot be stored", "error", err)
		if pause(ctx, time.Second) != nil {
			return fmt.Errorf("store event %s as dead letter of group %s: %w", l.Event.ID, l.Group, err)
		}
	}
}

// pause waits for d. The error is that of a context that ended before.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// group is the topic's group of that name, made when it is the first time.
func (t *topics) group(topic, name string) *group {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, g := range t.groups[topic] {
		if g.name == name {
			return g
		}
	}
	if t.groups == nil {
		t.groups = map[string][]*group{}
	}
	g := &group{name: name, joined: make(chan struct{})}
	t.groups[topic] = append(t.groups[topic], g)
	return g
}

// of lists the groups that are to have e.
func (t *topics) of(e Event) []*group {
	t.mu.Lock()
	defer t.mu.Unlock()
	var groups []*group
	for _, g := range t.groups[e.Topic] {
		if e.Group == "" || e.Group == g.name {
			groups = append(groups, g)
		}
	}
	return groups
}

func (g *group) join(one *member) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.members = append(g.members, one)
	close(g.joined)
	g.joined = make(chan struct{})
}

func (g *group) part(one *member) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.members = slices.DeleteFunc(g.members, func(other *member) bool { return other == one })
}

// enter waits for a member and enters the one whose turn it is.
func (g *group) enter(ctx context.Context) (*member, error) {
	for ctx.Err() == nil {
		g.mu.Lock()
		joined := g.joined
		for range g.members {
			g.turn++
			if one := g.members[g.turn%len(g.members)]; one.running.enter() {
				g.mu.Unlock()
				return one, nil
			}
		}
		g.mu.Unlock()
		select {
		case <-joined:
		case <-ctx.Done():
		}
	}
	return nil, ctx.Err()
}

// line lets one in at a time, in the order of joining. Its zero value is empty.
type line struct {
	mu    sync.Mutex
	queue []chan struct{}
}

// join returns a channel that is closed when it is the joiner's turn. Leave must follow.
func (l *line) join() (turn chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	turn = make(chan struct{})
	if l.queue = append(l.queue, turn); len(l.queue) == 1 {
		close(turn)
	}
	return turn
}

// leave gives up the turn, or the place in the queue.
func (l *line) leave(turn chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	place := slices.Index(l.queue, turn)
	l.queue = slices.Delete(l.queue, place, place+1)
	if place == 0 && len(l.queue) > 0 {
		close(l.queue[0])
	}
}
