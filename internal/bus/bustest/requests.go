package bustest

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"m3o/internal/bus"
	"m3o/internal/fault"
)

type valueKey struct{}

func (s suite) requests(t *testing.T) {
	t.Parallel()
	s.story(t, "ReachTheHostsHandler", func(_ *testing.T, b *fixture) {
		b.serve("r1", at("One.test", text("one")), at("two.test", text("two")))
		b.wantText("https://one.test/", "one")
		b.wantText("https://two.test", "two")
		b.wantText("https://ONE.Test/", "one")
	})
	s.story(t, "CarryMethodURLHeaderAndBody", func(t *testing.T, b *fixture) {
		got := make(chan string, 1)
		e := at("one.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			u := r.URL
			got <- strings.Join([]string{r.Method, u.Host, u.Path, u.EscapedPath(), u.RawQuery, r.Header.Get("X-Say")}, " ")
			w.Header().Set("X-Answer", "yes")
			w.WriteHeader(http.StatusTeapot)
		}))
		e.Path, e.Port = "/a/{x}", 0
		b.serve("r1", e)
		w, r := exchange(t.Context(), http.MethodPut, "https://one.test:444/a/%2E%2F?d=e", "body")
		r.Header.Set("X-Say", "hello")
		b.Handler("one.test").ServeHTTP(w, r)
		if line := receive(b, got); line != "PUT one.test:444 /a/./ /a/%2E%2F d=e hello" {
			t.Errorf("the handler saw %q", line)
		}
		if w.Code != http.StatusTeapot || w.Header().Get("X-Answer") != "yes" {
			t.Errorf("the caller saw %d %v", w.Code, w.Header())
		}
	})
	s.story(t, "ToAnUnknownHostAreUnavailable", func(_ *testing.T, b *fixture) {
		b.wantFault(http.MethodGet, "https://nobody.test/", fault.Unavailable, "nobody.test")
	})
	s.story(t, "AreUnavailableAfterStop", func(_ *testing.T, b *fixture) {
		stop := b.serve("r1", at("one.test", text("one")))
		kept := b.Handler("one.test")
		stop()
		stop()
		b.wantFault(http.MethodGet, "https://one.test/", fault.Unavailable, "one.test")
		b.wantFault(http.MethodGet, "https://r1.one.test/", fault.Unavailable, "one.test")
		w, r := exchange(b.t.Context(), http.MethodGet, "https://one.test/", "")
		if kept.ServeHTTP(w, r); w.Code != http.StatusServiceUnavailable {
			b.t.Errorf("a handler kept from before answers %d, want 503", w.Code)
		}
	})
	s.story(t, "ThatRunAreWaitedForByStop", func(_ *testing.T, b *fixture) {
		h, entered, leave := held()
		stop := b.serve("r1", at("one.test", text("")), at("two.test", h))
		call := inBackground(func() { b.get("https://two.test/") })
		receive(b, entered)
		again := make(chan bool)
		waitsFor(b, func() {
			go func() { stop(); close(again) }()
			stop()
		}, leave)
		receive(b, again)
		receive(b, call)
	})
	s.story(t, "CarryTheDeadline", func(t *testing.T, b *fixture) {
		left := make(chan bool, 1)
		b.serve("r1", at("one.test", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			deadline, ok := r.Context().Deadline()
			left <- ok && time.Until(deadline) <= time.Minute
		})))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		b.send(ctx, http.MethodGet, "https://one.test/", "")
		if !receive(b, left) {
			t.Error("the handler has no deadline, or a later one than the caller")
		}
	})
	s.story(t, "EndWhenTheCallerGivesUp", func(t *testing.T, b *fixture) {
		entered, ended := make(chan bool, 1), make(chan bool, 1)
		b.serve("r1", at("one.test", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			entered <- true
			<-r.Context().Done()
			ended <- true
		})))
		ctx, cancel := context.WithCancel(t.Context())
		call := inBackground(func() { b.send(ctx, http.MethodGet, "https://one.test/", "") })
		receive(b, entered)
		cancel()
		receive(b, ended)
		receive(b, call)
	})
	s.story(t, "CarryContextValuesOnlyWithinOneProcess", func(t *testing.T, b *fixture) {
		got := make(chan bool, 1)
		b.serve("r1", at("one.test", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			got <- r.Context().Value(valueKey{}) != nil
		})))
		b.send(context.WithValue(t.Context(), valueKey{}, "v"), http.MethodGet, "https://one.test/", "")
		if receive(b, got) != s.OneProcess {
			t.Errorf("a context value arrived: %v, want %v", !s.OneProcess, s.OneProcess)
		}
	})
	if s.OneProcess {
		s.story(t, "HandTheirPanicToTheCaller", func(t *testing.T, b *fixture) {
			stop := b.serve("r1", at("one.test", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("ouch") })))
			defer func() {
				if p := recover(); p != "ouch" {
					t.Errorf("the caller recovers %v", p)
				}
				stop() // the request is over
			}()
			b.get("https://one.test/")
		})
	}
}

