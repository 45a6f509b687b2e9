package upstream_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"m3o/internal/fault"
	"m3o/internal/upstream"
)

// wire returns a server that answers with answer, and what it was sent, as it was sent.
func wire(t *testing.T, answer string) (*rawServer, <-chan string) {
	t.Helper()
	sent := make(chan string, 16)
	return newRawServer(t, func(_ int64, c net.Conn, in *bufio.Reader) {
		for {
			var all bytes.Buffer
			tee := bufio.NewReader(io.TeeReader(in, &all))
			if request(tee) == nil {
				return
			}
			sent <- all.String()
			if _, err := io.WriteString(c, answer); err != nil {
				return
			}
		}
	}), sent
}

const empty = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

// ask makes a request to a target without a server between.
func ask(t testing.TB, h http.Handler, method, path, body string, change func(*http.Request)) *httptest.ResponseRecorder {
	t.Helper()
	var from io.Reader
	if body != "" {
		from = strings.NewReader(body)
	}
	r := httptest.NewRequestWithContext(t.Context(), method, path, from)
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func wantProblem(t testing.TB, w *httptest.ResponseRecorder, status int, detail string) {
	t.Helper()
	if w.Code != status || !strings.Contains(w.Body.String(), `"detail":"`+detail+`"`) || !strings.Contains(w.Body.String(), `"id":"v1"`) {
		t.Errorf("got %d %s, want %d %q", w.Code, w.Body, status, detail)
	}
}

const (
	unreached = "The API could not be reached"
	late      = "The API did not answer in time"
)

func TestARequestOnTheWire(t *testing.T) {
	t.Parallel()
	server, sent := wire(t, empty)
	target := newTarget(t, server.address, func(c *upstream.Config) { c.Header = http.Header{"authorization": {"Bearer secret"}} })
	host := strings.TrimPrefix(server.address, "http://")
	set := "Authorization: Bearer secret\r\n"
	for _, test := range []struct {
		name, method, body string
		url                url.URL
		header             http.Header
		length             int64
		want               string
	}{
		{"a get", "GET", "", url.URL{Path: "/a/b"}, nil, 0, "GET /a/b HTTP/1.1\r\nHost: " + host + "\r\n" + set + "\r\n"},
		{"no path", "GET", "", url.URL{}, nil, 0, "GET / HTTP/1.1\r\nHost: " + host + "\r\n" + set + "\r\n"},
		{"a path with anything", "GET", "", url.URL{Path: "/a b/ü\r\n"}, nil, 0, "GET /a%20b/%C3%BC%0D%0A HTTP/1.1\r\nHost: " + host + "\r\n" + set + "\r\n"},
		{"an escaped path", "GET", "", url.URL{Path: "/a/b", RawPath: "/a%2Fb"}, nil, 0, "GET /a%2Fb HTTP/1.1\r\nHost: " + host + "\r\n" + set + "\r\n"},
		{"a query as it is", "GET", "", url.URL{Path: "/", RawQuery: "a=1;b=%zz&c=%20"}, nil, 0, "GET /?a=1;b=%zz&c=%20 HTTP/1.1\r\nHost: " + host + "\r\n" + set + "\r\n"},
		{"a query that would end the line", "GET", "", url.URL{Path: "/", RawQuery: "a HTTP/1.1\r\nX: y#"}, nil, 0, "GET /?a%20HTTP/1.1%0D%0AX:%20y%23 HTTP/1.1\r\nHost: " + host + "\r\n" + set + "\r\n"},
		{"a body", "POST", "abc", url.URL{Path: "/"}, nil, 3, "POST / HTTP/1.1\r\nHost: " + host + "\r\n" + set + "Content-Length: 3\r\n\r\nabc"},
		{"a body that is too long", "POST", "abcdef", url.URL{Path: "/"}, nil, 3, "POST / HTTP/1.1\r\nHost: " + host + "\r\n" + set + "Content-Length: 3\r\n\r\nabc"},
		{"no body where one is usual", "POST", "", url.URL{Path: "/"}, nil, 0, "POST / HTTP/1.1\r\nHost: " + host + "\r\n" + set + "Content-Length: 0\r\n\r\n"},
		{"a body of no known length", "PUT", "abc", url.URL{Path: "/"}, nil, -1, "PUT / HTTP/1.1\r\nHost: " + host + "\r\n" + set + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"},
		{
			"what concerns one connection", "POST", "abc", url.URL{Path: "/"}, http.Header{
				"Connection": {"close, X-Private", "x-other"}, "X-Private": {"1"}, "X-Other": {"1"}, "Keep-Alive": {"1"}, "Te": {"trailers"}, "Trailer": {"X"}, "Upgrade": {"websocket"},
				"transfer-encoding": {"chunked"}, "content-length": {"7"}, "host": {"evil"}, "Proxy-Authorization": {"x"}, "Authorization": {"the caller's"}, "Expect": {"200-ok"},
			}, 3, "POST / HTTP/1.1\r\nHost: " + host + "\r\n" + set + "Content-Length: 3\r\n\r\nabc",
		},
		{"what is the caller's", "GET", "", url.URL{Path: "/"}, http.Header{"X-Forwarded-For": {"1.2.3.4"}}, 0, "GET / HTTP/1.1\r\nHost: " + host + "\r\nX-Forwarded-For: 1.2.3.4\r\n" + set + "\r\n"},
		{"who calls", "GET", "", url.URL{Path: "/"}, http.Header{"M3o-Key-Id": {"key_1"}}, 0, "GET / HTTP/1.1\r\nHost: " + host + "\r\nM3o-Key-Id: key_1\r\n" + set + "\r\n"},
		{
			"what the house says, whatever Connection names", "GET", "", url.URL{Path: "/"}, http.Header{"Connection": {"m3o-customer-id"}, "M3o-Customer-Id": {"cus_1"}}, 0,
			"GET / HTTP/1.1\r\nHost: " + host + "\r\nM3o-Customer-Id: cus_1\r\n" + set + "\r\n",
		},
		{"several of one name", "GET", "", url.URL{Path: "/"}, http.Header{"Traceparent": {"a", "b"}}, 0, "GET / HTTP/1.1\r\nHost: " + host + "\r\nTraceparent: a\r\nTraceparent: b\r\n" + set + "\r\n"},
	} {
		r := (&http.Request{Method: test.method, URL: &test.url, Header: test.header, ContentLength: test.length, ProtoMajor: 1, Body: io.NopCloser(strings.NewReader(test.body))}).WithContext(t.Context())
		w := httptest.NewRecorder()
		target.ServeHTTP(w, r)
		if w.Code != 200 {
			t.Fatalf("%s: %d %s", test.name, w.Code, w.Body)
		}
		if got := <-sent; got != test.want {
			t.Errorf("%s: sent %q, want %q", test.name, got, test.want)
		}
	}
	if n := server.conns.Load(); n != 1 {
		t.Errorf("%d connections for calls one after the other", n)
	}
}

func TestWhatCannotBeSentSafelyIsRefused(t *testing.T) {
	t.Parallel()
	server, _ := wire(t, empty)
	target := newTarget(t, server.address, nil)
	for _, header := range []http.Header{{"A": {"b\r\nHost: evil"}}, {"A": {"\x00"}}, {"A: b\r\nC": {"d"}}, {"A ": {"b"}}, {"": {"b"}}} {
		w := ask(t, target, "GET", "/", "", func(r *http.Request) { r.Header = header })
		wantProblem(t, w, 400, "The request has a header that is not well formed")
	}
	for _, method := range []string{"TRACE", "CONNECT", "GET / HTTP/1.1\r\nX", ""} {
		w := ask(t, target, "GET", "/", "", func(r *http.Request) { r.Method = method })
		wantProblem(t, w, 405, "The API cannot be called with this method")
	}
	if n := server.conns.Load(); n != 0 {
		t.Errorf("the server was called %d times", n)
	}
}

func TestAnAnswerWithoutWhatIsNotTheCallers(t *testing.T) {
	t.Parallel()
	server := answers(t, "HTTP/1.1 302 Go on\r\nLocation: http://elsewhere/\r\nConnection: keep-alive, X-Private\r\nX-Private: 1\r\nKeep-Alive: 5\r\nM3O-Price: 5\r\nm3o_key: 5\r\n"+
		"Upgrade: h2c\r\nProxy-Authenticate: Basic\r\nVary: Accept\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nok")
	w := httptest.NewRecorder()
	w.Header().Set("M3O-Price", "1")
	w.Header().Set("Vary", "Origin")
	newTarget(t, server.address, nil).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil))
	want := http.Header{"Location": {"http://elsewhere/"}, "M3o-Price": {"1"}, "Vary": {"Origin", "Accept"}, "Set-Cookie": {"a=1", "b=2"}, "Content-Length": {"2"}}
	if w.Code != 302 || w.Body.String() != "ok" || !equal(w.Header(), want) {
		t.Errorf("got %d %q %v", w.Code, w.Body, w.Header())
	}
}

