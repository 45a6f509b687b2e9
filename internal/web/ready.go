package web

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
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
	mu      sync.Mutex
	checks  []check
	serving atomic.Bool
}

type check struct {
	name  string
	ready func(context.Context) error
}

// NewReadiness makes a Readiness without components that is not ready yet.
func NewReadiness(log *slog.Logger) *Readiness { return &Readiness{log: log} }

// Add adds a component. The error is logged and not shown.
func (d *Readiness) Add(name string, ready func(context.Context) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.checks = append(d.checks, check{name, ready})
}

// Start says that the server takes requests.
func (d *Readiness) Start() { d.serving.Store(true) }

// Stop says that the server is going away, so that no new requests are sent here.
func (d *Readiness) Stop() { d.serving.Store(false) }

// Ready says whether the server takes requests and all components are ready.
func (d *Readiness) Ready(ctx context.Context) bool {
	_, ready := d.states(ctx)
	return ready
}

func (d *Readiness) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	components, ready := d.states(r.Context())
	status := http.StatusOK
	if !ready {
		status = http.StatusServiceUnavailable
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"ready": ready, "components": components})
}

// states are the components and how they are, and whether all are ready.
func (d *Readiness) states(ctx context.Context) (components map[string]string, ready bool) {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	components, ready = map[string]string{"server": "ready"}, true
	if !d.serving.Load() {
		components["server"], ready = "not ready", false
	}
	d.mu.Lock()
	checks := slices.Clone(d.checks)
	d.mu.Unlock()
	for i, err := range ask(ctx, checks) {
		components[checks[i].name] = "ready"
		if err != nil {
			components[checks[i].name], ready = "not ready", false
			d.log.LogAttrs(ctx, slog.LevelWarn, "not ready", slog.String("component", checks[i].name), slog.Any("error", err))
		}
	}
	return components, ready
}

var errPanic = errors.New("the check panicked")

// ask runs the checks side by side; the errors are in their order.
func ask(ctx context.Context, checks []check) []error {
	errs := make([]error, len(checks))
	var all sync.WaitGroup
	for i, c := range checks {
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
