package bustest

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"m3o/internal/bus"
)

func (s suite) topics(t *testing.T) {
	t.Parallel()
	s.story(t, "HandTheWholeEventToEveryGroup", func(t *testing.T, b *fixture) {
		first, _ := b.subscribe("t", "first", ack)
		second, _ := b.subscribe("t", "second", ack)
		other, _ := b.subscribe("u", "first", ack)
		e := b.event("t", "k")
		b.publish(e)()
		for _, seen := range []chan bus.Event{first, second} {
			if got := receive(b, seen); fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", e) {
				t.Errorf("got %+v, want %+v", got, e)
			}
		}
		quiet(b, other, "a group of another topic got it")
	})
	s.story(t, "WithoutGroupsAreSettled", func(t *testing.T, b *fixture) {
		b.publish(b.event("t", "k"))()
	})
	s.story(t, "DealEachEventToOneMemberOfAGroup", func(t *testing.T, b *fixture) {
		one, _ := b.subscribe("t", "g", ack)
		two, _ := b.subscribe("t", "g", ack)
		for range 20 {
			b.publish(b.event("t", "k"))()
		}
		got := map[string]bool{}
		for range 20 {
			select {
			case e := <-one:
				got[e.ID] = true
			case e := <-two:
				got[e.ID] = true
			case <-time.After(b.patience):
				t.Fatal("an event is missing")
			}
		}
		if len(got) != 20 {
			t.Errorf("got %d different events, want 20", len(got))
		}
		quiet(b, one, "an event came twice")
		quiet(b, two, "an event came twice")
	})
	s.story(t, "KeepTheOrderOfAKey", func(t *testing.T, b *fixture) {
		seen, _ := b.subscribe("t", "g", ack)
		b.publish(b.event("t", "k"), b.event("t", "k"), b.event("t", "k"), b.event("t", "k"))()
		equal(t, "order", receiveIDs(b, seen, 4), []string{"e1", "e2", "e3", "e4"})
	})
	s.story(t, "GiveAGroupOneEventOfAKeyAtATime", func(t *testing.T, b *fixture) {
		enter, leave := make(chan bus.Event, 2), make(chan bool)
		t.Cleanup(b.Subscribe("t", "g", func(_ context.Context, e bus.Event) error {
			enter <- e
			<-leave
			return nil
		}))
		first, second := b.publish(b.event("t", "k")), b.publish(b.event("t", "k"))
		receive(b, enter)
		quiet(b, enter, "the second event came while the first was handled")
		leave <- true
		receive(b, enter)
		leave <- true
		first()
		second()
	})
	s.story(t, "KeepWhatIsPublishedForAGroupThatIsOnlyDeclared", func(t *testing.T, b *fixture) {
		declarer, ok := b.Bus.(interface {
			Declare(ctx context.Context, topic, group string) error
		})
		if !ok {
			return // several in the place of one: each is tested by itself
		}
		for range 2 {
			if err := declarer.Declare(t.Context(), "t", "g"); err != nil {
				t.Fatal(err)
			}
		}
		settled := b.publish(b.event("t", "k"))
		seen, _ := b.subscribe("t", "g", ack)
		equal(t, "events", receiveIDs(b, seen, 1), []string{"e1"})
		settled()
	})
	s.story(t, "KeepWhatIsPublishedWhileAGroupHasNoMember", func(t *testing.T, b *fixture) {
		_, stop := b.subscribe("t", "g", ack)
		stop()
		settled := b.publish(b.event("t", "k"))
		quiet(b, b.letters, "what has nobody to handle it is a dead letter")
		seen, _ := b.subscribe("t", "g", ack)
		equal(t, "events", receiveIDs(b, seen, 1), []string{"e1"})
		settled()
	})
	s.story(t, "HandAReplayToItsGroupAlone", func(t *testing.T, b *fixture) {
		meant, _ := b.subscribe("t", "meant", ack)
		other, _ := b.subscribe("t", "other", ack)
		e := b.event("t", "k")
		e.Group = "meant"
		b.publish(e)()
		equal(t, "events", receiveIDs(b, meant, 1), []string{"e1"})
		quiet(b, other, "another group got the replay")
	})
	s.story(t, "BuryAReplayToAGroupThatNeverWas", func(t *testing.T, b *fixture) {
		e := b.event("t", "k")
		e.Group = "gone"
		b.publish(e)()
		if l := receive(b, b.letters); l.Event.ID != "e1" || l.Group != "gone" {
			t.Errorf("got letter %+v", l)
		}
	})
	s.story(t, "PassOnATypeThatNobodyKnows", func(t *testing.T, b *fixture) {
		seen, _ := b.subscribe("t", "g", ack)
		e := b.event("t", "k")
		e.Type, e.TypeName, e.Data = 9999, "9999", []byte(`{"type":9999,"brand_new":{}}`)
		b.publish(e)()
		if got := receive(b, seen); got.Type != 9999 || !bytes.Equal(got.Data, e.Data) {
			t.Errorf("got %+v", got)
		}
	})
	s.story(t, "KeepThePublishersContextToThemselves", func(t *testing.T, b *fixture) {
		got := make(chan any, 1)
		t.Cleanup(b.Subscribe("t", "g", func(ctx context.Context, _ bus.Event) error {
			got <- ctx.Value(valueKey{})
			return nil
		}))
		if err := b.Publish(context.WithValue(t.Context(), valueKey{}, "v"), b.event("t", "k")); err != nil {
			t.Fatal(err)
		}
		if v := receive(b, got); v != nil {
			t.Errorf("the handler found %v in its context", v)
		}
	})
	s.story(t, "GiveHandlersATimeLimit", func(t *testing.T, b *fixture) {
		got := make(chan time.Duration, 1)
		t.Cleanup(b.Subscribe("t", "g", func(ctx context.Context, _ bus.Event) error {
			deadline, _ := ctx.Deadline()
			got <- time.Until(deadline)
			return nil
		}))
		b.publish(b.event("t", "k"))()
		if left := receive(b, got); left <= 0 || left > 30*time.Second {
			t.Errorf("the handler has %v, want up to 30s", left)
		}
	})
	s.story(t, "WaitForHandlersThatRunInStop", func(t *testing.T, b *fixture) {
		entered, leave := make(chan bool), make(chan bool)
		stop := b.Subscribe("t", "g", func(context.Context, bus.Event) error {
			entered <- true
			<-leave
			return nil
		})
		settled := b.publish(b.event("t", "k"))
		receive(b, entered)
		waitsFor(b, stop, leave)
		settled() // what the handler did while stop waited counts
		stop()
	})
	if s.Settles {
		s.settling(t)
	}
}

