package upstream_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"m3o/internal/upstream"
)

// newTLS is a server over TLS, with HTTP/2 or without.
func newTLS(t *testing.T, with bool, h http.HandlerFunc) (*httptest.Server, *upstream.Target) {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.EnableHTTP2 = with
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	return server, newTarget(t, server.URL, func(c *upstream.Config) {
		c.Roots, c.Header = roots, http.Header{"Authorization": {"Bearer secret"}}
	})
}

func eachTLS(t *testing.T, test func(t *testing.T, version string, with bool)) {
	for version, with := range map[string]bool{"HTTP/1.1": false, "HTTP/2.0": true} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			test(t, version, with)
		})
	}
}

func TestOverTLSTheRulesAreTheSame(t *testing.T) {
	t.Parallel()
	eachTLS(t, func(t *testing.T, version string, with bool) {
		var got *http.Request
		var body []byte
		server, target := newTLS(t, with, func(w http.ResponseWriter, r *http.Request) {
			got = r
			body, _ = io.ReadAll(r.Body)
			w.Header().Set("M3O-Price", "5")
			w.Header().Set("Trailer", "X-Sum")
			w.WriteHeader(201)
			_, _ = io.WriteString(w, "made")
			w.Header().Set("X-Sum", "1")
			w.Header().Set(http.TrailerPrefix+"X-Late", "2")
		})
		front := newFront(t, target)
		for _, sent := range []string{"", "abc", strings.Repeat("x", 1<<20)} {
			r, _ := http.NewRequestWithContext(t.Context(), "POST", front.URL+"/a%2Fb?c=d;e", strings.NewReader(sent))
			r.Header = http.Header{"Authorization": {"mine"}, "Connection": {"X-Private"}, "X-Private": {"1"}, "Te": {"trailers"}, "User-Agent": {""}, "M3o-Key-Id": {"key_1"}}
			answer, err := front.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(answer.Body)
			_ = answer.Body.Close()
			if err != nil || answer.StatusCode != 201 || string(text) != "made" || answer.Header.Get("M3o-Price") != "" || answer.Trailer.Get("X-Sum") != "1" || answer.Trailer.Get("X-Late") != "2" {
				t.Errorf("got %d %q %v %v %v", answer.StatusCode, text, answer.Header, answer.Trailer, err)
			}
			if got.Proto != version || string(body) != sent || got.RequestURI != "/a%2Fb?c=d;e" || got.Host != strings.TrimPrefix(server.URL, "https://") {
				t.Errorf("the server got %s %s %s, %d bytes", got.Proto, got.Host, got.RequestURI, len(body))
			}
			if h := got.Header; h.Get("Authorization") != "Bearer secret" || len(h["Authorization"]) != 1 || h.Get("X-Private") != "" || h.Get("Te") != "" || h.Get("User-Agent") != "" || h.Get("M3o-Key-Id") != "key_1" {
				t.Errorf("the server got %v", h)
			}
		}
	})
}

func TestOverTLSStreamsAndBreaksAreTheSame(t *testing.T) {
	t.Parallel()
	eachTLS(t, func(t *testing.T, _ string, with bool) {
		next := make(chan string)
		_, target := newTLS(t, with, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(200)
			for text := range next {
				_ = http.NewResponseController(w).Flush()
				if _, _ = io.WriteString(w, text); text == "break" {
					panic(http.ErrAbortHandler)
				}
				_ = http.NewResponseController(w).Flush()
			}
		})
		front := newFront(t, target)
		go func() { next <- "one" }()
		answer, err := front.Client().Get(front.URL)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 3)
		if _, err := io.ReadFull(answer.Body, got); err != nil || string(got) != "one" {
			t.Errorf("got %q %v", got, err)
		}
		next <- "break"
		if _, err := io.ReadAll(answer.Body); err == nil {
			t.Error("it ends as if it were complete")
		}
		_ = answer.Body.Close()
	})
}

