package web

import (
	"cmp"
	"net/http"
	"net/netip"
	"strings"

	"m3o/internal/auth"
)

// headers takes from requests what only the house may say to itself (M3O-…: how deep
// calls are nested, who is calling, by how much the clock is shifted) and, unless a
// proxy of ours has said it, where they come from. It takes M3O-… from answers too,
// but for what a caller is promised. Answers are not stored by caches unless they
// say so.
func headers(proxies []netip.Prefix) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			believed := fromProxy(r, proxies)
			for name := range r.Header {
				if isOurs(name) || !believed && tellsOrigin(name) {
					delete(r.Header, name)
				}
			}
			out := &outgoing{ResponseWriter: w, requestID: w.Header()[requestKey]}
			defer out.begin() // the handler may have written nothing, or panicked
			next.ServeHTTP(out, r)
		})
	}
}

// isOurs says whether a header is the house's own: M3O-…, in any spelling that some
// server takes for it.
func isOurs(name string) bool {
	return len(name) > 3 && strings.EqualFold(name[:3], "m3o") && (name[3] == '-' || name[3] == '_')
}

// tellsOrigin says whether a header is one in which proxies say where a request
// comes from.
func tellsOrigin(name string) bool {
	return strings.HasPrefix(name, "X-Forwarded-") || name == "Forwarded" || name == "X-Real-Ip"
}

// tellOrigin tells a service where a request comes from and under which path it is
// seen outside, as far as that is believed.
func tellOrigin(r *http.Request, outside string, proxies []netip.Prefix) {
	h := r.Header
	segment, _, _ := strings.Cut(strings.TrimPrefix(outside, "/"), "/")
	h.Set("X-Forwarded-For", auth.Client(r.Context()))
	h.Set("X-Forwarded-Host", cmp.Or(h.Get("X-Forwarded-Host"), r.Host))
	h.Set("X-Forwarded-Proto", scheme(r, proxies))
	if segment != "" {
		h.Set("X-Forwarded-Prefix", h.Get("X-Forwarded-Prefix")+"/"+segment)
	}
}

// scheme is that of the URL by which the visitor reached us.
func scheme(r *http.Request, proxies []netip.Prefix) string {
	if r.TLS != nil || fromProxy(r, proxies) && r.Header.Get("X-Forwarded-Proto") == "https" {
		return "https"
	}
	return "http"
}

// fromProxy says whether the peer is a proxy whose word counts.
func fromProxy(r *http.Request, proxies []netip.Prefix) bool {
	if len(proxies) == 0 {
		return false
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && trusted(peer.Addr().Unmap(), proxies)
}

// What an answer may carry of ours, as net/http writes it.
const (
	requestKey = "M3o-Request-Id"
	priceKey   = "M3o-Price"
)

// outgoing cleans the header of an answer before it goes out.
type outgoing struct {
	http.ResponseWriter
	requestID []string
	begun     bool
}

// begin cleans the header, once it is known that something goes out.
func (o *outgoing) begin() {
	if !o.begun {
		o.begun = true
		o.clean()
	}
}

func (o *outgoing) clean() {
	h := o.Header()
	for name := range h {
		if isOurs(name) && name != priceKey {
			delete(h, name)
		}
	}
	if o.requestID != nil {
		h[requestKey] = o.requestID
	}
	if _, said := h["Cache-Control"]; !said {
		h["Cache-Control"] = []string{"no-store"}
	}
}

// WriteHeader cleans what is about to go out, also before the final status.
func (o *outgoing) WriteHeader(status int) {
	o.begun = status >= 200
	o.clean()
	o.ResponseWriter.WriteHeader(status)
}

func (o *outgoing) Write(b []byte) (int, error) {
	o.begin()
	return o.ResponseWriter.Write(b)
}

// FlushError sends what was written so far; flushing begins the answer.
func (o *outgoing) FlushError() error {
	o.begin()
	return http.NewResponseController(o.ResponseWriter).Flush()
}

// Flush is FlushError for handlers that ask in the old way.
func (o *outgoing) Flush() { _ = o.FlushError() }

// Unwrap gives http.ResponseController the connection's own writer.
func (o *outgoing) Unwrap() http.ResponseWriter { return o.ResponseWriter }
