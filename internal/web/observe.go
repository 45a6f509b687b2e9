package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"m3o/internal/auth"
	"m3o/internal/fault"
	"m3o/internal/id"
	"m3o/internal/problem"
)

// requestHeader carries the id of the request on every answer, as net/http writes it.
const requestHeader = "M3o-Request-Id"

// observer gives each request its identity and accounts for it: request id,
// client address, access log, recovery from panics, metrics. It is one step
// instead of six, because the metered path pays for each.
type observer struct {
	log      *slog.Logger
	now      func() time.Time
	proxies  []netip.Prefix
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	running  prometheus.Gauge
	every    uint64 // of the requests that succeed, one in so many is logged
	turn     atomic.Uint64
}

func newObserver(c Config) *observer {
	o := &observer{
		log: c.Log, now: c.Now, proxies: c.Proxies, every: max(c.LogEvery, 1),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "m3o_http_requests_total", Help: "Answered HTTP requests by class of route and status.",
		}, []string{"class", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "m3o_http_request_seconds", Help: "Time from the request's header to the last byte of its answer.",
			Buckets: []float64{.0002, .0005, .001, .002, .005, .01, .05, .1, .5, 1, 5, 10},
		}, []string{"class"}),
		running: prometheus.NewGauge(prometheus.GaugeOpts{Name: "m3o_http_requests_running", Help: "HTTP requests that are being answered."}),
	}
	c.Metrics.MustRegister(o.requests, o.seconds, o.running)
	return o
}

// exchange is a request and its answer as the observer sees them.
type exchange struct {
	http.ResponseWriter
	observer *observer
	ctx      context.Context
	class    string
	route    string
	customer string
	status   int
	bytes    int64
}

type exchangeKey struct{}

// Caller tells the access log which customer is calling. Outside a request of
// the edge it does nothing.
func Caller(ctx context.Context, customerID string) {
	if x, ok := ctx.Value(exchangeKey{}).(*exchange); ok {
		x.customer = customerID
	}
}

// as names the route of what h answers, for the log and the metrics.
func as(class, route string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mark(r.Context(), class, route)
		h.ServeHTTP(w, r)
	})
}

func mark(ctx context.Context, class, route string) {
	if x, ok := ctx.Value(exchangeKey{}).(*exchange); ok {
		x.class, x.route = class, route
	}
}

func (o *observer) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started := o.now()
		o.running.Inc()
		requestID := id.New("req")
		w.Header()[requestHeader] = []string{requestID}
		x := &exchange{ResponseWriter: w, observer: o, class: classNone}
		ctx := id.WithRequest(r.Context(), requestID)
		ctx = auth.WithClient(ctx, client(r, o.proxies))
		ctx = problem.WithObserver(ctx, x.failed)
		x.ctx = context.WithValue(ctx, exchangeKey{}, x)
		r = r.WithContext(x.ctx)
		defer x.finish(r, started)
		next.ServeHTTP(x, r)
	})
}

// finish turns a panic into an answer, counts, and writes the line of the log.
func (x *exchange) finish(r *http.Request, started time.Time) {
	reason := recover()
	err, _ := reason.(error)
	aborted := errors.Is(err, http.ErrAbortHandler)
	broken := aborted || reason != nil && x.status != 0
	if reason != nil && !aborted {
		x.panicked(r, reason)
	}
	if x.status == 0 {
		x.status = http.StatusOK
	}
	x.account(r, x.observer.now().Sub(started))
	if broken {
		panic(http.ErrAbortHandler) // the answer is cut short, and the caller must see that
	}
}

func (x *exchange) panicked(r *http.Request, reason any) {
	x.observer.log.LogAttrs(x.ctx, slog.LevelError, "panic",
		slog.String("request", id.Request(x.ctx)), slog.String("route", x.route),
		slog.String("panic", fmt.Sprint(reason)), slog.String("stack", string(debug.Stack())))
	if x.status == 0 {
		x.Header().Del("Content-Encoding") // what the handler meant to say is not said
		told := problem.WithObserver(x.ctx, func(error) {})
		problem.Write(x, r.WithContext(told), fault.New(fault.Internal, "internal error").WithID("edge"))
	}
}

func (x *exchange) account(r *http.Request, took time.Duration) {
	o := x.observer
	o.running.Dec()
	o.requests.WithLabelValues(x.class, strconv.Itoa(x.status)).Inc()
	o.seconds.WithLabelValues(x.class).Observe(took.Seconds())
	level := slog.LevelInfo
	if x.class == classOps {
		level = slog.LevelDebug
	}
	if !o.log.Enabled(x.ctx, level) || x.status < http.StatusBadRequest && !o.sampled() {
		return
	}
	attributes := []slog.Attr{
		slog.String("method", r.Method), slog.String("route", x.route), slog.Int("status", x.status),
		slog.Int64("bytes", x.bytes), slog.Duration("took", took), slog.String("request", id.Request(x.ctx)),
	}
	if x.customer != "" {
		attributes = append(attributes, slog.String("customer", x.customer))
	}
	o.log.LogAttrs(x.ctx, level, "request", attributes...)
}

// sampled says whether it is a request's turn to be logged.
func (o *observer) sampled() bool { return o.every == 1 || o.turn.Add(1)%o.every == 1 }

// failed logs what the caller is only told as "internal error".
func (x *exchange) failed(err error) {
	x.observer.log.LogAttrs(x.ctx, slog.LevelError, "internal error",
		slog.String("request", id.Request(x.ctx)), slog.String("route", x.route), slog.Any("error", err))
}

// WriteHeader remembers the first final status.
func (x *exchange) WriteHeader(status int) {
	if x.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		x.status = status
	}
	x.ResponseWriter.WriteHeader(status)
}

func (x *exchange) Write(b []byte) (int, error) {
	if x.status == 0 {
		x.status = http.StatusOK
	}
	n, err := x.ResponseWriter.Write(b)
	x.bytes += int64(n)
	return n, err
}

// Unwrap gives http.ResponseController the connection's own writer.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// Flush makes the answer an http.Flusher for handlers that ask in the old way.
func (x *exchange) Flush() { _ = http.NewResponseController(x.ResponseWriter).Flush() }

// client is the address that the request comes from: the peer's or, when the peer
// is a trusted proxy, the last address in X-Forwarded-For that is not one.
func client(r *http.Request, proxies []netip.Prefix) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	addr := peer.Addr().Unmap()
	if len(proxies) == 0 || !trusted(addr, proxies) {
		return addr.String()
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		if addr = hop.Unmap(); !trusted(addr, proxies) {
			break
		}
	}
	return addr.String()
}

func trusted(addr netip.Addr, proxies []netip.Prefix) bool {
	for _, p := range proxies {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}
