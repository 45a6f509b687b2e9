package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"m3o/internal/problem"
)

// Config is what a target is made of. Base, Log and Now are needed.
type Config struct {
	Base     *url.URL       // http:// or https://, of which scheme and host count; paths come with the requests
	Header   http.Header    // set on every request in place of the caller's own, such as credentials
	Upgrade  bool           // whether a caller may turn a connection into a WebSocket or the like; else 101 is 502
	Allowed  []netip.Prefix // networks that may be dialled beyond the public internet; none: no other
	Roots    *x509.CertPool // whom to trust over TLS; nil: whom the system trusts
	Resolver *net.Resolver  // nil: the system's
	Limits   Limits
	Log      *slog.Logger
	Now      func() time.Time

	// Answer sees the header of each final answer as the API has sent it, before w does;
	// nil: nobody. The house's own headers are still in it.
	Answer func(w http.ResponseWriter, h http.Header)

	// Dial opens connections in place of a net.Dialer; the address that a connection
	// is then with is still looked at. For tests.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Limits bounds what a target uses and how long it tries. Zero is the default.
type Limits struct {
	Connections int           // open at once; further calls wait for one. 512
	Idle        time.Duration // how long an unused connection is kept. 90 s
	Header      int64         // bytes of an answer before its body, and of its trailers. 1 MiB; 4 KiB at least
	Dial        time.Duration // from the name to the end of the TLS handshake. 3 s
	Failures    int           // in a row until the API is left alone. 5
	Probe       time.Duration // until a call is let through as a probe; doubles with each that fails. 1 s
	ProbeMost   time.Duration // what it doubles to. 30 s
}

// orDefault is v, or the default when v is not positive.
func orDefault[T int | int64 | time.Duration](v, standard T) T {
	if v <= 0 {
		return standard
	}
	return v
}

func (l Limits) withDefaults() Limits {
	return Limits{
		Connections: orDefault(l.Connections, 512),
		Idle:        orDefault(l.Idle, 90*time.Second),
		Header:      max(orDefault(l.Header, 1<<20), readSize),
		Dial:        orDefault(l.Dial, 3*time.Second),
		Failures:    orDefault(l.Failures, 5),
		Probe:       orDefault(l.Probe, time.Second),
		ProbeMost:   orDefault(l.ProbeMost, 30*time.Second),
	}
}

// Target is somebody's API. Its methods may be called at once.
type Target struct {
	https   bool
	host    string // of the Host header
	upgrade bool
	answer  func(w http.ResponseWriter, h http.Header) // nil: nobody sees it
	header  http.Header
	set     []byte // header as it stands in a request
	limits  Limits
	log     *slog.Logger

	dialer  dialer
	pool    *pool
	health  *health
	counts  counts
	buffers sync.Pool // of *[]byte
	version atomic.Int32
	second  *http.Transport
	closed  atomic.Bool
}

// New makes a target. It dials nothing yet. The error is a sentence for an operator.
func New(c Config) (*Target, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	t := &Target{
		https: c.Base.Scheme == "https", host: c.Base.Host, upgrade: c.Upgrade, answer: c.Answer, header: canonical(c.Header), limits: c.Limits.withDefaults(), log: c.Log,
	}
	for name, values := range t.header {
		for _, value := range values {
			t.set = appendField(t.set, name, value)
		}
	}
	t.buffers.New = func() any { b := make([]byte, bufferSize); return &b }
	t.health = newHealth(t.limits, c.Now)
	t.dialer = newDialer(c, t.limits)
	t.pool = newPool(t.limits, c.Now, t.open)
	if t.version.Store(http1); t.https {
		t.version.Store(undecided)
		t.second = t.newTransport()
	}
	return t, nil
}

func (c Config) check() error {
	switch {
	case c.Base == nil || c.Base.Scheme != "http" && c.Base.Scheme != "https" || c.Base.Hostname() == "" || !isText(c.Base.Host) || strings.Contains(c.Base.Host, " "):
		return errors.New("the address of an API is http:// or https:// and a host")
	case c.Base.User != nil:
		return errors.New("the address of an API holds no credentials: set them as a header")
	case c.Log == nil || c.Now == nil:
		return errors.New("an API needs a Log and a clock (Now)")
	}
	for name, values := range c.Header {
		if !isToken(name) || isHop(http.CanonicalHeaderKey(name)) || isFraming(http.CanonicalHeaderKey(name)) {
			return fmt.Errorf("the header %q cannot be set on the requests to an API", name)
		}
		if !slices.ContainsFunc(values, isText) || slices.ContainsFunc(values, func(v string) bool { return !isText(v) }) {
			return fmt.Errorf("the header %q has no value, or one with a line break", name)
		}
	}
	return nil
}

// ServeHTTP passes r on to the API and the answer back to w. Method, path, query,
// headers and body are r's; the deadline is its context's. What fails before an answer
// is there is answered as a problem: the fault of a request body as it is, BadGateway
// when the API cannot be reached, Timeout when it does not answer in time.
func (t *Target) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t.counts.calls.Add(1)
	if err := t.serve(w, r); err != nil {
		problem.Write(w, r, faultOf(r.Context(), err))
	}
}

