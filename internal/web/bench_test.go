package web_test

import (
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
// from a bare chi handler, and through the edge with its access log.
func BenchmarkEdge(b *testing.B) {
	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"message":"Hello John"}`))
	})
	bare := chi.NewRouter()
	bare.Post("/v1/{service}/{endpoint}", hello)
	log := slog.New(slog.NewTextHandler(struct{ io.Writer }{io.Discard}, nil))
	edge, err := web.NewHandler(web.Config{
		Bus: bus.NewMemory(bus.MemoryConfig{}), Functions: functions(), Gateway: hello, Authenticate: authenticate,
		Catalogue: func(context.Context) (web.Catalogue, error) { return catalogue(), nil },
		Ready:     web.NewReadiness(log), Metrics: prometheus.NewRegistry(), Log: log, Now: func() time.Time { return time.Now().UTC() },
	})
	if err != nil {
		b.Fatal(err)
	}
	for name, h := range map[string]http.Handler{"bare": bare, "edge": edge} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest("POST", "/v1/helloworld/call", nil)
				h.ServeHTTP(httptest.NewRecorder(), r)
			}
		})
	}
}
