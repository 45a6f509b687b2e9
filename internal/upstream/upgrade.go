package upstream

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"m3o/internal/fault"
)

// upgradeOf is the protocol that a caller wants to change to, empty when there is none
// or nothing is upgraded. HTTP/2 is not among them: its requests would be seen by nobody.
func (t *Target) upgradeOf(r *http.Request) string {
	if !t.upgrade || r.ProtoMajor != 1 || len(r.Header["Upgrade"]) != 1 || !hasToken(r.Header["Connection"], "upgrade") || lengthOf(r) != 0 {
		return ""
	}
	protocol := strings.ToLower(r.Header["Upgrade"][0])
	if !isToken(strings.ReplaceAll(protocol, "/", "")) || strings.HasPrefix(protocol, "h2") || strings.HasPrefix(protocol, "http") {
		return ""
	}
	return r.Header["Upgrade"][0]
}

// checkUpgrade refuses a change to another protocol than the caller's.
func (x *exchange) checkUpgrade(a *reply) error {
	to := a.header["Upgrade"]
	if x.protocol == "" || len(to) != 1 || !strings.EqualFold(to[0], x.protocol) {
		return fmt.Errorf("%w: it changes the protocol where nobody asked for that", errMalformed)
	}
	return nil
}

// join makes one connection of the caller's and the server's. It returns when either
// side has closed its own, or the call's context is over.
func (x *exchange) join(c *conn, a *reply) error {
	caller, in, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		return fault.Wrap(fault.BadGateway, err, "The API could not be reached").WithID("v1")
	}
	defer func() { _ = caller.Close() }()
	if writeSwitch(in.Writer, x.w.Header(), a) == nil {
		relay(caller, in.Reader, c)
	}
	return nil
}

// relay carries bytes both ways.
func relay(caller net.Conn, in io.Reader, c *conn) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(c.Conn, in)
		c.abort()
	}()
	_, _ = io.Copy(caller, c.in)
	_ = caller.Close()
	<-ended
}

// writeSwitch writes the head of a 101, with the headers that the house has set.
func writeSwitch(w *bufio.Writer, h http.Header, a *reply) error {
	addHeader(h, a.header)
	h["Connection"], h["Upgrade"] = []string{"Upgrade"}, a.header["Upgrade"]
	_, first := w.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	fields := h.Write(w)
	_, last := w.WriteString("\r\n")
	return errors.Join(first, fields, last, w.Flush())
}
