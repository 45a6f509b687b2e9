package gateway

import (
	"net/url"
	"slices"
	"strings"
)

// node is a place in the paths of an API: the endpoints whose patterns end here, and
// the places one segment further.
type node struct {
	methods   map[string]*endpoint
	literals  map[string]*node // by the segment as it is written, escaped
	parameter *node            // any one segment that is not empty
}

// add puts an endpoint at the end of its pattern.
func (n *node) add(pattern string, e *endpoint) {
	for rest := pattern; rest != "" && pattern != "/"; {
		var segment string
		segment, rest = cutSegment(rest)
		n = n.next(segment)
	}
	if n.methods == nil {
		n.methods = map[string]*endpoint{}
	}
	n.methods[e.Method] = e
}

// cutSegment splits "/pets/1" into "pets" and "/1".
func cutSegment(path string) (segment, rest string) {
	path = strings.TrimPrefix(path, "/")
	if i := strings.IndexByte(path, '/'); i >= 0 {
		return path[:i], path[i:]
	}
	return path, ""
}

// next is the place after a segment of a pattern, made when it is not there.
func (n *node) next(segment string) *node {
	if isParameter(segment) {
		if n.parameter == nil {
			n.parameter = &node{}
		}
		return n.parameter
	}
	if n.literals == nil {
		n.literals = map[string]*node{}
	}
	if n.literals[segment] == nil {
		n.literals[segment] = &node{}
	}
	return n.literals[segment]
}

func isParameter(segment string) bool {
	return strings.HasPrefix(segment, "{") && strings.HasSuffix(segment, "}")
}

// search is a walk through the places.
type search struct {
	method string
	values []string // of the parameters on the way
	others []string // the methods of patterns that fit but for their method
}

func (s *search) allow(method string) {
	if !slices.Contains(s.others, method) {
		s.others = append(s.others, method)
	}
}

// allowed is the value of an Allow header (RFC 9110 section 10.2.1).
func (s *search) allowed() string {
	slices.Sort(s.others)
	return strings.Join(s.others, ", ")
}

// find is the endpoint at the end of a path, of which a literal wins over a
// parameter. One that fits but for its method is passed over.
func (n *node) find(s *search, path string) *endpoint {
	if path == "" {
		if e := n.methods[s.method]; e != nil {
			return e
		}
		for method := range n.methods {
			s.allow(method)
		}
		return nil
	}
	segment, rest := cutSegment(path)
	if next := n.literals[segment]; next != nil {
		if e := next.find(s, rest); e != nil {
			return e
		}
	}
	if n.parameter == nil || segment == "" || isDots(segment) {
		return nil
	}
	s.values = append(s.values, segment)
	e := n.parameter.find(s, rest)
	if e == nil {
		s.values = s.values[:len(s.values)-1]
	}
	return e
}

// below is what follows /v1/{service} in an escaped path.
func below(path string) string {
	rest := strings.TrimPrefix(path, "/v1/")
	if i := strings.IndexByte(rest, '/'); i >= 0 && rest[i:] != "/" {
		return rest[i:]
	}
	return ""
}

// isDots says whether a segment, once it is unescaped, is one that servers take for
// another place.
func isDots(segment string) bool {
	if len(segment) > len("%2e%2e") {
		return false
	}
	plain, err := url.PathUnescape(segment)
	return err != nil || plain == "." || plain == ".."
}

// path is an address with places for parameters.
type path struct {
	parts  []string // what stands before, between and after the parameters
	values []int    // which of the pattern's parameters come in between
	names  []string // of the pattern's parameters
}

// newPath finds the parameters of a pattern in an address.
func newPath(address, pattern string) path {
	var p path
	for segment := range strings.SplitSeq(pattern, "/") {
		if isParameter(segment) {
			p.names = append(p.names, segment[1:len(segment)-1])
		}
	}
	for {
		at, n := p.first(address)
		if n < 0 {
			p.parts = append(p.parts, address)
			return p
		}
		p.parts, p.values = append(p.parts, address[:at]), append(p.values, n)
		address = address[at+len(p.names[n])+len("{}"):]
	}
}

// first is where the first parameter stands in an address and which it is; -1: none.
func (p *path) first(address string) (at, n int) {
	at, n = len(address), -1
	for i, name := range p.names {
		if found := strings.Index(address, "{"+name+"}"); found >= 0 && found < at {
			at, n = found, i
		}
	}
	return at, n
}

// fill is the address with the values of the parameters, escaped as they came.
func (p *path) fill(values []string) string {
	if len(p.values) == 0 || len(values) < len(p.names) {
		return p.parts[0]
	}
	size := 0
	for i, part := range p.parts {
		if size += len(part); i < len(p.values) {
			size += len(values[p.values[i]])
		}
	}
	text := make([]byte, 0, size)
	for i, part := range p.parts {
		if text = append(text, part...); i < len(p.values) {
			text = append(text, values[p.values[i]]...)
		}
	}
	return string(text)
}