func equal(a, b http.Header) bool {
	if len(a) != len(b) {
		return false
	}
	for name := range a {
		if !slices.Equal(a[name], b[name]) {
			return false
		}
	}
	return true
}

func TestClosedConnectionHeadersAreRemovedToo(t *testing.T) {
	t.Parallel()
	server := answers(t, "HTTP/1.1 200 OK\r\nConnection: close, X-Private\r\nX-Private: 1\r\nContent-Length: 0\r\n\r\n")
	if w := ask(t, newTarget(t, server.address, nil), "GET", "/", "", nil); w.Header().Get("X-Private") != "" {
		t.Errorf("got %v", w.Header())
	}
}

func TestAnswersWithoutABody(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ method, answer, length string }{
		{"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", "10"},
		{"HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", ""},
		{"GET", "HTTP/1.1 204 No Content\r\nContent-Length: 10\r\n\r\n", ""},
		{"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\nEtag: x\r\n\r\n", "10"},
	} {
		server := answers(t, test.answer)
		target := newTarget(t, server.address, nil)
		for range 3 {
			if w := ask(t, target, test.method, "/", "", nil); w.Body.Len() != 0 || w.Header().Get("Content-Length") != test.length {
				t.Errorf("%s %q: %d %q %v", test.method, test.answer, w.Code, w.Body, w.Header())
			}
		}
		if s := target.Stats(); s.Dials != 1 || s.Idle != 1 || s.Reuses != 2 {
			t.Errorf("%s %q: %+v", test.method, test.answer, s)
		}
	}
}

