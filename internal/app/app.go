package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"m3o/internal/bus"
	"m3o/internal/bus/outbox"
	"m3o/internal/config"
	"m3o/internal/db"
	"m3o/internal/db/idempotency"
	"m3o/internal/fault"
	"m3o/internal/gateway"
	"m3o/internal/limit"
	"m3o/internal/shop/grpc"
	"m3o/internal/web"
	"m3o/migrations"
)

// Config says what to run. Data, Log and Now are required.
type Config struct {
	Listen     string   // such as ":8080"
	Data       string   // the data directory: the SQLite file and the gateway's journal; made when it is not there
	DB         string   // a postgres:// URL instead of the SQLite file
	Services   []string // hosts of the services to run, also several with commas between; none: all
	Bus        string   // nats:// or tls:// URLs with commas between, for services in several processes; empty or memory: one process
	NATS       NATS     // for such a bus
	Redis      string   // a redis:// URL under which several gateways share their rate limits; empty: each has its own
	Name       string   // of this process in the log, in metrics and on the bus; empty: the machine's name and the port
	ConfigFile string   // YAML; empty: none
	Environ    []string // as os.Environ gives it
	NoDemo     bool     // the first start makes no demo customer

	AdminEmail    string // of the admin that the first start makes; empty: admin@localhost
	AdminPassword string // set together with AdminEmail; empty: a random one, printed once

	JournalSync string // when served calls are on the disk: none (the default), interval or always

	// Secret seals the credentials of upstream APIs: 64 hexadecimal digits, the same in every process. Empty: the file
	// secret in the data directory, where there is one process.
	Secret string

	// Patience is how long the start waits for Postgres, for NATS and for services of other processes, which may have been
	// started at the same moment: for each so long. 0: a minute where there are other processes, else not at all.
	Patience time.Duration

	Transport Transport // in place of Bus, for tests

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
	plainLog *slog.Logger // without the name of the process, for who adds it
	plan     []Wiring     // of all services
	choice   choice       // those that run here
	split    bool         // others may run elsewhere
	files    *config.File
	db       *db.DB // nil: no service here keeps anything in it
	outbox   *outbox.Outbox
	limits   *limit.Shared // nil: the gateway shares none
	bus      bus.Bus
	metrics  *prometheus.Registry
	house    *house
	ready    *web.Readiness
	front    front
	server   *web.Server
	answers  bool // the server has been started
	started  stack
	welcomed welcome
}

// Run runs the system until the context ends, and stops it in order. A context that ends during the start is no error.
func Run(ctx context.Context, c Config) error {
	a, err := Start(ctx, c)
	if a == nil && errors.Is(ctx.Err(), context.Canceled) { // it was told to stop
		c.Log.Info("m3o has stopped before it was ready", "error", err)
		return nil
	}
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
		a.configure, a.openPort, a.openLimits, a.openStore, a.openBus, a.buildHouse, a.host, a.declare, a.firstStart, a.serve,
	} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, a.Stop())
		}
	}
	a.config.Log.Info("m3o is running", "address", a.Address(), "version", c.Version, "services", strings.Join(a.choice.names(a.plan), ","))
	a.welcomed.tell(c.Out, a.Address(), a.runs(gateway.Host))
	return a, nil
}

// runs says whether a service runs in this process.
func (a *App) runs(host string) bool { return a.choice.runs(host) }

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
	if a.files, err = config.Load(a.config.ConfigFile, a.config.Environ); err != nil {
		return err
	}
	if a.plan, err = Wirings(); err != nil {
		return err
	}
	if a.choice, err = choose(a.config.Services, a.plan); err != nil {
		return err
	}
	if a.split = a.config.split(); a.split {
		return a.choice.checkSplit(a.plan, a.config)
	}
	return a.choice.checkAlone(a.plan)
}

// split says whether other processes may run services, too.
func (c Config) split() bool {
	return c.Transport != nil || c.Bus != "" && c.Bus != memoryBus
}

