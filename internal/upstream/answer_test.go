package upstream_test

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"

	"m3o/internal/upstream"
)

// FuzzAnswer holds the reader of answers against net/http's: what it accepts, the other
// accepts too, and finds the same in it.
func FuzzAnswer(f *testing.F) {
	for _, text := range []string{
		empty, sized, chunked, "HTTP/1.1 200\r\n\r\nuntil the end", "HTTP/1.0 404 Not Found\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 204 No Content\r\n\r\nHTTP",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nokmore", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n1\r\na\r\n0\r\nX: y\r\n\r\nrest",
		"HTTP/1.1 200 OK\nA: b\n c\n\n", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 100\r\r\n\r\n",
	} {
		f.Add(text, false)
		f.Add(text, true)
	}
	f.Fuzz(func(t *testing.T, text string, head bool) {
		method := map[bool]string{false: "GET", true: "HEAD"}[head]
		status, header, body, trailer, rest, err := upstream.ReadAnswer(text, method)
		if err != nil {
			return
		}
		in := bufio.NewReaderSize(strings.NewReader(text), 4096)
		answer, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			t.Fatalf("net/http refuses it: %v", err)
		}
		all, err := io.ReadAll(answer.Body)
		follows, _ := io.ReadAll(in)
		if err != nil || answer.StatusCode != status || string(all) != body || string(follows) != rest {
			t.Fatalf("net/http reads %d %q %v, then %q; ours %d %q, then %q", answer.StatusCode, all, err, follows, status, body, rest)
		}
		for name := range trailer {
			if len(answer.Trailer[name]) != len(trailer[name]) {
				t.Fatalf("net/http reads the trailers %v, ours %v", answer.Trailer, trailer)
			}
		}
		for name, values := range answer.Header {
			if name != "Cache-Control" && name != "Content-Length" && len(header[name]) != len(values) { // the first, net/http makes of Pragma
				t.Fatalf("net/http reads the headers %v, ours %v", answer.Header, header)
			}
		}
	})
}
