package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// How others are waited for.
const (
	patienceDefault = time.Minute             // at the start
	askEvery        = 100 * time.Millisecond  // whether they are there
	sayEvery        = 5 * time.Second         // who is missing
	askLimit        = time.Second             // for one answer
	readyWait       = 1500 * time.Millisecond // for a service that is being started anew, so that it does not take others out of service
)

func (a *App) patience() time.Duration { return cmp.Or(a.config.Patience, patienceDefault) }

// alone refuses to start with an SQLite file beside another process that serves the same
// services: each would have a database of its own.
func (a *App) alone(ctx context.Context) error {
	if !a.split || a.config.DB != "" || a.db == nil {
		return nil
	}
	ours := a.choice.names(slices.DeleteFunc(slices.Clone(a.plan), func(w Wiring) bool { return w.Stateless }))
	ctx, cancel := context.WithTimeout(ctx, a.patience())
	defer cancel()
	ask := time.NewTicker(askEvery)
	defer ask.Stop()
	for {
		taken := slices.DeleteFunc(slices.Clone(ours), func(host string) bool { return errors.Is(a.served(ctx, host), errNobody) })
		if len(taken) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("another process on this bus serves %s: two need one database, so give --db postgres://… to both, or stop the other", strings.Join(taken, ", "))
		case <-ask.C: // it may be the one before this, which is about to be missed
		}
	}
}

// pingPort is where every service says that it is there.
const pingPort = 888

var errNobody = errors.New("nobody serves it")

// served says why a service does not answer, nil when it does: errNobody when it is not
// there.
func (a *App) served(ctx context.Context, host string) error {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodHead, fmt.Sprintf("https://%s:%d/ping", host, pingPort), nil)
	if err != nil {
		return err
	}
	w := &status{header: http.Header{}}
	a.bus.Handler(host).ServeHTTP(w, r)
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s does not answer: %w", host, err)
	}
	if w.code != http.StatusOK { // also when others are there, such as sinks of its events
		return fmt.Errorf("ask for %s: %w", host, errNobody)
	}
	return nil
}

// status keeps of an answer only its status.
type status struct {
	header http.Header
	code   int
}

// Header is written and not read.
func (w *status) Header() http.Header { return w.header }

// WriteHeader keeps the first.
func (w *status) WriteHeader(code int) {
	if w.code == 0 {
		w.code = code
	}
}

func (w *status) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return len(p), nil
}

// missing are those of the services that nobody serves now.
func (a *App) missing(ctx context.Context, services []string) []string {
	return slices.DeleteFunc(slices.Clone(services), func(host string) bool { return a.served(ctx, host) == nil })
}

// await waits until all services are served, as long as the limit allows, and says in
// the log for whom it waits.
func (a *App) await(ctx context.Context, services []string, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	ask, say := time.NewTicker(askEvery), time.NewTicker(sayEvery)
	defer ask.Stop()
	defer say.Stop()
	missing := a.missing(ctx, services)
	if len(missing) > 0 {
		a.config.Log.InfoContext(ctx, "waiting for services of other processes", "services", missing)
	}
	for len(missing) > 0 {
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return ctx.Err()
			}
			return fmt.Errorf("nobody has served %s for %s: start a process with --services %s on this bus", strings.Join(missing, ", "), limit, strings.Join(missing, ","))
		case <-say.C:
			a.config.Log.WarnContext(ctx, "still waiting for services of other processes", "services", missing)
		case <-ask.C:
			missing = a.missing(ctx, missing)
		}
	}
	return nil
}

// watchNeeds has /readyz name the services that this process calls and nobody serves.
func (a *App) watchNeeds() {
	for _, host := range a.choice.needs(a.plan) {
		a.ready.Add(host, func(ctx context.Context) error { return a.returns(ctx, host) })
	}
}

// returns waits a moment for a service that may be being started anew.
func (a *App) returns(ctx context.Context, host string) error {
	ctx, cancel := context.WithTimeout(ctx, readyWait)
	defer cancel()
	ask := time.NewTicker(askEvery)
	defer ask.Stop()
	for {
		err := a.served(ctx, host)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-ask.C:
		}
	}
}
