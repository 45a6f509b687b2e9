package bustest

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"m3o/internal/bus"
	"m3o/internal/fault"
	"m3o/internal/problem"
)

type valueKey struct{}

func (s suite) requests(t *testing.T) {
	t.Parallel()
	s.story(t, "ReachTheHostsHandler", func(t *testing.T, b *fixture) {
		t.Cleanup(b.Handle("one.test", text("one")))
		t.Cleanup(b.Handle("two.test", text("two")))
		for host, want := range map[string]string{"one.test": "one", "two.test": "two", "ONE.Test": "one"} {
			if status, body := b.get(t.Context(), host, "/"); status != http.StatusOK || body != want {
				t.Errorf("%s: got %d %q, want %q", host, status, body, want)
			}
		}
	})
	s.story(t, "CarryMethodPathQueryHeaderAndBody", func(t *testing.T, b *fixture) {
		got := make(chan string, 1)
		t.Cleanup(b.Handle("one.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got <- strings.Join([]string{r.Method, r.URL.Path, r.URL.RawQuery, r.Header.Get("X-Say")}, " ")
			w.Header().Set("X-Answer", "yes")
			w.WriteHeader(http.StatusTeapot)
		})))
		w, r := exchange(t.Context(), http.MethodPut, "https://one.test/a/b%20c?d=e", "body")
		r.Header.Set("X-Say", "hello")
		b.Handler("one.test").ServeHTTP(w, r)
		if line := receive(b, got); line != "PUT /a/b c d=e hello" {
			t.Errorf("the handler saw %q", line)
		}
		if w.Code != http.StatusTeapot || w.Header().Get("X-Answer") != "yes" {
			t.Errorf("the caller saw %d %v", w.Code, w.Header())
		}
	})
	s.story(t, "ToAnUnknownHostAreUnavailable", func(t *testing.T, b *fixture) {
		wantUnavailable(t, b, "nobody.test")
	})
	s.story(t, "AreUnavailableAfterStop", func(t *testing.T, b *fixture) {
		stop := b.Handle("one.test", text("one"))
		kept := b.Handler("one.test")
		stop()
		stop()
		wantUnavailable(t, b, "one.test")
		w, r := exchange(t.Context(), http.MethodGet, "https://one.test/", "")
		if kept.ServeHTTP(w, r); w.Code != http.StatusServiceUnavailable {
			t.Errorf("a handler kept from before answers %d, want 503", w.Code)
		}
	})
	s.story(t, "ReachTheLatestHandlerOrTheOneBefore", func(t *testing.T, b *fixture) {
		t.Cleanup(b.Handle("one.test", text("first")))
		stop := b.Handle("one.test", text("second"))
		if _, body := b.get(t.Context(), "one.test", "/"); body != "second" {
			t.Errorf("got %q, want the latest handler", body)
		}
		stop()
		if _, body := b.get(t.Context(), "one.test", "/"); body != "first" {
			t.Errorf("got %q after the second has stopped, want the first", body)
		}
	})
	s.story(t, "ThatRunAreWaitedForByStop", func(t *testing.T, b *fixture) {
		entered, leave := make(chan bool), make(chan bool)
		stop := b.Handle("one.test", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			entered <- true
			<-leave
		}))
		go b.get(context.WithoutCancel(t.Context()), "one.test", "/")
		receive(b, entered)
		waitsFor(b, stop, leave)
	})
	s.story(t, "CarryTheDeadline", func(t *testing.T, b *fixture) {
		left := make(chan bool, 1)
		t.Cleanup(b.Handle("one.test", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			deadline, ok := r.Context().Deadline()
			left <- ok && time.Until(deadline) <= time.Minute
		})))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		b.get(ctx, "one.test", "/")
		if !receive(b, left) {
			t.Error("the handler has no deadline, or a later one than the caller")
		}
	})
	s.story(t, "CarryContextValuesOnlyWithinOneProcess", func(t *testing.T, b *fixture) {
		got := make(chan bool, 1)
		t.Cleanup(b.Handle("one.test", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			got <- r.Context().Value(valueKey{}) != nil
		})))
		b.get(context.WithValue(t.Context(), valueKey{}, "v"), "one.test", "/")
		if receive(b, got) != s.OneProcess {
			t.Errorf("a context value arrived: %v, want %v", !s.OneProcess, s.OneProcess)
		}
	})
}

