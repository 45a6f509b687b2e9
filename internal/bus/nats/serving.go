package natsbus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"m3o/internal/auth"
	"m3o/internal/bus"
	"m3o/internal/expiry"
	"m3o/internal/fault"
	"m3o/internal/frame"
	"m3o/internal/id"
	"m3o/internal/problem"
)

// servings are the requests of other processes that this one answers.
type servings struct {
	mu      sync.Mutex
	running map[string]*serving // by the subject that hears the answer
	places  map[uint64]*place   // by the number under which they are announced
	last    uint64
}

// place is what one call of Serve serves.
type place struct {
	number    uint64
	replica   string
	endpoints []bus.Endpoint

	running int           // guarded by servings.mu
	idle    chan struct{} // closed when nobody may come any more and all have left; nil: open
}

func newServings() *servings {
	return &servings{running: map[string]*serving{}, places: map[uint64]*place{}}
}

func (s *servings) add(replica string, endpoints []bus.Endpoint) *place {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	p := &place{number: s.last, replica: replica, endpoints: endpoints}
	s.places[p.number] = p
	return p
}

// all are the places that are open.
func (s *servings) all() []*place {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.places))
}

// shut lets nobody in any more; idle is closed when all have left.
func (s *servings) shut(p *place) (idle <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.places, p.number)
	if p.idle == nil {
		p.idle = make(chan struct{})
		if p.running == 0 {
			close(p.idle)
		}
	}
	return p.idle
}

// enter finds the endpoint that is meant, nil when it is not there any more. Leave must
// follow.
func (s *servings) enter(number, index uint64) (*place, *bus.Endpoint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.places[number]
	if p == nil || index >= uint64(len(p.endpoints)) {
		return nil, nil
	}
	p.running++
	return p, &p.endpoints[index]
}

func (s *servings) leave(p *place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.running--; p.running == 0 && p.idle != nil {
		close(p.idle)
	}
}

// begin takes a request in, unless it is running already.
func (s *servings) begin(one *serving) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running[one.call] != nil {
		return false
	}
	s.running[one.call] = one
	return true
}

// of finds a request by the subject that hears its answer.
func (s *servings) of(call string) *serving {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running[call]
}

func (s *servings) forget(one *serving) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.running, one.call)
}

// cancel ends what runs for callers whose subjects begin so.
func (s *servings) cancel(prefix string) {
	s.mu.Lock()
	var all []*serving
	for call, one := range s.running {
		if strings.HasPrefix(call, prefix) {
			all = append(all, one)
		}
	}
	s.mu.Unlock()
	for _, one := range all {
		one.life.End()
	}
}

// serving is one request of another process, from the side that serves.
type serving struct {
	bus    *Bus
	call   string         // the subject by which the call is known
	to     string         // the subject that hears the answer
	number uint64         // by which it is told from others there
	window allowance      // of the answer's body
	body   inbox[*packet] // pieces of the request's body; open when the first packet has not all of it
	life   expiry.Context // of the handler

	mu       sync.Mutex
	observed [][]byte
}

// onCall takes a message to this process. It does not wait.
func (b *Bus) onCall(m *nats.Msg) {
	if len(m.Data) > 0 && m.Reply != "" && kind(m.Data[0]) == kindOpen {
		s := &serving{bus: b, call: m.Reply, to: m.Reply, window: allowance{left: window}}
		if !b.servings.begin(s) {
			return // the transport has delivered it twice: there will be an answer
		}
		b.handling.Add(1)
		b.handled.Add(1)
		select {
		case b.work <- work{s, m.Data}: // somebody is idle
		default:
			b.running.Go(func() { b.worker(work{s, m.Data}) })
		}
		return
	}
	f := &packet{}
	if err := f.decode(m.Data); err != nil {
		b.log.Warn("a message on the bus cannot be read", "error", err)
		return
	}
	s := b.servings.of(f.call)
	if s == nil {
		return // it is over
	}
	switch f.kind {
	case kindData, kindBroken:
		s.body.put(f)
	case kindCredit:
		s.window.add(f.credit)
	case kindCancel:
		s.life.End()
	}
}

// work is a request and its first packet.
type work struct {
	serving *serving
	message []byte
}

// idleLimit is how many goroutines wait for the next request: their stacks have grown to
// what handlers need.
const idleLimit = 64

// worker answers a request, and then others.
func (b *Bus) worker(w work) {
	bus.MakeRoom(0)
	for {
		w.serving.run(w.message)
		if b.idle.Add(1) > idleLimit {
			b.idle.Add(-1)
			return
		}
		select {
		case w = <-b.work:
			b.idle.Add(-1)
		case <-b.living.Done():
			return
		}
	}
}

// run answers the request.
func (s *serving) run(message []byte) {
	defer s.bus.handling.Done()
	defer s.bus.handled.Add(-1)
	defer s.bus.servings.forget(s)
	var f packet
	if err := f.decode(message); err != nil {
		s.bus.log.Warn("a request on the bus cannot be read", "error", err)
		s.say(&packet{kind: kindRefused})
		return
	}
	if s.number = f.number; s.number > 0 {
		s.to = shared(s.call)
	}
	s.bus.roster.meetBuilds(f.build)
	p, endpoint := s.bus.servings.enter(f.serve, f.endpoint)
	if p == nil {
		s.say(&packet{kind: kindRefused})
		return
	}
	defer s.bus.servings.leave(p)
	defer s.life.End()
	s.serve(s.context(&f), p, endpoint, &f)
}

