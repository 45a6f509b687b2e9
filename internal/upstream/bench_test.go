package upstream_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"
)

// cheap is a server that costs next to nothing: it looks for the end of a request whose
// body has a known length, and answers.
func cheap(b *testing.B, body int, answer string) *rawServer {
	whole := []byte(answer)
	return newRawServer(b, func(_ int64, c net.Conn, in *bufio.Reader) {
		for {
			for {
				line, err := in.ReadSlice('\n')
				if err != nil {
					return
				}
				if len(line) == 2 {
					break
				}
			}
			if _, err := in.Discard(body); err != nil {
				return
			}
			if _, err := c.Write(whole); err != nil {
				return
			}
		}
	})
}

// sink is a caller who takes everything.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }
func (s *sink) WriteHeader(status int)      { s.status = status }
func (s *sink) FlushError() error           { return nil }

const sized = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Sat, 21 Nov 2026 12:00:00 GMT\r\nServer: x\r\nContent-Length: 15\r\n\r\n{\"hello\":\"you\"}"

const chunked = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nf\r\n{\"hello\":\"you\"}\r\n0\r\n\r\n"

func BenchmarkPOST(b *testing.B)    { compare(b, sized) }
func BenchmarkChunked(b *testing.B) { compare(b, chunked) }
func BenchmarkLarge(b *testing.B) {
	compare(b, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"+strings.Repeat("x", 1000000))
}

// compare sends the same calls through a plain reverse proxy and through a target.
func compare(b *testing.B, answer string) {
	const body = `{"name":"somebody"}`
	server := cheap(b, len(body), answer)
	base, err := url.Parse(server.address)
	if err != nil {
		b.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}
	defer transport.CloseIdleConnections()
	b.Run("proxy", func(b *testing.B) {
		run(b, body, &httputil.ReverseProxy{Transport: transport, FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(base) }})
	})
	b.Run("target", func(b *testing.B) { run(b, body, newTarget(b, server.address, nil)) })
}

func run(b *testing.B, body string, h http.Handler) {
	b.ReportAllocs()
	for b.Loop() {
		ctx, cancel := context.WithTimeout(b.Context(), 10*time.Second)
		w := &sink{header: http.Header{}}
		h.ServeHTTP(w, (&http.Request{
			Method: "POST", URL: &url.URL{Path: "/v1/hello"}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, ContentLength: int64(len(body)),
			Header: http.Header{
				"Content-Type": {"application/json"}, "Content-Length": {"19"}, "Accept": {"*/*"}, "User-Agent": {"bench"}, "M3o-Customer-Id": {"cus_1"}, "M3o-Key-Id": {"key_1"},
				"M3o-Request-Id": {"req_1"}, "Traceparent": {"00-11111111111111111111111111111111-1111111111111111-01"},
			},
			Body: io.NopCloser(bytes.NewReader([]byte(body))),
		}).WithContext(ctx))
		cancel()
		if w.status != 200 {
			b.Fatal(w.status)
		}
	}
}
