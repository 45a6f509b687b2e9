package web

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// readyWithin is how long the components may take together to say how they are.
const readyWithin = 2 * time.Second

// Readiness answers /readyz: each component by name, 200 when all are ready, 503
// when one is not, before Start and after Stop.
type Readiness struct {
	log     *slog.Logger
	checks  []check
	serving atomic.Bool
}

type check struct {
	name  string
	ready func(context.Context) error
}

// NewReadiness makes a Readiness without components that is not ready yet.
func NewReadiness(log *slog.Logger) *Readiness { return &Readiness{log: log} }

// Add adds a component, before the server starts. The error is logged and not shown.
func (d *Readiness) Add(name string, ready func(context.Context) error) {
	d.checks = append(d.checks, check{name, ready})
}

// Start says that the server takes requests.
func (d *Readiness) Start() { d.serving.Store(true) }

// Stop says that the server is going away, so that no new requests are sent here.
func (d *Readiness) Stop() { d.serving.Store(false) }

func (d *Readiness) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readyWithin)
	defer cancel()
	components := map[string]string{"server": "ready"}
	if !d.serving.Load() {
		components["server"] = "not ready"
	}
	for i, err := range d.ask(ctx) {
		components[d.checks[i].name] = "ready"
		if err != nil {
			components[d.checks[i].name] = "not ready"
			d.log.LogAttrs(r.Context(), slog.LevelWarn, "not ready", slog.String("component", d.checks[i].name), slog.Any("error", err))
		}
	}
	status := http.StatusOK
	for _, state := range components {
		if state != "ready" {
			status = http.StatusServiceUnavailable
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"ready": status == http.StatusOK, "components": components})
}

var errPanic = errors.New("the check panicked")

// ask runs the checks side by side; the errors are in their order.
func (d *Readiness) ask(ctx context.Context) []error {
	errs := make([]error, len(d.checks))
	var all sync.WaitGroup
	for i, c := range d.checks {
		all.Go(func() {
			errs[i] = errPanic
			defer func() { _ = recover() }()
			errs[i] = c.ready(ctx)
		})
	}
	all.Wait()
	return errs
}

// healthz says that the process lives.
func healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte("ok\n"))
}
