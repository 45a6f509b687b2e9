package load

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Hello is the body of a request for a greeting.
const Hello = `{"name":"John"}`

// Target is a server and the bytes of the request that it is sent. The client is
// lean on purpose: it must not be what is measured.
type Target struct {
	address string
	request []byte
}

// NewTarget makes a POST of a JSON body. The key is sent as a bearer token; without
// one nothing is.
func NewTarget(address, path, key, body string) Target {
	host := strings.TrimPrefix(address, "http://")
	request := "POST " + path + " HTTP/1.1\r\nHost: " + host + "\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n"
	if key != "" {
		request += "Authorization: Bearer " + key + "\r\n"
	}
	return Target{address: host, request: []byte(request + "\r\n" + body)}
}

// Connection is one keep-alive connection to a target.
type Connection struct {
	net.Conn
	reader  *bufio.Reader
	request []byte
}

// Dial opens a connection.
func (t Target) Dial() (*Connection, error) {
	c, err := net.Dial("tcp", t.address)
	if err != nil {
		return nil, err
	}
	return &Connection{Conn: c, reader: bufio.NewReader(c), request: t.request}, nil
}

// Call sends the request and reads the answer; anything but a 200 of a known length is
// an error.
func (c *Connection) Call() error {
	if _, err := c.Write(c.request); err != nil {
		return err
	}
	status, err := c.reader.ReadSlice('\n')
	if err != nil {
		return err
	}
	if len(status) < 12 || string(status[9:12]) != "200" {
		rest, _ := c.reader.Peek(c.reader.Buffered())
		return fmt.Errorf("answered %s%s", status, rest)
	}
	length, err := readHead(c.reader)
	if err != nil {
		return err
	}
	_, err = c.reader.Discard(length)
	return err
}

// Answer is what matters of an answer.
type Answer struct {
	Status int
	Price  int64 // micro-dollars, as M3O-Price says; 0 when it does not
	Last   bool  // the server closes the connection
}

// Patience is how long an answer may take in all.
const Patience = 30 * time.Second

// Exchange sends the request and reads the whole answer, whatever its status and
// however it is framed. With an error, an answer with a status is one that was cut off.
func (c *Connection) Exchange() (a Answer, err error) {
	if err := c.SetDeadline(time.Now().Add(Patience)); err != nil {
		return a, err
	}
	if _, err := c.Write(c.request); err != nil {
		return a, err
	}
	r, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return a, err
	}
	a = Answer{Status: r.StatusCode, Last: r.Close}
	if price := r.Header.Get("M3O-Price"); price != "" {
		a.Price, err = strconv.ParseInt(price, 10, 64)
	}
	_, cut := io.Copy(io.Discard, r.Body)
	return a, errors.Join(err, cut)
}
