package bus

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"

	"m3o/internal/fault"
	"m3o/internal/problem"
)

// Multicast implements Bus.
func (m *Memory) Multicast(r *http.Request) <-chan Reply {
	body, err := readBody(r) // before anybody is entered: who stops must not wait for it
	chosen := m.choose(r)
	g := newGathering(chosen)
	if len(chosen) == 0 {
		return g.replies
	}
	g.watch(r)
	for i, one := range chosen {
		c := copyRequest(r, body)
		go func() {
			MakeRoom(0)
			m.askOne(g, i, one, c, err)
		}()
	}
	return g.replies
}

// asked is a server whose gate is entered, and those it shares with.
type asked struct {
	*server
	at    address
	queue *queue
}

// choose enters one server of each queue of each place that answers to r.
func (m *Memory) choose(r *http.Request) (chosen []asked) {
	s := m.roster.site(r.URL.Hostname())
	if s == nil {
		return nil
	}
	s.each(r, func(p *place) bool {
		for _, q := range p.queues {
			if one := q.enter(); one != nil {
				chosen = append(chosen, asked{one, p.address, q})
			}
		}
		return true
	})
	return chosen
}

// askOne gets the i-th answer: from one, or from another of the queue when one turns out
// to be elsewhere no more. If nobody is, there is no answer.
func (m *Memory) askOne(g *gathering, i int, one asked, r *http.Request, unread error) {
	for tries := len(one.queue.servers); ; tries-- {
		err := m.askServer(g, i, one.server, r, unread)
		switch {
		case err == nil:
			return
		case tries <= 1 && !errors.Is(err, errGone): // all are out of reach
			w := &recorder{}
			problem.Write(w, r, err)
			g.answer(i, w)
			return
		}
		if one = m.another(r, one); one.server == nil {
			g.withdraw(i)
			return
		}
		g.asks(i, one.server)
	}
}

// another enters one who shares with who is gone, also if it has come only since.
func (m *Memory) another(r *http.Request, gone asked) (one asked) {
	s := m.roster.site(r.URL.Hostname())
	if s == nil {
		return one
	}
	s.each(r, func(p *place) bool {
		for _, q := range p.queues {
			if p.address == gone.at && q.name == gone.queue.name && q.name != "" {
				one = asked{q.enter(), p.address, q}
			}
		}
		return one.server == nil
	})
	return one
}

// askServer gets the i-th answer from one and leaves its gate. An error means that it
// has not begun to answer.
func (m *Memory) askServer(g *gathering, i int, one *server, r *http.Request, unread error) (err error) {
	defer one.replica.running.leave()
	w := &recorder{}
	defer func() { // even if the handler ends its goroutine
		if err == nil {
			g.answer(i, w)
		}
	}()
	return m.ask(w, one, r, unread)
}

// ask lets one server answer r, unless its body could not be read or its time is over.
func (m *Memory) ask(w *recorder, one *server, r *http.Request, unread error) error {
	switch {
	case r.Context().Err() != nil:
		problem.Write(w, r, Expired(r))
	case unread != nil:
		problem.Write(w, r, fault.Wrap(fault.Invalid, unread, "the body could not be read to its end"))
	default:
		return m.serve(w, one, r)
	}
	return nil
}

// serve lets one server answer r. A panic becomes a 500 that replaces what was written.
func (m *Memory) serve(w *recorder, one *server, r *http.Request) error {
	defer func() {
		if p := recover(); p != nil {
			m.config.Logger.ErrorContext(r.Context(), "multicast handler panicked", "replica", one.replica.name,
				"queue", one.Queue, "url", r.URL.Redacted(), "panic", p, "stack", string(debug.Stack()))
			w.Abort(r, fmt.Errorf("%s panicked: %v", one.replica.name, p))
		}
	}()
	return one.answer(w, r)
}

// readBody reads what the copies of a request share; it closes r.Body.
func readBody(r *http.Request) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	defer r.Body.Close()
	var body bytes.Buffer
	if r.ContentLength > 0 {
		body.Grow(int(min(r.ContentLength, 1<<20)) + bytes.MinRead) // what it says need not be so
	}
	_, err := body.ReadFrom(r.Body)
	return body.Bytes(), err
}

func copyRequest(r *http.Request, body []byte) *http.Request {
	c := r.Clone(r.Context())
	c.Body, c.ContentLength = http.NoBody, int64(len(body))
	if len(body) > 0 {
		c.Body = io.NopCloser(bytes.NewReader(body))
	}
	return c
}
