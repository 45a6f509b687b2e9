package customers

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"m3o/internal/auth"
	"m3o/internal/bus"
	"m3o/internal/bus/outbox"
	"m3o/internal/config"
	"m3o/internal/customers/customersapi"
	"m3o/internal/db"
	"m3o/internal/db/throttle"
	"m3o/internal/emails/emailsapi"
	"m3o/internal/fault"
	"m3o/internal/identity"
)

// Deps is what customers needs.
type Deps struct {
	DB      *db.DB
	Bus     bus.Bus
	Outbox  *outbox.Outbox
	Config  config.Source
	Metrics prometheus.Registerer
	Log     *slog.Logger
	Now     func() time.Time // UTC
	Emails  emailsapi.Service
}

// Service is the accounts of this house. It is safe for concurrent use.
type Service struct {
	settings

	db      *db.DB
	outbox  *outbox.Outbox
	trigger customersapi.MulticastTrigger
	emails  emailsapi.Service
	log     *slog.Logger
	now     func() time.Time

	hasher  identity.Hasher
	lists   atomic.Pointer[lists]
	signUps *limiter
	logins  *limiter
}

// New makes the service. A list with a bad regular expression is an error that names it.
func New(d Deps) (*Service, error) {
	settings, err := newSettings(d.Config, d.Metrics)
	if err != nil {
		return nil, err
	}
	s := &Service{
		settings: settings,
		db:       d.DB, outbox: d.Outbox, trigger: customersapi.NewMulticastTrigger(d.Bus), emails: d.Emails, log: d.Log, now: d.Now,
		hasher:  identity.NewHasher(),
		signUps: newLimiter(time.Minute, d.Now),
		logins:  newLimiter(time.Minute, d.Now),
	}
	return s, s.readLists()
}

// readLists takes the lists of the configuration. If they cannot be understood, those of
// before stay in force.
func (s *Service) readLists() error {
	l, err := newLists(s.AllowList(), s.BlockList())
	if err == nil {
		s.lists.Store(&l)
	}
	return err
}

// OnChangedAllowList takes another list into force, for the next sign-up.
func (s *Service) OnChangedAllowList(context.Context) (err error) { return s.readLists() }

// OnChangedBlockList takes another list into force, for the next sign-up.
func (s *Service) OnChangedBlockList(context.Context) (err error) { return s.readLists() }

// find reads the customer a call names by id, or by address when the id is empty. Neither is fault.Invalid.
func find(ctx context.Context, q db.Querier, id, email string) (record, error) {
	switch {
	case id != "":
		return byID(ctx, q, id)
	case email == "":
		return record{}, fault.New(fault.Invalid, "ID or Email is required")
	}
	address, err := identity.ParseAddress(email)
	if err != nil {
		return record{}, err
	}
	return last(ctx, q, address)
}

// findOwn is find under the rule "own, or admin"; naming nobody is naming oneself. Who may not know is not told
// whether an address exists.
func findOwn(ctx context.Context, q db.Querier, id, email string) (record, error) {
	caller, err := auth.Caller(ctx)
	if err != nil {
		return record{}, err
	}
	if email == "" {
		id = cmp.Or(id, caller.ID)
	}
	r, err := find(ctx, q, id, email)
	switch {
	case err != nil && !fault.Is(err, fault.NotFound):
		return record{}, err
	case caller.IsAdmin(), err == nil && r.ID == caller.ID:
		return r, err
	}
	return record{}, fault.New(fault.Forbidden, "only an admin may do this for another customer")
}

// Sweep deletes codes, sessions and throttles that have ended.
func (s *Service) Sweep(ctx context.Context) error {
	now := s.now()
	for _, statement := range sweeps() {
		if _, err := s.db.Exec(ctx, statement, db.Micro(now)); err != nil {
			return fmt.Errorf("sweep customers: %w", err)
		}
	}
	return throttle.Sweep(ctx, s.db, now)
}
