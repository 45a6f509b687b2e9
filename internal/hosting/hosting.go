package hosting

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"m3o/internal/bus"
	"m3o/internal/config"
	"m3o/internal/ticker"
)

// Service is what every service can do, by its generated code.
type Service interface {
	Register(b bus.Bus) (stop func())
	Tickers() []ticker.Ticker
}

// Deployment is what an app runs for. The zero value is PROD, so that whoever forgets
// to say it gets the strictest.
type Deployment string

// The deployments.
const (
	PROD    Deployment = "PROD"    // customers depend on it
	LAB     Deployment = "LAB"     // as PROD, for trying things out
	LOCAL   Deployment = "LOCAL"   // a developer's machine: mocks may run
	TESTING Deployment = "TESTING" // a test: mocks may run, tickers do not, and nobody is asked for configuration
)

// Config is what an app is made of. Bus and Log are required.
type Config struct {
	Bus        bus.Bus
	Deployment Deployment

	// Source is where services read their configuration anew, before they start and at
	// Refresh. Nil: they keep what they were made with.
	Source config.Source

	// Lease decides which process runs the tickers that are for one. Nil: this one.
	Lease ticker.Lease

	Log *slog.Logger

	// Limit is how long one service may take to start, to leave the bus, and to shut
	// down. Default: 20 seconds, in TESTING 8.
	Limit time.Duration
}

// The default limits.
const (
	limitDefault = 20 * time.Second
	limitTesting = 8 * time.Second
)

// App is services that live together. It is safe for concurrent use.
type App struct {
	config Config
	log    *slog.Logger
	work   *work
	ticker *ticker.Runner

	starting sync.Mutex // held by Start and Stop
	used     bool       // by a Start
	groups   [][]*member

	mu      sync.Mutex
	members []*member // of the groups that have started
}

// New makes an app in which nothing runs.
func New(c Config) *App {
	if c.Deployment == "" {
		c.Deployment = PROD
	}
	if c.Limit == 0 {
		c.Limit = limitDefault
		if c.Deployment == TESTING {
			c.Limit = limitTesting
		}
	}
	return &App{config: c, log: c.Log, work: newWork(c.Log), ticker: ticker.NewRunner(c.Lease, c.Log)}
}

// Start starts the services and returns when all of them can be reached. It may be
// called once. After an error, which names the services that failed, nothing is left
// running. A mock starts in LOCAL and TESTING only.
func (a *App) Start(ctx context.Context, groups ...[]Service) error {
	a.starting.Lock()
	defer a.starting.Unlock()
	if a.used {
		return errors.New("an app starts once, and not after Stop")
	}
	a.used = true
	if err := a.admit(groups); err != nil {
		return err
	}
	for _, group := range groups {
		if err := a.startGroup(ctx, group); err != nil {
			return errors.Join(err, a.stop(context.WithoutCancel(ctx)))
		}
	}
	if a.config.Deployment != TESTING {
		a.ticker.Start(context.WithoutCancel(ctx), tickers(groups))
	}
	return nil
}

// admit says which services may not start here.
func (a *App) admit(groups [][]Service) error {
	if !slices.Contains([]Deployment{PROD, LAB, LOCAL, TESTING}, a.config.Deployment) {
		return fmt.Errorf("there is no deployment %q, only PROD, LAB, LOCAL and TESTING", a.config.Deployment)
	}
	var errs []error
	for _, s := range slices.Concat(groups...) {
		if _, mock := s.(mocked); mock && a.config.Deployment != LOCAL && a.config.Deployment != TESTING {
			errs = append(errs, fmt.Errorf("start %s: it is a mock, which does not run in %s", nameOf(s), a.config.Deployment))
		}
	}
	return errors.Join(errs...)
}

// startGroup starts the services of a group at the same time and waits for all.
func (a *App) startGroup(ctx context.Context, services []Service) error {
	group := make([]*member, len(services))
	errs := make([]error, len(services))
	var all sync.WaitGroup
	for i, s := range services {
		group[i] = &member{service: s, name: nameOf(s)}
		all.Go(func() { errs[i] = a.startOne(ctx, group[i]) })
	}
	all.Wait()
	a.groups = append(a.groups, group)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.members = append(a.members, group...)
	return errors.Join(errs...)
}

// Stop ends tickers and the work of Go and waits for them, then takes the services down
// in reverse: each leaves the bus, which waits for the requests that run, and then shuts
// down. It goes on whatever fails, and joins the errors. When ctx ends, nothing is
// waited for any more. It may be called twice, before Start, and after a Start that
// failed; a Start that runs it waits for.
func (a *App) Stop(ctx context.Context) error {
	a.starting.Lock()
	defer a.starting.Unlock()
	a.used = true
	return a.stop(ctx)
}

func (a *App) stop(ctx context.Context) error {
	errs := []error{
		a.within(ctx, a.config.Limit, "stop the tickers", func(context.Context) error { a.ticker.Stop(); return nil }),
		a.within(ctx, a.config.Limit, "stop the work beside", func(context.Context) error { a.work.stop(); return nil }),
	}
	a.mu.Lock()
	a.members = nil
	a.mu.Unlock()
	for _, group := range slices.Backward(a.groups) {
		errs = append(errs, a.stopGroup(ctx, group))
	}
	a.groups = nil
	return errors.Join(errs...)
}

// stopGroup stops the services of a group at the same time and waits for all.
func (a *App) stopGroup(ctx context.Context, group []*member) error {
	errs := make([]error, len(group))
	var all sync.WaitGroup
	for i, m := range group {
		all.Go(func() { errs[i] = a.stopOne(ctx, m) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// Go runs f beside whatever runs, with the values of ctx but not its end: f's context
// ends when the app stops, and Stop waits for f. An error or a panic of f is logged. It
// is an error when the app has begun to stop, and then f does not run.
func (a *App) Go(ctx context.Context, f func(context.Context) error) error {
	return a.work.begin(ctx, f)
}

// Refresh reads the configuration anew of every started service for which values under
// the name host are: of that host, of those in that domain, or of all where host is
// empty or "all". Values that changed are told to the services; their errors are joined.
func (a *App) Refresh(ctx context.Context, host string) error {
	a.mu.Lock()
	members := slices.Clone(a.members)
	a.mu.Unlock()
	var errs []error
	for _, m := range members {
		if host == "" || m.coveredBy(host) {
			errs = append(errs, a.refresh(ctx, m))
		}
	}
	return errors.Join(errs...)
}

func tickers(groups [][]Service) (all []ticker.Ticker) {
	for _, s := range slices.Concat(groups...) {
		all = append(all, s.Tickers()...)
	}
	return all
}
