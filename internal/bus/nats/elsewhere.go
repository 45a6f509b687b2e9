package natsbus

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"m3o/internal/auth"
	"m3o/internal/bus"
	"m3o/internal/fault"
	"m3o/internal/frame"
	"m3o/internal/id"
	"m3o/internal/problem"
)

// elsewhere is an endpoint of another process.
type elsewhere struct {
	bus      *Bus
	peer     *peer
	serve    uint64 // the number under which it was announced
	endpoint int    // its index there
}

var _ bus.Elsewhere = (*elsewhere)(nil)

// ServeHTTP implements http.Handler.
func (e *elsewhere) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := e.Try(w, r); err != nil {
		bus.Unknown(r.URL.Hostname()).ServeHTTP(w, r)
	}
}

// Try implements bus.Elsewhere.
func (e *elsewhere) Try(w http.ResponseWriter, r *http.Request) error {
	switch {
	case strings.EqualFold(r.Header.Get("Upgrade"), "websocket"):
		problem.Write(w, r, fault.New(fault.Unimplemented, "%s runs in another process, and NATS carries requests and answers but no WebSockets: serve it in the process that is asked", r.URL.Hostname()))
		return nil
	case isOver(r):
		problem.Write(w, r, bus.Expired(r))
		return nil
	}
	c := &call{elsewhere: e, w: w, r: r, host: r.URL.Hostname()}
	c.inbox.open()
	return c.run()
}

// isOver says whether nobody waits for the answer any more.
func isOver(r *http.Request) bool { return r.Context().Err() != nil }

// call is one request to another process, from the caller's side.
type call struct {
	*elsewhere
	w      http.ResponseWriter
	r      *http.Request
	host   string        // that r is for
	number uint64        // under which it is waited for
	reply  string        // the subject by which it is known
	sent   bool          // the first packet; guarded by roster.sending
	inbox  inbox[[]byte] // packets of the other side
	met    bool          // it has said something
	begun  bool          // something of the answer was written
	read   credits       // of the answer's body
	first  []byte        // of the request's body, kept until it is known that somebody has it
	rest   bool          // there is more of the body
	window allowance     // of that
	end    func()        // ends sending it; nil: not begun

	mu   sync.Mutex
	lost error // why there will be no answer
}

// hear implements hearer.
func (c *call) hear(m *nats.Msg) {
	if nobodyHears(m) {
		c.peer.roster.quit(c.peer)
		c.inbox.put((&packet{kind: kindRefused}).append(nil))
		return
	}
	c.inbox.put(m.Data)
}

// lose ends the call: its answer will not come.
func (c *call) lose(why string) {
	c.mu.Lock()
	c.lost = fault.New(fault.Unavailable, "%s while %s was answering: it may have done what it was asked", why, c.host)
	c.mu.Unlock()
	wake(c.inbox.some)
}

func (c *call) isLost() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lost
}

// run sends the request and writes the answer. An error means that nothing was executed.
func (c *call) run() error {
	var open packet
	if err := c.open(&open); err != nil {
		problem.Write(c.w, c.r, err)
		return nil
	}
	if err := c.bus.send(c, &open); err != nil {
		c.restore()
		return err
	}
	defer c.bus.hearers.remove(c.number)
	defer func() {
		if c.end != nil {
			c.end()
		}
	}()
	return c.await()
}

// open makes the first packet, with as much of the body as is at hand.
func (c *call) open(f *packet) error {
	r, ctx := c.r, c.r.Context()
	a := asking{serve: c.serve, endpoint: uint64(c.endpoint), build: c.bus.config.Version, method: r.Method, scheme: r.URL.Scheme, host: r.URL.Host,
		path: r.URL.Path, rawPath: r.URL.RawPath, query: r.URL.RawQuery, hostHeader: r.Host, remote: r.RemoteAddr}
	if until, bounded := ctx.Deadline(); bounded {
		a.budget = uint64(max(time.Until(until).Microseconds(), 1))
	}
	a.account, _ = auth.From(ctx)
	a.client, a.request = auth.Client(ctx), id.Request(ctx)
	if within, ok := frame.From(ctx); ok && !frame.Internal(r.Header) {
		travels, err := json.Marshal(within)
		if err != nil {
			return err
		}
		a.travels = travels
	}
	if err := c.readFirst(); err != nil {
		return err
	}
	*f = packet{kind: kindOpen, data: c.first, last: !c.rest, length: r.ContentLength, header: r.Header, asking: a}
	if f.last {
		f.length = int64(len(c.first))
	}
	return nil
}

// readFirst reads what is at hand of the body: of one whose length is known, one piece.
// One that nobody knows the end of may be written only after something was answered.
func (c *call) readFirst() error {
	body, length := c.r.Body, c.r.ContentLength
	if body == nil || body == http.NoBody {
		return nil
	}
	if c.rest = true; length <= 0 {
		return nil
	}
	c.first = make([]byte, min(length, int64(c.bus.piece)))
	n, err := body.Read(c.first)
	c.first = c.first[:n]
	if errors.Is(err, io.EOF) || err == nil && int64(n) == length {
		c.rest = false
	} else if err != nil {
		c.r.Body = &failing{err}
	}
	return nil
}