func (t *Target) serve(w http.ResponseWriter, r *http.Request) error {
	if err := checkMethod(r.Method); err != nil {
		return err
	}
	turn := t.health.admit()
	if !turn.ok {
		t.counts.turnedAway.Add(1)
		return ejected(turn.wait)
	}
	err := t.forward(w, r)
	t.judge(r.Context(), turn, err)
	return err
}

// forward makes the call in the server's version of HTTP. Only HTTP/1.1 is upgraded.
func (t *Target) forward(w http.ResponseWriter, r *http.Request) error {
	if err := t.decide(r.Context()); err != nil {
		return err
	}
	protocol := t.upgradeOf(r)
	if protocol == "" && t.version.Load() == http2 {
		return t.serveHTTP2(w, r)
	}
	return t.serveHTTP1(w, r, protocol)
}

// judge tells the target's health of a call that got no answer.
func (t *Target) judge(ctx context.Context, turn turn, err error) {
	if err == nil || !blames(ctx, err) {
		return
	}
	t.counts.failures.Add(1)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		t.counts.timeouts.Add(1)
	}
	if t.health.failed(turn) {
		if t.https {
			t.version.Store(undecided) // it may come back as another server
		}
		t.counts.ejections.Add(1)
		t.log.WarnContext(ctx, "an API is left alone because it cannot be reached", "host", t.host, "error", err)
	}
}

// answered tells the target's health that the server has answered.
func (t *Target) answered(ctx context.Context) {
	if t.health.succeeded() {
		t.log.InfoContext(ctx, "an API can be reached again", "host", t.host)
	}
}

// Close closes the connections that are idle, and the others as their calls end. A call
// that comes later is still served, on a connection of its own. It may be called twice.
func (t *Target) Close() {
	t.closed.Store(true)
	t.pool.close()
	if t.second != nil {
		t.second.CloseIdleConnections()
	}
}

// Stats is what a target has done since it was made, and how it stands.
type Stats struct {
	Calls      int64 // that came
	TurnedAway int64 // of these, because the API is left alone
	Failures   int64 // without an answer, by the API's fault
	Timeouts   int64 // of these, because the deadline passed
	Dials      int64 // connections opened, or tried; of HTTP/2 too
	Reuses     int64 // calls over a kept connection of HTTP/1.1
	Retries    int64 // requests sent a second time over HTTP/1.1
	Ejections  int64 // how often the API was left alone
	Broken     int64 // answers that broke off, by either side
	Open       int   // connections of HTTP/1.1, used or idle
	Idle       int   // of these, idle
	Ejected    bool  // whether the API is left alone
}

// counts are the counters of Stats.
type counts struct {
	calls, turnedAway, failures, timeouts, dials, reuses, retries, ejections, broken atomic.Int64
}

// Stats reads the counters, one after the other.
func (t *Target) Stats() Stats {
	c := &t.counts
	s := Stats{
		Calls: c.calls.Load(), TurnedAway: c.turnedAway.Load(), Failures: c.failures.Load(), Timeouts: c.timeouts.Load(), Dials: c.dials.Load(),
		Reuses: c.reuses.Load(), Retries: c.retries.Load(), Ejections: c.ejections.Load(), Broken: c.broken.Load(), Ejected: t.health.ejected.Load(),
	}
	s.Open, s.Idle = t.pool.size()
	return s
}

// bufferSize is what a buffer holds: a request's head and small body first, and then
// what of the answer is on its way.
const bufferSize = 32 << 10

func (t *Target) buffer() *[]byte { return t.buffers.Get().(*[]byte) }

// tlsConfig is of every connection over TLS.
func tlsConfig(c Config) *tls.Config {
	return &tls.Config{
		ServerName: c.Base.Hostname(), RootCAs: c.Roots, MinVersion: tls.VersionTLS12,
		ClientSessionCache: tls.NewLRUClientSessionCache(8),
	}
}
