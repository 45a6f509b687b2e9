package upstream

import (
	"net/http"
	"slices"
	"strconv"

	"m3o/internal/fault"
)

// appendHead adds a request up to the end of its head. The body follows as framed says.
func (t *Target) appendHead(b []byte, r *http.Request, protocol string) ([]byte, error) {
	b = append(b, r.Method...)
	b = append(b, ' ')
	b = appendAddress(b, r)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, t.host...)
	b = append(b, "\r\n"...)
	err := t.eachField(r.Header, func(name string, values []string) {
		for _, value := range values {
			b = appendField(b, name, value)
		}
	})
	if err != nil {
		return nil, err
	}
	b = append(b, t.set...)
	b = appendFraming(b, r)
	if protocol != "" {
		b = append(b, "Connection: Upgrade\r\n"...)
		b = appendField(b, "Upgrade", protocol)
	}
	return append(b, "\r\n"...), nil
}

// appendAddress adds path and query. What could end the request's first line is written
// with a percent sign.
func appendAddress(b []byte, r *http.Request) []byte {
	path := r.URL.Path
	if r.URL.RawPath != "" || !isPlain(path) {
		path = r.URL.EscapedPath()
	}
	if path == "" || path[0] != '/' {
		b = append(b, '/')
	}
	b = appendEscaped(b, path)
	if r.URL.RawQuery != "" || r.URL.ForceQuery {
		b = append(b, '?')
		b = appendEscaped(b, r.URL.RawQuery)
	}
	return b
}

// isPlain says whether a path is its own escaped form.
func isPlain(path string) bool {
	for i := range len(path) {
		switch c := path[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '/', c == '-', c == '_', c == '.', c == '~':
		default:
			return false
		}
	}
	return true
}

func appendEscaped(b []byte, s string) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '#' {
			b = append(b, '%', digits[c>>4], digits[c&15])
		} else {
			b = append(b, c)
		}
	}
	return b
}

// eachField visits the headers that are passed on. What the house says is, whatever the
// caller's Connection names.
func (t *Target) eachField(h http.Header, visit func(name string, values []string)) error {
	hops := named(h["Connection"])
	for name, values := range h {
		name = http.CanonicalHeaderKey(name)
		if t.holdsBack(name) || len(hops) > 0 && slices.Contains(hops, name) && !isHouses(name) {
			continue
		}
		if !isToken(name) || slices.ContainsFunc(values, func(v string) bool { return !isText(v) }) {
			return fault.New(fault.Invalid, "The request has a header that is not well formed").WithID("v1")
		}
		visit(name, values)
	}
	return nil
}

// holdsBack says whether a header of a request is not passed on: those of one
// connection, and those that we write.
func (t *Target) holdsBack(name string) bool {
	if isHop(name) || isFraming(name) {
		return true
	}
	_, set := t.header[name]
	return set
}

func appendField(b []byte, name, value string) []byte {
	b = append(b, name...)
	b = append(b, ": "...)
	b = append(b, value...)
	return append(b, "\r\n"...)
}

// appendFraming says how long the body is: exactly one of Content-Length and chunked,
// and neither where a body is neither there nor usual.
func appendFraming(b []byte, r *http.Request) []byte {
	switch length := lengthOf(r); {
	case length > 0:
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, length, 10)
		b = append(b, "\r\n"...)
	case length < 0:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	case r.Method == http.MethodPost || r.Method == http.MethodPut || r.Method == http.MethodPatch:
		b = append(b, "Content-Length: 0\r\n"...)
	}
	if expects(r) {
		b = append(b, "Expect: 100-continue\r\n"...)
	}
	return b
}

// lengthOf is the length of a request's body in bytes; -1: it ends when it ends.
func lengthOf(r *http.Request) int64 {
	switch {
	case r.Body == nil || r.Body == http.NoBody:
		return 0
	case r.ContentLength < 0:
		return -1
	}
	return r.ContentLength
}

// expects says whether the caller sends its body only when the server wants it.
func expects(r *http.Request) bool {
	return len(r.Header["Expect"]) > 0 && lengthOf(r) != 0 && hasToken(r.Header["Expect"], "100-continue")
}

// isIdempotent says whether a request may be executed twice (RFC 9110 section 9.2.2).
func isIdempotent(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}