func TestBodiesAreWholeWhateverTheirFraming(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("0123456789abcdef", 20_000)
	for name, test := range map[string]struct{ answer, want string }{
		"a length":         {"HTTP/1.1 200 OK\r\nContent-Length: 320000\r\n\r\n" + big, big},
		"the same length":  {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", "ok"},
		"chunks":           {"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n4e200;x=y\r\n" + big + "\r\n2\r\nok\r\n0\r\n\r\n", big + "ok"},
		"chunks, a length": {"HTTP/1.1 200 OK\r\nContent-Length: 77\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "ok"},
	} {
		target := newTarget(t, answers(t, test.answer).address, nil)
		for range 2 {
			if w := ask(t, target, "GET", "/", "", nil); w.Code != 200 || w.Body.String() != test.want {
				t.Errorf("%s: %d, %d bytes", name, w.Code, w.Body.Len())
			}
		}
	}
	for _, version := range []string{"HTTP/1.1", "HTTP/1.0"} {
		server := newRawServer(t, func(_ int64, c net.Conn, in *bufio.Reader) {
			request(in)
			_, _ = io.WriteString(c, version+" 200 OK\r\n\r\n"+big)
		})
		if w := ask(t, newTarget(t, server.address, nil), "GET", "/", "", nil); w.Body.String() != big {
			t.Errorf("%s until the end: %d, %d bytes", version, w.Code, w.Body.Len())
		}
	}
}

func TestRequestBodiesAreStreamedWhole(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		_, _ = io.Copy(w, r.Body)
	}))
	t.Cleanup(server.Close)
	front := newFront(t, newTarget(t, server.URL, nil))
	for _, size := range []int{1, 16 << 10, 16<<10 + 1, 1 << 20} {
		body := bytes.Repeat([]byte("x"), size)
		for _, from := range []io.Reader{bytes.NewReader(body), io.MultiReader(bytes.NewReader(body))} { // the second has no length
			answer, err := front.Client().Post(front.URL, "text/plain", from)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(answer.Body)
			_ = answer.Body.Close()
			if err != nil || !bytes.Equal(got, body) {
				t.Errorf("%d bytes: %d came back, %v", size, len(got), err)
			}
		}
	}
}

