package graph

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	qerrors "github.com/graph-gophers/graphql-go/errors"

	"m3o/internal/fault"
	"m3o/internal/id"
)

// times are those of a WebSocket.
type times struct {
	init  time.Duration // for the connection_init
	check time.Duration // between looks whether the client is there and its token good
	pong  time.Duration // for the answer to a ping
	frame time.Duration // for a client to take a message
}

func usualTimes() times {
	return times{init: 10 * time.Second, check: 15 * time.Second, pong: 10 * time.Second, frame: 10 * time.Second}
}

// Why sockets are closed, by the codes of the subprotocol.
const (
	closeBadMessage    websocket.StatusCode = 4400
	closeUnauthorized  websocket.StatusCode = 4401 // a subscribe before the acknowledgement; the token is not good any more
	closeForbidden     websocket.StatusCode = 4403 // the token of the connection_init is bad
	closeSubprotocol   websocket.StatusCode = 4406
	closeInitTimeout   websocket.StatusCode = 4408
	closeSameID        websocket.StatusCode = 4409
	closeInitTwice     websocket.StatusCode = 4429
	closeReasonAtMost                       = 123 // bytes (RFC 6455 section 5.5)
	closeReasonToken                        = "Unauthorized: the token has expired or was revoked"
	closeReasonStopped                      = "the server stops"
)

// socket is a WebSocket. Its operations run at the same time, for whoever the token of its connection_init, or of its
// handshake, belongs to; it closes when that token is not good any more.
type socket struct {
	service   *Service
	conn      *websocket.Conn
	handshake string // its Authorization

	ctx   context.Context // ends with the cause *closing when the socket shall
	end   context.CancelCauseFunc
	tasks sync.WaitGroup

	mu           sync.Mutex
	viewer       viewer
	greeted      bool // by a connection_init
	acknowledged bool
	operations   map[string]*running
}

// running is an operation on a socket.
type running struct {
	ctx context.Context
	end context.CancelCauseFunc
}

// closing is why a socket ends.
type closing struct {
	code   websocket.StatusCode
	reason string
}

func (c *closing) Error() string { return "the socket closes: " + c.reason }

// isUpgrade says whether a request asks for a WebSocket; the library checks the rest of the handshake.
func isUpgrade(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

// serveSocket answers a handshake. The socket lives on when it returns, until it closes or the service stops.
func (s *Service) serveSocket(w http.ResponseWriter, r *http.Request) error {
	c := &socket{service: s, handshake: credential(r.Header.Get("Authorization")), operations: map[string]*running{}}
	c.ctx, c.end = context.WithCancelCause(context.WithoutCancel(r.Context()))
	if err := s.sockets.enter(c, s.MaxSockets()); err != nil {
		return err
	}
	c.conn, _ = websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols:       []string{subprotocol},
		InsecureSkipVerify: true, // no credential comes by itself, so a page of any origin may connect
	})
	if c.conn == nil { // it has answered why
		s.sockets.leave(c)
		return nil
	}
	c.conn.SetReadLimit(int64(s.BodyLimit()))
	go c.run() // sockets waits for it
	return nil
}

// run serves the socket until it ends, and leaves nothing behind.
func (c *socket) run() {
	defer c.service.sockets.leave(c)
	if c.conn.Subprotocol() != subprotocol {
		c.close(closeSubprotocol, "Subprotocol not acceptable: use "+subprotocol)
	}
	c.tasks.Go(c.read)
	c.tasks.Go(c.watch)
	<-c.ctx.Done()
	why := &closing{code: websocket.StatusInternalError}
	errors.As(context.Cause(c.ctx), &why)
	_ = c.conn.Close(why.code, why.reason) // the client may have gone
	c.tasks.Wait()
	_ = c.conn.CloseNow() // it is closed in good order, or cannot be
}

// close ends the socket; the first reason counts.
func (c *socket) close(code websocket.StatusCode, reason string) {
	c.end(&closing{code, strings.ToValidUTF8(reason[:min(len(reason), closeReasonAtMost)], "")})
}

