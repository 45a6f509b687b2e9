// Package web owns the one HTTP port: the server, what happens to every request
// (ids, log, limits, metrics), the routes to the functions of our services, the
// operations endpoints and the pages.
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
	Functions []rpc.Function // of every contract; those that are internal or not on port 443 are left out
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

	BodyLimit int64          // largest request body in bytes; 0 means 10 MiB
	Proxies   []netip.Prefix // whose X-Forwarded-For and X-Forwarded-Proto are believed; none by default
	Origins   []string       // that may call from a browser ("*" is any); none by default
}

const defaultBodyLimit = 10 << 20

// Where each kind of route is counted.
const (
	classGateway  = "gateway"
	classFunction = "function"
	classPage     = "page"
	classOps      = "ops"
	classNone     = "none"
)

// NewHandler makes the edge.
func NewHandler(c Config) (http.Handler, error) {
	if c.BodyLimit == 0 {
		c.BodyLimit = defaultBodyLimit
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
	edge := newEdge(c)
	r := chi.NewRouter()
	r.Use(newObserver(c).wrap, cors(c.Origins), limitBody(c.BodyLimit))

	r.Handle("/v1/*", edge.before(as(classGateway, "/v1/{service}/{endpoint}", c.Gateway)))
	get(r, classOps, "/healthz", http.HandlerFunc(healthz))
	get(r, classOps, "/readyz", c.Ready)
	get(r, classOps, "/metrics", promhttp.HandlerFor(c.Metrics, promhttp.HandlerOpts{}))
	get(r, classPage, "/openapi.json", reference)
	get(r, classPage, "/", pages.handler(pages.landing))
	get(r, classPage, "/docs", pages.handler(pages.docs))
	get(r, classPage, "/problems", pages.handler(pages.problems))
	get(r, classPage, "/assets/{name}", assets)
	r.NotFound(edge.before(http.HandlerFunc(pages.notFound)).ServeHTTP)
	r.MethodNotAllowed(onlyGet)
	return r, nil
}

// get routes GET and HEAD.
func get(r chi.Router, class, pattern string, h http.Handler) {
	r.Method(http.MethodGet, pattern, as(class, pattern, h))
	r.Method(http.MethodHead, pattern, as(class, pattern, h))
}
