package natsbus

import (
	"bufio"
	"context"
	"net"
	"net/http"

	"m3o/internal/fault"
	"m3o/internal/problem"
)

// answer is what a handler writes to a caller in another process. A short one goes out
// in one packet when the handler returns.
type answer struct {
	*serving
	ctx    context.Context
	header http.Header
	head   []byte // of the first packet, from WriteHeader until it is sent
	buffer []byte // written and not sent
	begun  bool   // the status is fixed
	sent   bool   // the first packet
	err    error  // nothing can be sent any more
}

// Header implements http.ResponseWriter.
func (w *answer) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter. What is no final status is not carried.
func (w *answer) WriteHeader(status int) {
	if w.begun || status < 200 {
		return
	}
	w.begun = true
	w.head = (&packet{status: status, header: w.header}).head(make([]byte, 0, 256))
}

func (w *answer) Write(p []byte) (n int, err error) {
	w.WriteHeader(http.StatusOK)
	for len(p) > 0 {
		if w.err != nil {
			return n, w.err
		}
		room := min(w.bus.piece-len(w.buffer), len(p))
		w.buffer = append(w.buffer, p[:room]...)
		n, p = n+room, p[room:]
		if len(w.buffer) == w.bus.piece {
			w.flush(false)
		}
	}
	return n, w.err
}

// FlushError sends what was written so far.
func (w *answer) FlushError() error {
	w.WriteHeader(http.StatusOK)
	if len(w.buffer) > 0 || !w.sent {
		w.flush(false)
	}
	return w.err
}

// Flush is FlushError for handlers that ask in the old way.
func (w *answer) Flush() { _ = w.FlushError() }

// Hijack says why there is no connection to take over.
func (w *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return nil, nil, fault.New(fault.Unimplemented, "the caller is in another process: NATS carries requests and answers, and no connection that could be taken over")
}

// finish sends the rest.
func (w *answer) finish() {
	w.WriteHeader(http.StatusOK)
	w.flush(true)
}

// flush sends what is there as the next packet, when the caller has room for it.
func (w *answer) flush(last bool) {
	if w.err != nil {
		return
	}
	if w.err = w.window.take(w.ctx, cost(w.buffer)); w.err != nil && !(last && !w.sent) {
		return // nobody waits for it
	}
	k := kindAnswer
	if w.sent {
		k = kindData
	}
	if last {
		for _, observed := range w.takeObserved() {
			w.head = putBytes(w.head, fieldObserved, observed)
		}
	}
	w.err = w.send(assemble(k, w.head, last, w.buffer))
	w.buffer, w.head, w.sent = w.buffer[:0], nil, true
}

// fail answers with err in place of what was written, or breaks off what has been sent.
func (w *answer) fail(r *http.Request, err error) {
	if w.sent {
		w.say(&packet{kind: kindAbort})
		return
	}
	w.header, w.head, w.buffer, w.begun = http.Header{}, nil, w.buffer[:0], false
	problem.Write(w, r, err)
	w.finish()
}
