// Package web owns the one HTTP port: the server, what happens to every request
// (layers: ids, log, headers, origins, limits, compression), the routes to the
// functions of our services, the operations endpoints and the pages.
//
// It knows contracts (rpc) and the bus, but no service: app tells it how a
// session is checked and what the catalogue holds. app imports it; a service
// that learns who is calling (the gateway) may call Caller.
package web

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"m3o/internal/auth"
	"m3o/internal/bus"
	"m3o/internal/rpc"
)

// Config is what the edge needs. Bus, Authenticate, Gateway, Catalogue, Ready,
// Metrics, Log and Now are required.
type Config struct {
	Bus       bus.Bus
	Functions []rpc.Function // of every contract; the internal ones too, which keep others from their paths
	Gateway   http.Handler   // serves /v1/…, except where a function is

	// Authenticate finds the account of an access token; fault.Unauthenticated
	// when there is none.
	Authenticate func(ctx context.Context, accessToken string) (auth.Account, error)

	// Catalogue is what is on sale now.
	Catalogue func(ctx context.Context) (Catalogue, error)

	Documents [][]byte // the contracts' OpenAPI documents
	Version   string   // of the program

	Ready   *Readiness
	Metrics *prometheus.Registry
	Log     *slog.Logger
	Now     func() time.Time // UTC

	LogEvery  uint64         // of the requests that succeed, one in so many is in the log; 0 is 1. Those that fail all are
	BodyLimit func() int64   // largest request body in bytes, asked for each request; nil means 10 MiB
	Proxies   []netip.Prefix // whose X-Forwarded-For and X-Forwarded-Proto are believed; none by default
	Origins   []string       // whose pages may call; "*" is any. None by default: nothing is allowed, and nothing refused
	Ports     Ports          // which bus ports are reached from outside; all by default, but for the control port

	Insertions []Insertion // layers of one's own; none by default

	// Mounts are handlers that are no functions of services, such as those of gRPC, by
	// the first segment of the paths that they serve: "/name/". They are asked before the
	// functions, in the spelling given, and see the request as it came.
	Mounts map[string]http.Handler
}

const defaultBodyLimit = 10 << 20

// Where each kind of route is counted.
const (
	classGateway  = "gateway"
	classFunction = "function"
	classPage     = "page"
	classMount    = "mount"
	classOps      = "ops"
	classNone     = "none"
)

// NewHandler makes the edge.
func NewHandler(c Config) (http.Handler, error) {
	if c.BodyLimit == nil {
		c.BodyLimit = func() int64 { return defaultBodyLimit }
	}
	pages, err := newPages(c)
	if err != nil {
		return nil, err
	}
	reference, err := newReference(c.Documents, c.Catalogue, c.Version)
	if err != nil {
		return nil, err
	}
	assets, err := newAssets()
	if err != nil {
		return nil, err
	}
	chain, err := insert(layers(c), c.Insertions)
	if err != nil {
		return nil, err
	}
	edge := newEdge(c)
	r := chi.NewRouter()
	r.Handle("/", edge.before(reading(as(classPage, "/", pages.handler(pages.landing)))))
	get(r, classOps, "/healthz", http.HandlerFunc(healthz))
	get(r, classOps, "/readyz", c.Ready)
	get(r, classOps, "/metrics", promhttp.HandlerFor(c.Metrics, promhttp.HandlerOpts{}))
	get(r, classPage, "/openapi.json", reference)
	get(r, classPage, "/docs", pages.handler(pages.docs))
	get(r, classPage, "/billing", pages.handler(pages.billing))
	get(r, classPage, "/problems", pages.handler(pages.problems))
	get(r, classPage, "/assets/{name}", assets)
	get(r, classPage, "/favicon.ico", assets.only("icon.svg"))
	r.NotFound(edge.before(http.HandlerFunc(pages.notFound)).ServeHTTP)
	r.MethodNotAllowed(onlyGet)
	metered := edge.before(as(classGateway, "/v1/{service}/{endpoint}", c.Gateway))
	return stacked(chain, fork("/v1/", metered, mounted(c.Mounts, r))), nil
}

// mounted serves what is mounted and leaves every other path to next.
func mounted(mounts map[string]http.Handler, next http.Handler) http.Handler {
	bySegment := make(map[string]http.Handler, len(mounts))
	for prefix, h := range mounts {
		bySegment[strings.Trim(prefix, "/")] = as(classMount, prefix, h)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		segment, _, below := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		if h, ok := bySegment[segment]; ok && below {
			h.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// fork serves paths below a prefix without asking the router, whose search and notes cost
// a metered call more than its admission.
func fork(prefix string, below, others http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, prefix) {
			below.ServeHTTP(w, r)
			return
		}
		others.ServeHTTP(w, r)
	})
}

// get routes GET and HEAD.
func get(r chi.Router, class, pattern string, h http.Handler) {
	r.Method(http.MethodGet, pattern, as(class, pattern, h))
	r.Method(http.MethodHead, pattern, as(class, pattern, h))
}