// settling is what a Publish that waits for the groups promises beyond.
func (s suite) settling(t *testing.T) {
	t.Helper()
	s.story(t, "AreSettledWhenPublishReturns", func(t *testing.T, b *fixture) {
		leave := make(chan bool)
		t.Cleanup(b.Subscribe("t", "slow", func(context.Context, bus.Event) error { <-leave; return nil }))
		seen, _ := b.subscribe("t", "quick", ack)
		done := make(chan error, 1)
		go func() { done <- b.Publish(t.Context(), b.event("t", "k")) }()
		receive(b, seen)
		quiet(b, done, "Publish returned before the slow group was done")
		leave <- true
		if err := receive(b, done); err != nil {
			t.Errorf("Publish: %v", err)
		}
	})
	s.story(t, "AreNotSettledWhenTheContextEnds", func(t *testing.T, b *fixture) {
		_, stop := b.subscribe("t", "g", ack)
		stop()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 2)
		for range 2 { // one waits for a member, the other behind it
			e := b.event("t", "k")
			go func() { done <- b.Publish(ctx, e) }()
		}
		quiet(b, done, "Publish returned though nobody handled the event")
		cancel()
		for range 2 {
			if err := receive(b, done); err == nil {
				t.Error("Publish returned nil though nobody handled the event")
			}
		}
		seen, _ := b.subscribe("t", "g", ack)
		b.publish(b.event("t", "k"))()
		equal(t, "events", receiveIDs(b, seen, 1), []string{"e3"})
	})
}
