package bus

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"m3o/internal/fault"
	"m3o/internal/problem"
)

// site is all that is served at one host. It is never changed: another takes its place.
type site struct {
	host     string
	roster   *roster
	servers  []*server           // the oldest first
	heeds    bool                // all are elsewhere
	exact    map[string][]*place // by canonical path, the best first
	patterns []*place            // with arguments in their paths, the best first
}

func (r *roster) newSite(host string, servers []*server) *site {
	s := &site{host: host, roster: r, servers: servers, exact: map[string][]*place{}, heeds: !slices.ContainsFunc(servers, (*server).isHere)}
	places := map[address]*place{}
	for _, one := range servers {
		at := addressOf(one.Endpoint)
		if places[at] == nil {
			places[at] = &place{address: at}
		}
		places[at].add(one)
	}
	for at, p := range places {
		if strings.Contains(at.path, "{") {
			s.patterns = append(s.patterns, p)
		} else {
			s.exact[at.path] = append(s.exact[at.path], p)
		}
	}
	slices.SortFunc(s.patterns, better)
	for _, same := range s.exact {
		slices.SortFunc(same, better)
	}
	return s
}

// all is a copy of the servers; there are none at no site.
func (s *site) all() []*server {
	if s == nil {
		return nil
	}
	return slices.Clone(s.servers)
}

// ServeHTTP lets the best place serve that has somebody left.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var err error
	known := false
	s.each(r, func(p *place) bool {
		if !known {
			known, err = true, errGone
		}
		err = worse(err, p.serve(w, r))
		return err != nil
	})
	switch {
	case !known && s.onlyHeard():
		Unknown(s.host).ServeHTTP(w, r)
	case !known:
		problem.Write(w, r, fault.New(fault.NotFound, "%s has no endpoint %s %s", s.host, r.Method, r.URL.Path).WithID(s.host))
	case errors.Is(err, errGone): // all of them are about to stop, or somebody kept the site
		s.next().ServeHTTP(w, r)
	case err != nil:
		problem.Write(w, r, err)
	}
}

// next is the site that has taken the place of s.
func (s *site) next() http.Handler {
	if now := s.roster.site(s.host); now != nil && now != s {
		return now
	}
	return Unknown(s.host)
}

// Heeds says whether a request is over when its context ends, whatever who serves does: that
// is so when all are in other processes. Callers need no goroutine for it then.
func (s *site) Heeds() bool { return s.heeds }

// eventPort is where the events of services are heard.
const eventPort = 417

// onlyHeard says whether everybody at the site listens to the host's events, so that
// nobody is there who serves the host.
func (s *site) onlyHeard() bool {
	return !slices.ContainsFunc(s.servers, func(one *server) bool { return one.Port != eventPort })
}

// each shows the places that answer to r, the best first, as long as next wants more.
func (s *site) each(r *http.Request, next func(*place) bool) {
	path, port := r.URL.EscapedPath(), portOf(r.URL)
	for _, p := range s.exact[canonical(path)] {
		if p.answers(r.Method, port) && !next(p) {
			return
		}
	}
	for _, p := range s.patterns {
		if p.answers(r.Method, port) && FitsPath(p.path, path) && !next(p) {
			return
		}
	}
}

// portOf is the port of a URL, or that of its scheme; -1 when it is none at all.
func portOf(u *url.URL) int {
	text := u.Port()
	switch {
	case text == "" && u.Scheme == "http":
		return 80
	case text == "":
		return 443
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return -1
	}
	return port
}

// better puts the path that says more before the one that says less, from the left;
// then the method that is given before Any, and the port before every port.
func better(a, b *place) int {
	return cmp.Or(
		slices.CompareFunc(strings.Split(a.path, "/"), strings.Split(b.path, "/"), moreLiteral),
		cmp.Compare(a.methodRank(), b.methodRank()),
		cmp.Compare(b.port, a.port), // 0 is the least
		strings.Compare(a.method, b.method),
	)
}

// moreLiteral puts a literal segment before an argument, and that before the rest.
func moreLiteral(a, b string) int {
	rank := func(segment string) int {
		switch _, greedy, isArg := argument(segment); {
		case greedy:
			return 2
		case isArg:
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(a, b))
}
