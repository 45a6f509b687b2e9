package web_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"m3o/internal/fault"
	"m3o/internal/web"
)

func TestAProcessWithoutAGatewayTellsHowItIsAndNothingElse(t *testing.T) {
	t.Parallel()
	ready := web.NewReadiness(slog.New(slog.DiscardHandler))
	ready.Add("bus", func(context.Context) error { return errors.New("it is away") })
	ready.Start()
	h := web.NewOperations(ready, prometheus.NewRegistry(), fault.New(fault.NotFound, "ask a gateway"))
	for _, c := range []struct {
		method, path string
		status       int
		says         string
	}{
		{"GET", "/healthz", 200, "ok"},
		{"HEAD", "/healthz", 200, ""},
		{"POST", "/healthz", 405, "GET, HEAD"},
		{"GET", "/readyz", 503, `"bus":"not ready"`},
		{"GET", "/metrics", 200, ""},
		{"POST", "/v1/helloworld/call", 404, "ask a gateway"},
		{"GET", "/", 404, "ask a gateway"},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), c.method, c.path, nil))
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%s %s: %d %s", c.method, c.path, w.Code, w.Body)
		}
	}
}
