package gateway

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"m3o/internal/fault"
	"m3o/internal/id"
	"m3o/internal/problem"
)

// The times of a WebSocket.
const (
	checkEvery = 500 * time.Millisecond // is the key good, is the API on sale
	endGrace   = 300 * time.Millisecond // for a client to hear why its socket ends
	pingEvery  = 30 * time.Second
	pingLimit  = 10 * time.Second // for the pong
	frameLimit = 10 * time.Second // for a client to take a frame, or a piece of a long message
	idleLimit  = 10 * time.Minute // without a message
)

// socket is a WebSocket on an endpoint. Each message of the client is a call of its
// own: admitted, answered and metered as if it were a POST with that body. An endpoint
// that streams answers with a message for each of its own and then closes the socket,
// unless another message has come meanwhile; any other answers with one message. A
// call that fails is answered with its problem.
//
// The socket closes with 1000 at the end of a stream; 1001 when the gateway stops or
// nothing has come for a long time; 1008 when a call would be refused whatever it says
// (the key is not good any more, the API has gone); 1009 when a message is over the
// body limit; 1011 when a stream has failed; 1013 when the key cannot be checked.
type socket struct {
	service *Service
	conn    *websocket.Conn
	call    *http.Request // of which each message makes one
	streams bool
	limit   int64 // bytes a message may have
	opened  *admission

	messages chan []byte
	waiting  atomic.Bool // a message waits, so nothing is read, pongs neither

	calls context.Context // ends with the cause *ending when calls shall
	end   context.CancelCauseFunc
	life  context.Context // ends a moment later, with whatever is being written
	tasks sync.WaitGroup
}

// ending is why a socket ends.
type ending struct {
	code   websocket.StatusCode
	reason string
	fault  error // is told before; nil: nothing is
}

func (e *ending) Error() string { return "the socket ends: " + e.reason }

// isUpgrade says whether a request asks for a WebSocket (RFC 6455 section 4.2.1).
func isUpgrade(r *http.Request) bool {
	if r.Method != http.MethodGet || len(r.Header["Upgrade"]) == 0 || !r.ProtoAtLeast(1, 1) {
		return false
	}
	return hasToken(r.Header["Upgrade"], "websocket") && hasToken(r.Header["Connection"], "upgrade")
}

func hasToken(lines []string, token string) bool {
	for _, line := range lines {
		for item := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(item), token) {
				return true
			}
		}
	}
	return false
}

// checkHandshake refuses what is no WebSocket of version 13.
func checkHandshake(w http.ResponseWriter, r *http.Request) error {
	if r.Header.Get("Sec-WebSocket-Version") != "13" {
		w.Header().Set("Sec-WebSocket-Version", "13")
		w.Header().Set("Upgrade", "websocket")
		return fault.New(fault.Invalid, "This WebSocket version is not supported: use 13").WithID("v1").WithStatus(http.StatusUpgradeRequired)
	}
	nonce, err := base64.StdEncoding.DecodeString(r.Header.Get("Sec-WebSocket-Key"))
	if err != nil || len(nonce) != 16 || len(r.Header["Sec-Websocket-Key"]) != 1 {
		return fault.Wrap(fault.Invalid, err, "Sec-WebSocket-Key is not 16 bytes in base64").WithID("v1")
	}
	return nil
}

// serveSocket checks the handshake as a call would be checked, answers it, and serves
// the socket until it ends. The handshake itself costs nothing.
func (s *Service) serveSocket(w http.ResponseWriter, r *http.Request) {
	call := asCall(r)
	a := &admission{opens: true}
	err := s.admit(w, call, a)
	a.limits.tell(w.Header())
	if err == nil {
		s.giveUp(a)
		err = checkHandshake(w, r)
	}
	var leave func()
	if err == nil {
		leave, err = s.sockets.enter(a.key.customer.id)
	}
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	defer leave()
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols:       firstToken(r.Header["Sec-Websocket-Protocol"]),
		InsecureSkipVerify: true, // no credential comes by itself, so a page of any origin may connect
	})
	if err != nil { // which it has answered
		return
	}
	newSocket(s, conn, call, a).run()
}