// read takes the client's messages until there are none any more.
func (c *socket) read() {
	life := context.WithoutCancel(c.ctx) // so that reading ends by the handshake of the close
	for {
		kind, text, err := c.conn.Read(life)
		switch {
		case errors.Is(err, websocket.ErrMessageTooBig):
			c.close(websocket.StatusMessageTooBig, "the message is too large")
			return
		case err != nil:
			c.close(websocket.StatusNormalClosure, "")
			return
		case c.ctx.Err() != nil:
			continue // what still comes is not done
		case kind != websocket.MessageText:
			c.close(closeBadMessage, "a message is a text")
			continue
		}
		m, err := decodeMessage(text)
		if err != nil {
			c.close(closeBadMessage, "Invalid message: "+err.Error())
			continue
		}
		c.take(m)
	}
}

// take does what a message says.
func (c *socket) take(m message) {
	switch m.Type {
	case messageInit:
		c.greet(m)
	case messagePing:
		_ = c.say(message{Type: messagePong, Payload: m.Payload}) // a client that has gone is noticed by read
	case messageSubscribe:
		c.subscribe(m)
	case messageComplete:
		if o := c.forget(m.ID); o != nil {
			o.end(context.Canceled)
		}
	}
}

// greet finds out who the client is.
func (c *socket) greet(m message) {
	c.mu.Lock()
	again := c.greeted
	c.greeted = true
	c.mu.Unlock()
	if again {
		c.close(closeInitTwice, "Too many initialisation requests")
		return
	}
	token := m.token
	if token == "" {
		token = c.handshake
	}
	v, err := c.service.authenticate(c.ctx, token)
	if err != nil {
		c.refuse(err, closeForbidden, "Forbidden: "+fault.From(err).Detail)
		return
	}
	c.mu.Lock()
	c.viewer, c.acknowledged = v, true
	c.mu.Unlock()
	if !c.check() { // it may have been revoked before its viewer was known here
		return
	}
	if !v.expires.IsZero() {
		timer := time.AfterFunc(v.expires.Sub(c.service.now()), func() { c.close(closeUnauthorized, closeReasonToken) })
		context.AfterFunc(c.ctx, func() { timer.Stop() })
	}
	_ = c.say(message{Type: messageAck}) // a client that has gone is noticed by read
}

// refuse closes the socket because its token is bad, or cannot be checked.
func (c *socket) refuse(err error, code websocket.StatusCode, reason string) {
	if fault.Is(err, fault.Unauthenticated) {
		c.close(code, reason)
		return
	}
	c.close(websocket.StatusTryAgainLater, "the token cannot be checked")
}

// check closes the socket when its token is not good any more.
func (c *socket) check() (good bool) {
	c.mu.Lock()
	token := c.viewer.token
	c.mu.Unlock()
	_, err := c.service.authenticate(c.ctx, token)
	if err != nil {
		c.refuse(err, closeUnauthorized, closeReasonToken)
	}
	return err == nil
}

// watch closes the socket of a client that does not say who it is, is not there any more, or may not be.
func (c *socket) watch() {
	late, check := time.NewTimer(c.service.times.init), time.NewTicker(c.service.times.check)
	defer late.Stop()
	defer check.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-late.C:
			c.mu.Lock()
			acknowledged := c.acknowledged
			c.mu.Unlock()
			if !acknowledged {
				c.close(closeInitTimeout, "Connection initialisation timeout")
			}
		case <-check.C:
			if c.check() {
				c.ping()
			}
		}
	}
}

func (c *socket) ping() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), c.service.times.pong) // whose end would cut the connection
	defer cancel()
	if c.conn.Ping(ctx) != nil {
		c.close(websocket.StatusGoingAway, "no answer to a ping")
	}
}

// subscribe begins an operation.
func (c *socket) subscribe(m message) {
	c.mu.Lock()
	_, taken := c.operations[m.ID]
	full := len(c.operations) >= c.service.MaxSubscriptions()
	acknowledged, v := c.acknowledged, c.viewer
	c.mu.Unlock()
	switch {
	case !acknowledged:
		c.close(closeUnauthorized, "Unauthorized: connection_init comes first")
		return
	case taken:
		c.close(closeSameID, fmt.Sprintf("Subscriber for %.60s already exists", m.ID))
		return
	case full:
		c.fail(m.ID, []*qerrors.QueryError{refusal(codeUnavailable, fmt.Sprintf("%d operations run on this socket, more cannot: complete some", c.service.MaxSubscriptions()))})
		return
	}
	ctx, end := context.WithCancelCause(id.WithRequest(v.as(c.ctx), id.New("req")))
	o := &running{withEnd(ctx, end), end}
	c.mu.Lock()
	c.operations[m.ID] = o
	c.mu.Unlock()
	c.tasks.Go(func() {
		defer end(nil)
		c.operate(o, m.ID, &m.operation)
	})
}