// failing is a body whose reading has failed.
type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }
func (f *failing) Close() error             { return nil }

// restore gives back what was read of the body: nobody has it.
func (c *call) restore() {
	if len(c.first) > 0 {
		c.r.Body = &struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(c.first), c.r.Body), c.r.Body}
	}
}

// await writes the answer as it comes.
func (c *call) await() error {
	ctx := c.r.Context()
	for {
		lost := c.isLost() // asked first: what has come before counts
		for _, message := range c.inbox.take() {
			if over, err := c.take(message); over {
				return err
			}
		}
		if lost != nil {
			c.abort(lost)
			return nil
		}
		select {
		case <-c.inbox.some:
		case <-ctx.Done():
			c.cancel()
			c.abort(bus.Expired(c.r))
			return nil
		}
	}
}

// take takes one packet of the other side. Over means that the call is, and with an error
// that nothing was executed. What cannot be read is from a build that speaks otherwise, and
// the caller's time ends it.
func (c *call) take(message []byte) (over bool, err error) {
	var f packet
	header := c.w.Header()
	empty := len(header) == 0
	if empty { // it is read into, which saves another and the copy
		f.header = header
	}
	readable := f.decode(message) == nil
	switch {
	case !readable:
		return false, nil
	case f.kind == kindRefused && !c.met:
		c.peer.forget(c.serve)
		c.restore()
		return true, bus.Gone()
	case f.kind == kindAnswer && !empty:
		merge(header, f.header)
	}
	c.met = true
	return c.obey(&f), nil
}

// obey does what a packet says.
func (c *call) obey(f *packet) (over bool) {
	switch f.kind {
	case kindCredit:
		c.window.add(f.credit)
		if c.rest && c.end == nil {
			c.sendRest()
		}
	case kindAnswer, kindData:
		if c.begun == (f.kind == kindData) && (c.begun || f.status >= 200) {
			return c.write(f)
		}
		fallthrough
	default: // kindAbort, or nothing that is to be expected
		c.abort(fault.New(fault.Unavailable, "%s broke off its answer: it may have done what it was asked", c.host))
		return true
	}
	return false
}

// write writes a piece of the answer.
func (c *call) write(f *packet) (over bool) {
	for _, observed := range f.observed {
		problem.Observe(c.r.Context(), problem.Parse(observed))
	}
	if f.kind == kindAnswer {
		c.begun = true
		c.w.WriteHeader(f.status)
	}
	if _, err := c.w.Write(f.data); len(f.data) > 0 && err != nil { // whoever asked is gone
		c.cancel()
		return true
	}
	if f.last {
		return true
	}
	_ = http.NewResponseController(c.w).Flush() // whoever cannot be flushed holds nothing back for long
	if n := c.read.took(f.data); n > 0 {
		c.say(&packet{kind: kindCredit, call: c.reply, credit: n})
	}
	return false
}

// merge puts an answer's header into one that may have something already. What lists
// several things is added to, the rest replaced.
func merge(into, from http.Header) {
	for name, values := range from {
		if name == "Vary" || name == "Set-Cookie" || name == "Link" {
			values = slices.Concat(into[name], values)
		}
		into[name] = values
	}
}

// abort answers with err, or breaks off the answer that has begun.
func (c *call) abort(err error) {
	if !c.begun {
		problem.Write(c.w, c.r, err)
		return
	}
	if w, ok := c.w.(bus.Aborter); ok {
		w.Abort(c.r, err)
		return
	}
	panic(http.ErrAbortHandler)
}

func (c *call) cancel() { c.say(&packet{kind: kindCancel, call: c.reply}) }

// say sends a packet to the other side. If the connection is gone the call is lost anyway.
func (c *call) say(f *packet) {
	_ = c.bus.publish(c.peer.calls, "", f)
}

// sendRest sends the rest of the body as fast as the other side takes it, until the end
// of the call. It is not waited for: reading a body may last until its writer goes.
func (c *call) sendRest() {
	ctx, cancel := context.WithCancel(c.r.Context())
	c.end = cancel
	body := c.r.Body
	go func() {
		for {
			piece := make([]byte, c.bus.piece)
			n, err := body.Read(piece)
			if ctx.Err() != nil {
				return
			}
			f := &packet{kind: kindData, call: c.reply, data: piece[:n], last: errors.Is(err, io.EOF)}
			if err != nil && !f.last {
				c.say(&packet{kind: kindBroken, call: c.reply, data: piece[:n], fault: problem.Within(err, "")})
				return
			}
			if c.window.take(ctx, cost(f.data)) != nil {
				return
			}
			if c.say(f); f.last {
				return
			}
		}
	}()
}