func (s suite) multicast(t *testing.T) {
	t.Parallel()
	s.story(t, "ReachesEveryGroupWithABodyOfItsOwn", func(t *testing.T, b *fixture) {
		t.Cleanup(b.Listen("Source.test", "on-save", "b", text("b:")))
		t.Cleanup(b.Listen("source.test", "on-save", "a", text("a:")))
		t.Cleanup(b.Listen("source.test", "on-load", "a", text("load:")))
		t.Cleanup(b.Listen("other.test", "on-save", "a", text("other:")))
		equal(t, "answers", answers(b.ask(t.Context(), "source.test", "on-save", "x")), []string{"a 200 a:x", "b 200 b:x"})
	})
	s.story(t, "WithoutListenersIsNoError", func(t *testing.T, b *fixture) {
		if replies := b.ask(t.Context(), "source.test", "on-save", "x"); len(replies) != 0 {
			t.Errorf("got %v", answers(replies))
		}
	})
	s.story(t, "AsksTheListenersOfAGroupInTurn", func(t *testing.T, b *fixture) {
		t.Cleanup(b.Listen("source.test", "on-save", "g", text("1")))
		t.Cleanup(b.Listen("source.test", "on-save", "g", text("2")))
		var got []string
		for range 20 {
			got = append(got, answers(b.ask(t.Context(), "source.test", "on-save", ""))...)
		}
		if len(got) != 20 || !slices.Contains(got, "g 200 1") || !slices.Contains(got, "g 200 2") {
			t.Errorf("got %v, want 20 answers by both", got)
		}
	})
	s.story(t, "ReturnsStatusHeaderAndBody", func(t *testing.T, b *fixture) {
		t.Cleanup(b.Listen("source.test", "on-save", "g", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			problem.Write(w, r, fault.New(fault.Conflict, "no"))
		})))
		replies := b.ask(t.Context(), "source.test", "on-save", "")
		if len(replies) != 1 || problem.Read(replies[0].Status, replies[0].Header, strings.NewReader(string(replies[0].Body))).Detail != "no" {
			t.Errorf("got %v, want the listener's fault", answers(replies))
		}
	})
	s.story(t, "RunsTheGroupsAtTheSameTime", func(t *testing.T, b *fixture) {
		meet := make(chan bool) // each waits for the other
		t.Cleanup(b.Listen("source.test", "on-save", "a", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { meet <- true })))
		t.Cleanup(b.Listen("source.test", "on-save", "b", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-meet })))
		done := make(chan int, 1)
		go func() { done <- len(b.ask(t.Context(), "source.test", "on-save", "")) }()
		if n := receive(b, done); n != 2 {
			t.Errorf("got %d answers, want 2", n)
		}
	})
	s.story(t, "TurnsAPanicIntoThatGroupsAnswer", func(t *testing.T, b *fixture) {
		t.Cleanup(b.Listen("source.test", "on-save", "a", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusOK)
			panic("secret")
		})))
		t.Cleanup(b.Listen("source.test", "on-save", "b", text("fine")))
		replies := b.ask(t.Context(), "source.test", "on-save", "")
		if len(replies) != 2 || replies[0].Status != http.StatusInternalServerError || string(replies[1].Body) != "fine" {
			t.Fatalf("got %v, want a 500 of a and the answer of b", answers(replies))
		}
		if strings.Contains(string(replies[0].Body), "secret") {
			t.Errorf("the answer tells what the panic was: %s", replies[0].Body)
		}
	})
	s.story(t, "DoesNotReachAStoppedListener", func(t *testing.T, b *fixture) {
		entered, leave := make(chan bool), make(chan bool)
		stop := b.Listen("source.test", "on-save", "g", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			entered <- true
			<-leave
		}))
		go b.ask(context.WithoutCancel(t.Context()), "source.test", "on-save", "")
		receive(b, entered)
		waitsFor(b, stop, leave)
		stop()
		if replies := b.ask(t.Context(), "source.test", "on-save", ""); len(replies) != 0 {
			t.Errorf("got %v", answers(replies))
		}
	})
}

// wantUnavailable checks that a request to host is refused as the contract says.
func wantUnavailable(t *testing.T, b *fixture, host string) {
	t.Helper()
	w, r := exchange(t.Context(), http.MethodGet, "https://"+host+"/", "")
	b.Handler(host).ServeHTTP(w, r)
	if f := problem.Read(w.Code, w.Header(), w.Body); f.Code != fault.Unavailable || !strings.Contains(f.Detail, host) {
		t.Errorf("got %v, want unavailable, and the host named", f)
	}
}

// waitsFor checks that stop returns after what it waits for was let go, and not before.
func waitsFor(b *fixture, stop func(), leave chan<- bool) {
	b.t.Helper()
	stopped := make(chan bool)
	go func() {
		stop()
		close(stopped)
	}()
	quiet(b, stopped, "stop returned while a handler ran")
	leave <- true
	receive(b, stopped)
}

// answers shows replies as "group status body".
func answers(replies []bus.Reply) []string {
	var all []string
	for _, r := range replies {
		all = append(all, fmt.Sprintf("%s %d %s", r.Group, r.Status, r.Body))
	}
	return all
}

// exchange makes both ends of a request.
func exchange(ctx context.Context, method, url, body string) (*httptest.ResponseRecorder, *http.Request) {
	return httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
}
