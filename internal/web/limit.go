package web

import (
	"io"
	"net/http"
	"slices"
	"strings"

	"m3o/internal/fault"
	"m3o/internal/problem"
)

// limitBody refuses bodies over limit bytes: at once when the request states its
// length, else while they are read. The reader's error is fault.TooLarge.
func limitBody(limit int64) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.ContentLength > limit {
				problem.Write(w, r, tooLarge(limit))
				return
			}
			if r.ContentLength < 0 { // net/http holds a body to its stated length
				r.Body = &limitedBody{ReadCloser: r.Body, limit: limit, left: limit}
			}
			next.ServeHTTP(w, r)
		})
	}
}

func tooLarge(limit int64) error {
	return fault.New(fault.TooLarge, "the body is larger than %d bytes", limit).WithID("edge")
}

type limitedBody struct {
	io.ReadCloser
	limit, left int64
}

// Read gives at most the limit; the byte after it is the fault.
func (b *limitedBody) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if int64(n) > b.left {
		n = int(b.left)
		b.left = 0
		return n, tooLarge(b.limit)
	}
	b.left -= int64(n)
	return n, err
}

// What a page of another origin may send and see.
const (
	corsMethods = "GET, POST, PUT, PATCH, DELETE"
	corsHeaders = "Authorization, Content-Type, Idempotency-Key, Micro-Namespace"
	corsExposed = "M3O-Request-Id, M3O-Price, Idempotency-Replayed, Retry-After, RateLimit, RateLimit-Policy"
	corsMaxAge  = "600" // seconds
)

// cors lets pages of the origins call us. Credentials are not allowed: the only
// ones there are travel in a header.
func cors(origins []string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		if len(origins) == 0 {
			return next
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h, origin := w.Header(), r.Header.Get("Origin")
			h.Add("Vary", "Origin")
			if origin == "" || !allows(origins, origin) {
				next.ServeHTTP(w, r)
				return
			}
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Expose-Headers", corsExposed)
			if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
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

func allows(origins []string, origin string) bool {
	return slices.Contains(origins, "*") || slices.ContainsFunc(origins, func(o string) bool { return strings.EqualFold(o, origin) })
}
