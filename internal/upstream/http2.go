package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"sync"
	"sync/atomic"
)

// newTransport is the client for servers that speak HTTP/2, and for nothing else. It
// dials as the other does.
func (t *Target) newTransport() *http.Transport {
	only := new(http.Protocols)
	only.SetHTTP2(true)
	return &http.Transport{
		DialTLSContext:         func(ctx context.Context, _, _ string) (net.Conn, error) { return t.openHTTP2(ctx) },
		Protocols:              only,
		DisableCompression:     true, // bodies pass through as they are
		MaxConnsPerHost:        t.limits.Connections,
		IdleConnTimeout:        t.limits.Idle,
		MaxResponseHeaderBytes: t.limits.Header,
		ExpectContinueTimeout:  patience,
	}
}

// openHTTP2 opens a connection for HTTP/2. A server that does not speak it any more may
// choose again.
func (t *Target) openHTTP2(ctx context.Context) (net.Conn, error) {
	t.counts.dials.Add(1)
	raw, secure, err := t.dialer.connect(ctx, "h2")
	if err != nil {
		return nil, err
	}
	if c, ok := secure.(*tls.Conn); ok && c.ConnectionState().NegotiatedProtocol == "h2" {
		return secure, nil
	}
	t.version.Store(undecided)
	_ = raw.Close()
	return nil, errors.New("the server does not speak HTTP/2 any more")
}

// serveHTTP2 serves a call over HTTP/2. An error comes before the answer has begun.
func (t *Target) serveHTTP2(w http.ResponseWriter, r *http.Request) error {
	interim := &interim{w: w, r: r}
	body := &lent{body: r.Body}
	out, err := t.outgoing(r, body, interim)
	if err != nil {
		return err
	}
	if out.Body != nil {
		_ = http.NewResponseController(w).EnableFullDuplex() // as over HTTP/1.1
	} else {
		body.drained.Store(true)
	}
	defer body.end(w, r)
	res, err := t.second.RoundTrip(out)
	interim.stop()
	if err != nil {
		return body.cause(settle(r.Context(), err))
	}
	defer t.done(res)
	if res.StatusCode == http.StatusSwitchingProtocols {
		return errMalformed
	}
	t.answered(r.Context())
	b := t.buffer()
	defer t.buffers.Put(b)
	t.pass(w, r, replyOf(res), *b, body.isDrained())
	return nil
}

// done ends an answer, and its connection when the target is closed and nobody else
// uses it.
func (t *Target) done(res *http.Response) {
	_ = res.Body.Close()
	if t.closed.Load() {
		t.second.CloseIdleConnections()
	}
}

// outgoing is the request that goes to the server.
func (t *Target) outgoing(r *http.Request, body *lent, interim *interim) (*http.Request, error) {
	ctx := httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{Got1xxResponse: interim.pass})
	out := (&http.Request{
		Method: r.Method, URL: t.address(r), Host: t.host, Header: http.Header{}, ContentLength: lengthOf(r),
	}).WithContext(ctx)
	if out.ContentLength != 0 {
		out.Body = body
	}
	err := t.eachField(r.Header, func(name string, values []string) { out.Header[name] = append(out.Header[name], values...) })
	if err != nil {
		return nil, err
	}
	for name, values := range t.header {
		out.Header[name] = values
	}
	if expects(r) {
		out.Header["Expect"] = []string{"100-continue"}
	}
	if out.Header["User-Agent"] == nil {
		out.Header["User-Agent"] = []string{""} // none, rather than the Transport's own
	}
	return out, nil
}

// address is where the request goes, written as over HTTP/1.1.
func (t *Target) address(r *http.Request) *url.URL {
	return &url.URL{Scheme: "https", Host: t.host, Opaque: "//" + t.host + string(appendAddress(nil, r))}
}

// replyOf is an answer as the other client has it.
func replyOf(res *http.Response) *reply {
	a := &reply{status: res.StatusCode, header: res.Header, length: res.ContentLength, body: &http2Body{res.Body, res}}
	for name := range res.Trailer {
		if mayTrail(name) {
			a.trailer = append(a.trailer, name)
		}
	}
	if res.Body == http.NoBody || res.ContentLength == 0 {
		a.length = 0
	}
	return a
}

// http2Body is the body of an answer, with the trailers that are known at its end.
type http2Body struct {
	io.Reader
	res *http.Response
}

func (b *http2Body) trailers() http.Header { return b.res.Trailer }

// lent is a caller's body in the hands of a client that may go on to read it when the
// call is over.
type lent struct {
	mu      sync.Mutex
	body    io.Reader
	fault   error
	closed  bool
	drained atomic.Bool
}

func (l *lent) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := l.body.Read(p)
	switch {
	case errors.Is(err, io.EOF):
		l.drained.Store(true)
	case err != nil:
		l.fault = &bodyError{err}
	}
	return n, err
}

// Close leaves the caller's body open, which is its server's to close.
func (l *lent) Close() error { return nil }

func (l *lent) isDrained() bool { return l.drained.Load() }

// cause is why a call failed that got no answer: the body, when that could not be read.
func (l *lent) cause(err error) error {
	if l.isDrained() {
		return err
	}
	if !l.mu.TryLock() { // somebody waits for more of it
		return &unsentError{err}
	}
	defer l.mu.Unlock()
	if l.fault != nil {
		return l.fault
	}
	return &unsentError{err}
}

// end waits until nobody reads the body any more.
func (l *lent) end(w http.ResponseWriter, r *http.Request) {
	if !l.isDrained() {
		cut(w, r)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
}

// interim passes interim answers on until the final one is there.
type interim struct {
	mu   sync.Mutex
	w    http.ResponseWriter
	r    *http.Request
	over bool
}

func (i *interim) pass(status int, header textproto.MIMEHeader) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.over && status != http.StatusContinue {
		passInterim(i.w, i.r, status, http.Header(header))
	}
	return nil
}

func (i *interim) stop() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.over = true
}
