package web

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"m3o/internal/auth"
	"m3o/internal/bus"
	"m3o/internal/fault"
	"m3o/internal/problem"
	"m3o/internal/rpc"
)

// edge serves the functions of our services at /{host}{path}, where dashes and
// case of the fixed parts do not matter.
type edge struct {
	bus          bus.Bus
	authenticate func(context.Context, string) (auth.Account, error)
	exact        map[string][]target // by canonical path
	patterns     []target            // with arguments in their paths
}

// target is a function that the edge serves.
type target struct {
	rpc.Function
	route   string // /{host}{path} as the contract writes it
	busPath string // where it is on its host
}

func newEdge(c Config) *edge {
	e := &edge{bus: c.Bus, authenticate: c.Authenticate, exact: map[string][]target{}}
	for _, f := range c.Functions {
		if f.Access == rpc.Internal || f.Access == "" || f.Port != 443 {
			continue
		}
		t := target{Function: f, route: "/" + f.Host + f.Path, busPath: f.Path}
		if strings.Contains(t.route, "{") {
			e.patterns = append(e.patterns, t)
			continue
		}
		key := canonical(t.route)
		e.exact[key] = append(e.exact[key], t)
	}
	return e
}

// before serves the functions and leaves every other path to next.
func (e *edge) before(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		targets := e.find(r.URL.Path)
		if len(targets) == 0 {
			next.ServeHTTP(w, r)
			return
		}
		mark(r.Context(), classFunction, targets[0].route)
		for i := range targets {
			if targets[i].Accepts(r.Method) && r.Method != http.MethodOptions {
				e.serve(w, r, &targets[i])
				return
			}
		}
		refuseMethod(w, r, methods(targets))
	})
}

// serve checks who is calling and forwards the request to the function's host.
func (e *edge) serve(w http.ResponseWriter, r *http.Request, t *target) {
	mark(r.Context(), classFunction, t.route)
	ctx, err := e.admit(r, t)
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	forwarded := r.WithContext(ctx)
	forwarded.URL = &url.URL{Scheme: "https", Host: t.Host, Path: t.busPath, RawQuery: r.URL.RawQuery}
	e.bus.Handler(t.Host).ServeHTTP(w, forwarded)
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

// find returns the functions at a path: one for each method in the usual case.
func (e *edge) find(path string) []target {
	if exact := e.exact[canonical(path)]; exact != nil {
		return exact
	}
	var found []target
	for _, t := range e.patterns {
		if busPath, ok := match(t.route, path); ok {
			t.busPath = busPath
			found = append(found, t)
		}
	}
	return found
}

// match compares a path with a route that has arguments, and writes the path as
// the function's host knows it: fixed parts as in the contract, arguments as given.
func match(route, path string) (busPath string, ok bool) {
	want, got := strings.Split(route, "/"), strings.Split(path, "/")
	for i, segment := range want {
		isArg := strings.HasPrefix(segment, "{")
		switch {
		case i >= len(got):
			return "", false
		case isArg && strings.HasSuffix(segment, "+}"):
			want = append(want[:i:i], got[i:]...)
			return "/" + strings.Join(want[2:], "/"), true
		case isArg && got[i] != "":
			want[i] = got[i]
		case isArg || canonical(segment) != canonical(got[i]):
			return "", false
		}
	}
	return "/" + strings.Join(want[2:], "/"), len(want) == len(got)
}

// canonical is a path without dashes and in lower case.
func canonical(path string) string {
	if !strings.ContainsFunc(path, func(c rune) bool { return c == '-' || c >= 'A' && c <= 'Z' }) {
		return path
	}
	return strings.ToLower(strings.ReplaceAll(path, "-", ""))
}

// methods lists what the functions at one path accept, as Allow wants it.
func methods(targets []target) string {
	var all []string
	for _, t := range targets {
		switch t.Method {
		case rpc.Any:
			all = append(all, "GET", "HEAD", "POST")
		case http.MethodGet:
			all = append(all, "GET", "HEAD")
		default:
			all = append(all, t.Method)
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
