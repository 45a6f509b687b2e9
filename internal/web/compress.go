package web

import (
	"compress/gzip"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// How answers are compressed.
const (
	compressFrom  = 1024           // bytes; what is shorter costs more time than it saves
	compressLevel = gzip.BestSpeed // level 5 makes JSON 7 % smaller in 1.7 times the time
)

// compressor compresses answers with gzip for whoever takes it. Nothing else changes:
// an answer keeps its meaning, and its ETag becomes a weak one.
type compressor struct {
	writers sync.Pool
}

func newCompressor() *compressor {
	c := &compressor{}
	c.writers.New = func() any {
		w, _ := gzip.NewWriterLevel(io.Discard, compressLevel) // the only error is a level that is none
		return w
	}
	return c
}

func (c *compressor) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			next.ServeHTTP(w, r)
			return
		}
		z := &zipped{ResponseWriter: w, compressor: c, request: r, asked: takesGzip(r.Header)}
		defer z.pass() // a panic: what was written goes out, so that the answer is cut short
		next.ServeHTTP(z, r)
		z.finish()
	})
}

// zipped is an answer that may be compressed. What is written is held until there is
// so much of it that compressing pays.
type zipped struct {
	http.ResponseWriter
	compressor *compressor
	request    *http.Request
	asked      bool // the client takes gzip
	status     int  // as the handler set it; 0: not yet
	begun      bool // the header is out, and nothing is held
	held       []byte
	gzip       *gzip.Writer // nil: the answer goes out as it is
}

// WriteHeader lets the answer begin when its header tells all, else holds it.
func (z *zipped) WriteHeader(status int) {
	if status < 200 && status != http.StatusSwitchingProtocols {
		z.ResponseWriter.WriteHeader(status)
		return
	}
	if z.status != 0 {
		return
	}
	z.status = status
	h := z.Header()
	length, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64)
	stated := err == nil
	_, typed := h["Content-Type"]
	switch {
	case status == http.StatusNotModified:
		z.weaken()
		z.pass()
	case status < 200 || status == http.StatusNoContent || status == http.StatusPartialContent || typed && !compressible(h) || stated && length < compressFrom:
		z.pass()
	case !z.asked:
		if typed {
			vary(h)
		}
		z.pass()
	case z.request.Method == http.MethodHead:
		if stated && typed {
			z.announce()
		}
		z.pass()
	case stated && typed:
		z.begin()
	}
}

func (z *zipped) Write(b []byte) (int, error) {
	if z.status == 0 {
		z.WriteHeader(http.StatusOK)
	}
	if !z.begun && len(z.held)+len(b) < compressFrom {
		z.held = append(z.held, b...)
		return len(b), nil
	}
	if !z.begun {
		if err := z.decide(b); err != nil {
			return 0, err
		}
	}
	if z.gzip != nil {
		return z.gzip.Write(b)
	}
	return z.ResponseWriter.Write(b)
}

// decide lets the answer begin, of which next comes after what is held: compressed,
// when it is of a kind that gets smaller.
func (z *zipped) decide(next []byte) error {
	h := z.Header()
	if _, typed := h["Content-Type"]; !typed {
		h.Set("Content-Type", http.DetectContentType(append(z.held, next[:min(len(next), compressFrom)]...)))
	}
	if !compressible(h) {
		z.pass()
		return nil
	}
	held := z.begin()
	_, err := z.gzip.Write(held)
	return err
}

// begin sends the header of a compressed answer; what was held is still to be written.
func (z *zipped) begin() (held []byte) {
	z.announce()
	held, z.held = z.held, nil
	z.begun = true
	z.ResponseWriter.WriteHeader(z.status)
	z.gzip = z.compressor.writers.Get().(*gzip.Writer)
	z.gzip.Reset(z.ResponseWriter)
	return held
}

// pass sends what is held as it is, and what comes too. An answer that has begun, or
// of which nothing is known, is left alone.
func (z *zipped) pass() {
	if z.begun || z.status == 0 {
		return
	}
	z.begun = true
	z.ResponseWriter.WriteHeader(z.status)
	if len(z.held) > 0 {
		_, _ = z.ResponseWriter.Write(z.held) // the only error is a client that has gone
	}
	z.held = nil
}