// openPort takes the port before anything else is touched, so that a second
// process notices at once. Where processes wait for each other, it tells how they are
// from then on.
func (a *App) openPort(ctx context.Context) (err error) {
	if a.server, err = web.Listen(ctx, a.config.Listen, a.config.Log); err != nil {
		return err
	}
	a.started.push("port", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, drain)
		defer cancel()
		return a.server.Stop(ctx)
	})
	a.introduce()
	return nil
}

// openLimits opens the rates that gateways share, where this process has one.
func (a *App) openLimits(ctx context.Context) (err error) {
	if a.config.Redis == "" || !a.runs(gateway.Host) {
		return nil
	}
	if a.limits, err = limit.Open(ctx, limit.Config{URL: a.config.Redis, Log: a.config.Log, Now: a.config.Now}); err != nil {
		return fmt.Errorf("--redis: %w", err)
	}
	a.started.push("shared limits", func(context.Context) error { return a.limits.Close() })
	return nil
}

// openStore locks the data directory, opens the database and brings it up to date.
func (a *App) openStore(ctx context.Context) error {
	unlock, err := lockData(a.config.Data)
	if err != nil {
		return err
	}
	a.started.push("data directory", func(context.Context) error { return unlock() })
	if !a.choice.keepsData(a.plan) {
		return nil
	}
	if err := a.awaitDB(ctx); err != nil {
		return err
	}
	a.started.push("database", func(context.Context) error { return a.db.Close() })
	return db.Migrate(ctx, a.db, migrations.FS)
}

// buildHouse makes every service; a value in the config file that none of them
// asked for is an error, since it is a misspelt one.
func (a *App) buildHouse(context.Context) (err error) {
	secret, err := openSecret(a.config.Data, a.config.Secret)
	if err != nil {
		return err
	}
	a.outbox = outbox.New(a.db, a.config.Now, a.config.Log)
	if a.db != nil {
		a.metrics.MustRegister(a.outbox.Backlog(a.choice.groups(a.plan)...))
	}
	a.house, err = build(parts{
		db: a.db, bus: a.bus, outbox: a.outbox, config: a.files, reload: a.files.Reload, metrics: a.metrics,
		log: a.config.Log, now: a.config.Now, data: a.config.Data, secret: secret, sync: gateway.Sync(a.config.JournalSync),
		runs: a.runs, split: a.split, limits: a.limits,
	})
	if err != nil {
		return err
	}
	if err := a.house.notAllowed(); err != nil {
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
	a.answer(handler)
	a.started.push("requests", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, drain)
		defer cancel()
		return a.server.Stop(ctx)
	})
	a.ready.Start()
	return nil
}

// handler is the edge, which belongs to the gateway; other processes tell how they are
// and nothing else.
func (a *App) handler() (http.Handler, error) {
	if !a.runs(gateway.Host) {
		return web.NewOperations(a.ready, a.metrics, fault.New(fault.NotFound, "this process runs no gateway: ask one that does")), nil
	}
	mounts, err := a.mounts()
	if err != nil {
		return nil, err
	}
	return web.NewHandler(web.Config{
		Bus: a.bus, Functions: a.house.functions(), Gateway: a.house.gateway,
		Authenticate: authenticate(a.house.customers), Catalogue: catalogue(a.house.publicapi),
		Documents: a.house.documents(), Version: a.config.Version,
		Ready: a.ready, Metrics: a.metrics, Log: a.config.Log, Now: a.config.Now,
		BodyLimit: a.house.gateway.BodyLimit, Proxies: a.house.edge.proxies, Origins: a.house.edge.origins, Ports: a.house.edge.ports, LogEvery: a.house.edge.every,
		Mounts: mounts,
	})
}

// mounts are the shop's methods over gRPC. The gateway runs without the shop, too: then
// they answer that it is not there.
func (a *App) mounts() (map[string]http.Handler, error) {
	return grpc.Handlers(grpc.Config{
		Users: a.house.users, Products: a.house.products, Orders: a.house.orders, Platform: authenticate(a.house.customers),
		Ready: a.ready.Ready, Log: a.config.Log, Now: a.config.Now,
	})
}
