package app

import (
	"context"
	"fmt"
	"slices"
	"time"

	"m3o/internal/bus"
	"m3o/internal/bus/outbox"
	"m3o/internal/config"
	"m3o/internal/configurator/configuratorapi"
	"m3o/internal/db/lease"
	"m3o/internal/gateway"
	"m3o/internal/hosting"
	"m3o/internal/id"
	"m3o/internal/publicapi/publicapiapi"
	"m3o/internal/ticker"
)

// host brings the services to life: first the configurator, which tells the others
// their values, then all that wait for requests, then, when the services of other
// processes are there, what publishes facts, and the gateway last, which calls the
// others as soon as it starts. It stops them in reverse.
func (a *App) host(ctx context.Context) error {
	services := a.services()
	a.started.push("services", services.Stop)
	stop := configuratorapi.NewHook(a.bus, id.New("rep"), "").OnConfigChanged(func(ctx context.Context, host string) error {
		a.reconfigure(ctx, services, host)
		return nil // the change stands
	})
	a.started.push("changes of the configuration", func(context.Context) error { stop(); return nil })
	if err := a.alone(ctx); err != nil {
		return err
	}
	a.watchNeeds()
	if err := services.Start(ctx, a.groups()...); err != nil || !a.split {
		return err
	}
	return services.Go(ctx, func(ctx context.Context) error { return a.afterOutages(ctx, services) })
}

// reconfigure has the services of this process read their values anew, and the file
// before that when everybody is told to. The configurator has read its own.
func (a *App) reconfigure(ctx context.Context, services *hosting.App, host string) {
	if host == "" && !a.runs(configuratorapi.Host) {
		if err := a.files.Reload(); err != nil {
			a.config.Log.ErrorContext(ctx, "the config file cannot be read anew: everything in it is as before", "error", err)
		}
	}
	if err := services.Refresh(ctx, host); err != nil {
		a.config.Log.ErrorContext(ctx, "a changed value was not taken by everybody", "host", host, "error", err)
	}
}

// afterOutages reads the configuration anew each time the bus is back: what was changed
// meanwhile was told to the others only.
func (a *App) afterOutages(ctx context.Context, services *hosting.App) error {
	look := time.NewTicker(time.Second)
	defer look.Stop()
	for away := false; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
		}
		switch ready := a.transport().Ready() == nil; {
		case !ready:
			away = true
		case away:
			away = false
			a.reconfigure(ctx, services, everyService)
		}
	}
}

// services is where they will live.
func (a *App) services() *hosting.App {
	c := hosting.Config{Bus: a.bus, Source: a.house.source, Log: a.config.Log, Limit: drain}
	if a.db != nil {
		c.Lease = lease.New(a.db, a.config.Name+"/"+id.New("proc"), a.config.Now)
	}
	return hosting.New(c)
}

// groups are the services in the order of their start.
func (a *App) groups() [][]hosting.Service {
	var first, middle, relays, last []hosting.Service
	for _, m := range a.house.members {
		switch {
		case !m.here:
			continue
		case m.Host == configuratorapi.Host:
			first = append(first, m.service)
		case m.Host == gateway.Host:
			last = append(last, door{a.house.gateway})
		default:
			middle = append(middle, m.service)
		}
		if len(m.States) > 0 {
			relays = append(relays, relayed{relay: a.outbox.Relay(a.bus, m.Host), host: m.Host})
		}
	}
	if a.db != nil {
		last = append(last, sweeper{app: a})
	}
	if a.runs(publicapiapi.Host) && !a.runs(gateway.Host) {
		middle = append(middle, follower{configured: a.house.gateway})
	}
	groups := [][]hosting.Service{first, middle, relays, last}
	needs := a.choice.needs(a.plan)
	if a.split {
		groups = slices.Insert(groups, 2, []hosting.Service{audience{app: a}, waiting{app: a, services: needs}})
	}
	if slices.Contains(needs, configuratorapi.Host) {
		groups = slices.Insert(groups, 1, []hosting.Service{waiting{app: a, services: []string{configuratorapi.Host}}})
	}
	return groups
}

// nothing is what a part of the process that is no service has to offer on the bus.
type nothing struct{}

// Register serves nothing.
func (nothing) Register(bus.Bus) (stop func()) { return func() {} }

// Tickers are none.
func (nothing) Tickers() []ticker.Ticker { return nil }

// waiting is a place in the order of the start that is passed when services of other
// processes are there.
type waiting struct {
	nothing
	app      *App
	services []string
}

// Host names it in the log.
func (waiting) Host() string { return "app" }

// Patience is how long OnStartup may take.
func (w waiting) Patience() time.Duration { return w.app.patience() + drain }

// OnStartup waits.
func (w waiting) OnStartup(ctx context.Context) error {
	return w.app.await(ctx, w.services, w.app.patience())
}

// audience is who is to have the facts of this process: groups that are there before the
// first fact is published, even if their services are started later.
type audience struct {
	nothing
	app *App
}

// Host names it in the log.
func (audience) Host() string { return "app" }

// OnStartup makes the groups that are not there.
func (s audience) OnStartup(ctx context.Context) error {
	for _, g := range s.app.choice.audience(s.app.plan) {
		if err := s.app.transport().Declare(ctx, g.Topic, g.Group); err != nil {
			return fmt.Errorf("make the group %s of the topic %s: %w", g.Group, g.Topic, err)
		}
	}
	return nil
}

// follower keeps the configuration of a service that runs elsewhere in force, for
// those here who ask it what is set.
type follower struct {
	nothing
	configured interface {
		Host() string
		Configured() (*config.Set, config.Callbacks)
	}
}

// Host names it in the log.
func (f follower) Host() string { return f.configured.Host() }

// Configured is the service's configuration; nobody here is told of changes.
func (f follower) Configured() (*config.Set, config.Callbacks) {
	set, _ := f.configured.Configured()
	return set, nil
}

// relayed publishes what the transactions of a service have left in the outbox.
type relayed struct {
	nothing
	relay *outbox.Relay
	host  string
}

// Host names it in the log.
func (r relayed) Host() string { return r.host + " relay" }

// OnStartup begins to publish.
func (r relayed) OnStartup(context.Context) error {
	r.relay.Start()
	return nil
}

// OnShutdown ends it, after what is being published.
func (r relayed) OnShutdown(context.Context) error {
	r.relay.Stop()
	return nil
}

// door is the gateway: it starts by recording what an earlier process has served and
// not recorded, and stops by recording what waits.
type door struct{ *gateway.Service }

// OnStartup opens the journal.
func (d door) OnStartup(ctx context.Context) error { return d.Start(ctx) }

// OnShutdown empties the journal.
func (d door) OnShutdown(ctx context.Context) error { return d.Stop(ctx) }

// sweeper keeps house in what belongs to no service.
type sweeper struct {
	nothing
	app *App
}

// Host names it in the log.
func (sweeper) Host() string { return "app" }

// Tickers deletes old idempotent answers, every hour.
func (s sweeper) Tickers() []ticker.Ticker {
	return []ticker.Ticker{{Name: "app.SweepAnswers", Interval: time.Hour, Replicas: ticker.One, Run: s.app.sweepAnswers}}
}