// firstToken is what a client offered first as its subprotocol: browsers insist on
// having one of those that they offered, even if that is a key.
func firstToken(lines []string) []string {
	if len(lines) == 0 {
		return nil
	}
	first, _, _ := strings.Cut(lines[0], ",")
	return []string{strings.TrimSpace(first)}
}

// asCall is the call that each message of a socket makes, without its body: the
// handshake as a POST, without what was for the handshake or for one call only.
func asCall(r *http.Request) *http.Request {
	call := r.WithContext(context.WithoutCancel(r.Context()))
	call.Method, call.Header = http.MethodPost, r.Header.Clone()
	for _, name := range []string{
		"Upgrade", "Connection", "Sec-Websocket-Key", "Sec-Websocket-Version", "Sec-Websocket-Extensions",
		"Accept-Encoding", "Content-Length", "Expect", "Idempotency-Key", "If-Match", "If-None-Match", "Range",
	} {
		delete(call.Header, name)
	}
	call.Header["Content-Type"] = []string{"application/json"}
	return call
}

func newSocket(s *Service, conn *websocket.Conn, call *http.Request, a *admission) *socket {
	c := &socket{
		service: s, conn: conn, call: call, streams: a.endpoint.Stream, limit: s.BodyLimit(), opened: a,
		messages: make(chan []byte, 1),
	}
	conn.SetReadLimit(c.limit)
	c.calls, c.end = context.WithCancelCause(call.Context())
	return c
}

// run serves the socket until it ends, and leaves nothing behind.
func (c *socket) run() {
	life, cut := context.WithCancel(c.call.Context())
	c.life = life
	context.AfterFunc(c.calls, func() { time.AfterFunc(endGrace, cut) })
	defer c.tasks.Wait()
	defer func() { _ = c.conn.CloseNow() }() // it has been closed in good order, or cannot be
	defer c.end(&ending{code: websocket.StatusInternalError})
	c.tasks.Go(c.read)
	c.tasks.Go(c.watch)
	c.close(c.serve())
}

// read takes the client's messages, and whatever else it says. One message waits for
// the one before it; a client that sends more waits in its turn.
func (c *socket) read() {
	for {
		_, text, err := c.conn.Read(c.call.Context())
		if errors.Is(err, websocket.ErrMessageTooBig) {
			c.end(&ending{code: websocket.StatusMessageTooBig, reason: "the message is too large"})
			return
		}
		if err != nil {
			c.end(&ending{code: websocket.StatusNormalClosure, reason: "the client has gone"})
			return
		}
		c.waiting.Store(true)
		select {
		case c.messages <- text:
		case <-c.calls.Done():
			return
		}
		c.waiting.Store(false)
	}
}

// watch ends the socket when its key or its API is not good any more, when the client
// is not there any more, or when the gateway stops.
func (c *socket) watch() {
	check, ping := time.NewTicker(checkEvery), time.NewTicker(pingEvery)
	defer check.Stop()
	defer ping.Stop()
	stop := c.service.sockets.cut
	if c.streams { // a stream may last for ever, so it ends after the message in flight
		stop = c.service.sockets.stopping
	}
	for {
		select {
		case <-c.calls.Done():
			return
		case <-stop:
			c.end(goingAway())
			return
		case <-check.C:
			if over := c.over(); over != nil {
				c.end(over)
			}
		case <-ping.C:
			c.tasks.Go(c.ping)
		}
	}
}

func goingAway() *ending {
	return &ending{code: websocket.StatusGoingAway, reason: "the gateway stops"}
}

// ping ends the socket when the client does not answer in time.
func (c *socket) ping() {
	if c.waiting.Load() { // then it is not heard, and its pong would not be
		return
	}
	ctx, cancel := context.WithTimeout(c.calls, pingLimit)
	defer cancel()
	if err := c.conn.Ping(ctx); err != nil && !c.waiting.Load() {
		c.end(&ending{code: websocket.StatusGoingAway, reason: "no answer to a ping"})
	}
}

