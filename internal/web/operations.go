package web

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"m3o/internal/problem"
)

// NewOperations makes the handler of a process that has nothing for the public, or not
// yet: /healthz, /readyz and /metrics. Everything else is answered with the fault.
func NewOperations(ready *Readiness, metrics *prometheus.Registry, otherwise error) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/healthz", reading(http.HandlerFunc(healthz)))
	mux.Handle("/readyz", reading(ready))
	mux.Handle("/metrics", reading(promhttp.HandlerFor(metrics, promhttp.HandlerOpts{})))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { problem.Write(w, r, otherwise) })
	return mux
}
