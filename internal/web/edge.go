package web

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"m3o/internal/auth"
	"m3o/internal/bus"
	"m3o/internal/fault"
	"m3o/internal/problem"
	"m3o/internal/rpc"
)

// edge serves the functions of our services at /{host}{path} and, where their bus port
// is another than 443, at /{host}:{port}{path}; dashes and case of the fixed parts do
// not matter.
type edge struct {
	bus          bus.Bus
	authenticate func(context.Context, string) (auth.Account, error)
	routes       routes
	ports        Ports
	proxies      []netip.Prefix
}

func newEdge(c Config) *edge {
	return &edge{bus: c.Bus, authenticate: c.Authenticate, routes: newRoutes(c.Functions), ports: c.Ports, proxies: c.Proxies}
}

// before serves the functions and leaves every other path to next.
func (e *edge) before(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		found, port := e.find(r)
		if m := choose(found, r.Method); m != nil && !m.hidden {
			e.serve(w, r, m, port)
		} else if allowed := methods(found); m == nil && allowed != "" {
			mark(r.Context(), classFunction, found[0].route)
			refuseMethod(w, r, allowed)
		} else {
			next.ServeHTTP(w, r)
		}
	})
}

// find lists what the request may be for, and the bus port at which it is served.
func (e *edge) find(r *http.Request) ([]match, int) {
	host, asked, path := splitPath(r.URL.Path)
	s := e.routes[canonical(host)]
	if s == nil {
		return nil, 0
	}
	port := e.ports.serves(r, asked)
	if port == 0 {
		return nil, 0
	}
	escaped := path
	if r.URL.RawPath != "" {
		_, _, escaped = splitPath(r.URL.RawPath)
	}
	return s.find(port, path, escaped), port
}

// choose is what the bus would choose for a method. OPTIONS is the edge's to answer.
func choose(found []match, method string) *match {
	for i := range found {
		if found[i].Accepts(method) && method != http.MethodOptions {
			return &found[i]
		}
	}
	return nil
}

// serve checks who is calling and forwards the request to the function's host.
func (e *edge) serve(w http.ResponseWriter, r *http.Request, m *match, port int) {
	mark(r.Context(), classFunction, m.route)
	ctx, err := e.admit(r, m.target)
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	forwarded := r.WithContext(ctx)
	forwarded.URL = &url.URL{Scheme: "https", Host: authority(m.Host, port), Path: unescape(m.busPath), RawPath: m.busPath, RawQuery: r.URL.RawQuery}
	tellOrigin(forwarded, r.URL.Path, e.proxies)
	e.bus.Handler(m.Host).ServeHTTP(w, forwarded)
}

// admit puts the caller into the context, and holds the access that the contract
// declares. A public function takes a session and does not ask for one.
func (e *edge) admit(r *http.Request, t *target) (context.Context, error) {
	account, err := e.account(r)
	switch {
	case err != nil && t.Access == rpc.Public:
		return r.Context(), nil
	case fault.Is(err, fault.Unauthenticated):
		return nil, fault.New(fault.Unauthenticated, "Unauthorized: log in, then send the access token as Authorization: Bearer").WithID(t.name())
	case err != nil:
		return nil, err
	}
	Caller(r.Context(), account.ID)
	if t.Access == rpc.Admin && !account.IsAdmin() {
		return nil, fault.New(fault.Forbidden, "only an admin may do this").WithID(t.name())
	}
	return auth.With(r.Context(), account), nil
}

func (t *target) name() string { return t.Host + "." + t.Name }

// account is who the request's access token belongs to.
func (e *edge) account(r *http.Request) (auth.Account, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if token = strings.TrimSpace(token); token == "" || !strings.EqualFold(scheme, "Bearer") {
		return auth.Account{}, fault.New(fault.Unauthenticated, "Unauthorized")
	}
	return e.authenticate(r.Context(), token)
}

// methods lists what may be called from outside, as Allow wants it; empty: nothing.
func methods(found []match) string {
	var all []string
	for _, m := range found {
		accepted := []string{m.Method}
		switch {
		case m.hidden:
			continue
		case m.Method == rpc.Any:
			accepted = []string{"GET", "HEAD", "POST"}
		case m.Method == http.MethodGet:
			accepted = []string{"GET", "HEAD"}
		}
		for _, method := range accepted {
			if !slices.Contains(all, method) {
				all = append(all, method)
			}
		}
	}
	return strings.Join(all, ", ")
}

// refuseMethod answers 405, and OPTIONS with what is allowed.
func refuseMethod(w http.ResponseWriter, r *http.Request, allowed string) {
	w.Header().Set("Allow", allowed)
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	problem.Write(w, r, fault.New(fault.BadMethod, "%s is not allowed here: use %s", r.Method, allowed).WithID("edge"))
}

// onlyGet refuses other methods at the pages.
func onlyGet(w http.ResponseWriter, r *http.Request) { refuseMethod(w, r, "GET, HEAD") }

// reading leaves GET and HEAD to h.
func reading(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			onlyGet(w, r)
			return
		}
		h.ServeHTTP(w, r)
	})
}
