package web

import (
	"io"
	"net/http"

	"m3o/internal/fault"
	"m3o/internal/problem"
)

// limitBody refuses bodies over the limit in bytes: at once when the request states its
// length, else while they are read. The reader's error is fault.TooLarge.
func limitBody(most func() int64) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			limit := most()
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
