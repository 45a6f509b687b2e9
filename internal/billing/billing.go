package billing

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"m3o/internal/auth"
	"m3o/internal/billing/billingapi"
	"m3o/internal/bus"
	"m3o/internal/bus/outbox"
	"m3o/internal/config"
	"m3o/internal/customers/customersapi"
	"m3o/internal/db"
	"m3o/internal/db/audit"
	"m3o/internal/db/changelog"
	"m3o/internal/db/idempotency"
	"m3o/internal/fault"
)

// Deps is what the service needs.
type Deps struct {
	DB        *db.DB
	Bus       bus.Bus // fires OnTierChanged
	Outbox    *outbox.Outbox
	Config    config.Source
	Metrics   prometheus.Registerer
	Log       *slog.Logger
	Now       func() time.Time // UTC
	Customers customersapi.Service
}

// Service is tiers and subscriptions.
type Service struct {
	settings
	db        *db.DB
	outbox    *outbox.Outbox
	log       *slog.Logger
	now       func() time.Time
	trigger   billingapi.MulticastTrigger
	customers customersapi.Service
	tiers     atomic.Pointer[map[string]billingapi.Tier] // by name
}

// New makes the service. Tiers that cannot be understood are an error.
func New(d Deps) (*Service, error) {
	s, err := newSettings(d.Config, d.Metrics)
	if err != nil {
		return nil, fmt.Errorf("billing: %w", err)
	}
	service := &Service{
		settings: s, db: d.DB, outbox: d.Outbox, log: d.Log, now: d.Now,
		trigger: billingapi.NewMulticastTrigger(d.Bus), customers: d.Customers,
	}
	return service, service.readTiers()
}

// readTiers takes the tiers of the configuration. If they cannot be understood, those
// of before stay in force.
func (s *Service) readTiers() error {
	tiers, err := parseTiers(s.Tiers())
	if err != nil {
		return fmt.Errorf("config billing.Tiers: %w", err)
	}
	s.tiers.Store(&tiers)
	return nil
}

// tier is a tier by its name.
func (s *Service) tier(name string) (tier billingapi.Tier, ok bool) {
	tier, ok = (*s.tiers.Load())[name]
	return tier, ok
}

// OnChangedTiers takes other tiers into force, for the next call of every customer.
func (s *Service) OnChangedTiers(ctx context.Context) (err error) {
	if err := s.readTiers(); err != nil {
		return err
	}
	if err := s.noteTiers(ctx); err != nil {
		return err
	}
	return s.trigger.OnTierChanged(ctx, "").Err()
}

// OnStartup has gateways that outlived an earlier process ask for the tiers, which may be
// others in this one.
func (s *Service) OnStartup(ctx context.Context) error { return s.noteTiers(ctx) }

func (s *Service) noteTiers(ctx context.Context) error {
	return s.db.Tx(ctx, func(tx *db.Tx) error { return changelog.Note(ctx, tx, billingapi.Host, "") })
}

// ReadAccount is the billing account of a customer, the caller's own unless an
// admin names another, which must exist (fault.NotFound).
func (s *Service) ReadAccount(ctx context.Context, customerID string) (billingAccount billingapi.Account, err error) {
	customer, err := s.customer(ctx, customerID)
	if err != nil {
		return billingAccount, err
	}
	tier, err := s.TierOf(ctx, customer)
	if err != nil {
		return billingAccount, err
	}
	return billingapi.Account{
		ID:            "bil_" + strings.TrimPrefix(customer, "cus_"), // one account a customer, so its id says whose
		Admins:        []string{customer},
		Subscriptions: []billingapi.Subscription{{ID: tier.ID}},
	}, nil
}

// customer is whom a call is about by the rule "own, or admin". One that an admin
// names must exist.
func (s *Service) customer(ctx context.Context, customerID string) (string, error) {
	customer, err := auth.Own(ctx, customerID)
	if err != nil || customerID == "" {
		return customer, err
	}
	status, err := s.customers.Status(ctx, customer)
	if fault.Is(err, fault.NotFound) || (err == nil && status == customersapi.Deleted) {
		return "", fault.New(fault.NotFound, "there is no customer %s", customer)
	}
	return customer, err
}

// SubscribeTier changes the tier from the next call on: of the caller, or of any
// customer when an admin calls. An unknown tier is fault.Invalid. A customer who
// asks for a paid tier is told fault.PaymentRequired; the card is not looked at
// before payments are set up.
func (s *Service) SubscribeTier(ctx context.Context, id, cardID, customerID string) (err error) {
	customer, err := s.customer(ctx, customerID)
	if err != nil {
		return err
	}
	tier, ok := s.tier(id)
	if !ok {
		f := fault.New(fault.Invalid, "Subscription ID not valid").WithID("billing.SubscribeTier")
		f.Fields = []fault.Field{{Name: "id", Detail: "is none of the tiers"}}
		return f
	}
	admin := auth.Admin(ctx) == nil
	if !admin && tier.Price > 0 {
		return s.unpaid(ctx, customer, tier)
	}
	_, err = idempotency.Tx(ctx, s.db, func(tx *db.Tx) (out billingapi.SubscribeTierOut, err error) {
		changed, err := setTier(ctx, tx, customer, tier.ID, s.now())
		if err != nil {
			return out, err
		}
		if admin {
			if err := audit.Add(ctx, tx, s.now(), "billing.SubscribeTier", customer, map[string]string{"tier": tier.ID}); err != nil {
				return out, err
			}
		}
		if !changed {
			return out, nil
		}
		if err := changelog.Note(ctx, tx, billingapi.Host, customer); err != nil {
			return out, err
		}
		return out, s.state(ctx, tx, customer, tier.ID)
	})
	if err != nil {
		return err
	}
	return s.changed(ctx, customer)
}

// unpaid answers a customer who asks for a paid tier: fine when it is the one in
// force already, else it must be paid.
func (s *Service) unpaid(ctx context.Context, customer string, tier billingapi.Tier) error {
	current, err := s.TierOf(ctx, customer)
	if err != nil || current.ID == tier.ID {
		return err
	}
	return fault.New(fault.PaymentRequired, "this tier must be paid: payments are not set up on this server").
		WithID("billing.SubscribeTier").With("price", int64(tier.Price))
}

// changed has everybody forget the customer's tier, also when a repeated call
// found it changed already: the first may have told nobody.
func (s *Service) changed(ctx context.Context, customerID string) error {
	if err := s.trigger.OnTierChanged(ctx, customerID).Err(); err != nil {
		return fault.Wrap(fault.Unavailable, err, "the change was made, but not everybody could be told: try again")
	}
	return nil
}

// TierOf is the tier in force for a customer. It checks nobody.
func (s *Service) TierOf(ctx context.Context, customerID string) (tier billingapi.Tier, err error) {
	id, err := tierOf(ctx, s.db, customerID)
	if err != nil {
		return tier, err
	}
	tier, ok := s.tier(id)
	if !ok {
		s.log.WarnContext(ctx, "a customer has a tier that is not configured", "customer", customerID, "tier", id)
		tier, _ = s.tier(billingapi.Free)
	}
	return tier, nil
}
