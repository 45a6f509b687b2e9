package web_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"

	"m3o/internal/bus"
	"m3o/internal/web"
)

// BenchmarkEdge measures what the edge adds to a metered call: the same answer
// from a bare chi handler, and through the edge with its access log, to a caller
// that takes gzip and one that does not.
func BenchmarkEdge(b *testing.B) {
	for name, size := range map[string]int{"short": 24, "8KB": 8 << 10} {
		body := bytes.Repeat([]byte(`{"message":"Hello John"}`), size/24)
		hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(body)
		})
		bare := chi.NewRouter()
		bare.Post("/v1/{service}/{endpoint}", hello)
		b.Run(name+"/bare", func(b *testing.B) { call(b, bare, "") })
		b.Run(name+"/edge", func(b *testing.B) { call(b, before(b, hello), "") })
		b.Run(name+"/zipped", func(b *testing.B) { call(b, before(b, hello), "gzip") })
	}
}

// before puts the edge before a gateway.
func before(b *testing.B, gateway http.Handler) http.Handler {
	log := slog.New(slog.NewTextHandler(struct{ io.Writer }{io.Discard}, nil))
	h, err := web.NewHandler(web.Config{
		Bus: bus.NewMemory(bus.MemoryConfig{}), Functions: functions(), Gateway: gateway, Authenticate: authenticate,
		Catalogue: func(context.Context) (web.Catalogue, error) { return catalogue(), nil },
		Ready:     web.NewReadiness(log), Metrics: prometheus.NewRegistry(), Log: log, Now: func() time.Time { return time.Now().UTC() },
	})
	if err != nil {
		b.Fatal(err)
	}
	return h
}

func call(b *testing.B, h http.Handler, accept string) {
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest("POST", "/v1/helloworld/call", nil)
		if accept != "" {
			r.Header.Set("Accept-Encoding", accept)
		}
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
}
