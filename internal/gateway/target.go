package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"m3o/internal/bus"
	"m3o/internal/fault"
	"m3o/internal/problem"
	"m3o/internal/publicapi/publicapiapi"
	"m3o/internal/upstream"
)

// target is where calls of an API go. It finds the endpoint by its path and
// leaves everything else to the handler.
type target interface {
	// serve forwards a call to a path, which is escaped. It answers with a problem when
	// it cannot.
	serve(w http.ResponseWriter, r *http.Request, path string)
}

// serviceTarget is a service on the bus. Calls reach it as POST with JSON.
type serviceTarget struct {
	bus  bus.Bus
	host string
}

func (t serviceTarget) serve(w http.ResponseWriter, r *http.Request, path string) {
	r.URL = &url.URL{Scheme: "https", Host: t.host}
	setPath(r.URL, path)
	r.Host, r.RequestURI, r.Method = t.host, "", http.MethodPost
	h := t.bus.Handler(t.host)
	if _, nobody := h.(bus.Unknown); nobody {
		missingTarget{}.serve(w, r, path)
		return
	}
	h.ServeHTTP(w, r)
}

// setPath makes an escaped path a URL's.
func setPath(u *url.URL, escaped string) {
	u.Path, u.RawPath = escaped, ""
	if plain, err := url.PathUnescape(escaped); err == nil && plain != escaped {
		u.Path, u.RawPath = plain, escaped
	}
}

// upstreamTarget is an HTTP server. Calls reach it with their own method and query.
type upstreamTarget struct {
	base   *url.URL
	prefix string // the base's path, escaped
	server *upstream.Target
}

func (t *upstreamTarget) serve(w http.ResponseWriter, r *http.Request, path string) {
	r.URL = &url.URL{Scheme: t.base.Scheme, Host: t.base.Host, RawQuery: r.URL.RawQuery}
	setPath(r.URL, t.prefix+"/"+strings.TrimPrefix(path, "/"))
	r.Host, r.RequestURI = t.base.Host, ""
	t.server.ServeHTTP(w, r)
}

// missingTarget is a service that nobody serves, or an address that this gateway cannot.
type missingTarget struct{}

func (missingTarget) serve(w http.ResponseWriter, r *http.Request, _ string) {
	problem.Write(w, r, fault.New(fault.BadGateway, "The API could not be reached").WithID("v1").After(time.Second))
}

// upstreams are the HTTP servers behind the catalogue. A server with the same address
// and credentials stays the same from one catalogue to the next, and with it its
// connections and what is known of its health.
type upstreams struct {
	log     *slog.Logger
	now     func() time.Time
	keyring *publicapiapi.Keyring // opens their credentials

	mu       sync.Mutex
	networks []netip.Prefix              // where servers may be, beside the public internet
	servers  map[string]*upstream.Target // by everything that they are made of
}

// parseNetworks reads networks, a JSON array.
func parseNetworks(text string) (networks []netip.Prefix, err error) {
	if err := json.Unmarshal([]byte(text), &networks); err != nil {
		return nil, fmt.Errorf("UpstreamNetworks is no list of networks such as [\"10.0.0.0/8\"]: %w", err)
	}
	for i, network := range networks {
		networks[i] = network.Masked()
	}
	return networks, nil
}

// allow takes networks, a JSON array, into force for the next catalogue.
func (u *upstreams) allow(networks string) error {
	allowed, err := parseNetworks(networks)
	if err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.networks = allowed
	return nil
}

// MayCall says whether APIs may be at an address: in the public internet, or in a
// network that the operator allows. It asks the configuration, also before Start.
func (s *Service) MayCall(a netip.Addr) bool {
	networks, err := parseNetworks(s.UpstreamNetworks())
	return err == nil && upstream.MayDial(a, networks)
}

// keep goes on with the servers of a catalogue and closes the others, each after its
// calls in flight. It is called with mu held.
func (u *upstreams) keep(next map[string]*upstream.Target) {
	for key, server := range u.servers {
		if next[key] == nil {
			server.Close()
		}
	}
	u.servers = next
}

// target is the HTTP server of an API, and puts it into next. It is called with mu held.
func (u *upstreams) target(route publicapiapi.Route, next map[string]*upstream.Target) (target, error) {
	base, err := url.Parse(route.Target)
	if err != nil {
		return nil, fmt.Errorf("read the address: %w", err)
	}
	credentials, err := u.keyring.Open(route.Name, route.Header)
	if err != nil {
		return nil, err
	}
	key := u.keyOf(base, credentials)
	server := next[key]
	if server == nil {
		server = u.servers[key]
	}
	if server == nil {
		if server, err = upstream.New(upstream.Config{Base: base, Header: headerOf(credentials), Allowed: u.networks, Answer: keepUnits, Log: u.log, Now: u.now}); err != nil {
			return nil, err
		}
	}
	next[key] = server
	return &upstreamTarget{base: base, prefix: strings.TrimRight(base.EscapedPath(), "/"), server: server}, nil
}

// keepUnits keeps what an answer says of its units, which no caller sees.
func keepUnits(w http.ResponseWriter, h http.Header) {
	if a, ok := w.(*answer); ok {
		a.said = h[unitsHeader]
	}
}

// keyOf is everything that a server is made of.
func (u *upstreams) keyOf(base *url.URL, header map[string]publicapiapi.Secret) string {
	key := []byte(base.Scheme + "://" + base.Host)
	for _, name := range slices.Sorted(maps.Keys(header)) {
		key = strconv.AppendQuote(key, name)
		key = strconv.AppendQuote(key, string(header[name]))
	}
	for _, network := range u.networks {
		key = network.AppendTo(append(key, ' '))
	}
	return string(key)
}

func headerOf(credentials map[string]publicapiapi.Secret) http.Header {
	header := http.Header{}
	for name, value := range credentials {
		header[name] = []string{string(value)}
	}
	return header
}

// close closes every server.
func (u *upstreams) close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.keep(nil)
}

// targetOf is the target of an API of the catalogue: service:<host>, or an
// http(s):// base URL, whose server it puts into next.
func (s *Service) targetOf(route publicapiapi.Route, next map[string]*upstream.Target) target {
	if host, ok := strings.CutPrefix(route.Target, "service:"); ok {
		return serviceTarget{bus: s.bus, host: host}
	}
	found, err := s.upstreams.target(route, next)
	if err != nil {
		s.log.Warn("an API of the catalogue cannot be called", "api", route.Name, "error", err)
		return missingTarget{}
	}
	return found
}

// OnChangedUpstreamNetworks takes other networks into force, for calls that begin.
func (s *Service) OnChangedUpstreamNetworks(ctx context.Context) (err error) {
	if err := s.upstreams.allow(s.UpstreamNetworks()); err != nil {
		return err
	}
	return s.readCatalogue(ctx)
}
