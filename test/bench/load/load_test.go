package load

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// newUpstream is the address of the upstream.
func newUpstream(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- serveUpstream(listener) }()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	return "http://" + listener.Addr().String()
}

func dial(t *testing.T, to Target) *Connection {
	t.Helper()
	c, err := to.Dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestUpstreamAnswersWhoeverSpeaksHTTP(t *testing.T) {
	t.Parallel()
	address := newUpstream(t)
	lean := dial(t, NewTarget(address, UpstreamPath, "", Hello))
	for range 3 {
		if err := lean.Call(); err != nil {
			t.Fatal(err)
		}
	}
	if a, err := lean.Exchange(); err != nil || a != (Answer{Status: 200}) {
		t.Errorf("%+v %v", a, err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Post(address, "application/json", strings.NewReader(Hello))
	if err != nil || answer.StatusCode != http.StatusOK || answer.ContentLength != int64(len(greeting)) {
		t.Fatal(answer, err)
	}
	answer.Body.Close()
	chunked, err := client.Post(address, "application/json", struct{ *strings.Reader }{strings.NewReader(Hello)})
	if err != nil || chunked.StatusCode != http.StatusLengthRequired {
		t.Fatal(chunked, err)
	}
	chunked.Body.Close()
}

func TestProxyPassesOnToTheUpstream(t *testing.T) {
	t.Parallel()
	proxy, err := newProxy(newUpstream(t))
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(routed(UpstreamPath, proxy))
	t.Cleanup(s.Close)
	if err := dial(t, NewTarget(s.URL, UpstreamPath, "", Hello)).Call(); err != nil {
		t.Error(err)
	}
	if n, err := allocations(s.URL); err != nil || n <= 0 {
		t.Errorf("%d allocations, %v", n, err)
	}
}

func TestCallTakesNothingBut200(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(routed(HelloPath, http.HandlerFunc(greet)))
	t.Cleanup(s.Close)
	if err := dial(t, NewTarget(s.URL, HelloPath, "", Hello)).Call(); err != nil {
		t.Error(err)
	}
	err := dial(t, NewTarget(s.URL, "/elsewhere", "", Hello)).Call()
	if err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("of a 404: %v", err)
	}
}

func TestExchangeTakesAnyAnswer(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer k" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("M3O-Price", "50")
		for range 3 {
			fmt.Fprintln(w, greeting)
			w.(http.Flusher).Flush()
		}
	}))
	t.Cleanup(s.Close)
	stream := dial(t, NewTarget(s.URL, StreamPath, "k", Hello))
	for range 2 { // the connection is good after a chunked answer
		if a, err := stream.Exchange(); err != nil || a != (Answer{Status: 200, Price: 50}) {
			t.Errorf("%+v %v", a, err)
		}
	}
	if a, err := dial(t, NewTarget(s.URL, StreamPath, "", Hello)).Exchange(); err != nil || a.Status != 401 {
		t.Errorf("%+v %v", a, err)
	}
}

func TestPacedKeepsTheRateAndCatchesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var late []time.Duration // of the first client's calls
		var calls atomic.Int64
		err := Paced(500, 5, 200*time.Millisecond, func(client int, due time.Time) error {
			if calls.Add(1); client > 0 {
				return nil
			}
			if late = append(late, time.Since(due)); len(late) == 1 {
				time.Sleep(25 * time.Millisecond) // a slow answer makes those behind it late, and none is left out
			}
			return nil
		})
		if n := calls.Load(); err != nil || n != 100 {
			t.Errorf("%d calls, %v", n, err)
		}
		if want := []time.Duration{0, 15 * time.Millisecond, 5 * time.Millisecond, 0}; !slices.Equal(late[:4], want) {
			t.Errorf("late by %v, want %v", late[:4], want)
		}
	})
}

func TestPacedEndsAClientWithItsError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		var calls atomic.Int64
		err := Paced(1000, 4, time.Second, func(int, time.Time) error {
			calls.Add(1)
			return broken
		})
		if !errors.Is(err, broken) || calls.Load() != 4 {
			t.Errorf("%v after %d calls", err, calls.Load())
		}
	})
}

func TestQuantile(t *testing.T) {
	t.Parallel()
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(i))
	}
	for percent, want := range map[int]time.Duration{0: 0, 50: 50, 99: 99} {
		if got := Quantile(hundred, percent); got != want {
			t.Errorf("%d %%: %d, want %d", percent, got, want)
		}
	}
	if Quantile(nil, 99) != 0 {
		t.Error("of nothing there is something")
	}
}
