package web_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"m3o/internal/web"
)

// sized answers as its query says: size bytes of kind, with their length stated or
// not, in pieces or not.
func sized(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	size, _ := strconv.Atoi(q.Get("size"))
	body := bytes.Repeat([]byte("0123456789"), size/10+1)[:size]
	for name, header := range map[string]string{"kind": "Content-Type", "tag": "ETag", "encoding": "Content-Encoding", "cache": "Cache-Control"} {
		if q.Has(name) {
			w.Header().Set(header, q.Get(name))
		}
	}
	if q.Has("stated") {
		w.Header().Set("Content-Length", strconv.Itoa(size))
	}
	if status, err := strconv.Atoi(q.Get("status")); err == nil {
		w.WriteHeader(status)
	}
	for len(body) > 0 {
		n := len(body)
		if q.Has("pieces") {
			n = min(100, n)
		}
		_, _ = w.Write(body[:n])
		body = body[n:]
		if q.Has("flush") {
			_ = http.NewResponseController(w).Flush()
		}
	}
}

// raw sends a request whose answer is not uncompressed on the way.
func (e *edge) raw(method, path string, header ...string) (*http.Response, []byte) {
	e.t.Helper()
	resp, text := e.do(method, path, "", append(header, "Accept-Encoding: gzip")...)
	return resp, []byte(text)
}

func unzip(t *testing.T, b []byte) []byte {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatalf("%v of %q", err, b[:min(len(b), 100)])
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

// TestLongAnswersAreCompressed is check R85.
func TestLongAnswersAreCompressed(t *testing.T) {
	t.Parallel()
	e := setup(t, answering("/sized", sized))
	for _, c := range []struct {
		query string
		zips  bool
	}{
		{"size=8192&kind=application/json", true},
		{"size=8192&kind=application/json&stated", true},
		{"size=8192&kind=application/json&pieces", true},
		{"size=8192&kind=application/json&stated&pieces", true},
		{"size=8192&kind=application/problem%2Bjson;charset=utf-8", true},
		{"size=8192&kind=Text/HTML;+charset=utf-8", true},
		{"size=8192", true}, // sniffed: it is a text
		{"size=8192&kind=application/json&status=404", true},
		{"size=1024&kind=application/json", true},
		{"size=1024&kind=application/json&stated", true},
		{"size=1023&kind=application/json", false},
		{"size=1023&kind=application/json&stated", false},
		{"size=500&kind=application/json", false},
		{"size=500&kind=application/json&stated", false},
		{"size=500&pieces", false},
		{"size=0", false},
		{"size=8192&kind=image/png", false},
		{"size=8192&kind=image/svg%2Bxml&stated", false},
		{"size=8192&kind=application/octet-stream", false},
		{"size=8192&kind=text/event-stream", false},
		{"size=8192&kind=application/x-ndjson&pieces&flush", false},
		{"size=8192&kind=application/json&pieces&flush", false}, // a stream
		{"size=8192&kind=application/json&encoding=br", false},
		{"size=8192&kind=application/json&cache=no-transform", false},
		{"size=8192&kind=application/json&status=206", false},
	} {
		size, _ := strconv.Atoi(strings.FieldsFunc(c.query, func(r rune) bool { return r == '=' || r == '&' })[1])
		want := bytes.Repeat([]byte("0123456789"), size/10+1)[:size]
		resp, body := e.raw("GET", "/sample/sized?"+c.query)
		if zips := resp.Header.Get("Content-Encoding") == "gzip"; zips != c.zips {
			t.Errorf("%s: compressed %v: %v", c.query, zips, resp.Header)
			continue
		}
		if c.zips {
			if stated := resp.Header.Get("Content-Length"); !strings.Contains(resp.Header.Get("Vary"), "Accept-Encoding") || stated != "" && stated != strconv.Itoa(len(body)) {
				t.Errorf("%s: %v of %d bytes", c.query, resp.Header, len(body))
			}
			body = unzip(t, body)
		} else if stated := resp.Header.Get("Content-Length"); stated != "" && stated != strconv.Itoa(size) {
			t.Errorf("%s: Content-Length %s", c.query, stated)
		}
		if !bytes.Equal(body, want) {
			t.Errorf("%s: %d other bytes, want %d", c.query, len(body), len(want))
		}
		if resp.Header.Get("Content-Type") == "" && size > 0 {
			t.Errorf("%s: no Content-Type", c.query)
		}
	}
}

func TestOnlyWhoTakesGzipGetsIt(t *testing.T) {
	t.Parallel()
	e := setup(t, answering("/sized", sized))
	for accept, zips := range map[string]bool{
		"gzip": true, "deflate, GZIP;q=0.5, br": true, "*": true, "x-gzip": true, "gzip;q=0, *": false, "gzip;q=0.000": false, "identity": false, "br, deflate": false, "*;q=0": false,
	} {
		resp, text := e.do("GET", "/sample/sized?size=2000&kind=text/plain", "", "Accept-Encoding: "+accept)
		if got := resp.Header.Get("Content-Encoding") == "gzip"; got != zips || resp.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%s: compressed %v %v", accept, got, resp.Header)
		}
		if !zips && len(text) != 2000 {
			t.Errorf("%s: %d bytes", accept, len(text))
		}
	}
}