// finish completes the answer.
func (z *zipped) finish() {
	z.pass()
	if z.gzip != nil {
		_ = z.gzip.Close() // the only error is a client that has gone
		z.compressor.writers.Put(z.gzip)
	}
}

// FlushError sends what was written so far. An answer that is flushed before it has
// become long is a stream, and is not compressed.
func (z *zipped) FlushError() error {
	if z.status == 0 {
		z.WriteHeader(http.StatusOK)
	}
	z.pass()
	if z.gzip != nil {
		if err := z.gzip.Flush(); err != nil {
			return err
		}
	}
	return http.NewResponseController(z.ResponseWriter).Flush()
}

// Flush is FlushError for handlers that ask in the old way.
func (z *zipped) Flush() { _ = z.FlushError() }

// Unwrap gives http.ResponseController the connection's own writer.
func (z *zipped) Unwrap() http.ResponseWriter { return z.ResponseWriter }

// announce makes the header that of a compressed answer.
func (z *zipped) announce() {
	h := z.Header()
	vary(h)
	h.Set("Content-Encoding", "gzip")
	h.Del("Content-Length")
	h.Del("Accept-Ranges") // a range is of the plain bytes
	if tag := h.Get("ETag"); tag != "" && !strings.HasPrefix(tag, "W/") {
		h.Set("ETag", "W/"+tag)
	}
}

// weaken gives a known answer the ETag by which the client knows it.
func (z *zipped) weaken() {
	h := z.Header()
	if tag := h.Get("ETag"); tag != "" && strings.Contains(z.request.Header.Get("If-None-Match"), "W/"+tag) {
		h.Set("ETag", "W/"+tag)
	}
}

// compressible says whether an answer with that header gets smaller and may: texts,
// but no images, no streams of events or lines, and nothing that is encoded already.
func compressible(h http.Header) bool {
	if h.Get("Content-Encoding") != "" || h.Get("Content-Range") != "" || strings.Contains(h.Get("Cache-Control"), "no-transform") {
		return false
	}
	kind, _, _ := strings.Cut(strings.ToLower(h.Get("Content-Type")), ";")
	switch kind = strings.TrimSpace(kind); kind {
	case "text/event-stream":
		return false
	case "application/json", "application/javascript", "application/xml", "application/x-yaml", "application/yaml", "application/wasm":
		return true
	}
	if strings.HasPrefix(kind, "image/") {
		return false
	}
	return strings.HasPrefix(kind, "text/") || strings.HasSuffix(kind, "+json") || strings.HasSuffix(kind, "+xml")
}

// vary tells caches that other clients may get other bytes.
func vary(h http.Header) {
	for _, line := range h.Values("Vary") {
		if strings.Contains(strings.ToLower(line), "accept-encoding") {
			return
		}
	}
	h.Add("Vary", "Accept-Encoding")
}

// takesGzip reads Accept-Encoding (RFC 9110 section 12.5.3): gzip, or anything, and
// not with a weight of 0.
func takesGzip(h http.Header) bool {
	named, rest := "", ""
	for _, line := range h["Accept-Encoding"] {
		for coding := range strings.SplitSeq(line, ",") {
			name, weight, _ := strings.Cut(coding, ";")
			switch name = strings.TrimSpace(name); {
			case strings.EqualFold(name, "gzip"), strings.EqualFold(name, "x-gzip"):
				named = weightOf(weight)
			case name == "*":
				rest = weightOf(weight)
			}
		}
	}
	if named == "" {
		named = rest
	}
	return strings.Trim(named, "0.") != ""
}

// weightOf is the digits of a parameter such as q=0.5; "1" when there is none.
func weightOf(parameter string) string {
	name, value, _ := strings.Cut(strings.TrimSpace(parameter), "=")
	if !strings.EqualFold(strings.TrimSpace(name), "q") {
		return "1"
	}
	return strings.TrimSpace(value)
}
