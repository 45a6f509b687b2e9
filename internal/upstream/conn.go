package upstream

import (
	"bufio"
	"errors"
	"math"
	"net"
	"net/textproto"
	"os"
	"syscall"
	"time"
)

// readSize is the buffer in which an answer's head is read; a line of it is no longer.
const readSize = 4 << 10

// errLongHead refuses an answer whose head, or trailers, are over the limit.
var errLongHead = errors.New("the head of the answer is too long")

// conn is a connection for HTTP/1.1. One call uses it at a time.
type conn struct {
	net.Conn          // to read and write: TLS where the base says so
	raw      net.Conn // what Conn runs over
	system   syscall.RawConn
	quiet    func(fd uintptr) bool // of isAlive, made once

	in    *bufio.Reader    // nil while it is idle
	text  textproto.Reader // over in
	sized sized            // the body that is read, if its length is known
	abort func()           // closes the connection under a read or write, made once

	left  int64 // bytes that may yet be read
	got   int64 // bytes of the answer that were read
	alive bool  // what quiet found
	used  bool  // by an earlier call
	since time.Time
}

func newConn(raw, secure net.Conn) *conn {
	c := &conn{Conn: secure, raw: raw, left: math.MaxInt64}
	c.abort = func() { _ = raw.Close() }
	if s, ok := raw.(syscall.Conn); ok {
		if system, err := s.SyscallConn(); err == nil {
			c.system, c.quiet = system, c.look
		}
	}
	return c
}

// attach gives a connection the buffer that it is read through.
func (c *conn) attach(in *bufio.Reader) {
	in.Reset(limited{c})
	c.in, c.text.R = in, in
}

// detach takes the buffer, in which nothing is left that anybody wants.
func (c *conn) detach() *bufio.Reader {
	in := c.in
	in.Reset(nil)
	c.in, c.text.R = nil, nil
	return in
}

// limited is what the buffer of a connection reads from.
type limited struct{ c *conn }

func (l limited) Read(p []byte) (int, error) {
	c := l.c
	if c.left <= 0 {
		return 0, errLongHead
	}
	n, err := c.Conn.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	c.got += int64(n)
	return n, err
}

// isAlive says whether an idle connection can be used: the server has neither closed it
// nor said anything, which could only be the answer to nobody's request.
func (c *conn) isAlive() bool {
	if c.Conn != c.raw && !c.isSilent() {
		return false
	}
	if c.system == nil {
		return true
	}
	c.alive = false
	return c.system.Read(c.quiet) == nil && c.alive
}

// isSilent says whether nothing of the server's is waiting within TLS, which may have
// read more than it was asked for. A deadline in the past keeps it from reading on.
func (c *conn) isSilent() bool {
	if c.raw.SetReadDeadline(time.Unix(1, 0)) != nil {
		return false
	}
	var one [1]byte
	n, err := c.Conn.Read(one[:])
	return n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && c.raw.SetReadDeadline(time.Time{}) == nil
}
