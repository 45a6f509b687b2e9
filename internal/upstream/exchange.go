package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"syscall"
	"time"
)

// inline is how long a body may be to be sent with the head in one write, in bytes. It
// is read before the server is called, so a slow caller costs no connection; and it is
// still there when the request is to be sent again.
const inline = 16 << 10

// maxInterim bounds the interim answers of a call.
const maxInterim = 32

// exchange is one call over HTTP/1.1.
type exchange struct {
	t        *Target
	w        http.ResponseWriter
	r        *http.Request
	ctx      context.Context
	protocol string // to upgrade to; empty: none
	request  []byte // the head, and the body when that is short
	streams  bool   // the body follows the request
	buffer   []byte // for the answer; the request may be in it until then
}

// serveHTTP1 serves a call over HTTP/1.1. An error comes before the answer has begun.
func (t *Target) serveHTTP1(w http.ResponseWriter, r *http.Request, protocol string) error {
	b := t.buffer()
	defer t.buffers.Put(b)
	x := exchange{t: t, w: w, r: r, ctx: r.Context(), protocol: protocol, buffer: *b}
	if err := x.prepare(); err != nil {
		return err
	}
	again, err := x.try(false)
	if again {
		t.counts.retries.Add(1)
		_, err = x.try(true)
	}
	return err
}

// prepare writes the request down.
func (x *exchange) prepare() (err error) {
	if x.request, err = x.t.appendHead(x.buffer[:0], x.r, x.protocol); err != nil {
		return err
	}
	length, head := lengthOf(x.r), len(x.request)
	x.streams = length < 0 || length > inline || expects(x.r)
	if length == 0 || x.streams {
		return nil
	}
	x.request = slices.Grow(x.request, int(length))[:head+int(length)]
	if _, err := io.ReadFull(x.r.Body, x.request[head:]); err != nil {
		return &bodyError{err}
	}
	return nil
}

// try makes the call over one connection. It says whether the call may be made again,
// over a fresh one.
func (x *exchange) try(fresh bool) (again bool, err error) {
	c, err := x.t.pool.get(x.ctx, fresh)
	if err != nil {
		return false, err
	}
	if c.used {
		x.t.counts.reuses.Add(1)
	}
	unwatch := context.AfterFunc(x.ctx, c.abort)
	c.got = 0
	if sent, err := c.Write(x.request); err != nil {
		unwatch()
		x.t.pool.drop(c)
		return x.mayRepeat(c, sent, err), settle(x.ctx, err)
	}
	var body *upload
	if x.streams {
		_ = http.NewResponseController(x.w).EnableFullDuplex() // else its server reads the body before we answer
		body = x.t.start(c, x.r)
	}
	a, err := x.answer(c, body)
	if err != nil {
		unwatch()
		x.t.pool.drop(c)
		x.endBody(body)
		err = body.cause(settle(x.ctx, err))
		return x.mayRepeat(c, len(x.request), err), err
	}
	x.t.answered(x.ctx)
	return false, x.finish(c, body, unwatch, &a)
}

// finish gives the answer to the caller and the connection back. It panics when the
// answer breaks off.
func (x *exchange) finish(c *conn, body *upload, unwatch func() bool, a *reply) error {
	whole := false
	defer func() {
		sent := x.endBody(body)
		if unwatch() && sent && whole && !a.last && c.in.Buffered() == 0 {
			x.t.pool.put(c)
		} else {
			x.t.pool.drop(c)
		}
	}()
	if a.status == http.StatusSwitchingProtocols {
		return x.join(c, a)
	}
	x.t.pass(x.w, x.r, a, x.buffer, body.isDrained())
	whole = true
	return nil
}

// endBody waits until nobody reads the caller's body any more, and says whether all of
// it was sent. When it was not, what is left of it stands between this request and the
// caller's next one, so its connection ends.
func (x *exchange) endBody(body *upload) bool {
	if !body.isDrained() {
		cut(x.w, x.r)
	}
	return body.stop()
}

// cut ends the caller's body, and with it the caller's connection.
func cut(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 1 {
		w.Header()["Connection"] = []string{"close"}
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0))
}

// mayRepeat says whether the server cannot have acted upon the request, or may act upon
// it twice.
func (x *exchange) mayRepeat(c *conn, sent int, err error) bool {
	switch {
	case x.ctx.Err() != nil:
		return false
	case sent == 0:
		return true
	}
	return c.used && c.got == 0 && !x.streams && isIdempotent(x.r.Method) && isClosed(err)
}

// isClosed says whether an error is that the server has closed the connection.
func isClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// answer reads the head of the final answer, and passes interim ones on.
func (x *exchange) answer(c *conn, body *upload) (reply, error) {
	for range maxInterim {
		a, err := c.readReply(x.r.Method, x.t.limits.Header)
		switch {
		case err != nil:
			return a, err
		case a.status == http.StatusContinue:
			body.proceed()
		case a.status >= 200:
			return a, nil
		case a.status == http.StatusSwitchingProtocols:
			return a, x.checkUpgrade(&a)
		default:
			passInterim(x.w, x.r, a.status, a.header)
		}
	}
	return reply{}, fmt.Errorf("%w: it has no end of interim answers", errMalformed)
}
