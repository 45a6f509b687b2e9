package calculator_test

import (
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"m3o/examples/calculator"
	"m3o/examples/calculator/calculatorapi"
	"m3o/internal/bus"
	"m3o/internal/fault"
)

// newService is a calculator whose metrics nobody reads.
func newService(t *testing.T, b bus.Bus) *calculator.Service { return measured(t, nil) }

func measured(t *testing.T, metrics prometheus.Registerer) *calculator.Service {
	t.Helper()
	s, err := calculator.New(calculator.Deps{Metrics: metrics})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// eachWay and the methods of harness are generated: it calls the service itself, and over a bus.
func TestAdd(t *testing.T) {
	t.Parallel()
	eachWay(t, newService, func(t *testing.T, h *harness) {
		h.Add(t.Context(), 1.5, 2).Expect(calculatorapi.AddOut{Sum: 3.5})
		h.Add(t.Context(), math.MaxFloat64, math.MaxFloat64).ErrorCode(fault.Invalid).Error("too large")
	})
}

func TestDivide(t *testing.T) {
	t.Parallel()
	eachWay(t, newService, func(t *testing.T, h *harness) {
		h.Divide(t.Context(), 7, 2).Expect(calculatorapi.DivideOut{Quotient: 3.5})
		_, err := h.Divide(t.Context(), 1, 0).Get()
		refused(t, err, "y")
	})
}

// refused fails unless an error names the argument that is wrong.
func refused(t *testing.T, err error, name string) {
	t.Helper()
	if f := fault.From(err); f.Code != fault.Invalid || len(f.Fields) != 1 || f.Fields[0].Name != name {
		t.Errorf("%s is not refused: %v", name, err)
	}
}

func TestDistance(t *testing.T) {
	t.Parallel()
	eachWay(t, newService, func(t *testing.T, h *harness) {
		p, q := calculatorapi.Point{X: 1, Y: 1}, calculatorapi.Point{X: 4, Y: 5}
		h.Distance(t.Context(), p, q).Expect(calculatorapi.DistanceOut{Distance: 5})
		h.Distance(t.Context(), p, p).Expect(calculatorapi.DistanceOut{})
	})
}

func TestSolve(t *testing.T) {
	t.Parallel()
	eachWay(t, newService, func(t *testing.T, h *harness) {
		solved := func(status int, solutions ...float64) calculatorapi.SolveOut {
			return calculatorapi.SolveOut{HTTPResponseBody: solutions, HTTPStatusCode: status}
		}
		h.Solve(t.Context(), 1, -3, 2).Expect(solved(http.StatusOK, 1, 2))
		h.Solve(t.Context(), -1, 3, -2).Expect(solved(http.StatusOK, 1, 2))
		h.Solve(t.Context(), 1, 2, 1).Expect(solved(http.StatusOK, -1))
		h.Solve(t.Context(), 1, 0, 1).Expect(solved(http.StatusUnprocessableEntity))
		h.Solve(t.Context(), 1, math.MaxFloat64, math.MaxFloat64).ErrorCode(fault.Invalid).Error("too large")
		_, err := h.Solve(t.Context(), 0, 1, 1).Get()
		refused(t, err, "a")
	})
}

// TestOnTheWire shows the requests and answers that the clients hide.
func TestOnTheWire(t *testing.T) {
	t.Parallel()
	h := startHarness(t, newService)
	for _, c := range []struct {
		method, target, body string
		status               int
		want                 string
	}{
		{"GET", "/add?x=1&y=2", "", 200, `{"sum":3}`},
		{"POST", "/add", `{"x": 1, "y": 2}`, 200, `{"sum":3}`},
		{"GET", "/distance?p.x=0&p.y=0&q.x=3&q.y=4", "", 200, `{"distance":5}`},
		{"GET", "/distance?q[x]=3&q[y]=4", "", 200, `{"distance":5}`},
		{"GET", "/solve?a=1&b=-3&c=2", "", 200, `[1,2]`},
		{"GET", "/solve?a=-1&b=0&c=0", "", 200, `[0]`},
		{"GET", "/solve?a=1&b=0&c=1", "", 422, `[]`},
		{"GET", "/divide?x=1&y=0", "", 400, `"errors":[{"name":"y","detail":"must not be 0"}]`},
		{"POST", "/solve", `{"a": 1}`, 404, ""},
	} {
		r := httptest.NewRequestWithContext(t.Context(), c.method, "https://calculator"+c.target, strings.NewReader(c.body))
		w := httptest.NewRecorder()
		h.bus.Handler(calculatorapi.Host).ServeHTTP(w, r)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s %s: %d %s, want %d %s", c.method, c.target, w.Code, w.Body, c.status, c.want)
		}
	}
}

func TestOperationsAreCounted(t *testing.T) {
	t.Parallel()
	metrics := prometheus.NewRegistry()
	s := measured(t, metrics)
	for range 3 {
		if _, err := s.Add(t.Context(), -20, 0); err != nil {
			t.Fatal(err)
		}
	}
	_, _ = s.Divide(t.Context(), 1, 0) // not carried out
	w := httptest.NewRecorder()
	promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	for _, want := range []string{`operator="add",service="calculator"`, `le="10"} 0`, `le="100"} 3`, `calculator_result_size_sum`} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("the metrics lack %s:\n%s", want, w.Body)
		}
	}
	if strings.Contains(w.Body.String(), "divide") {
		t.Errorf("a refused operation was counted:\n%s", w.Body)
	}
}
