package upstream

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httputil"
	"net/textproto"
	"strconv"
	"strings"
)

// errMalformed is an answer that is no HTTP/1.1, or not surely.
var errMalformed = errors.New("the answer is malformed")

// reply is an answer whose body is still to be read.
type reply struct {
	status  int
	header  http.Header
	length  int64     // of the body in bytes; -1: it ends when it ends
	body    io.Reader // nil: there is none
	trailer []string  // names of those that are announced
	last    bool      // nothing follows on this connection
	c       *conn     // that it comes from; nil: another one than ours
}

// readReply reads the head of an answer of at most limit bytes.
func (c *conn) readReply(method string, limit int64) (reply, error) {
	c.left = limit
	minor, status, err := c.readStatus()
	if err != nil {
		return reply{}, err
	}
	header, err := c.readHeader()
	if err != nil {
		return reply{}, fmt.Errorf("read the headers: %w", err)
	}
	a := reply{status: status, header: header, last: minor == 0, c: c}
	if err := a.frame(method, minor); err != nil {
		return reply{}, err
	}
	c.left = math.MaxInt64
	a.body = c.bodyOf(&a, limit)
	return a, nil
}

// pending says whether more of the answer is here already.
func (a *reply) pending() bool { return a.c != nil && a.c.in.Buffered() > 0 }

// readHeader reads headers or trailers. Its error quotes nothing: a server may send back
// what it was sent, credentials too.
func (c *conn) readHeader() (http.Header, error) {
	header, err := c.text.ReadMIMEHeader()
	var quoting textproto.ProtocolError
	switch {
	case errors.As(err, &quoting):
		err = errMalformed
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	return http.Header(header), err
}

// readStatus reads "HTTP/1.1 200 OK". The words after the number say nothing.
func (c *conn) readStatus() (minor, status int, err error) {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return 0, 0, err
	}
	line = bytes.TrimSuffix(line[:len(line)-1], []byte("\r"))
	const start = "HTTP/1.x 200"
	if len(line) < len(start) || string(line[:7]) != "HTTP/1." || line[8] != ' ' || len(line) > len(start) && line[len(start)] != ' ' {
		return 0, 0, fmt.Errorf("%w: its first line is no status line", errMalformed)
	}
	for _, place := range [...]int{7, 9, 10, 11} {
		if line[place] < '0' || line[place] > '9' {
			return 0, 0, fmt.Errorf("%w: its first line is no status line", errMalformed)
		}
	}
	status = int(line[9]-'0')*100 + int(line[10]-'0')*10 + int(line[11]-'0')
	if status < 100 {
		return 0, 0, fmt.Errorf("%w: there is no status %d", errMalformed, status)
	}
	return int(line[7] - '0'), status, nil
}

// frame finds out how long the body is (RFC 9112 section 6.3). What it says twice, or
// says in a way that somebody else might read otherwise, is refused.
func (a *reply) frame(method string, minor int) error {
	for name := range a.header {
		if strings.IndexByte(name, ' ') >= 0 {
			return fmt.Errorf("%w: there is a space in a header's name", errMalformed)
		}
	}
	a.last = a.last || hasToken(a.header["Connection"], "close")
	coding, chunked := a.header["Transfer-Encoding"]
	if chunked && (minor == 0 || len(coding) != 1 || !strings.EqualFold(coding[0], "chunked")) {
		return fmt.Errorf("%w: its transfer coding is not chunked alone", errMalformed)
	}
	length, err := contentLength(a.header)
	if err != nil {
		return err
	}
	if a.status < 200 || a.status == http.StatusNoContent {
		delete(a.header, "Content-Length")
	}
	switch {
	case method == http.MethodHead || a.status < 200 || a.status == http.StatusNoContent || a.status == http.StatusNotModified:
		a.length = 0
	case chunked:
		a.last = a.last || length >= 0
		delete(a.header, "Content-Length")
		a.length = -1
		a.trailer = announced(a.header["Trailer"])
	default:
		a.length = length
	}
	a.last = a.last || a.length < 0 && !chunked
	return nil
}

// contentLength is what Content-Length says; -1: nothing.
func contentLength(h http.Header) (int64, error) {
	values := h["Content-Length"]
	if len(values) == 0 {
		return -1, nil
	}
	for _, v := range values[1:] {
		if textproto.TrimString(v) != textproto.TrimString(values[0]) {
			return 0, fmt.Errorf("%w: it has two lengths", errMalformed)
		}
	}
	n, err := strconv.ParseUint(textproto.TrimString(values[0]), 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%w: its length is no number", errMalformed)
	}
	h["Content-Length"] = values[:1]
	return int64(n), nil
}

// announced are the names of the trailers that are to come.
func announced(lists []string) (names []string) {
	for _, list := range lists {
		for name := range strings.SplitSeq(list, ",") {
			if name = http.CanonicalHeaderKey(textproto.TrimString(name)); mayTrail(name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// mayTrail says whether a caller may see a trailer (RFC 9110 section 6.5.1).
func mayTrail(name string) bool {
	return isToken(name) && !isHop(name) && !isFraming(name) && !isOurs(name)
}

// bodyOf is the body of an answer.
func (c *conn) bodyOf(a *reply, limit int64) io.Reader {
	_, chunked := a.header["Transfer-Encoding"]
	switch {
	case a.length == 0:
		return nil
	case a.length > 0:
		c.sized = sized{c: c, left: a.length}
		return &c.sized
	case chunked:
		return &chunks{Reader: httputil.NewChunkedReader(c.in), c: c, limit: limit}
	}
	return c.in
}

// sized is a body of a known length. Its end comes with its last bytes.
type sized struct {
	c    *conn
	left int64
}

func (s *sized) Read(p []byte) (int, error) {
	if s.left <= 0 {
		return 0, io.EOF
	}
	n, err := s.c.in.Read(p[:min(int64(len(p)), s.left)])
	switch s.left -= int64(n); {
	case s.left == 0:
		err = io.EOF
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// chunks is a body in chunks, with the trailers after it.
type chunks struct {
	io.Reader
	c     *conn
	limit int64
	found http.Header
}

func (b *chunks) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		if terr := b.readTrailers(); terr != nil {
			err = terr
		}
	}
	return n, err
}

func (b *chunks) readTrailers() error {
	if end, err := b.c.in.Peek(2); err == nil && string(end) == "\r\n" {
		_, err = b.c.in.Discard(2)
		return err
	}
	b.c.left = b.limit
	found, err := b.c.readHeader()
	if err != nil {
		return fmt.Errorf("read the trailers: %w", err)
	}
	b.found = found
	return nil
}

func (b *chunks) trailers() http.Header { return b.found }