func TestInterimAnswers(t *testing.T) {
	t.Parallel()
	server := answers(t, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nM3O-X: 1\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	front := newFront(t, newTarget(t, server.address, nil))
	var hints []textproto.MIMEHeader
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(_ int, h textproto.MIMEHeader) error {
		hints = append(hints, h)
		return nil
	}})
	r, _ := http.NewRequestWithContext(ctx, "GET", front.URL, nil)
	answer, err := front.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if len(hints) != 1 || hints[0].Get("Link") != "</a>" || hints[0].Get("M3o-X") != "" || answer.StatusCode != 200 || answer.Header.Get("Link") != "" {
		t.Errorf("got %v, then %d %v", hints, answer.StatusCode, answer.Header)
	}
}

func TestEndlessInterimAnswersEnd(t *testing.T) {
	t.Parallel()
	server := answers(t, strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 100)+empty)
	front := newFront(t, newTarget(t, server.address, nil))
	if answer, err := front.Client().Get(front.URL); err == nil { // which has its own bound for them
		_ = answer.Body.Close()
		if answer.StatusCode != 502 {
			t.Errorf("got %d", answer.StatusCode)
		}
	}
}

func TestTrailersArePassedOn(t *testing.T) {
	t.Parallel()
	server := answers(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, M3O-Price\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\nX-Late: 2\r\nM3O-Price: 3\r\nContent-Length: 4\r\n\r\n")
	target := newTarget(t, server.address, nil)
	front := newFront(t, target)
	for range 2 {
		answer, err := front.Client().Get(front.URL)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if err != nil || string(body) != "ok" || !equal(answer.Trailer, http.Header{"X-Sum": {"1"}, "X-Late": {"2"}}) {
			t.Errorf("got %q %v %v", body, answer.Trailer, err)
		}
	}
	if s := target.Stats(); s.Dials != 1 {
		t.Errorf("%+v", s)
	}
}

func TestAStreamIsFlushedAsItComes(t *testing.T) {
	t.Parallel()
	for _, head := range []string{
		"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nContent-Type: application/x-ndjson\r\n\r\n",
	} {
		next := make(chan string)
		server := newRawServer(t, func(_ int64, c net.Conn, in *bufio.Reader) {
			request(in)
			for text := range next {
				_, _ = io.WriteString(c, text)
			}
		})
		front := newFront(t, newTarget(t, server.address, nil))
		go func() { next <- head }()
		answer, err := front.Client().Get(front.URL) // the head alone comes through
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{"one\n", "two\n"} {
			next <- text
			got := make([]byte, len(text))
			if _, err := io.ReadFull(answer.Body, got); err != nil || string(got) != text {
				t.Errorf("got %q %v", got, err)
			}
		}
		close(next)
		_ = answer.Body.Close()
	}
}

func TestExpectContinue(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		interim string
		final   string
		sent    bool
	}{
		"wanted":     {"HTTP/1.1 100 Continue\r\n\r\n", empty, true},
		"not wanted": {"", "HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n", false},
		"no word":    {"", "", true},
	} {
		body := make(chan string, 1)
		server := newRawServer(t, func(_ int64, c net.Conn, in *bufio.Reader) {
			r, err := http.ReadRequest(in)
			if err != nil || r.Header.Get("Expect") != "100-continue" {
				body <- "no expectation"
				return
			}
			_, _ = io.WriteString(c, test.interim)
			if test.sent {
				all, _ := io.ReadAll(r.Body)
				body <- string(all)
				_, _ = io.WriteString(c, empty)
				return
			}
			_, _ = io.WriteString(c, test.final)
			rest, _ := io.ReadAll(in)
			body <- string(rest)
		})
		front := newFront(t, newTarget(t, server.address, nil))
		r, _ := http.NewRequestWithContext(t.Context(), "POST", front.URL, strings.NewReader("abc"))
		r.Header.Set("Expect", "100-continue")
		client := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: 10 * time.Second}}
		answer, err := client.Do(r)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_ = answer.Body.Close()
		client.CloseIdleConnections()
		want := map[bool]string{true: "abc", false: ""}[test.sent]
		if got := <-body; got != want || test.sent != (answer.StatusCode == 200) {
			t.Errorf("%s: %d, the server got %q, want %q", name, answer.StatusCode, got, want)
		}
	}
}

