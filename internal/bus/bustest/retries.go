package bustest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"m3o/internal/bus"
)

var errHandler = errors.New("handler failed")

func (s suite) retries(t *testing.T) {
	t.Parallel()
	s.story(t, "RepeatAfterAnError", func(t *testing.T, b *fixture) {
		calls := 0
		seen, _ := b.subscribe("t", "g", func(bus.Event) error {
			if calls++; calls < 3 {
				return errHandler
			}
			return nil
		})
		b.publish(b.event("t", "k"), b.event("t", "k"))()
		equal(t, "deliveries", receiveIDs(b, seen, 4), []string{"e1", "e1", "e1", "e2"})
		quiet(b, b.letters, "a dead letter")
	})
	s.story(t, "EndInADeadLetterAfterTheSchedule", func(t *testing.T, b *fixture) {
		var times []time.Time
		seen, _ := b.subscribe("t", "g", func(bus.Event) error {
			times = append(times, time.Now())
			return fmt.Errorf("try %d: %w", len(times), errHandler)
		})
		b.publish(b.event("t", "k"))()
		l := receive(b, b.letters)
		tries := len(b.schedule) + 1
		if l.Event.ID != "e1" || l.Group != "g" || l.Tries != tries || l.Error != fmt.Sprintf("try %d: handler failed", tries) {
			t.Errorf("got letter %+v, want e1 of g after %d tries with the last error", l, tries)
		}
		receiveIDs(b, seen, tries)
		quiet(b, seen, "a dead letter was delivered again")
		for i, wait := range b.schedule {
			if got := times[i+1].Sub(times[i]); got < wait || s.FakeTime && got != wait {
				t.Errorf("wait %d took %v, want %v", i+1, got, wait)
			}
		}
	})
	s.story(t, "GoOnWithTheNextEventAfterADeadLetter", func(t *testing.T, b *fixture) {
		seen, _ := b.subscribe("t", "g", func(e bus.Event) error {
			if e.ID == "e1" {
				return bus.Drop(errHandler)
			}
			return nil
		})
		b.publish(b.event("t", "k"), b.event("t", "k"))()
		equal(t, "deliveries", receiveIDs(b, seen, 2), []string{"e1", "e2"})
	})
	s.story(t, "AreSkippedByDrop", func(t *testing.T, b *fixture) {
		seen, _ := b.subscribe("t", "g", func(bus.Event) error { return fmt.Errorf("wrapped: %w", bus.Drop(errHandler)) })
		b.publish(b.event("t", "k"))()
		if l := receive(b, b.letters); l.Tries != 1 || l.Error != "wrapped: handler failed" || string(l.Event.Data) != `{"type":1}` {
			t.Errorf("got letter %+v, want one try, its error, and the event", l)
		}
		receiveIDs(b, seen, 1)
		quiet(b, seen, "a dropped event was delivered again")
	})
	s.story(t, "ArePutOffByAfterWithoutCostingATry", func(t *testing.T, b *fixture) {
		putOff := 3 * (len(b.schedule) + 1) // more often than there are tries
		calls := 0
		seen, _ := b.subscribe("t", "g", func(bus.Event) error {
			if calls++; calls <= putOff {
				return bus.After(3*time.Millisecond, errHandler)
			}
			return nil
		})
		start := time.Now()
		b.publish(b.event("t", "k"))()
		receiveIDs(b, seen, putOff+1)
		quiet(b, b.letters, "After cost tries")
		if took, want := time.Since(start), time.Duration(putOff)*3*time.Millisecond; took < want {
			t.Errorf("it took %v, want at least %v", took, want)
		}
	})
	s.story(t, "ArePrivateToTheGroup", func(t *testing.T, b *fixture) {
		calls := 0
		failing, _ := b.subscribe("t", "failing", func(bus.Event) error {
			if calls++; calls == 1 {
				return errHandler
			}
			return nil
		})
		fine, _ := b.subscribe("t", "fine", ack)
		b.publish(b.event("t", "k"))()
		receiveIDs(b, failing, 2)
		receiveIDs(b, fine, 1)
		quiet(b, fine, "another group got the retry")
	})
	s.story(t, "DoNotHoldTheNextEventsOfOtherGroups", func(t *testing.T, b *fixture) {
		var mended atomic.Bool
		t.Cleanup(b.Subscribe("t", "failing", func(context.Context, bus.Event) error {
			if mended.Load() {
				return nil
			}
			return bus.After(5*time.Millisecond, errHandler)
		}))
		fine, _ := b.subscribe("t", "fine", ack)
		done := make(chan error, 3)
		for range 3 {
			settle := b.Send(t.Context(), b.event("t", "k"))
			go func() { done <- settle() }()
		}
		equal(t, "deliveries", receiveIDs(b, fine, 3), []string{"e1", "e2", "e3"})
		mended.Store(true)
		for range 3 {
			if err := receive(b, done); err != nil {
				t.Errorf("settle: %v", err)
			}
		}
	})
	s.story(t, "HoldOnlyTheirOwnPartition", func(t *testing.T, b *fixture) {
		keys := keysApart(3)
		held := make(chan bool)
		seen := make(chan string, 10)
		t.Cleanup(b.Subscribe("t", "g", func(_ context.Context, e bus.Event) error {
			select {
			case <-held: // closed: the poison is gone
			default:
				if e.Key == keys[0] {
					return bus.After(5*time.Millisecond, errHandler)
				}
			}
			seen <- e.ID
			return nil
		}))
		poison := b.publish(b.event("t", keys[0]), b.event("t", keys[0]))
		b.publish(b.event("t", keys[1]), b.event("t", keys[2]))()
		meanwhile := []string{receive(b, seen), receive(b, seen)}
		slices.Sort(meanwhile) // they are of different keys
		equal(t, "meanwhile", meanwhile, []string{"e3", "e4"})
		quiet(b, seen, "an event overtook a failing one of its key")
		close(held)
		equal(t, "then", []string{receive(b, seen), receive(b, seen)}, []string{"e1", "e2"})
		poison()
	})
	s.story(t, "CountAPanicAsAnError", func(t *testing.T, b *fixture) {
		calls := 0
		seen, _ := b.subscribe("t", "g", func(bus.Event) error {
			if calls++; calls == 1 {
				panic("at the first try")
			}
			return nil
		})
		b.publish(b.event("t", "k"))()
		receiveIDs(b, seen, 2)
		quiet(b, b.letters, "a dead letter")
	})
	s.story(t, "SeeTheDataAsItWasPublished", func(t *testing.T, b *fixture) {
		calls := 0
		seen, _ := b.subscribe("t", "g", func(e bus.Event) error {
			if calls++; calls == 1 {
				e.Data[0] = 'X'
				return errHandler
			}
			return nil
		})
		b.publish(b.event("t", "k"))()
		receive(b, seen)
		if again := receive(b, seen); string(again.Data) != `{"type":1}` {
			t.Errorf("the second try sees %s: a handler changed it for the next", again.Data)
		}
	})
}
