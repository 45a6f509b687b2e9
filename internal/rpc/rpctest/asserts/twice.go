package asserts

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"m3o/internal/bus"
)

// Twice is a bus over b that delivers each request with an idempotency key, which is each mutating call of a generated
// client, two times, as a broken connection may. The caller gets the second answer, which must say what the first said.
func Twice(t testing.TB, b bus.Bus) bus.Bus { return twice{b, t} }

type twice struct {
	bus.Bus
	t testing.TB
}

// Serve implements bus.Bus.
func (b twice) Serve(replica string, endpoints ...bus.Endpoint) (stop func()) {
	doubled := make([]bus.Endpoint, len(endpoints))
	for i, e := range endpoints {
		e.Handler = b.deliver(e)
		doubled[i] = e
	}
	return b.Bus.Serve(replica, doubled...)
}

func (b twice) deliver(e bus.Endpoint) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Idempotency-Key") == "" {
			e.Handler.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			b.t.Errorf("read the request: %v", err)
		}
		again := func() *httptest.ResponseRecorder {
			r := r.Clone(r.Context())
			r.Body = io.NopCloser(bytes.NewReader(body))
			recorder := httptest.NewRecorder()
			e.Handler.ServeHTTP(recorder, r)
			return recorder
		}
		first, second := again(), again()
		if first.Code < 400 && (second.Code != first.Code || second.Body.String() != first.Body.String()) {
			b.t.Errorf("%s%s delivered twice answers %d %s, then %d %s", e.Host, e.Path, first.Code, first.Body, second.Code, second.Body)
		}
		for name, values := range second.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(second.Code)
		_, _ = w.Write(second.Body.Bytes())
	})
}
