package bustest

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"m3o/internal/bus"
	"m3o/internal/fault"
	"m3o/internal/problem"
)

func (s suite) multicast(t *testing.T) {
	t.Parallel()
	s.story(t, "ReachesEachQueueOnceAndEachReplicaWithout", func(t *testing.T, b *fixture) {
		b.serve("r1", sink("a", text("a:")), sink("", text("own:")))
		b.serve("r2", sink("a", text("a:")), sink("", text("own:")))
		b.serve("r3", sink("b", text("b:")))
		other, load := sink("a", text("other:")), sink("a", text("load:"))
		other.Host, load.Path = "other.test", "/on-load"
		b.serve("r4", other, load)
		got := gather(b, b.tell(t.Context(), "x"))
		for i := range got {
			got[i] = strings.Replace(got[i], "r2/a", "r1/a", 1) // one of the two
		}
		equal(t, "replies", got, []string{"r1/ 200 own:x", "r1/a 200 a:x", "r2/ 200 own:x", "r3/b 200 b:x"})
	})
	s.story(t, "ToNobodyIsNoError", func(t *testing.T, b *fixture) {
		b.serve("r1", sink("a", text("a")))
		for _, url := range []string{"https://nobody.test:417/on-save", "https://source.test:417/on-load", "https://source.test/on-save"} {
			equal(t, url, gather(b, b.cast(t.Context(), http.MethodPost, url, "x")), nil)
		}
		equal(t, "GET", gather(b, b.cast(t.Context(), http.MethodGet, "https://source.test:417/on-save", "")), nil)
	})
	s.story(t, "ReadsTheBodyToItsEnd", func(t *testing.T, b *fixture) {
		for range 2 {
			body := strings.NewReader("all of it")
			gather(b, b.Multicast(httptest.NewRequestWithContext(t.Context(), http.MethodPost, "https://source.test:417/on-save", body)))
			if body.Len() != 0 {
				t.Errorf("%d bytes are left", body.Len())
			}
			b.serve("r1", sink("a", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
		}
	})
	s.story(t, "TellsAllThatTheBodyBroke", func(t *testing.T, b *fixture) {
		b.serve("r1", sink("a", text("")), sink("b", text("")))
		broken := io.MultiReader(strings.NewReader("half"), iotest.ErrReader(errors.New("secret")))
		n := 0
		for reply := range b.Multicast(httptest.NewRequestWithContext(t.Context(), http.MethodPost, "https://source.test:417/on-save", broken)) {
			if n++; reply.Status != http.StatusBadRequest || strings.Contains(string(reply.Body), "secret") {
				t.Errorf("got %s, want 400", show(reply))
			}
		}
		if n != 2 {
			t.Errorf("%d replies, want 2", n)
		}
	})
	s.story(t, "GivesEachACopyOfItsOwn", func(t *testing.T, b *fixture) {
		change := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got := r.Header.Get("X-Say") + r.URL.Path
			r.Header.Set("X-Say", "changed")
			r.URL.Path = "/changed"
			_, _ = io.WriteString(w, got)
		})
		b.serve("r1", sink("a", change), sink("b", change))
		_, r := exchange(t.Context(), http.MethodPost, "https://source.test:417/on-save", "")
		r.Header.Set("X-Say", "hello")
		replies := b.Multicast(r)
		r.Header.Set("X-Say", "later") // r is the caller's again
		equal(t, "replies", gather(b, replies), []string{"r1/a 200 hello/on-save", "r1/b 200 hello/on-save"})
	})
	s.story(t, "SharesWithinAQueue", func(t *testing.T, b *fixture) {
		b.serve("r1", sink("g", text("1")))
		b.serve("r2", sink("g", text("2")))
		ask := func() []string { return gather(b, b.tell(t.Context(), "")) }
		wantShared(t, b.spread(100, ask), 100, "r1/g 200 1", "r2/g 200 2")
	})
	s.story(t, "ReachesAllMatchingEndpoints", func(t *testing.T, b *fixture) {
		b.places("443 GET /a/b", "443 ANY /a/b", "0 GET /a/b", "443 GET /a/{x}", "0 ANY /{all+}", "443 POST /a/b", "444 GET /a/b", "443 GET /a")
		equal(t, "replies", gather(b, b.cast(t.Context(), http.MethodGet, "https://One.test/a/b", "")), []string{
			"r1/one.test 200 0 ANY /{all+}", "r1/one.test 200 0 GET /a/b", "r1/one.test 200 443 ANY /a/b",
			"r1/one.test 200 443 GET /a/b", "r1/one.test 200 443 GET /a/{x}",
		})
	})
	s.story(t, "ReachesAReplicaAtItsOwnAddress", func(t *testing.T, b *fixture) {
		b.serve("r1", sink("a", text("1")), sink("", text("own")))
		b.serve("r2", sink("a", text("2")))
		for range 10 {
			equal(t, "r1", gather(b, b.cast(t.Context(), http.MethodPost, "https://r1.source.test:417/on-save", "")), []string{"r1/ 200 own", "r1/a 200 1"})
			equal(t, "r2", gather(b, b.cast(t.Context(), http.MethodPost, "https://r2.source.test:417/on-save", "")), []string{"r2/a 200 2"})
		}
	})
	s.story(t, "ReturnsStatusHeaderAndBody", func(t *testing.T, b *fixture) {
		b.serve("r1", sink("g", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			problem.Write(w, r, fault.New(fault.Conflict, "no"))
		})))
		reply := receive(b, b.tell(t.Context(), ""))
		if f := problem.Read(reply.Status, reply.Header, strings.NewReader(string(reply.Body))); f.Code != fault.Conflict || f.Detail != "no" {
			t.Errorf("got %s, want the sink's fault", show(reply))
		}
	})
	s.story(t, "YieldsReplicasAsTheyAnswer", func(t *testing.T, b *fixture) {
		h, entered, leave := held()
		b.serve("r1", sink("slow", h), sink("fast", text("fast")))
		replies := b.tell(t.Context(), "")
		equal(t, "first", []string{show(receive(b, replies))}, []string{"r1/fast 200 fast"})
		receive(b, entered)
		quiet(b, replies, "the channel said something before the second answered")
		leave <- true
		equal(t, "rest", gather(b, replies), []string{"r1/slow 200 held"})
	})
	s.story(t, "AsksAllAtTheSameTime", func(t *testing.T, b *fixture) {
		meet := make(chan bool) // each waits for the other
		b.serve("r1",
			sink("a", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { meet <- true })),
			sink("b", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-meet })))
		equal(t, "replies", gather(b, b.tell(t.Context(), "")), []string{"r1/a 200 ", "r1/b 200 "})
	})
	s.story(t, "TurnsAPanicIntoThatReply", func(t *testing.T, b *fixture) {
		b.serve("r1", sink("b", text("fine")), sink("a", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Half", "done")
			w.WriteHeader(http.StatusOK)
			panic("secret")
		})))
		for reply := range b.tell(t.Context(), "") {
			switch body := string(reply.Body); {
			case reply.Queue == "b" && body != "fine":
				t.Errorf("the other said %q", body)
			case reply.Queue == "a" && (reply.Status != http.StatusInternalServerError || strings.Contains(body, "secret") || reply.Header.Get("X-Half") != ""):
				t.Errorf("got %s with %v, want a 500 that does not tell what the panic was", show(reply), reply.Header)
			}
		}
	})
	s.story(t, "NeedNotBeRead", func(t *testing.T, b *fixture) {
		h, entered, leave := held()
		stop := b.serve("r1", sink("a", h), sink("b", text("")))
		b.tell(t.Context(), "")
		receive(b, entered)
		waitsFor(b, stop, leave)
	})
	s.story(t, "IsWaitedForByStop", func(t *testing.T, b *fixture) {
		h, entered, leave := held()
		stop := b.serve("r1", sink("g", h))
		replies := b.tell(t.Context(), "")
		receive(b, entered)
		waitsFor(b, stop, leave)
		equal(t, "replies", gather(b, replies), []string{"r1/g 200 held"})
		stop()
		equal(t, "after stop", gather(b, b.tell(t.Context(), "")), nil)
	})
	s.story(t, "PassesOverAReplicaThatStops", func(t *testing.T, b *fixture) {
		h, entered, leave := held()
		b.serve("r1", sink("g", text("1")))
		stop := b.serve("r2", sink("g", h))
		first := b.cast(t.Context(), http.MethodPost, "https://r2.source.test:417/on-save", "")
		receive(b, entered)
		stopped := inBackground(stop)
		quiet(b, stopped, "stop returned while a handler ran")
		for range 10 {
			equal(t, "replies", gather(b, b.tell(t.Context(), "")), []string{"r1/g 200 1"})
		}
		leave <- true
		receive(b, stopped)
		gather(b, first)
	})
	s.story(t, "DeliversPathArguments", func(t *testing.T, b *fixture) {
		e := sink("g", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			args, _ := bus.MatchPath("/thing/{id}", r.URL.EscapedPath())
			_, _ = io.WriteString(w, args["id"])
		}))
		e.Path = "/thing/{id}"
		b.serve("r1", e)
		equal(t, "replies", gather(b, b.cast(t.Context(), http.MethodPost, "https://source.test:417/thing/a%2Fb", "")), []string{"r1/g 200 a/b"})
	})
}
