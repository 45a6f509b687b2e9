package upstream_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"m3o/internal/upstream"
)

func TestNoAnswerIsABadGateway(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"nothing":                       "",
		"half a status line":            "HTTP/1.",
		"half a head":                   "HTTP/1.1 200 OK\r\nContent-Le",
		"garbage":                       "220 mail.example ESMTP\r\n\r\n",
		"another version":               "HTTP/2.0 200 OK\r\n\r\n",
		"no number":                     "HTTP/1.1 abc OK\r\n\r\n",
		"a number too small":            "HTTP/1.1 099 OK\r\n\r\n",
		"a line that ends twice":        "HTTP/1.1 200\r\r\n\r\n",
		"a number too long":             "HTTP/1.1 2000 OK\r\n\r\n",
		"a line without an end":         "HTTP/1.1 200 " + strings.Repeat("x", 1<<16),
		"a header without a colon":      "HTTP/1.1 200 OK\r\nnonsense\r\n\r\n",
		"a header with a space":         "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok",
		"two lengths":                   "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
		"a list of lengths":             "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
		"a length with a sign":          "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
		"no length":                     "HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\nok",
		"another coding":                "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"two codings":                   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"chunks in HTTP/1.0":            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"another protocol":              "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
		"a head that is too long":       "HTTP/1.1 200 OK\r\n" + strings.Repeat("X-Header: 0123456789\r\n", 1000) + "\r\n",
		"one header that is too long":   "HTTP/1.1 200 OK\r\nX-Header: " + strings.Repeat("x", 20_000) + "\r\n\r\n",
		"a head that is too long twice": strings.Repeat("HTTP/1.1 200 OK\r\n"+strings.Repeat("X-Header: 0123456789\r\n", 1000), 2),
	} {
		server := newRawServer(t, func(_ int64, c net.Conn, in *bufio.Reader) {
			request(in)
			_, _ = io.WriteString(c, answer)
		})
		target := newTarget(t, server.address, func(c *upstream.Config) { c.Limits.Header = 10_000 })
		w := ask(t, target, "POST", "/", "{}", nil)
		if w.Code != 502 {
			t.Errorf("%s: %d", name, w.Code)
		}
		wantProblem(t, w, 502, unreached)
		if s := target.Stats(); s.Open != 0 || s.Failures != 1 {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

func TestAResetIsABadGateway(t *testing.T) {
	t.Parallel()
	server := newRawServer(t, func(_ int64, c net.Conn, in *bufio.Reader) {
		_, _ = in.Peek(1)
		_ = c.(*net.TCPConn).SetLinger(0)
	})
	wantProblem(t, ask(t, newTarget(t, server.address, nil), "GET", "/", "", nil), 502, unreached)
}

func TestNobodyListensIsABadGateway(t *testing.T) {
	t.Parallel()
	server := answers(t, empty)
	server.stop()
	wantProblem(t, ask(t, newTarget(t, server.address, nil), "GET", "/", "", nil), 502, unreached)
}

func TestADeadlineIsATimeout(t *testing.T) {
	t.Parallel()
	over := make(chan struct{}, 1)
	for _, answer := range []string{"", "HTTP/1.1 200 OK\r\nContent", "HTTP/1.1 100 Continue\r\n\r\n"} {
		server := newRawServer(t, func(_ int64, c net.Conn, in *bufio.Reader) {
			request(in)
			_, _ = io.WriteString(c, answer)
			_, _ = io.Copy(io.Discard, in) // until the target hangs up
			over <- struct{}{}
		})
		target := newTarget(t, server.address, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		wantProblem(t, ask(t, target, "POST", "/", "{}", func(r *http.Request) { *r = *r.WithContext(ctx) }), 504, late)
		cancel()
		<-over
		if s := target.Stats(); s.Timeouts != 1 || s.Failures != 1 || s.Open != 0 {
			t.Errorf("%+v", s)
		}
	}
}

func TestADeadlineWhileDiallingIsATimeout(t *testing.T) {
	t.Parallel()
	target := newTarget(t, "http://192.0.2.1", func(c *upstream.Config) {
		c.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		c.Limits.Dial = 50 * time.Millisecond
	})
	wantProblem(t, ask(t, target, "GET", "/", "", nil), 502, unreached)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	wantProblem(t, ask(t, target, "GET", "/", "", func(r *http.Request) { *r = *r.WithContext(ctx) }), 504, late)
}

func TestAHalfAnswerIsBrokenOffForTheCaller(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"short of its length":  "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
		"no last chunk":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		"a chunk too short":    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n9\r\nhe",
		"no size of a chunk":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nxyz\r\n",
		"no end of a chunk":    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello0\r\n\r\n",
		"no end of trailers":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
		"half a trailer":       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n",
		"an impossible length": "HTTP/1.1 200 OK\r\nContent-Length: 9000000000000000000\r\n\r\nhello",
		"a size too large":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nfffffffffffffffff\r\n",
	} {
		server := newRawServer(t, func(_ int64, c net.Conn, in *bufio.Reader) {
			request(in)
			_, _ = io.WriteString(c, answer)
		})
		target := newTarget(t, server.address, nil)
		front := newFront(t, target)
		response, err := front.Client().Get(front.URL)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if response.StatusCode != 200 || err == nil || !bytes.HasPrefix([]byte("hellohe"), body) || len(body) == 0 {
			t.Errorf("%s: %d %q %v", name, response.StatusCode, body, err)
		}
		if s := target.Stats(); s.Broken != 1 || s.Open != 0 {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

func TestADeadlineInAnAnswerBreaksItOff(t *testing.T) {
	t.Parallel()
	server := newRawServer(t, func(_ int64, c net.Conn, in *bufio.Reader) {
		request(in)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
		_, _ = io.Copy(io.Discard, in)
	})
	target := newTarget(t, server.address, nil)
	front := newFront(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 30*time.Millisecond)
		defer cancel()
		target.ServeHTTP(w, r.WithContext(ctx))
	}))
	response, err := front.Client().Get(front.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err == nil || string(body) != "hello" {
		t.Errorf("%q %v", body, err)
	}
}

func TestWhatFollowsAnAnswerIsNobodysAnswer(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer, more string
		after        time.Duration
	}{
		"longer than its length": {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", "", 0},
		"after the last chunk":   {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", "", 0},
		"some time later":        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", 20 * time.Millisecond},
	} {
		server := newRawServer(t, func(_ int64, c net.Conn, in *bufio.Reader) {
			for request(in) != nil {
				_, _ = io.WriteString(c, test.answer)
				time.Sleep(test.after)
				_, _ = io.WriteString(c, test.more)
			}
		})
		target := newTarget(t, server.address, nil)
		for range 3 {
			if w := ask(t, target, "GET", "/", "", nil); w.Body.String() != "ok" {
				t.Errorf("%s: %d %q", name, w.Code, w.Body)
			}
			time.Sleep(2 * test.after)
		}
		if n := server.conns.Load(); n != 3 {
			t.Errorf("%s: %d connections", name, n)
		}
	}
}

func TestAConnectionThatWasClosedWhileIdleIsNotUsed(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(net.Conn){
		"closed": func(c net.Conn) { _ = c.Close() },
		"reset":  func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) },
	} {
		closed := make(chan struct{})
		server := newRawServer(t, func(_ int64, c net.Conn, in *bufio.Reader) {
			request(in)
			_, _ = io.WriteString(c, empty)
			end(c)
			_ = c.Close()
			closed <- struct{}{}
		})
		target := newTarget(t, server.address, nil)
		for range 5 {
			if w := ask(t, target, "POST", "/", "{}", nil); w.Code != 200 {
				t.Errorf("%s: %d", name, w.Code)
			}
			<-closed
			time.Sleep(time.Millisecond)
		}
		if s := target.Stats(); s.Retries != 0 || s.Reuses != 0 || s.Dials != 5 {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// closing is a server that answers the first request of each connection, and closes the
// connection when it has read the second.
func closing(t *testing.T, seen *atomic.Int64, before string) *rawServer {
	return newRawServer(t, func(_ int64, c net.Conn, in *bufio.Reader) {
		for n := 1; request(in) != nil; n++ {
			seen.Add(1)
			if n > 1 {
				_, _ = io.WriteString(c, before)
				return
			}
			_, _ = io.WriteString(c, empty)
		}
	})
}

func TestOnlyWhatIsIdempotentIsRepeated(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		method, body, before string
		status               int
		seen                 int64
	}{
		{"GET", "", "", 200, 3}, {"HEAD", "", "", 200, 3}, {"DELETE", "", "", 200, 3}, {"PUT", "body", "", 200, 3},
		{"POST", "", "", 502, 2}, {"POST", "body", "", 502, 2}, {"PATCH", "body", "", 502, 2},
		{"PUT", strings.Repeat("x", 1<<17), "", 502, 2}, // some of it is gone
		{"GET", "", "HTTP/1.1 ", 502, 2},                // it has begun to answer
	} {
		var seen atomic.Int64
		target := newTarget(t, closing(t, &seen, test.before).address, nil)
		ask(t, target, "GET", "/", "", nil)
		if w := ask(t, target, test.method, "/", test.body, nil); w.Code != test.status || seen.Load() != test.seen {
			t.Errorf("%s %d %q: %d after %d requests", test.method, len(test.body), test.before, w.Code, seen.Load())
		}
	}
}

func TestARequestIsRepeatedOnce(t *testing.T) {
	t.Parallel()
	var seen atomic.Int64
	server := newRawServer(t, func(n int64, c net.Conn, in *bufio.Reader) {
		for i := 1; request(in) != nil; i++ {
			seen.Add(1)
			if n > 1 || i > 1 {
				return
			}
			_, _ = io.WriteString(c, empty)
		}
	})
	target := newTarget(t, server.address, nil)
	ask(t, target, "GET", "/", "", nil)
	wantProblem(t, ask(t, target, "GET", "/", "", nil), 502, unreached)
	if seen.Load() != 3 || target.Stats().Retries != 1 {
		t.Errorf("%d requests, %+v", seen.Load(), target.Stats())
	}
}

// stuck is a connection on which nothing can be written any more.
type stuck struct {
	net.Conn
	works *atomic.Bool
}

func (s stuck) Write(p []byte) (int, error) {
	if s.works.Load() {
		return s.Conn.Write(p)
	}
	s.works.Store(true) // for those that follow
	return 0, errors.New("cannot write")
}

func TestWhatWasNotSentAtAllIsSentAgain(t *testing.T) {
	t.Parallel()
	server := answers(t, empty)
	var works atomic.Bool
	target := newTarget(t, server.address, func(c *upstream.Config) {
		c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
			return stuck{conn, &works}, err
		}
	})
	for _, body := range []string{"{}", strings.Repeat("x", 1<<20)} {
		works.Store(false)
		if w := ask(t, target, "POST", "/", body, nil); w.Code != 200 {
			t.Errorf("got %d", w.Code)
		}
	}
	if s := target.Stats(); s.Retries != 2 {
		t.Errorf("%+v", s)
	}
}

func TestACallerThatGoesAwayEndsTheRequest(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"", "HTTP/1.1 200 OK\r\n\r\nhello"} {
		started, ended := make(chan struct{}), make(chan struct{})
		server := newRawServer(t, func(_ int64, c net.Conn, in *bufio.Reader) {
			request(in)
			_, _ = io.WriteString(c, answer)
			close(started)
			_, _ = io.Copy(io.Discard, in)
			close(ended)
		})
		target := newTarget(t, server.address, func(c *upstream.Config) { c.Limits.Failures = 1 })
		front := newFront(t, target)
		ctx, cancel := context.WithCancel(t.Context())
		r, _ := http.NewRequestWithContext(ctx, "GET", front.URL, nil)
		var caller sync.WaitGroup
		caller.Go(func() {
			if response, err := front.Client().Do(r); err == nil {
				_, _ = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
			}
		})
		<-started
		cancel()
		<-ended
		caller.Wait()
		until(t, func() bool { return target.Stats().Open == 0 })
		if s := target.Stats(); s.Ejected || s.Failures != 0 {
			t.Errorf("%+v", s)
		}
	}
}

// clock is a time that tests move.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time { return time.Unix(0, c.ahead.Load()) }

func (c *clock) wait(d time.Duration) { c.ahead.Add(int64(d)) }

func TestAnAPIThatFailsIsLeftAlone(t *testing.T) {
	t.Parallel()
	var fails atomic.Bool
	var seen atomic.Int64
	server := newRawServer(t, func(_ int64, c net.Conn, in *bufio.Reader) {
		for request(in) != nil {
			seen.Add(1)
			if fails.Load() {
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
		}
	})
	var clock clock
	var log bytes.Buffer
	target := newTarget(t, server.address, func(c *upstream.Config) {
		c.Now, c.Log = clock.now, slog.New(slog.NewTextHandler(&log, nil))
		c.Header = http.Header{"Authorization": {"hidden"}}
	})
	call := func(status int, requests int64) {
		t.Helper()
		before := seen.Load()
		w := ask(t, target, "POST", "/", "", nil)
		if w.Code != status || seen.Load()-before != requests {
			t.Fatalf("got %d after %d requests, want %d after %d", w.Code, seen.Load()-before, status, requests)
		}
		if status == 502 && (requests == 0) != (w.Header().Get("Retry-After") != "") {
			t.Fatalf("Retry-After is %q", w.Header().Get("Retry-After"))
		}
	}
	for range 10 {
		call(503, 1) // an answer is an answer
	}
	fails.Store(true)
	for range 4 {
		call(502, 1)
	}
	fails.Store(false)
	call(503, 1) // four are not five in a row
	fails.Store(true)
	for range 5 {
		call(502, 1)
	}
	for _, seconds := range []int{1, 2, 4, 8, 16, 30, 30} {
		call(502, 0)
		clock.wait(time.Duration(seconds)*time.Second - 1)
		call(502, 0)
		clock.wait(1)
		call(502, 1) // the probe
		call(502, 0)
	}
	fails.Store(false)
	clock.wait(30 * time.Second)
	call(503, 1)
	call(503, 1)
	if s := target.Stats(); s.Ejected || s.Ejections != 1 || s.TurnedAway != 21 {
		t.Errorf("%+v", s)
	}
	if text := log.String(); strings.Count(text, "\n") != 2 || strings.Contains(text, "hidden") {
		t.Errorf("logged %s", text)
	}
}

func TestOneProbeAtATime(t *testing.T) {
	t.Parallel()
	var clock clock
	release := make(chan struct{})
	dials := atomic.Int64{}
	target := newTarget(t, "http://192.0.2.1", func(c *upstream.Config) {
		c.Now, c.Limits.Failures = clock.now, 1
		c.Dial = func(context.Context, string, string) (net.Conn, error) {
			if dials.Add(1) > 1 {
				<-release
			}
			return nil, errors.New("no")
		}
	})
	ask(t, target, "GET", "/", "", nil)
	clock.wait(time.Second)
	var callers sync.WaitGroup
	for range 20 {
		callers.Go(func() { wantProblem(t, ask(t, target, "GET", "/", "", nil), 502, unreached) })
	}
	until(t, func() bool { return target.Stats().TurnedAway == 19 })
	close(release)
	callers.Wait()
	if dials.Load() != 2 {
		t.Errorf("%d dials", dials.Load())
	}
}

func TestASlowUploadDoesNotSpeakAgainstTheAPI(t *testing.T) {
	t.Parallel()
	server, _ := wire(t, empty)
	target := newTarget(t, server.address, func(c *upstream.Config) { c.Limits.Failures = 1 })
	front := newFront(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 30*time.Millisecond)
		defer cancel()
		target.ServeHTTP(w, r.WithContext(ctx))
	}))
	from, to := io.Pipe()
	defer to.Close()
	response, err := front.Client().Post(front.URL, "text/plain", from)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if s := target.Stats(); response.StatusCode != 504 || !response.Close || s.Ejected || s.Failures != 0 {
		t.Errorf("got %d, closing %v, %+v", response.StatusCode, response.Close, s)
	}
}