// over is why no call of the socket could be served any more; nil: it could.
func (c *socket) over() *ending {
	err := c.service.standing(c.call)
	switch {
	case err == nil:
		return nil
	case fault.Is(err, fault.Unavailable):
		return &ending{websocket.StatusTryAgainLater, "the key cannot be checked", err}
	}
	return &ending{websocket.StatusPolicyViolation, fault.From(err).Detail, err}
}

// standing refuses what admit would refuse whatever else is true of a call: a key that
// is not good, and an API that is not on sale or not for this key.
func (s *Service) standing(r *http.Request) error {
	k, err := s.findKey(r.Context(), credential(r), s.now())
	if err != nil {
		return err
	}
	if k.blocked != nil {
		return refused(k.blocked.Message)
	}
	e := s.catalogue.Load().find(r).endpoint
	switch {
	case e == nil:
		return fault.New(fault.NotFound, "No such API").WithID("v1")
	case !k.allows(e.scope):
		return refused("Insufficient privileges")
	}
	return nil
}

// serve answers the client's messages one after the other, and returns why the socket
// ends.
func (c *socket) serve() *ending {
	idle := time.NewTimer(idleLimit)
	defer idle.Stop()
	for c.calls.Err() == nil {
		select {
		case text := <-c.messages:
			if end := c.answer(text); end != nil {
				return end
			}
		case <-c.calls.Done():
		case <-c.service.sockets.stopping:
			return goingAway()
		case <-idle.C:
			return &ending{code: websocket.StatusGoingAway, reason: "no message for a long time"}
		}
		idle.Reset(idleLimit)
	}
	return c.cause()
}

// cause is why the calls have ended; nil: they have not.
func (c *socket) cause() *ending {
	var end *ending
	errors.As(context.Cause(c.calls), &end)
	return end
}

// answer serves the call of a message. It returns why the socket ends after it, nil
// when it does not.
func (c *socket) answer(text []byte) *ending {
	w := newReply(c)
	err := c.forward(w, text)
	if err == nil {
		err = w.end()
	}
	switch end := c.cause(); {
	case end != nil:
		return end
	case err != nil:
		return &ending{websocket.StatusInternalError, "the answer was cut short", w.fault(err)}
	case w.status >= 400:
		if over := c.over(); over != nil { // of which the client has just been told
			over.fault = nil
			return over
		}
	}
	switch {
	case !c.streams:
		return nil
	case w.status >= 400 || w.failed:
		return &ending{code: websocket.StatusInternalError, reason: "the stream has failed"}
	case len(c.messages) == 0:
		return &ending{code: websocket.StatusNormalClosure}
	}
	return nil
}

// forward makes the call of a message. A target that breaks off after its answer has
// begun is an error.
func (c *socket) forward(w *reply, text []byte) (err error) {
	c.repay()
	r := c.call.WithContext(id.WithRequest(c.calls, id.New("req")))
	r.URL = new(url.URL)
	*r.URL = *c.call.URL
	r.Header = c.call.Header.Clone()
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	defer func() {
		reason := recover()
		if aborted, _ := reason.(error); errors.Is(aborted, http.ErrAbortHandler) {
			err = fault.New(fault.BadGateway, "The API broke off its answer").WithID("v1")
		} else if reason != nil {
			panic(reason)
		}
	}()
	c.service.ServeHTTP(w, r)
	return nil
}

// repay gives the handshake's place in the rates to the first message, when it comes
// while that place still counts.
func (c *socket) repay() {
	if a := c.opened; a != nil {
		c.opened = nil
		c.service.returnRate(c.calls, a)
	}
}

// write sends a message that the client has to take in time.
func (c *socket) write(kind websocket.MessageType, message []byte) error {
	ctx, cancel := context.WithTimeout(c.life, frameLimit)
	defer cancel()
	return c.conn.Write(ctx, kind, message)
}

// close tells the client why the socket ends, as far as it can be told.
func (c *socket) close(why *ending) {
	c.end(why)
	if why.fault != nil {
		_ = c.write(websocket.MessageText, problem.Line(c.call, why.fault)) // it may have gone
	}
	_ = c.conn.Close(why.code, strings.ToValidUTF8(why.reason[:min(len(why.reason), maxReason)], ""))
}

// maxReason is how long the reason in a close frame may be (RFC 6455 section 5.5).
const maxReason = 123
