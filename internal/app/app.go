package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"m3o/internal/bus"
	"m3o/internal/bus/outbox"
	"m3o/internal/config"
	"m3o/internal/db"
	"m3o/internal/db/idempotency"
	"m3o/internal/db/lease"
	"m3o/internal/id"
	"m3o/internal/ticker"
	"m3o/internal/web"
	"m3o/migrations"
)

// Config says what to run. Data, Log and Now are required.
type Config struct {
	Listen     string   // such as ":8080"
	Data       string   // the data directory: the SQLite file and the gateway's journal; made when it is not there
	DB         string   // a postgres:// URL instead of the SQLite file
	ConfigFile string   // YAML; empty: none
	Environ    []string // as os.Environ gives it
	NoDemo     bool     // the first start makes no demo customer

	AdminEmail    string // of the admin that the first start makes; empty: admin@localhost
	AdminPassword string // set together with AdminEmail; empty: a random one, printed once

	Version string
	Out     io.Writer // what people read: the address and, once, passwords; nil: nowhere
	Log     *slog.Logger
	Now     func() time.Time // UTC
}

// drain is how long requests that run may take to finish when the process stops.
const drain = 30 * time.Second

// App is the running system.
type App struct {
	config   Config
	files    *config.File
	db       *db.DB
	outbox   *outbox.Outbox
	bus      bus.Bus
	metrics  *prometheus.Registry
	house    *house
	ready    *web.Readiness
	server   *web.Server
	started  stack
	welcomed welcome
}

// Run runs the system until the context ends, and stops it in order.
func Run(ctx context.Context, c Config) error {
	a, err := Start(ctx, c)
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		c.Log.Info("m3o is stopping")
	case err = <-a.server.Failed():
	}
	if err = errors.Join(err, a.Stop()); err == nil {
		c.Log.Info("m3o has stopped")
	}
	return err
}

// Start starts the system and returns when it takes requests. Its error is a
// sentence for an operator; nothing is left running then.
func Start(ctx context.Context, c Config) (*App, error) {
	if c.Out == nil {
		c.Out = io.Discard
	}
	a := &App{config: c, ready: web.NewReadiness(c.Log), metrics: prometheus.NewRegistry()}
	for _, step := range []func(context.Context) error{
		a.configure, a.openPort, a.openStore, a.buildHouse, a.join, a.relay, a.openGateway, a.declare, a.firstStart, a.tick, a.serve,
	} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, a.Stop())
		}
	}
	c.Log.Info("m3o is running", "address", a.Address(), "version", c.Version)
	a.welcomed.tell(c.Out, a.Address())
	return a, nil
}

// Stop stops what has been started, in reverse: no new requests, those that run
// finish, the journal drains, the store closes. It may be called twice.
func (a *App) Stop() error {
	a.ready.Stop()
	return a.started.unwind(a.config.Log)
}

// Address is where the system is, as a URL to give to people.
func (a *App) Address() string {
	host, port, _ := net.SplitHostPort(a.server.Addr().String())
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() || ip.IsLoopback() && strings.HasPrefix(a.config.Listen, "localhost") {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// configure reads the configuration.
func (a *App) configure(context.Context) (err error) {
	if (a.config.AdminEmail == "") != (a.config.AdminPassword == "") {
		return errors.New("M3O_ADMIN_EMAIL and M3O_ADMIN_PASSWORD belong together: set both or none")
	}
	a.files, err = config.Load(a.config.ConfigFile, a.config.Environ)
	return err
}

// openPort takes the port before anything else is touched, so that a second
// process notices at once.
func (a *App) openPort(ctx context.Context) (err error) {
	if a.server, err = web.Listen(ctx, a.config.Listen, a.config.Log); err != nil {
		return err
	}
	a.started.push("port", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, drain)
		defer cancel()
		return a.server.Stop(ctx)
	})
	return nil
}

