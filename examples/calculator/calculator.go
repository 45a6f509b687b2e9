package calculator

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"m3o/examples/calculator/calculatorapi"
	"m3o/internal/config"
	"m3o/internal/fault"
)

// Deps is what the service needs.
type Deps struct {
	Config  config.Source
	Metrics prometheus.Registerer
}

// Service calculates. The embedded settings are generated: here, the metrics.
type Service struct{ settings }

// New makes the service.
func New(d Deps) (*Service, error) {
	s, err := newSettings(d.Config, d.Metrics)
	if err != nil {
		return nil, fmt.Errorf("calculator: %w", err)
	}
	return &Service{settings: s}, nil
}

// Add adds two numbers.
func (s *Service) Add(ctx context.Context, x float64, y float64) (sum float64, err error) {
	sum = x + y
	return sum, s.done("add", sum)
}

// Divide divides x by y.
func (s *Service) Divide(ctx context.Context, x float64, y float64) (quotient float64, err error) {
	if y == 0 {
		return 0, fault.BadField("y", "must not be 0")
	}
	quotient = x / y
	return quotient, s.done("divide", quotient)
}

// Distance measures the straight line between two points.
func (s *Service) Distance(ctx context.Context, p calculatorapi.Point, q calculatorapi.Point) (distance float64, err error) {
	distance = math.Hypot(q.X-p.X, q.Y-p.Y)
	return distance, s.done("distance", distance)
}

// Solve solves ax² + bx + c = 0. That there is no solution is an answer, not an error,
// and has a status of its own.
func (s *Service) Solve(ctx context.Context, a float64, b float64, c float64) (httpResponseBody []float64, httpStatusCode int, err error) {
	if a == 0 {
		return nil, 0, fault.BadField("a", "must not be 0")
	}
	solutions, status := []float64{}, http.StatusOK
	switch d := b*b - 4*a*c; {
	case d < 0:
		status = http.StatusUnprocessableEntity
	case d == 0:
		solutions = append(solutions, 0-b/(2*a)) // not -b: 0 is nicer than -0
	default:
		root := math.Sqrt(d)
		solutions = append(solutions, (-b-root)/(2*a), (-b+root)/(2*a))
		slices.Sort(solutions)
	}
	return solutions, status, s.done("solve", solutions...)
}

// done counts an operation and its results. JSON has no infinity, so that is refused
// here, in words.
func (s *Service) done(operator string, results ...float64) error {
	for _, value := range results {
		if math.IsInf(value, 0) || math.IsNaN(value) {
			return fault.New(fault.Invalid, "the result is too large")
		}
		if err := s.ObserveResultSize(math.Abs(value)); err != nil {
			return err
		}
	}
	return s.IncrementOperationsTotal(1, operator)
}
