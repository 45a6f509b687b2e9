package upstream

import (
	"net/http"
	"net/textproto"
	"slices"
	"strings"
)

// isHop says whether a header, in its canonical form, concerns one connection only
// (RFC 9110 section 7.6.1, and those that older standards name).
func isHop(name string) bool {
	switch name {
	case "Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Http2-Settings":
		return true
	}
	return false
}

// isFraming says whether a header of a request is written by us alone.
func isFraming(name string) bool {
	return name == "Host" || name == "Content-Length" || name == "Expect"
}

// isOurs says whether a header is the house's: M3O-…, in any spelling that some
// program takes for it.
func isOurs(name string) bool {
	return len(name) > 3 && strings.EqualFold(name[:3], "m3o") && (name[3] == '-' || name[3] == '_')
}

// isHouses says whether a header of a request is what the house says: who calls, and
// from where.
func isHouses(name string) bool {
	return isOurs(name) || name == "Traceparent" || strings.HasPrefix(name, "X-Forwarded-")
}

// named are the headers that Connection says concern one connection only, in their
// canonical form.
func named(connection []string) (names []string) {
	for _, list := range connection {
		for name := range strings.SplitSeq(list, ",") {
			switch name = textproto.TrimString(name); {
			case name == "", strings.EqualFold(name, "close"), strings.EqualFold(name, "keep-alive"):
			default:
				names = append(names, http.CanonicalHeaderKey(name))
			}
		}
	}
	return names
}

// hasToken says whether a list such as Connection holds a token.
func hasToken(lists []string, token string) bool {
	return slices.ContainsFunc(lists, func(list string) bool {
		for name := range strings.SplitSeq(list, ",") {
			if strings.EqualFold(textproto.TrimString(name), token) {
				return true
			}
		}
		return false
	})
}

// canonical is a copy of h with canonical names.
func canonical(h http.Header) http.Header {
	c := make(http.Header, len(h))
	for name, values := range h {
		name = http.CanonicalHeaderKey(name)
		c[name] = append(c[name], values...)
	}
	return c
}

// isToken says whether s is a token (RFC 9110 section 5.6.2), as methods and the names
// of headers are.
func isToken(s string) bool {
	for i := range len(s) {
		if !isTokenByte(s[i]) {
			return false
		}
	}
	return s != ""
}

func isTokenByte(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-':
		return true
	}
	return strings.IndexByte("!#$%&'*+.^_`|~", c) >= 0
}

// isText says whether s can be the value of a header: nothing in it ends a line.
func isText(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
