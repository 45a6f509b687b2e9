package bustest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"m3o/internal/bus"
	"m3o/internal/fault"
	"m3o/internal/problem"
)

// at is the endpoint https://host/ that h serves for the host's queue.
func at(host string, h http.Handler) bus.Endpoint {
	return bus.Endpoint{Host: host, Port: 443, Method: bus.Any, Path: "/", Queue: host, Handler: h}
}

// sink is an endpoint that hears https://source.test:417/on-save for a queue.
func sink(queue string, h http.Handler) bus.Endpoint {
	return bus.Endpoint{Host: "source.test", Port: 417, Method: http.MethodPost, Path: "/on-save", Queue: queue, Handler: h}
}

// serve serves until the story ends, or until stop is called.
func (b *fixture) serve(replica string, endpoints ...bus.Endpoint) (stop func()) {
	stop = b.Serve(replica, endpoints...)
	b.t.Cleanup(stop)
	return stop
}

// text is a handler that answers with name and the request's body.
func text(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = io.WriteString(w, name+string(body))
	})
}

// held is a handler that says when it has been entered and waits to be let go.
func held() (h http.Handler, entered, leave chan bool) {
	entered, leave = make(chan bool, 100), make(chan bool)
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		entered <- true
		<-leave
		_, _ = io.WriteString(w, "held")
	}), entered, leave
}

// exchange makes both ends of a request.
func exchange(ctx context.Context, method, url, body string) (*httptest.ResponseRecorder, *http.Request) {
	return httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
}

// send asks the host of url and returns status and body.
func (b *fixture) send(ctx context.Context, method, url, body string) (int, string) {
	w, r := exchange(ctx, method, url, body)
	b.Handler(r.URL.Hostname()).ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func (b *fixture) get(url string) (int, string) {
	return b.send(b.t.Context(), http.MethodGet, url, "")
}

// wantText checks what a request is answered.
func (b *fixture) wantText(url, want string) {
	b.t.Helper()
	if status, body := b.get(url); status != http.StatusOK || body != want {
		b.t.Errorf("GET %s: %d %q, want %q", url, status, body, want)
	}
}

// wantFault checks that a request is refused with code, and that the fault names all.
func (b *fixture) wantFault(method, url string, code fault.Code, names ...string) {
	b.t.Helper()
	w, r := exchange(b.t.Context(), method, url, "")
	b.Handler(r.URL.Hostname()).ServeHTTP(w, r)
	f := problem.Read(w.Code, w.Header(), w.Body)
	if f.Code != code || w.Code != code.Status() {
		b.t.Errorf("%s %s: %d %v, want %s", method, url, w.Code, f, code)
	}
	for _, name := range names {
		if method != http.MethodHead && !strings.Contains(f.Detail, name) {
			b.t.Errorf("%s %s: %q does not name %s", method, url, f.Detail, name)
		}
	}
}

// tell multicasts a body to the sinks of source.test.
func (b *fixture) tell(ctx context.Context, body string) <-chan bus.Reply {
	return b.cast(ctx, http.MethodPost, "https://source.test:417/on-save", body)
}

func (b *fixture) cast(ctx context.Context, method, url, body string) <-chan bus.Reply {
	_, r := exchange(ctx, method, url, body)
	return b.Multicast(r)
}

// gather waits for all replies and shows them as "replica/queue status body", sorted.
func gather(b *fixture, replies <-chan bus.Reply) []string {
	b.t.Helper()
	all := []string{}
	for {
		r, more := next(b, replies)
		if !more {
			slices.Sort(all)
			return all
		}
		all = append(all, show(r))
	}
}

func show(r bus.Reply) string {
	return fmt.Sprintf("%s/%s %d %s", r.Replica, r.Queue, r.Status, r.Body)
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

// inBackground runs a call; done is closed when it has returned.
func inBackground(call func()) (done chan bool) {
	done = make(chan bool)
	go func() {
		defer close(done)
		call()
	}()
	return done
}

// spread asks n times and counts the answers.
func (b *fixture) spread(n int, ask func() []string) map[string]int {
	b.t.Helper()
	counts := map[string]int{}
	for range n {
		for _, answer := range ask() {
			counts[answer]++
		}
	}
	return counts
}

// wantShared checks that the answers came n times in all and from each of those.
func wantShared(t *testing.T, counts map[string]int, n int, from ...string) {
	t.Helper()
	total := 0
	for _, answer := range from {
		if counts[answer] == 0 {
			t.Errorf("%q never answered: %v", answer, counts)
		}
		total += counts[answer]
	}
	if total != n || len(counts) != len(from) {
		t.Errorf("got %v, want %d answers of %v", counts, n, from)
	}
}