func TestHeadSaysWhatGetWould(t *testing.T) {
	t.Parallel()
	e := setup(t, answering("/sized", sized))
	for query, want := range map[string]string{"size=8192&kind=text/plain&stated": "gzip", "size=500&kind=text/plain&stated": "", "size=8192&kind=image/png&stated": ""} {
		resp, body := e.raw("HEAD", "/sample/sized?"+query)
		length := resp.Header.Get("Content-Length")
		if resp.Header.Get("Content-Encoding") != want || len(body) != 0 || (want == "gzip") != (length == "") {
			t.Errorf("%s: %v", query, resp.Header)
		}
	}
}

func TestACompressedAnswerIsKnownAgain(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	for _, path := range []string{"/assets/style.css", "/assets/scalar.js"} {
		resp, body := e.raw("GET", path)
		if resp.Header.Get("Content-Encoding") != "gzip" || len(unzip(t, body)) <= len(body) || len(resp.Header.Values("Vary")) != 1 || path == "/assets/style.css" && resp.Header.Get("Accept-Ranges") != "" {
			t.Fatalf("%s: %v", path, resp.Header)
		}
		tag := resp.Header.Get("ETag")
		again, _ := e.raw("GET", path, "If-None-Match: "+tag)
		if again.StatusCode != 304 || again.Header.Get("ETag") != tag || again.Header.Get("Content-Encoding") != "" && path == "/assets/style.css" {
			t.Errorf("%s: %d %v, had %s", path, again.StatusCode, again.Header, tag)
		}
	}
	plain, _ := e.do("GET", "/assets/style.css", "", "Accept-Encoding: identity")
	if tag := plain.Header.Get("ETag"); strings.HasPrefix(tag, "W/") || plain.Header.Get("Accept-Ranges") != "bytes" {
		t.Errorf("plain: %v", plain.Header)
	}
	if part, text := e.do("GET", "/assets/style.css", "", "Accept-Encoding: gzip", "Range: bytes=0-9"); part.StatusCode != 206 || len(text) != 10 {
		t.Errorf("a part: %d %q", part.StatusCode, text)
	}
}

func TestWhatIsUpgradedIsLeftAlone(t *testing.T) {
	t.Parallel()
	e := setup(t, answering("/sized", sized))
	if resp, body := e.raw("GET", "/sample/sized?size=8192&kind=text/plain", "Connection: Upgrade", "Upgrade: websocket"); resp.Header.Get("Content-Encoding") != "" || len(body) != 8192 {
		t.Errorf("%v", resp.Header)
	}
	talk := answering("/talk", func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = conn.Write([]byte("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: talk\r\n\r\nhello"))
		_ = conn.Close()
	})
	for _, header := range [][]string{nil, {"Request-Timeout: 5"}} {
		resp, text := setup(t, talk).do("GET", "/sample/talk", "", append(header, "Connection: Upgrade", "Upgrade: talk")...)
		if resp.StatusCode != 101 || text != "hello" {
			t.Errorf("%d %q", resp.StatusCode, text)
		}
	}
}

func TestAStreamArrivesWhileItIsWritten(t *testing.T) {
	t.Parallel()
	for name, kind := range map[string]string{"Lines": "application/x-ndjson", "Events": "text/event-stream", "JSON": "application/json"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			heard := make(chan struct{})
			stream := func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", kind)
				_, _ = w.Write([]byte("one\n"))
				w.(http.Flusher).Flush()
				<-heard
				_, _ = w.Write([]byte("two\n"))
			}
			e := setup(t, answering("/stream", stream))
			resp, err := e.http.Client().Get(e.http.URL + "/sample/stream")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = resp.Body.Close() }()
			first := make([]byte, 4)
			if _, err := io.ReadFull(resp.Body, first); err != nil || string(first) != "one\n" {
				t.Fatalf("%q %v", first, err)
			}
			close(heard)
			if rest, err := io.ReadAll(resp.Body); err != nil || string(rest) != "two\n" {
				t.Errorf("%q %v", rest, err)
			}
		})
	}
}

// TestALongStreamIsFlushedThroughTheCompression holds for what begins long.
func TestALongStreamIsFlushedThroughTheCompression(t *testing.T) {
	t.Parallel()
	heard := make(chan struct{})
	e := setup(t, answering("/stream", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = w.Write(bytes.Repeat([]byte("a"), 5000))
		w.(http.Flusher).Flush()
		<-heard
	}))
	resp, err := e.http.Client().Get(e.http.URL + "/sample/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.ReadFull(resp.Body, make([]byte, 5000)); err != nil || !resp.Uncompressed {
		t.Errorf("%v, uncompressed on the way %v", err, resp.Uncompressed)
	}
	close(heard)
}

func TestTheGatewaysAnswersAreCompressedForWhoAsks(t *testing.T) {
	t.Parallel()
	e := setup(t, func(c *web.Config) { c.Gateway = http.HandlerFunc(sized) })
	if resp, body := e.raw("GET", "/v1/a/b?size=8192&kind=application/json"); resp.Header.Get("Content-Encoding") != "gzip" || len(unzip(t, body)) != 8192 {
		t.Errorf("%v", resp.Header)
	}
	if resp, text := e.do("GET", "/v1/a/b?size=8192&kind=application/json", "", "Accept-Encoding: identity"); resp.Header.Get("Content-Encoding") != "" || len(text) != 8192 {
		t.Errorf("%v", resp.Header)
	}
}
