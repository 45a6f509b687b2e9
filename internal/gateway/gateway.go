package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/singleflight"

	"m3o/internal/auth"
	"m3o/internal/balance/balanceapi"
	"m3o/internal/billing/billingapi"
	"m3o/internal/bus"
	"m3o/internal/config"
	"m3o/internal/fault"
	"m3o/internal/id"
	"m3o/internal/keys/keysapi"
	"m3o/internal/limit"
	"m3o/internal/problem"
	"m3o/internal/publicapi/publicapiapi"
	"m3o/internal/upstream"
	"m3o/internal/usage/usageapi"
)

// Host is the gateway's name on the bus and in leases.
const Host = "gateway"

// Deps is what the gateway needs.
type Deps struct {
	Bus       bus.Bus
	Config    config.Source
	Metrics   prometheus.Registerer
	Log       *slog.Logger
	Now       func() time.Time
	Secret    []byte                                       // opens the credentials of upstream APIs: the catalogue's; empty: no call that needs one is made
	Journal   string                                       // the directory of the journal; one process at a time
	Sync      Sync                                         // when the journal is synced; empty: SyncNone
	Caller    func(ctx context.Context, customerID string) // is told who calls, for the access log; nil: nobody is
	Keys      keysapi.Service
	PublicAPI publicapiapi.Service
	Usage     usageapi.Service
	Balance   balanceapi.Service
	Billing   billingapi.Service
	Limits    *limit.Shared // the rates that gateways share; nil: this gateway's own

	// Revalidate is how often to ask what has changed of all that is remembered, where
	// other processes make the changes. 0: never, since every event arrives.
	Revalidate time.Duration
}

// Service is the gateway.
type Service struct {
	settings
	bus       bus.Bus
	log       *slog.Logger
	now       func() time.Time
	keys      keysapi.Service
	publicAPI publicapiapi.Service
	usage     usageapi.Service
	balance   balanceapi.Service
	billing   billingapi.Service
	limits    *limit.Shared

	caller    func(ctx context.Context, customerID string)
	journal   string // a directory
	sync      Sync
	holder    string // names this gateway in leases, also after a restart
	upstreams upstreams
	recorder  *recorder
	open      *openCalls
	keyring   keyring
	customers customers
	tiers     tiers
	sockets   *sockets
	refills   singleflight.Group
	ahead     sync.WaitGroup // leases ahead of need
	catalogue atomic.Pointer[catalogue]
	valid     revalidation
}

// New makes the gateway. It touches nothing before Start, and nothing may be served.
func New(d Deps) (*Service, error) {
	set, err := newSettings(d.Config, d.Metrics)
	if err != nil {
		return nil, err
	}
	keys, err := publicapiapi.NewKeyring(d.Secret)
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	s := &Service{
		settings: set, bus: d.Bus, log: d.Log, now: d.Now, keys: d.Keys, publicAPI: d.PublicAPI, usage: d.Usage, balance: d.Balance, billing: d.Billing, limits: d.Limits,
		caller: d.Caller, journal: d.Journal, sync: cmp.Or(d.Sync, SyncNone), upstreams: upstreams{log: d.Log, now: d.Now, keyring: keys},
	}
	s.valid.every = d.Revalidate
	s.keyring.init()
	s.customers.init()
	if err := s.upstreams.allow(s.UpstreamNetworks()); err != nil {
		return nil, err
	}
	if s.caller == nil {
		s.caller = func(context.Context, string) {}
	}
	if err := s.tuneRates(); err != nil {
		return nil, err
	}
	s.sockets = newSockets()
	s.catalogue.Store(&catalogue{})
	return s, nil
}

// openJournals opens what the gateway keeps on its machine: its name and its journals.
func (s *Service) openJournals() error {
	calls, err := openJournal(s.journal, s.sync)
	if err != nil {
		return err
	}
	open, err := openJournal(filepath.Join(s.journal, openFolder), s.sync)
	if err != nil {
		return errors.Join(err, calls.close())
	}
	if s.holder, err = holderOf(s.journal); err != nil {
		return errors.Join(err, calls.close(), open.close())
	}
	s.recorder, s.open = newRecorder(calls, s.usage, s.keys, s.log), &openCalls{journal: open}
	return nil
}