// openStore locks the data directory, opens the database and brings it up to date.
func (a *App) openStore(ctx context.Context) error {
	unlock, err := lockData(a.config.Data)
	if err != nil {
		return err
	}
	a.started.push("data directory", func(context.Context) error { return unlock() })
	if a.db, err = openDB(ctx, a.config); err != nil {
		return err
	}
	a.started.push("database", func(context.Context) error { return a.db.Close() })
	a.ready.Add("database", a.db.Ping)
	return db.Migrate(ctx, a.db, migrations.FS)
}

// buildHouse makes every service; a value in the config file that none of them
// asked for is an error, since it is a misspelt one.
func (a *App) buildHouse(context.Context) (err error) {
	a.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	a.outbox = outbox.New(a.db, a.config.Now, a.config.Log)
	a.bus = bus.NewMemory(bus.MemoryConfig{DeadLetter: a.outbox.DeadLetter, Logger: a.config.Log})
	a.house, err = build(parts{
		db: a.db, bus: a.bus, outbox: a.outbox, config: a.files, metrics: a.metrics,
		log: a.config.Log, now: a.config.Now, data: a.config.Data,
	})
	if err != nil {
		return err
	}
	if a.house.edge, err = newEdgeSettings(a.files); err != nil {
		return err
	}
	if unused := a.files.Unused(); len(unused) > 0 {
		return fmt.Errorf("config file %s: nothing is called %s: is it misspelt? m3o services lists what there is", a.config.ConfigFile, strings.Join(unused, ", "))
	}
	return nil
}

// join puts every service on the bus.
func (a *App) join(context.Context) error {
	for _, m := range a.house.members {
		stop := m.service.Register(a.bus)
		a.started.push(m.Host+" on the bus", func(context.Context) error { stop(); return nil })
	}
	return nil
}

// relay begins to publish what the services' transactions have left in the outbox.
func (a *App) relay(context.Context) error {
	for _, m := range a.house.members {
		if !m.StatesFacts {
			continue
		}
		r := a.outbox.Relay(a.bus, m.Host)
		r.Start()
		a.started.push(m.Host+" relay", func(context.Context) error { r.Stop(); return nil })
	}
	return nil
}

// openGateway records what an earlier process has served and not recorded.
func (a *App) openGateway(ctx context.Context) error {
	a.started.push("gateway", a.house.gateway.Stop)
	return a.house.gateway.Start(ctx)
}

func (a *App) tick(ctx context.Context) error {
	holder, _ := os.Hostname()
	runner := ticker.NewRunner(lease.New(a.db, holder+"/"+id.New("proc"), a.config.Now), a.config.Log)
	all := []ticker.Ticker{{Name: "app.SweepAnswers", Interval: time.Hour, Replicas: ticker.One, Run: a.sweepAnswers}}
	for _, m := range a.house.members {
		all = append(all, m.service.Tickers()...)
	}
	runner.Start(context.WithoutCancel(ctx), all)
	a.started.push("tickers", func(context.Context) error { runner.Stop(); return nil })
	return nil
}

// sweepAnswers deletes the idempotent answers that nobody may ask for any more:
// they belong to no service.
func (a *App) sweepAnswers(ctx context.Context) error {
	_, err := idempotency.Sweep(ctx, a.db, a.config.Now())
	return err
}

// serve answers the requests that wait at the port.
func (a *App) serve(context.Context) error {
	handler, err := a.handler()
	if err != nil {
		return err
	}
	a.server.Start(handler)
	a.started.push("requests", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, drain)
		defer cancel()
		return a.server.Stop(ctx)
	})
	a.ready.Start()
	return nil
}

func (a *App) handler() (http.Handler, error) {
	return web.NewHandler(web.Config{
		Bus: a.bus, Functions: a.house.functions(), Gateway: a.house.gateway,
		Authenticate: authenticate(a.house.customers), Catalogue: catalogue(a.house.publicapi),
		Documents: a.house.documents(), Version: a.config.Version,
		Ready: a.ready, Metrics: a.metrics, Log: a.config.Log, Now: a.config.Now,
		BodyLimit: a.house.gateway.BodyLimit(), Proxies: a.house.edge.proxies, Origins: a.house.edge.origins,
	})
}
