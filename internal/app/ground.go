package app

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"m3o/internal/db"
)

// ground is a program that this process stands on. It may be started at the same moment as
// the process, and so is waited for; meanwhile /readyz says that it is missing, and the log
// why.
type ground struct {
	app       *App
	component string    // of /readyz
	name      string    // of the program, as operators know it
	said      time.Time // when the log was told last

	shown  sync.Once
	mu     sync.Mutex
	reason error                       // why it is not reached
	ready  func(context.Context) error // nil: it is not reached yet
}

// standOn is a program that is not reached yet.
func (a *App) standOn(component, name string) *ground {
	return &ground{app: a, component: component, name: name, reason: errors.New("it is not reached yet")}
}

// show has /readyz name the component.
func (g *ground) show() { g.shown.Do(func() { g.app.ready.Add(g.component, g.check) }) }

func (g *ground) check(ctx context.Context) error {
	g.mu.Lock()
	ready, reason := g.ready, g.reason
	g.mu.Unlock()
	if ready == nil {
		return reason
	}
	return ready(ctx)
}

// reached has /readyz ask it from now on.
func (g *ground) reached(ready func(context.Context) error) {
	g.mu.Lock()
	g.ready = ready
	g.mu.Unlock()
	g.show()
}

// away notes why it is not reached, and has the process say so while it tries again.
func (g *ground) away(err error) {
	g.mu.Lock()
	g.reason = err
	g.mu.Unlock()
	now, log := g.app.config.Now(), g.app.config.Log
	switch {
	case g.said.IsZero():
		g.show()
		g.app.answerMeanwhile()
		log.Info("waiting for a program that is not there yet", "program", g.name, "at_most", g.app.patience().String(), "error", err)
	case now.Sub(g.said) >= sayEvery:
		log.Warn("still waiting for a program that is not there yet", "program", g.name, "error", err)
	default:
		return
	}
	g.said = now
}

// gone is why the process gives up when ctx has ended: it is told to, or at the end of its patience.
func (g *ground) gone(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return fmt.Errorf("%s was not there for %s: %w", g.name, g.app.patience(), g.reason)
}

// awaitDB opens the database, and waits for a Postgres that is not there yet.
func (a *App) awaitDB(ctx context.Context) (err error) {
	g := a.standOn("database", "Postgres")
	ctx, cancel := context.WithTimeout(ctx, a.patience())
	defer cancel()
	again := time.NewTicker(askEvery)
	defer again.Stop()
	for {
		if a.db, err = openDB(ctx, a.config); err == nil {
			g.reached(a.db.Ping)
			return nil
		}
		if !db.IsAway(err) || !a.split && a.config.Patience == 0 { // alone nothing is started with it: whoever starts it wants to know
			return err
		}
		if ctx.Err() == nil { // else it says no more than that
			g.away(err)
		}
		select {
		case <-ctx.Done():
			return g.gone(ctx)
		case <-again.C:
		}
	}
}