// operate runs an operation and tells the client what it comes to.
func (c *socket) operate(o *running, operationID string, r *request) {
	found, a := c.service.prepare(o.ctx, r)
	kind := "none"
	if found != nil {
		kind = found.kind
	}
	var failed []*qerrors.QueryError
	switch {
	case a.status != 0:
		failed = a.errors
	case kind == kindSubscription:
		failed = c.service.subscribe(o.ctx, r, func(a answer) bool { return c.tell(o, operationID, a) })
	default:
		a = c.service.execute(o.ctx, r, found)
		c.tell(o, operationID, a)
	}
	c.service.IncrementOperations(1, kind, answer{errors: append(failed, a.errors...)}.code())
	if c.forgetThis(operationID, o) && c.ctx.Err() == nil { // the end of the socket ends it for the client too
		c.finish(operationID, failed)
	}
}

// tell sends what an operation has come to, unless the client has completed it. False: nobody takes it.
func (c *socket) tell(o *running, operationID string, a answer) bool {
	if o.ctx.Err() != nil {
		return false
	}
	var payload bytes.Buffer
	a.write(&payload)
	return c.say(message{ID: operationID, Type: messageNext, Payload: payload.Bytes()}) == nil
}

// finish says that an operation has ended, and why if that is an error.
func (c *socket) finish(operationID string, failed []*qerrors.QueryError) {
	if failed != nil {
		c.fail(operationID, failed)
		return
	}
	_ = c.say(message{ID: operationID, Type: messageComplete}) // a client that has gone is noticed by read
}

func (c *socket) fail(operationID string, errs []*qerrors.QueryError) {
	_ = c.say(message{ID: operationID, Type: messageError, Payload: errorList(errs)}) // a client that has gone is noticed by read
}

// forget takes an operation out, so that its id may be used again. Nil: there is none.
func (c *socket) forget(operationID string) *running {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.operations[operationID]
	delete(c.operations, operationID)
	return o
}

// forgetThis is forget for an operation that has ended. False: the client has completed it before.
func (c *socket) forgetThis(operationID string, o *running) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.operations[operationID] != o {
		return false
	}
	delete(c.operations, operationID)
	return true
}

// say sends a message, which the client has to take in time.
func (c *socket) say(m message) error {
	text, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("say %s: %w", m.Type, err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), c.service.times.frame)
	defer cancel()
	err = c.conn.Write(ctx, websocket.MessageText, text)
	if err != nil {
		c.close(websocket.StatusGoingAway, "a message was not taken in time")
	}
	return err
}

// sockets are those that are open at this replica.
type sockets struct {
	count func(open int) // is told how many there are

	mu      sync.Mutex
	open    map[*socket]struct{}
	stopped bool
	ended   sync.WaitGroup
}

// enter counts a socket until it leaves.
func (s *sockets) enter(c *socket, most int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped || len(s.open) >= most {
		return fault.New(fault.Unavailable, "%d WebSockets are open, more cannot be", len(s.open)).After(time.Second)
	}
	s.open[c] = struct{}{}
	s.ended.Add(1)
	s.count(len(s.open))
	return nil
}

func (s *sockets) leave(c *socket) {
	c.end(nil)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
	s.count(len(s.open))
	s.ended.Done()
}

// revoke closes the sockets of a token, or of a user when none is named.
func (s *sockets) revoke(userID, tokenID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		if c.isOf(userID, tokenID) {
			c.close(closeUnauthorized, closeReasonToken)
		}
	}
}

func (c *socket) isOf(userID, tokenID string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.viewer.account
	return a.ID != "" && a.ID == userID && (tokenID == "" || tokenID == a.Session)
}

// stop closes every socket and waits for all.
func (s *sockets) stop() {
	s.mu.Lock()
	s.stopped = true
	for c := range s.open {
		c.close(websocket.StatusGoingAway, closeReasonStopped)
	}
	s.mu.Unlock()
	s.ended.Wait()
}
