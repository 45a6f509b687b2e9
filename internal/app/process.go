package app

import (
	"cmp"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"m3o/internal/fault"
	"m3o/internal/web"
)

// introduce says in metrics, and where there are several processes in the log, which
// one this is. One of several tells from now on how it is, since it may wait long for
// the others.
func (a *App) introduce() {
	a.name()
	a.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), a.processInfo())
	if !a.split {
		return
	}
	a.plainLog, a.config.Log = a.config.Log, a.config.Log.With("process", a.config.Name)
	a.answerMeanwhile()
}

// answerMeanwhile tells from now on how the process is, and that it is starting.
func (a *App) answerMeanwhile() {
	a.answer(web.NewOperations(a.ready, a.metrics, fault.New(fault.Unavailable, "this process is starting: try again in a moment").After(time.Second)))
}

// answer has requests answered by another handler, also those that wait at the port.
func (a *App) answer(h http.Handler) {
	a.front.set(h)
	if !a.answers {
		a.answers = true
		a.server.Start(&a.front)
	}
}

// name gives the process its name, unless the operator has.
func (a *App) name() {
	machine, _ := os.Hostname()
	_, port, _ := net.SplitHostPort(a.server.Addr().String())
	a.config.Name = cmp.Or(a.config.Name, machine+":"+port)
}

// processInfo is a metric whose labels tell what runs here.
func (a *App) processInfo() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "m3o_process_info", Help: "Which process this is: its name, its version and the services that it runs. Always 1.",
		ConstLabels: prometheus.Labels{"process": a.config.Name, "version": a.config.Version, "services": strings.Join(a.choice.names(a.plan), ",")},
	}, func() float64 { return 1 })
}

// front is the handler of the port, which changes when the start is over.
type front struct{ handler atomic.Pointer[http.Handler] }

func (f *front) set(h http.Handler) { f.handler.Store(&h) }

// ServeHTTP leaves it to the handler of the moment.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	(*f.handler.Load()).ServeHTTP(w, r)
}