func TestAnEarlyAnswerComesThrough(t *testing.T) {
	t.Parallel()
	server := newRawServer(t, func(_ int64, c net.Conn, in *bufio.Reader) {
		_, _ = http.ReadRequest(in)
		_, _ = io.WriteString(c, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
		_, _ = io.Copy(io.Discard, in)
	})
	target := newTarget(t, server.address, nil)
	front := newFront(t, target)
	from, to := io.Pipe() // never ends
	defer to.Close()
	go func() { _, _ = to.Write([]byte("a beginning")) }()
	answer, err := front.Client().Post(front.URL, "text/plain", from)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if answer.StatusCode != 403 || string(body) != "no" || !answer.Close {
		t.Errorf("got %d %q, closing %v", answer.StatusCode, body, answer.Close)
	}
	until(t, func() bool { return target.Stats().Open == 0 })
}

func TestABodyThatNobodyTakesEndsWithTheAnswer(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	server := newRawServer(t, func(_ int64, c net.Conn, in *bufio.Reader) {
		_, _ = http.ReadRequest(in)
		_, _ = io.WriteString(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
		<-release
	})
	defer close(release)
	target := newTarget(t, server.address, nil)
	w := ask(t, target, "POST", "/", strings.Repeat("x", 64<<20), nil)
	if s := target.Stats(); w.Code != 413 || w.Body.String() != "no" || s.Open != 0 || s.Failures != 0 {
		t.Errorf("got %d %q, %+v", w.Code, w.Body, s)
	}
}

// until waits for something that happens soon.
func until(t testing.TB, true func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !true(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not happen")
		}
	}
}

// failing is a body that fails after some bytes.
type failing struct {
	left int
	err  error
}

func (f *failing) Read(p []byte) (int, error) {
	if f.left == 0 {
		return 0, f.err
	}
	n := min(len(p), f.left)
	f.left -= n
	return n, nil
}

func (f *failing) Close() error { return nil }

func TestABodyThatCannotBeReadIsTheCallersFault(t *testing.T) {
	t.Parallel()
	server, _ := wire(t, empty)
	target := newTarget(t, server.address, func(c *upstream.Config) { c.Limits.Failures = 1 })
	large := fault.New(fault.TooLarge, "The request body is larger than 5 bytes").WithID("v1")
	for _, length := range []int64{100, 1 << 20, -1} {
		for _, err := range []error{large, io.ErrUnexpectedEOF, errors.New("reset")} {
			w := ask(t, target, "POST", "/", "", func(r *http.Request) { r.Body, r.ContentLength = &failing{50, err}, length })
			if errors.Is(err, large) {
				wantProblem(t, w, 413, "The request body is larger than 5 bytes")
			} else {
				wantProblem(t, w, 400, "The request body could not be read")
			}
		}
	}
	if s := target.Stats(); s.Failures != 0 || s.Ejected || s.Open != 0 {
		t.Errorf("%+v", s)
	}
}

func TestManyCallsOverFewConnections(t *testing.T) {
	t.Parallel()
	server := newRawServer(t, func(_ int64, c net.Conn, in *bufio.Reader) {
		for r := request(in); r != nil; r = request(in) {
			body := r.URL.Path + r.Header.Get("Test-Body")
			if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n.\r\n"); err != nil {
				return
			}
			_, _ = io.WriteString(c, hex(len(body))+"\r\n"+body+"\r\n0\r\n\r\n")
		}
	})
	target := newTarget(t, server.address, func(c *upstream.Config) { c.Limits.Connections = 4 })
	var callers sync.WaitGroup
	for caller := range 16 {
		callers.Go(func() {
			for i := range 625 {
				path := "/" + strings.Repeat("x", caller) + "/" + strings.Repeat("y", i%7)
				body := strings.Repeat("z", (caller*31+i)%50)
				if w := ask(t, target, "POST", path, body, nil); w.Code != 200 || w.Body.String() != "."+path+body {
					t.Errorf("%s: %d %s", path, w.Code, w.Body)
					return
				}
			}
		})
	}
	callers.Wait()
	if s := target.Stats(); s.Calls != 10_000 || s.Dials > 4 || s.Open > 4 || s.Failures != 0 || s.Reuses != s.Calls-s.Dials {
		t.Errorf("%+v", s)
	}
}

