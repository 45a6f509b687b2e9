package bustest

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"m3o/internal/bus"
	"m3o/internal/fault"
	"m3o/internal/problem"
)

// deadlines is what becomes of a multicast whose caller's time is over.
func (s suite) deadlines(t *testing.T) {
	t.Parallel()
	s.story(t, "AnswerForTheLateAndKeepTheFast", func(t *testing.T, b *fixture) {
		h, entered, leave := held()
		stop := b.serve("r1", sink("fast", text("fast")), sink("slow", h), sink("", h))
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), b.budget)
		defer cancel()
		replies := b.tell(ctx, "")
		equal(t, "first", []string{show(receive(b, replies))}, []string{"r1/fast 200 fast"})
		late := map[string]bool{}
		for range 2 {
			reply := receive(b, replies)
			wantExpired(t, reply)
			late[reply.Queue] = true
		}
		s.wantOver(b, start)
		if _, open := next(b, replies); open || !late["slow"] || !late[""] {
			t.Errorf("expired are %v, and more came: %v", late, open)
		}
		receive(b, entered)
		receive(b, entered)
		leave <- true // one of the late finishes unheard, the other is waited for
		waitsFor(b, stop, leave)
	})
	s.story(t, "AreTheCallersToEndEarlier", func(t *testing.T, b *fixture) {
		h, entered, leave := held()
		b.serve("r1", sink("slow", h))
		ctx, cancel := context.WithCancel(t.Context())
		replies := b.tell(ctx, "")
		receive(b, entered)
		quiet(b, replies, "a reply that nobody gave")
		cancel()
		wantExpired(t, receive(b, replies))
		leave <- true
		if _, open := next(b, replies); open {
			t.Error("the late was heard")
		}
	})
	s.story(t, "ThatAreOverAlreadyLetNobodyStart", func(t *testing.T, b *fixture) {
		h, entered, _ := held()
		b.serve("r1", sink("a", h), sink("b", h))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		n := 0
		for reply := range b.tell(ctx, "") {
			wantExpired(t, reply)
			n++
		}
		quiet(b, entered, "a handler was started")
		if n != 2 {
			t.Errorf("%d replies, want 2", n)
		}
	})
	s.story(t, "ReachTheHandlers", func(t *testing.T, b *fixture) {
		b.serve("r1", sink("a", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			w.WriteHeader(http.StatusTeapot)
		})))
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), b.budget)
		defer cancel()
		for reply := range b.tell(ctx, "") {
			if reply.Status != http.StatusTeapot { // it may just have been in time
				wantExpired(t, reply)
			}
		}
		s.wantOver(b, start)
	})
	s.story(t, "AreNotWaitedForByWhoIsDone", func(t *testing.T, b *fixture) {
		b.serve("r1", sink("a", text("a")))
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), b.budget)
		defer cancel()
		equal(t, "replies", gather(b, b.tell(ctx, "")), []string{"r1/a 200 a"})
		if time.Since(start) >= b.budget {
			t.Error("the channel was closed at the deadline only")
		}
	})
}

func wantExpired(t *testing.T, reply bus.Reply) {
	t.Helper()
	f := problem.Read(reply.Status, reply.Header, strings.NewReader(string(reply.Body)))
	if reply.Replica != "r1" || reply.Status != http.StatusRequestTimeout || f.Code != fault.Expired {
		t.Errorf("got %s, want r1 to have expired", show(reply))
	}
}

// wantOver checks that the budget is just over.
func (s suite) wantOver(b *fixture, start time.Time) {
	b.t.Helper()
	took := time.Since(start)
	if took < b.budget || s.FakeTime && took != b.budget || took > b.budget+b.patience/4 {
		b.t.Errorf("it took %v, want %v", took, b.budget)
	}
}