// replicas is what several who serve the same promise.
func (s suite) replicas(t *testing.T) {
	t.Parallel()
	s.story(t, "OfAQueueShareTheRequests", func(t *testing.T, b *fixture) {
		b.serve("r1", at("one.test", text("1")))
		b.serve("r2", at("one.test", text("2")))
		wantShared(t, b.spread(100, b.asked("https://one.test/")), 100, "200 1", "200 2")
	})
	s.story(t, "WithoutAQueueShareWithNobodyButAreAskedOneAtATime", func(t *testing.T, b *fixture) {
		for _, name := range []string{"r1", "r2"} {
			e := at("one.test", text(name))
			e.Queue = ""
			b.serve(name, e)
		}
		b.serve("r3", at("one.test", text("r3")))
		wantShared(t, b.spread(200, b.asked("https://one.test/")), 200, "200 r1", "200 r2", "200 r3")
	})
	s.story(t, "AreReachedAtTheirOwnAddress", func(_ *testing.T, b *fixture) {
		b.serve("r1", at("one.test", text("1")), at("two.test", text("1")))
		stop := b.serve("R2", at("one.test", text("2")))
		for range 10 {
			b.wantText("https://r1.one.test/", "1")
			b.wantText("https://r2.One.test/", "2")
		}
		b.wantText("https://r1.two.test/", "1")
		b.wantFault(http.MethodGet, "https://r2.two.test/", fault.Unavailable, "r2.two.test")
		b.wantFault(http.MethodGet, "https://r1.one.test/nope", fault.NotFound, "r1.one.test", "/nope")
		stop()
		b.wantFault(http.MethodGet, "https://r2.one.test/", fault.Unavailable, "r2.one.test")
		b.wantText("https://one.test/", "1")
	})
	s.story(t, "AreWaitedForAlone", func(_ *testing.T, b *fixture) {
		h, entered, leave := held()
		b.serve("r1", at("r1.test", h))
		stop := b.serve("r2", at("r2.test", text("2")))
		call := inBackground(func() { b.get("https://r1.test/") })
		receive(b, entered)
		receive(b, inBackground(stop)) // though r1 still runs
		leave <- true
		receive(b, call)
	})
	s.story(t, "ThatStopArePassedOver", func(t *testing.T, b *fixture) {
		h, entered, leave := held()
		b.serve("r1", at("one.test", text("1")))
		stop := b.serve("r2", at("one.test", h))
		first := inBackground(func() { b.get("https://r2.one.test/") })
		receive(b, entered)
		stopped := inBackground(stop)
		quiet(b, stopped, "stop returned while a handler ran")
		wantShared(t, b.spread(20, b.asked("https://one.test/")), 20, "200 1")
		leave <- true
		receive(b, stopped)
		receive(b, first)
	})
	s.story(t, "MayComeAndGoWhileOthersAsk", func(t *testing.T, b *fixture) {
		b.serve("steady", at("one.test", text("")))
		done := inBackground(func() {
			for range 100 {
				stop := b.Serve("r1", at("one.test", text("")), sink("a", text("")))
				stop()
			}
		})
		for {
			select {
			case <-done:
				return
			default:
				if status, _ := b.get("https://one.test/"); status != http.StatusOK {
					t.Fatalf("got %d though one replica is always there", status)
				}
				for reply := range b.tell(t.Context(), "") {
					if reply.Status != http.StatusOK {
						t.Fatalf("got %s", show(reply))
					}
				}
			}
		}
	})
	s.story(t, "MayServeOneHostTogether", func(_ *testing.T, b *fixture) {
		website, docs := at("root", text("website")), at("root", text("docs"))
		website.Queue, docs.Queue, docs.Path = "website.test", "docs.test", "/docs/{page+}"
		b.serve("r1", website)
		stop := b.serve("r2", docs)
		b.wantText("https://root/", "website")
		b.wantText("https://root/docs/a/b", "docs")
		stop()
		b.wantText("https://root/", "website")
		b.wantFault(http.MethodGet, "https://root/docs/a/b", fault.NotFound, "root", "/docs/a/b")
	})
}

// asked asks url once.
func (b *fixture) asked(url string) func() []string {
	return func() []string {
		w, r := exchange(b.t.Context(), http.MethodGet, url, "")
		b.Handler(r.URL.Hostname()).ServeHTTP(w, r)
		return []string{show(bus.Reply{Status: w.Code, Body: w.Body.Bytes()})[2:]}
	}
}
