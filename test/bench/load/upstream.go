package load

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// greeting is the upstream's answer to everything.
const greeting = `{"message":"Hello John"}`

// serveUpstream answers every request with a greeting. It reads HTTP by itself and as
// little of it as it can, since it shares the core of the load: requests need a
// Content-Length or no body.
func serveUpstream(listener net.Listener) error {
	answer := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(greeting), greeting)
	for {
		c, err := listener.Accept()
		if err != nil {
			return err
		}
		go answerAll(c, answer)
	}
}

// answerAll answers the requests of a connection until it ends.
func answerAll(c net.Conn, answer []byte) {
	defer c.Close()
	r := bufio.NewReader(c)
	for {
		length, err := readHead(r)
		if errors.Is(err, errChunked) {
			_, _ = c.Write([]byte("HTTP/1.1 411 Length Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
		}
		if err != nil {
			return
		}
		if _, err := r.Discard(length); err != nil {
			return
		}
		if _, err := c.Write(answer); err != nil {
			return
		}
	}
}

// errChunked says that only the body itself tells where it ends.
var errChunked = errors.New("the body has no Content-Length")

// readHead reads lines up to the empty one and returns the Content-Length, 0 when none
// is said. It takes the first line of a message for a header that it does not know.
func readHead(r *bufio.Reader) (length int, err error) {
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		if len(line) <= 2 {
			return length, nil
		}
		if first := line[0] | 0x20; first != 'c' && first != 't' { // most are of no interest
			continue
		}
		name, value, _ := strings.Cut(string(line), ":")
		switch {
		case strings.EqualFold(name, "Content-Length"):
			if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				return 0, err
			}
		case strings.EqualFold(name, "Transfer-Encoding"):
			return 0, errChunked
		}
	}
}
