package natsbus

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"

	"m3o/internal/fault"
	"m3o/internal/problem"
)

// answer is what a handler writes to a caller in another process. A short one goes out
// in one packet when the handler returns.
type answer struct {
	*serving
	ctx     context.Context
	header  http.Header
	scratch *scratch // its head is that of the first packet, its body what was written and not sent; nil: all is sent
	begun   bool     // the status is fixed
	sent    bool     // the first packet
	err     error    // nothing can be sent any more
}

// Header implements http.ResponseWriter.
func (w *answer) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter. What is no final status is not carried.
func (w *answer) WriteHeader(status int) {
	if w.begun || status < 200 {
		return
	}
	w.begun = true
	w.scratch.head = (&packet{number: w.number, status: status, header: w.header}).head(w.scratch.head[:0])
}

func (w *answer) Write(p []byte) (n int, err error) {
	w.WriteHeader(http.StatusOK)
	for len(p) > 0 {
		if w.err != nil {
			return n, w.err
		}
		room := min(w.bus.piece-len(w.scratch.body), len(p))
		w.scratch.body = append(w.scratch.body, p[:room]...)
		n, p = n+room, p[room:]
		if len(w.scratch.body) == w.bus.piece {
			w.flush()
		}
	}
	return n, w.err
}

// FlushError sends what was written so far.
func (w *answer) FlushError() error {
	w.WriteHeader(http.StatusOK)
	if w.err == nil && (len(w.scratch.body) > 0 || !w.sent) {
		w.flush()
	}
	return w.err
}

// Flush is FlushError for handlers that ask in the old way.
func (w *answer) Flush() { _ = w.FlushError() }

// Awaited says that the caller waits in its own process, and no longer than its time.
func (w *answer) Awaited() {}

// Hijack says why there is no connection to take over.
func (w *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return nil, nil, fault.New(fault.Unimplemented, "the caller is in another process: NATS carries requests and answers, and no connection that could be taken over")
}

// errOver is what a handler is told that writes when it has returned.
var errOver = errors.New("the handler has returned, and its answer is sent")

// finish sends the rest. Nothing may be written afterwards.
func (w *answer) finish() {
	w.WriteHeader(http.StatusOK)
	s := w.scratch
	if w.pack(true) {
		w.bus.post(letter{to: w.to, scratch: s})
	} else {
		w.bus.scratches.leave(s)
	}
	w.scratch, w.err = nil, errOver
}

// flush sends what is there.
func (w *answer) flush() {
	if w.pack(false) {
		w.err = w.bus.nc.Publish(w.to, w.scratch.message)
	}
}

// pack makes the next packet of what is there, when the caller has room for it. It does not
// when nobody waits for it.
func (w *answer) pack(last bool) (packed bool) {
	if w.err != nil {
		return false
	}
	s := w.scratch
	if w.err = w.window.take(w.ctx, cost(s.body)); w.err != nil && !(last && !w.sent) {
		return false
	}
	k := kindAnswer
	if w.sent {
		k, s.head = kindData, putNumber(s.head[:0], fieldNumber, w.number)
	}
	if last {
		for _, observed := range w.takeObserved() {
			s.head = putBytes(s.head, fieldObserved, observed)
		}
	}
	s.message = assemble(s.message[:0], k, s.head, last, s.body)
	s.body, w.sent = s.body[:0], true
	return true
}

// fail answers with err in place of what was written, or breaks off what has been sent.
func (w *answer) fail(r *http.Request, err error) {
	if w.sent {
		w.say(&packet{kind: kindAbort})
		w.err = errOver
		return
	}
	w.header, w.begun = http.Header{}, false
	w.scratch.head, w.scratch.body = w.scratch.head[:0], w.scratch.body[:0]
	problem.Write(w, r, err)
	w.finish()
}
