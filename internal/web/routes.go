package web

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"m3o/internal/rpc"
)

// routes are the functions of every host, by the host's canonical name. They are found
// as the bus finds them, and those that are internal among them: a path that the bus
// would give to an internal function is not reached by way of a public one whose
// arguments fit it too.
type routes map[string]*site

// site is the functions of a host.
type site struct {
	exact    map[string][]*target // by canonical path, the one that the bus prefers first
	patterns []*target            // with arguments in their paths, in the same order
}

// target is a function that the edge knows.
type target struct {
	rpc.Function
	route string // as the contract writes it: /{host}{path}, the port where it is not the usual one
}

// match is a function that a request may be for.
type match struct {
	*target
	busPath string // the request's path on the function's host, escaped
	hidden  bool   // from outside there is nothing
}

func newRoutes(functions []rpc.Function) routes {
	all := routes{}
	for _, f := range functions {
		f.Path = cmp.Or(f.Path, "/")
		if f.Access == "" {
			f.Access = rpc.Internal
		}
		host := canonical(f.Host)
		if all[host] == nil {
			all[host] = &site{exact: map[string][]*target{}}
		}
		all[host].add(&target{Function: f, route: "/" + authority(f.Host, cmp.Or(f.Port, usualPort)) + f.Path})
	}
	for _, s := range all {
		slices.SortStableFunc(s.patterns, better)
		for _, same := range s.exact {
			slices.SortStableFunc(same, better)
		}
	}
	return all
}

func (s *site) add(t *target) {
	if strings.Contains(t.Path, "{") {
		s.patterns = append(s.patterns, t)
		return
	}
	key := canonical(unescape(t.Path))
	s.exact[key] = append(s.exact[key], t)
}

// better orders as the bus does: what a path says from the left, then the method that
// is given before Any, and the port before every port. Where the bus may take either,
// the one that fewer may call stands first.
func better(a, b *target) int {
	return cmp.Or(
		strings.Compare(shape(a.Path), shape(b.Path)),
		cmp.Compare(methodRank(a.Method), methodRank(b.Method)),
		cmp.Compare(b.Port, a.Port), // 0 is every port
		cmp.Compare(accessRank(a.Access), accessRank(b.Access)),
	)
}

// shape tells how much a path says: a digit a segment, the smaller the more.
func shape(path string) string {
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		switch {
		case strings.HasSuffix(segment, "+}"):
			segments[i] = "2"
		case strings.HasPrefix(segment, "{"):
			segments[i] = "1"
		default:
			segments[i] = "0"
		}
	}
	return strings.Join(segments, "")
}

func methodRank(method string) int {
	switch method {
	case http.MethodHead:
		return 0
	case rpc.Any:
		return 2
	}
	return 1
}

func accessRank(access rpc.Access) int {
	return slices.Index([]rpc.Access{rpc.Internal, rpc.Admin, rpc.Customer, rpc.Public}, access)
}

// find lists the functions that a path may mean at a bus port, whatever their methods,
// in the order in which the bus chooses. escaped is the same path as it came.
func (s *site) find(port int, path, escaped string) (found []match) {
	for _, t := range s.exact[canonical(path)] {
		if t.at(port) {
			found = append(found, match{t, t.Path, t.Access == rpc.Internal})
		}
	}
	for _, t := range s.patterns {
		if !t.at(port) {
			continue
		}
		if busPath, whole, ok := fill(t.Path, escaped); ok {
			found = append(found, match{t, busPath, !whole || t.Access == rpc.Internal})
		}
	}
	return found
}

// at says whether the function is reached at a bus port. Sinks listen at the events'
// port, so a function that is at every port is not at that one.
func (t *target) at(port int) bool {
	return t.Port == port || t.Port == 0 && port != eventPort
}

// fill compares an escaped path with one that has arguments, and writes it as the
// function's host knows it: fixed parts as in the contract, arguments as given. The
// bus takes an empty argument, which a path from outside cannot have: it is not whole.
func fill(pattern, escaped string) (busPath string, whole, ok bool) {
	want, got := strings.Split(pattern, "/"), strings.Split(escaped, "/")
	whole = true
	for i, segment := range want {
		isArg := strings.HasPrefix(segment, "{")
		switch {
		case i >= len(got):
			return "", false, false
		case isArg && strings.HasSuffix(segment, "+}"):
			want = append(want[:i:i], got[i:]...)
			return strings.Join(want, "/"), whole, true
		case isArg:
			want[i], whole = got[i], whole && got[i] != ""
		case canonical(unescape(segment)) != canonical(unescape(got[i])):
			return "", false, false
		}
	}
	return strings.Join(want, "/"), whole, len(want) == len(got)
}

// unescape undoes percent-encoding; what is not well encoded stays as it is.
func unescape(text string) string {
	if plain, err := url.PathUnescape(text); err == nil {
		return plain
	}
	return text
}

// canonical is a path without dashes and in lower case.
func canonical(path string) string {
	if !strings.ContainsFunc(path, func(c rune) bool { return c == '-' || c >= 'A' && c <= 'Z' }) {
		return path
	}
	return strings.ToLower(strings.ReplaceAll(path, "-", ""))
}

// rootHost is the host whose functions are found at / as well.
const rootHost = "root"

// splitPath takes a path apart: its host, the bus port that it asks for (0: what it
// says is none), and the path on that host.
func splitPath(path string) (host string, port int, rest string) {
	if path == "/" {
		return rootHost, usualPort, path
	}
	host = strings.TrimPrefix(path, "/")
	if i := strings.IndexByte(host, '/'); i >= 0 {
		host, rest = host[:i], host[i:]
	}
	host, text, named := strings.Cut(host, ":")
	if port = usualPort; named {
		port = portOf(text)
	}
	return host, port, cmp.Or(rest, "/")
}

// authority is a host with its port, where that is not the usual one.
func authority(host string, port int) string {
	if port == usualPort {
		return host
	}
	return host + ":" + strconv.Itoa(port)
}
