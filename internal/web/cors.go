package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"m3o/internal/fault"
	"m3o/internal/problem"
)

// What a page of another origin may send and see.
const (
	corsMethods = "GET, POST, PUT, PATCH, DELETE"
	corsHeaders = "Authorization, Content-Type, Idempotency-Key, Micro-Namespace, Request-Timeout, Traceparent, Tracestate, Baggage"
	corsExposed = "M3O-Request-Id, M3O-Price, Idempotency-Replayed, Retry-After, RateLimit, RateLimit-Policy"
	corsMaxAge  = "600" // seconds
)

// cors lets pages of the origins call us, with credentials those that are listed by
// name, and refuses pages of others. Our own pages may always call. With no origins
// nothing is refused: browsers then keep what we answer from other pages.
func cors(origins []string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		if len(origins) == 0 {
			return next
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h, origin := w.Header(), r.Header.Get("Origin")
			h.Add("Vary", "Origin")
			named := allows(origins, origin)
			switch {
			case origin == "" || isOwn(origin, r):
				next.ServeHTTP(w, r)
				return
			case !named && !slices.Contains(origins, "*"):
				problem.Write(w, r, fault.New(fault.Forbidden, "pages of %s may not call this server: its operator lists who may", origin).WithID("edge"))
				return
			}
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Expose-Headers", corsExposed)
			if named {
				h.Set("Access-Control-Allow-Credentials", "true")
			}
			if r.Method != http.MethodOptions {
				next.ServeHTTP(w, r)
				return
			}
			h.Set("Access-Control-Allow-Methods", corsMethods)
			h.Set("Access-Control-Allow-Headers", corsHeaders)
			h.Set("Access-Control-Max-Age", corsMaxAge)
			w.WriteHeader(http.StatusNoContent)
		})
	}
}

// allows says whether an origin is listed by name.
func allows(origins []string, origin string) bool {
	return slices.ContainsFunc(origins, func(o string) bool { return strings.EqualFold(o, origin) })
}

// isOwn says whether an origin is this server as the page's browser reached it. The
// scheme is not compared: a proxy may have taken TLS off.
func isOwn(origin string, r *http.Request) bool {
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}