// context is that of the handler: its end, who is calling, the request's id and the
// frame come from the caller, and nothing else.
func (s *serving) context(f *packet) context.Context {
	ctx := s.bus.living
	if f.account.ID != "" {
		ctx = auth.With(ctx, f.account)
	}
	if f.client != "" {
		ctx = auth.WithClient(ctx, f.client)
	}
	if f.request != "" {
		ctx = id.WithRequest(ctx, f.request)
	}
	if len(f.travels) > 0 {
		ctx = withFrame(ctx, f.travels)
	}
	ctx = problem.WithObserver(ctx, s.observe)
	s.life.Begin(ctx, time.Duration(min(f.budget, maxBudget))*time.Microsecond)
	return &s.life
}

// withFrame is ctx with a frame that was read from JSON, or as it is.
func withFrame(ctx context.Context, text []byte) context.Context {
	var f frame.Frame
	if json.Unmarshal(text, &f) != nil {
		return ctx
	}
	return frame.With(ctx, f)
}

// maxBudget is a year in microseconds: what a caller has left is no more than that.
const maxBudget = uint64(365 * 24 * time.Hour / time.Microsecond)

// observe keeps an internal error for the log of the edge, which the caller's process has.
func (s *serving) observe(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.observed = append(s.observed, problem.Within(err, ""))
}

// takeObserved are the errors that the caller has not been told of.
func (s *serving) takeObserved() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.observed
	s.observed = nil
	return all
}

// serve lets the endpoint answer. A panic becomes a 500, or breaks off an answer that has
// begun.
func (s *serving) serve(ctx context.Context, p *place, endpoint *bus.Endpoint, f *packet) {
	r, w := s.request(ctx, f), &answer{serving: s, ctx: ctx, header: http.Header{}, scratch: s.bus.scratches.take()}
	returned := false
	defer func() {
		if returned {
			w.finish()
			return
		}
		reason := recover() // nil when the handler ended its goroutine
		err := fmt.Errorf("%s panicked: %v\n%s", p.replica, reason, debug.Stack())
		if aborted, _ := reason.(error); w.sent && !errors.Is(aborted, http.ErrAbortHandler) {
			s.bus.log.ErrorContext(ctx, "handler panicked after its answer had begun", "replica", p.replica, "url", r.URL.Redacted(), "error", err)
		}
		w.fail(r, err)
	}()
	endpoint.Handler.ServeHTTP(w, r)
	returned = true
}

// request is the request as its caller made it.
func (s *serving) request(ctx context.Context, f *packet) *http.Request {
	r := &http.Request{
		Method: f.method, URL: &url.URL{Scheme: f.scheme, Host: f.host, Path: f.path, RawPath: f.rawPath, RawQuery: f.query},
		Host: f.hostHeader, RemoteAddr: f.remote, Header: f.header, ContentLength: f.length,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody,
	}
	if r.Header == nil {
		r.Header = http.Header{}
	}
	if !f.last {
		s.body.open()
		s.allow(window) // the caller sends the rest when it knows that somebody has the beginning
	}
	if len(f.data) > 0 || !f.last {
		r.Body = &body{serving: s, ctx: ctx, piece: f.data, last: f.last}
	}
	return r.WithContext(ctx)
}

func (s *serving) allow(n uint64) { s.say(&packet{kind: kindCredit, credit: n}) }

// say sends a packet to the caller. What cannot be sent is lost with the connection.
func (s *serving) say(f *packet) {
	f.number = s.number
	_ = s.bus.publish(s.to, "", f)
}

// body is the request's body, as it comes in.
type body struct {
	*serving
	ctx     context.Context
	credits credits
	pieces  []*packet // taken from the inbox and not read yet
	piece   []byte
	last    bool  // piece is the last
	err     error // why there will be no more
}

func (b *body) Close() error { return nil }

func (b *body) Read(p []byte) (int, error) {
	for len(b.piece) == 0 {
		switch {
		case b.err != nil:
			return 0, b.err
		case b.last:
			return 0, io.EOF
		}
		b.next()
	}
	n := copy(p, b.piece)
	b.piece = b.piece[n:]
	return n, nil
}

// next waits for the next piece.
func (b *body) next() {
	for len(b.pieces) == 0 {
		if b.pieces = b.serving.body.take(); len(b.pieces) > 0 {
			break
		}
		select {
		case <-b.serving.body.some:
		case <-b.ctx.Done():
			b.err = fault.Wrap(fault.Expired, b.ctx.Err(), "the rest of the body did not come in the caller's time")
			return
		}
	}
	f := b.pieces[0]
	b.pieces = b.pieces[1:]
	if b.piece, b.last = f.data, f.last; f.kind == kindBroken {
		b.err = problem.Parse(f.fault)
		return
	}
	if n := b.credits.took(f.data); n > 0 && !b.last {
		b.allow(n)
	}
}
