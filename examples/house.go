package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"m3o/examples/calculator"
	"m3o/examples/calculator/calculatorapi"
	"m3o/examples/gatekeeper"
	"m3o/examples/messenger"
	"m3o/examples/messenger/messengerapi"
	"m3o/examples/pages"
	"m3o/examples/pages/pagesapi"
	"m3o/examples/registrar"
	"m3o/examples/registrar/registrarapi"
	"m3o/examples/welcomer"
	"m3o/examples/welcomer/welcomerapi"
	"m3o/internal/auth"
	"m3o/internal/bus"
	"m3o/internal/config"
	"m3o/internal/fault"
	"m3o/internal/hosting"
	"m3o/internal/rpc"
	"m3o/internal/web"
)

// house is the examples, running.
type house struct {
	app  *hosting.App
	edge http.Handler // what is reached from outside
	log  *slog.Logger
}

// parts is what the services are made of.
type parts struct {
	bus     bus.Bus
	config  config.Source
	metrics *prometheus.Registry
	log     *slog.Logger
}

// start builds and starts all examples on one bus in memory.
func start(ctx context.Context, source config.Source, now func() time.Time, log *slog.Logger) (*house, error) {
	p := parts{bus.NewMemory(bus.MemoryConfig{Logger: log}), source, prometheus.NewRegistry(), log}
	listeners, others, err := p.services()
	if err != nil {
		return nil, err
	}
	edge, err := p.edge(now)
	if err != nil {
		return nil, err
	}
	app := hosting.New(hosting.Config{Bus: p.bus, Deployment: hosting.LOCAL, Source: source, Log: log})
	// Who listens to events starts before who fires them.
	return &house{app, edge, log}, app.Start(ctx, listeners, others)
}

// services are the examples. Each is made of what it needs and finds the others over
// the bus; of the messenger there are three replicas.
func (p parts) services() (listeners, others []hosting.Service, err error) {
	var errs []error
	add := func(group *[]hosting.Service, s hosting.Service, err error) {
		*group, errs = append(*group, s), append(errs, err)
	}
	keeper, err := gatekeeper.New(gatekeeper.Deps{Config: p.config, Metrics: p.metrics, Log: p.log})
	add(&listeners, keeper, err)
	host, err := welcomer.New(welcomer.Deps{Config: p.config, Metrics: p.metrics})
	add(&listeners, host, err)
	source, err := registrar.New(registrar.Deps{Bus: p.bus, Config: p.config, Metrics: p.metrics, Log: p.log})
	add(&others, source, err)
	counting, err := calculator.New(calculator.Deps{Config: p.config, Metrics: p.metrics})
	add(&others, counting, err)
	for range 3 {
		replica, err := messenger.New(messenger.Deps{Bus: p.bus, Config: p.config, Metrics: p.metrics})
		add(&others, replica, err)
	}
	site, err := pages.New(pages.Deps{Config: p.config, Metrics: p.metrics, Links: links()})
	add(&others, site, err)
	return listeners, others, errors.Join(errs...)
}

// edge is the house's own edge with nobody's account and nothing on sale behind it.
func (p parts) edge(now func() time.Time) (http.Handler, error) {
	ready := web.NewReadiness(p.log)
	ready.Start()
	var functions []rpc.Function
	for _, contract := range [][]rpc.Function{
		calculatorapi.Functions(), messengerapi.Functions(), pagesapi.Functions(), registrarapi.Functions(), welcomerapi.Functions(),
	} {
		functions = append(functions, contract...)
	}
	return web.NewHandler(web.Config{
		Bus: p.bus, Functions: functions, Gateway: http.NotFoundHandler(), Ready: ready, Metrics: p.metrics, Log: p.log, Now: now,
		Documents: [][]byte{calculatorapi.OpenAPI(), messengerapi.OpenAPI(), pagesapi.OpenAPI(), registrarapi.OpenAPI(), welcomerapi.OpenAPI()},
		Version:   "examples",
		Authenticate: func(context.Context, string) (auth.Account, error) {
			return auth.Account{}, fault.New(fault.Unauthenticated, "there are no accounts here")
		},
		Catalogue: func(context.Context) (web.Catalogue, error) { return web.Catalogue{}, nil },
	})
}

// links are what there is to click.
func links() []string {
	return []string{
		"/calculator/add?x=1&y=2", "/calculator/divide?x=1&y=0", "/calculator/distance?p.x=0&p.y=0&q.x=3&q.y=4", "/calculator/solve?a=1&b=-3&c=2",
		"/messenger", "/messenger/greet?name=Ann",
		"/welcomer/guests",
		"/pages/drawers/a/2026/letter.txt", "/pages/drawers/z/letter.txt", "/pages/form",
		"/docs", "/metrics",
	}
}

// list prints the links as URLs.
func list(out io.Writer, base string) {
	_, _ = fmt.Fprintln(out, "The examples run. Try:")
	for _, link := range append([]string{"/"}, links()...) {
		_, _ = fmt.Fprintln(out, "  "+base+link)
	}
	_, _ = fmt.Fprintf(out, "  curl %s/registrar/sign-up -d '{\"email\": \"ann@example.com\"}'\n", base)
}