func TestOverTLSDeadlinesAndFaultsAreTheSame(t *testing.T) {
	t.Parallel()
	eachTLS(t, func(t *testing.T, _ string, with bool) {
		over := make(chan struct{})
		_, target := newTLS(t, with, func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
			over <- struct{}{}
		})
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		wantProblem(t, ask(t, target, "POST", "/", "{}", func(r *http.Request) { *r = *r.WithContext(ctx) }), 504, late)
		<-over
		w := ask(t, target, "POST", "/", "", func(r *http.Request) { r.Body, r.ContentLength = &failing{50, errors.New("reset")}, 1<<20 })
		<-over
		wantProblem(t, w, 400, "The request body could not be read")
		if s := target.Stats(); s.Timeouts != 1 || s.Failures != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestAServerThatNobodyTrustsIsNotReached(t *testing.T) {
	t.Parallel()
	eachTLS(t, func(t *testing.T, _ string, with bool) {
		server, _ := newTLS(t, with, func(http.ResponseWriter, *http.Request) { t.Error("it is called") })
		target := newTarget(t, server.URL, nil)
		wantProblem(t, ask(t, target, "GET", "/", "", nil), 502, unreached)
	})
}

func TestConnectionsOverTLSAreKept(t *testing.T) {
	t.Parallel()
	eachTLS(t, func(t *testing.T, _ string, with bool) {
		_, target := newTLS(t, with, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
		for range 20 {
			if w := ask(t, target, "GET", "/", "", nil); w.Body.String() != "ok" {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
		}
		if s := target.Stats(); s.Dials > 2 { // the first finds out the version
			t.Errorf("%+v", s)
		}
	})
}

// echoes is a server that changes to a protocol in which it repeats what it hears.
func echoes(in *bufio.Reader, c io.Writer) {
	r := request(in)
	if r == nil || r.Header.Get("Upgrade") != "websocket" || r.Header.Get("Connection") != "Upgrade" {
		_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
		return
	}
	_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Accept: x\r\nM3O-X: 1\r\n\r\nhello")
	_, _ = io.Copy(c, in)
}

func TestAnUpgradeJoinsBothConnections(t *testing.T) {
	t.Parallel()
	server := newRawServer(t, func(_ int64, c net.Conn, in *bufio.Reader) { echoes(in, c) })
	joins(t, newTarget(t, server.address, func(c *upstream.Config) { c.Upgrade = true }))
}

func TestAnUpgradeIsHTTP1EvenWhereHTTP2IsSpoken(t *testing.T) {
	t.Parallel()
	server, _ := newTLS(t, true, func(w http.ResponseWriter, _ *http.Request) {
		c, in, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Accept: x\r\n\r\nhello")
		_, _ = io.Copy(c, in)
	})
	roots := server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	joins(t, newTarget(t, server.URL, func(c *upstream.Config) { c.Upgrade, c.Roots = true, roots }))
}

func joins(t *testing.T, target *upstream.Target) {
	t.Helper()
	front := newFront(t, target)
	caller, err := net.Dial("tcp", strings.TrimPrefix(front.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer caller.Close()
	_, _ = io.WriteString(caller, "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\nearly")
	in := bufio.NewReader(caller)
	answer, err := http.ReadResponse(in, nil)
	if err != nil || answer.StatusCode != 101 || answer.Header.Get("Sec-Websocket-Accept") != "x" || answer.Header.Get("M3o-X") != "" {
		t.Fatalf("got %v %v", answer, err)
	}
	_, _ = io.WriteString(caller, " and late")
	want := "helloearly and late"
	got := make([]byte, len(want))
	if _, err := io.ReadFull(in, got); err != nil || string(got) != want {
		t.Errorf("got %q %v", got, err)
	}
	_ = caller.Close()
	until(t, func() bool { return target.Stats().Open == 0 })
}

func TestNothingIsUpgradedUnlessThatIsSet(t *testing.T) {
	t.Parallel()
	server := newRawServer(t, func(_ int64, c net.Conn, in *bufio.Reader) { echoes(in, c) })
	ours := func(r *http.Request) { r.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}} }
	if w := ask(t, newTarget(t, server.address, nil), "GET", "/", "", ours); w.Code != 400 {
		t.Errorf("got %d", w.Code)
	}
	with := newTarget(t, server.address, func(c *upstream.Config) { c.Upgrade = true })
	for _, protocol := range []string{"h2c", "HTTP/2.0", "web socket", "a\r\nb"} {
		w := ask(t, with, "GET", "/", "", func(r *http.Request) { r.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {protocol}} })
		if w.Code != 400 {
			t.Errorf("%s: %d", protocol, w.Code)
		}
	}
	wantProblem(t, ask(t, with, "GET", "/", "", ours), 502, unreached) // a recorder cannot be joined
}

func TestAServerMayStopSpeakingHTTP2(t *testing.T) {
	t.Parallel()
	server, target := newTLS(t, true, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) })
	if w := ask(t, target, "GET", "/", "", nil); w.Body.String() != "HTTP/2.0" {
		t.Fatalf("got %s", w.Body)
	}
	address := server.Listener.Addr().String()
	certificates := server.TLS.Certificates
	server.Close()
	listener, err := tls.Listen("tcp", address, &tls.Config{Certificates: certificates, NextProtos: []string{"http/1.1"}})
	if err != nil {
		t.Skip("somebody else has the port now")
	}
	again := &http.Server{ErrorLog: server.Config.ErrorLog, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) })}
	var serving sync.WaitGroup
	serving.Go(func() { _ = again.Serve(listener) })
	defer serving.Wait()
	defer again.Close()
	for range 6 {
		ask(t, target, "GET", "/", "", nil)
	}
	until(t, func() bool { return ask(t, target, "GET", "/", "", nil).Body.String() == "HTTP/1.1" })
}

func TestOverTLSTooWhatFollowsAnAnswerIsNobodysAnswer(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 12000\r\n\r\n"+strings.Repeat("x", 12000)+"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
		_, _ = io.Copy(io.Discard, c)
	}))
	server.TLS = &tls.Config{DynamicRecordSizingDisabled: true} // all of it is one record, which TLS reads at once
	server.StartTLS()
	t.Cleanup(server.Close)
	target := newTarget(t, server.URL, func(c *upstream.Config) {
		c.Roots = server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	})
	for range 3 {
		if w := ask(t, target, "GET", "/", "", nil); w.Body.Len() != 12000 {
			t.Errorf("%d %q", w.Code, w.Body)
		}
	}
	if s := target.Stats(); s.Dials != 3 || s.Reuses != 1 { // the first dial decides the version
		t.Errorf("%+v", s)
	}
}
