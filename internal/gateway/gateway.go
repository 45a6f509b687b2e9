package gateway

import (
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
	"m3o/internal/problem"
	"m3o/internal/publicapi/publicapiapi"
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
	Journal   string                                       // the directory of the journal; one process at a time
	Caller    func(ctx context.Context, customerID string) // is told who calls, for the access log; nil: nobody is
	Keys      keysapi.Service
	PublicAPI publicapiapi.Service
	Usage     usageapi.Service
	Balance   balanceapi.Service
	Billing   billingapi.Service
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

	caller    func(ctx context.Context, customerID string)
	holder    string // names this gateway in leases, also after a restart
	transport http.RoundTripper
	recorder  *recorder
	keyring   keyring
	customers customers
	refills   singleflight.Group
	ahead     sync.WaitGroup // leases ahead of need
	catalogue atomic.Pointer[catalogue]
}

// New makes the gateway and opens its journal. Nothing is served before Start.
func New(d Deps) (*Service, error) {
	set, err := newSettings(d.Config, d.Metrics)
	if err != nil {
		return nil, err
	}
	j, err := openJournal(d.Journal)
	if err != nil {
		return nil, err
	}
	holder, err := holderOf(d.Journal)
	if err != nil {
		return nil, err
	}
	s := &Service{
		settings: set, bus: d.Bus, log: d.Log, now: d.Now, keys: d.Keys, publicAPI: d.PublicAPI, usage: d.Usage, balance: d.Balance, billing: d.Billing,
		caller: d.Caller, holder: holder, transport: newTransport(), recorder: newRecorder(j, d.Usage, d.Keys, d.Log),
	}
	if s.caller == nil {
		s.caller = func(context.Context, string) {}
	}
	s.catalogue.Store(&catalogue{})
	return s, nil
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

// Start records what an earlier process left in the journal, ends its leases, and
// reads the catalogue. Only then may calls come.
func (s *Service) Start(ctx context.Context) error {
	ctx = auth.AsService(ctx, Host)
	if err := s.recorder.replay(ctx); err != nil {
		return err
	}
	if err := s.balance.CloseLeases(ctx, s.holder); err != nil {
		return fmt.Errorf("end the leases of an earlier process: %w", err)
	}
	if err := s.readCatalogue(ctx); err != nil {
		return err
	}
	s.recorder.start()
	return nil
}

// Stop records what waits and gives every lease back. The server must have
// finished its calls. It may be called twice.
func (s *Service) Stop(ctx context.Context) error {
	ctx = auth.AsService(ctx, Host)
	s.ahead.Wait()
	var faults []error
	if err := s.recorder.flush(ctx); err == nil { // else the next start ends the leases
		s.customers.each(func(c *customer) {
			_, err := s.giveBack(ctx, c)
			faults = append(faults, err, s.giveBackAllowances(ctx, c))
		})
	}
	faults = append(faults, s.recorder.shutdown(ctx))
	return errors.Join(faults...)
}

// readCatalogue takes a new snapshot, unless a newer one is there already.
func (s *Service) readCatalogue(ctx context.Context) error {
	found, err := s.publicAPI.Snapshot(auth.AsService(ctx, Host))
	if err != nil {
		return fmt.Errorf("read the catalogue: %w", err)
	}
	fresh := newCatalogue(found, s.targetOf)
	for {
		current := s.catalogue.Load()
		if current.version > fresh.version || s.catalogue.CompareAndSwap(current, fresh) {
			return nil
		}
	}
}

// ServeHTTP serves /v1/{service}/{endpoint}.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	requestID := id.Request(r.Context())
	if requestID == "" {
		requestID = id.New("req")
		w.Header().Set("M3O-Request-Id", requestID)
	}
	a, err := s.admit(r)
	if a != nil && len(a.limits) > 0 {
		w.Header()["Ratelimit-Policy"] = []string{policyOf(a.limits)}
		w.Header()["Ratelimit"] = []string{stateOf(a.limits)}
	}
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	s.forward(w, r, a, requestID)
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
func (s *Service) forward(w http.ResponseWriter, r *http.Request, a *admission, requestID string) {
	e := a.endpoint
	answer := &answer{ResponseWriter: w, service: s, request: r, admission: a, requestID: requestID}
	defer answer.settle()
	if !e.Stream {
		// A body that comes drop by drop ends with the call's time; a little later, so
		// that a target which takes too long is what the caller hears of.
		_ = http.NewResponseController(w).SetReadDeadline(s.now().Add(e.timeout() + time.Second))
	}
	if err := limitBody(r, s.BodyLimit()); err != nil {
		problem.Write(answer, r, err)
		return
	}
	ctx, cancel := budget(auth.With(r.Context(), auth.Account{ID: a.key.CustomerID, Type: auth.TypeCustomer}), e)
	defer cancel()
	out := r.WithContext(ctx)
	address(out.Header, a, requestID)
	answer.request = out
	if _, upstream := e.target.(*upstreamTarget); !upstream {
		if err := asJSON(out, e.Schema); err != nil {
			problem.Write(answer, r, err)
			return
		}
	}
	e.target.serve(answer, out, e.Path)
	answer.finish()
}

// defaultTimeout is the time budget of an endpoint that sets none.
const defaultTimeout = 10 * time.Second

// budget is the time an endpoint may take; a stream may take as long as it lasts.
func budget(ctx context.Context, e *endpoint) (context.Context, context.CancelFunc) {
	if e.Stream {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, e.timeout())
}

func (e *endpoint) timeout() time.Duration {
	if e.Timeout <= 0 {
		return defaultTimeout
	}
	return e.Timeout
}
