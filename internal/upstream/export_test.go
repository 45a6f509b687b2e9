package upstream

import (
	"bufio"
	"io"
	"math"
	"net/http"
	"strings"
)

// ReadAnswer reads an answer from text, with its body and trailers, and says what
// follows it.
func ReadAnswer(text, method string) (status int, header http.Header, body string, trailer http.Header, rest string, err error) {
	c := &conn{left: math.MaxInt64}
	c.in = bufio.NewReaderSize(strings.NewReader(text), readSize)
	c.text.R = c.in
	a, err := c.readReply(method, math.MaxInt64)
	if err != nil {
		return 0, nil, "", nil, "", err
	}
	if a.body != nil {
		all, err := io.ReadAll(a.body)
		if err != nil {
			return 0, nil, "", nil, "", err
		}
		body = string(all)
	}
	if b, ok := a.body.(*chunks); ok {
		trailer = b.found
	}
	follows, err := io.ReadAll(c.in)
	return a.status, a.header, body, trailer, string(follows), err
}
