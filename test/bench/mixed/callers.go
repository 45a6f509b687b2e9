package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/coder/websocket"

	"m3o/test/bench/load"
)

// caller makes calls one after the other over a connection, which it opens anew when
// that has ended.
type caller interface {
	call() outcome
	close()
}

// outcome is what came of a call.
type outcome struct {
	status int   // 0: no answer came
	price  int64 // micro-dollars
	err    error // what is wrong with it; nil: nothing
}

// as is the outcome of a call that should have been answered with status, and have cost
// the price when that is 200.
func (o outcome) as(status int) outcome {
	price := int64(0)
	if o.status == http.StatusOK {
		price = load.Price
	}
	switch {
	case o.err != nil:
	case o.status != status:
		o.err = fmt.Errorf("answered %d; it should have been %d", o.status, status)
	case o.price != price:
		o.err = fmt.Errorf("it cost %d; it should have been %d", o.price, price)
	}
	return o
}

// plain calls by HTTP.
type plain struct {
	target     load.Target
	connection *load.Connection
}

func newPlain(to target, m *load.M3O) caller {
	return &plain{target: load.NewTarget(m.Address, to.path, to.key, to.body)}
}

func (p *plain) call() outcome {
	if p.connection == nil {
		c, err := p.target.Dial()
		if err != nil {
			return outcome{err: err}
		}
		p.connection = c
	}
	a, err := p.connection.Exchange()
	if err != nil || a.Last {
		p.close()
	}
	return outcome{a.Status, a.Price, err}
}

func (p *plain) close() {
	if p.connection != nil {
		p.connection.Close()
		p.connection = nil
	}
}

// messages is how many calls a WebSocket makes before the next is opened, so that
// sockets come and go as well.
const messages = 100

// socket calls by messages of a WebSocket.
type socket struct {
	target
	address string
	conn    *websocket.Conn
	sent    int
}

func newSocket(to target, m *load.M3O) caller {
	return &socket{target: to, address: "ws" + strings.TrimPrefix(m.Address, "http")}
}

func (s *socket) call() outcome {
	ctx, cancel := context.WithTimeout(context.Background(), load.Patience)
	defer cancel()
	text, err := s.exchange(ctx)
	if err != nil {
		s.close()
		return outcome{err: err}
	}
	if s.sent++; s.sent == messages {
		s.close()
	}
	return read(text)
}

// exchange sends a message and returns the answer.
func (s *socket) exchange(ctx context.Context) (answer []byte, err error) {
	if s.conn == nil {
		header := http.Header{"Authorization": {"Bearer " + s.key}}
		if s.conn, _, err = websocket.Dial(ctx, s.address+s.path, &websocket.DialOptions{HTTPHeader: header}); err != nil {
			return nil, err
		}
	}
	if err := s.conn.Write(ctx, websocket.MessageText, []byte(s.body)); err != nil {
		return nil, err
	}
	_, answer, err = s.conn.Read(ctx)
	return answer, err
}

// read is the outcome that a message tells of: a greeting, which costs what it costs
// over HTTP though no header says so, or a problem.
func read(text []byte) outcome {
	var said struct {
		Message string `json:"message"`
		Status  int    `json:"status"`
	}
	err := json.Unmarshal(text, &said)
	if said.Message != "" {
		return outcome{http.StatusOK, load.Price, err}
	}
	return outcome{status: said.Status, err: err}
}

func (s *socket) close() {
	if s.conn != nil {
		_ = s.conn.Close(websocket.StatusNormalClosure, "")
		s.conn, s.sent = nil, 0
	}
}