func hex(n int) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[n>>8&15], digits[n>>4&15], digits[n&15]})
}

func TestAtTheLimitCallsWaitNoLongerThanTheirDeadline(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	server := newRawServer(t, func(_ int64, c net.Conn, in *bufio.Reader) {
		for request(in) != nil {
			<-release
			_, _ = io.WriteString(c, empty)
		}
	})
	target := newTarget(t, server.address, func(c *upstream.Config) { c.Limits.Connections = 1 })
	var first sync.WaitGroup
	first.Go(func() {
		if w := ask(t, target, "GET", "/", "", nil); w.Code != 200 {
			t.Errorf("got %d", w.Code)
		}
	})
	until(t, func() bool { return target.Stats().Open == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	wantProblem(t, ask(t, target, "GET", "/", "", func(r *http.Request) { *r = *r.WithContext(ctx) }), 504, late)
	first.Go(func() {
		if w := ask(t, target, "GET", "/", "", nil); w.Code != 200 {
			t.Errorf("got %d", w.Code)
		}
	})
	close(release)
	first.Wait()
	if s := target.Stats(); s.Open != 1 || s.Idle != 1 || s.Dials != 1 {
		t.Errorf("%+v", s)
	}
}

func TestWhoeverStopsWaitingTakesNothingAlong(t *testing.T) {
	t.Parallel()
	server := answers(t, empty)
	target := newTarget(t, server.address, func(c *upstream.Config) { c.Limits.Connections, c.Limits.Failures = 2, 1<<30 })
	var callers sync.WaitGroup
	for caller := range 16 {
		callers.Go(func() {
			for range 200 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(caller)*20*time.Microsecond)
				if w := ask(t, target, "GET", "/", "", func(r *http.Request) { *r = *r.WithContext(ctx) }); w.Code != 200 && w.Code != 504 {
					t.Errorf("got %d %s", w.Code, w.Body)
				}
				cancel()
			}
		})
	}
	callers.Wait()
	if w := ask(t, target, "GET", "/", "", nil); w.Code != 200 {
		t.Errorf("got %d", w.Code)
	}
	if s := target.Stats(); s.Open != s.Idle || s.Open > 2 {
		t.Errorf("%+v", s)
	}
}

func TestAClosedTargetKeepsNothing(t *testing.T) {
	t.Parallel()
	target := newTarget(t, answers(t, empty).address, nil)
	ask(t, target, "GET", "/", "", nil)
	target.Close()
	if s := target.Stats(); s.Open != 0 {
		t.Errorf("%+v", s)
	}
	if w := ask(t, target, "GET", "/", "", nil); w.Code != 200 || target.Stats().Open != 0 {
		t.Errorf("got %d, %+v", w.Code, target.Stats())
	}
	target.Close()
}

func TestWhatIsIdleIsClosedInTheEnd(t *testing.T) {
	t.Parallel()
	target := newTarget(t, answers(t, empty).address, func(c *upstream.Config) { c.Limits.Idle = 20 * time.Millisecond })
	ask(t, target, "GET", "/", "", nil)
	until(t, func() bool { return target.Stats().Open == 0 })
}

func TestConfigsThatCannotBe(t *testing.T) {
	t.Parallel()
	for _, base := range []string{"ftp://a", "http://", "https://user:hidden@a", "//a"} {
		address, _ := url.Parse(base)
		if _, err := upstream.New(upstream.Config{Base: address, Log: newLog(), Now: time.Now}); err == nil || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: %v", base, err)
		}
	}
	for _, header := range []http.Header{{"Host": {"b"}}, {"Transfer-Encoding": {"b"}}, {"content-length": {"1"}}, {"A": {"hidden\r\nB: c"}}, {"A b": {"c"}}, {"A": nil}} {
		address, _ := url.Parse("http://a")
		if _, err := upstream.New(upstream.Config{Base: address, Header: header, Log: newLog(), Now: time.Now}); err == nil || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%v: %v", header, err)
		}
	}
}