// holderOf is the name of the gateway whose journal this is, made at its first
// start: by it the gateway finds its leases again.
func holderOf(dir string) (string, error) {
	file := filepath.Join(dir, "gateway")
	name, err := os.ReadFile(file)
	if err == nil && len(name) > 0 {
		return strings.TrimSpace(string(name)), nil
	}
	holder := id.New("gw")
	if err := os.WriteFile(file, []byte(holder+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("name the gateway: %w", err)
	}
	return holder, nil
}

// Start opens the journal, records what an earlier process left in it, ends that one's
// leases, and reads the catalogue. Only then may calls come.
func (s *Service) Start(ctx context.Context) error {
	ctx = auth.AsService(ctx, Host)
	if err := s.openJournals(); err != nil {
		return err
	}
	if err := s.recorder.replay(ctx); err != nil {
		return err
	}
	if err := s.open.replay(ctx, s.recorder.record); err != nil {
		return err
	}
	if err := s.balance.CloseLeases(ctx, s.holder); err != nil {
		return fmt.Errorf("end the leases of an earlier process: %w", err)
	}
	if err := s.startChecks(ctx); err != nil {
		return err
	}
	if err := s.readCatalogue(ctx); err != nil {
		return err
	}
	s.recorder.start(s.recorder.journal, s.open.journal)
	return nil
}

// Stop ends the WebSockets, records what waits and gives every lease back. The server
// must have finished its other calls. It may be called twice, or before Start.
func (s *Service) Stop(ctx context.Context) error {
	if s.recorder == nil { // Start has not come that far
		return nil
	}
	s.sockets.stop(ctx)
	s.stopChecks()
	ctx = auth.AsService(ctx, Host)
	s.ahead.Wait()
	var faults []error
	if err := s.recorder.flush(ctx); err == nil { // else the next start ends the leases
		s.customers.each(func(c *customer) {
			_, err := s.giveBack(ctx, c)
			faults = append(faults, err, s.giveBackAllowances(ctx, c))
		})
	}
	faults = append(faults, s.recorder.shutdown(ctx), s.open.close())
	s.upstreams.close()
	return errors.Join(faults...)
}

// readCatalogue takes a new snapshot, unless a newer one is there already.
func (s *Service) readCatalogue(ctx context.Context) error {
	found, err := s.publicAPI.Snapshot(auth.AsService(ctx, Host))
	if err != nil {
		return fmt.Errorf("read the catalogue: %w", err)
	}
	u := &s.upstreams
	u.mu.Lock()
	defer u.mu.Unlock()
	current := s.catalogue.Load()
	if current.version > found.Version {
		return nil
	}
	servers := map[string]*upstream.Target{}
	fresh, err := newCatalogue(found, func(route publicapiapi.Route) target { return s.targetOf(route, servers) }, current)
	if err != nil {
		s.log.Error("endpoints of the catalogue cannot be served", "error", err)
	}
	s.catalogue.Store(fresh)
	u.keep(servers)
	return nil
}

// ServeHTTP serves /v1/{service}/{endpoint}, and WebSockets there.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	requestID := id.Request(r.Context())
	if requestID == "" {
		requestID = id.New("req")
		w.Header().Set("M3O-Request-Id", requestID)
	}
	if isUpgrade(r) {
		s.serveSocket(w, r)
		return
	}
	answer := &answer{ResponseWriter: w, service: s, request: r, requestID: requestID}
	err := s.admit(w, r, &answer.admission)
	answer.admission.limits.tell(w.Header())
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	s.forward(answer, r)
}

// refuse answers a call that is not forwarded.
func (s *Service) refuse(w http.ResponseWriter, r *http.Request, err error) {
	f := fault.From(err)
	if f.Code == fault.Unavailable && f.Err != nil {
		s.log.Error("a call could not be checked", "request", id.Request(r.Context()), "error", f.Err)
	}
	if f.Code == fault.Internal {
		problem.Observe(r.Context(), err)
		err = fault.New(fault.Internal, "internal error").WithID("v1")
	}
	s.IncrementCalls(1, "", f.Code.Status())
	problem.Write(w, r, err)
}

// forward sends an admitted call to its target and settles it.
func (s *Service) forward(w *answer, r *http.Request) {
	a := &w.admission
	e := a.endpoint
	defer w.settle()
	if err := s.bound(w, r, a); err != nil {
		problem.Write(w, r, err)
		return
	}
	ctx := budget(auth.With(r.Context(), auth.Account{ID: a.key.customer.id, Type: auth.TypeCustomer}), e)
	defer ctx.End()
	out := r.WithContext(ctx)
	address(out.Header, a, w.requestID)
	w.request = out
	if e.takesJSON() {
		if err := asJSON(out, e.Schema); err != nil {
			problem.Write(w, r, err)
			return
		}
	}
	if e.isUpstream() {
		outbound := &a.key.customer.outbound
		defer outbound.Add(-1)
		if outbound.Add(1) > mostOutbound {
			problem.Write(w, r, fault.New(fault.Limited, "Too many calls at once: wait for the answers of some").WithID("v1.blocked").After(time.Second))
			return
		}
	}
	out.Method = cmp.Or(e.Method, http.MethodPost)
	e.target.serve(w, out, e.path.fill(a.values))
	w.finish()
}

// mostOutbound is how many calls of HTTP APIs one customer may have in flight: a quarter
// of the connections that an API is given, so that whoever sends half requests, or reads
// nothing, cannot keep it from the others.
const mostOutbound = 128

// bound bounds the body of a request in its length and its time; once.
func (s *Service) bound(w http.ResponseWriter, r *http.Request, a *admission) error {
	if a.bounded {
		return nil
	}
	a.bounded = true
	if !a.endpoint.Stream {
		// A body that comes drop by drop ends with the call's time; a little later, so
		// that a target which takes too long is what the caller hears of.
		_ = http.NewResponseController(w).SetReadDeadline(s.now().Add(a.endpoint.timeout() + time.Second))
	}
	return limitBody(r, s.BodyLimit())
}

// takesJSON says whether the target wants query and forms as JSON: services do, and whoever is
// called as in M3O. An HTTP server whose document has methods and paths of its own is asked
// as that says.
func (e *endpoint) takesJSON() bool { return e.Method == "" || !e.isUpstream() }

// isUpstream says whether an HTTP server is the target.
func (e *endpoint) isUpstream() bool {
	_, is := e.target.(*upstreamTarget)
	return is
}
