package balance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"m3o/internal/auth"
	"m3o/internal/balance/balanceapi"
	"m3o/internal/bus"
	"m3o/internal/bus/outbox"
	"m3o/internal/config"
	"m3o/internal/customers/customersapi"
	"m3o/internal/db"
	"m3o/internal/db/audit"
	"m3o/internal/db/idempotency"
	"m3o/internal/fault"
	"m3o/internal/money"
	"m3o/internal/page"
	"m3o/internal/recall"
	"m3o/internal/usage/usageapi"
	"m3o/pkg/events/proto/customers"
)

// maxDelta bounds one adjustment, in micro-dollars: a billion dollars.
const maxDelta = 1_000_000_000 * money.Dollar

// Deps is what the service needs.
type Deps struct {
	DB        *db.DB
	Bus       bus.Bus
	Outbox    *outbox.Outbox
	Config    config.Source
	Metrics   prometheus.Registerer
	Log       *slog.Logger
	Now       func() time.Time
	Customers customersapi.Service
	Usage     usageapi.Service
}

// Service is the balance service.
type Service struct {
	settings
	db        *db.DB
	outbox    *outbox.Outbox
	trigger   balanceapi.MulticastTrigger
	log       *slog.Logger
	now       func() time.Time
	customers customersapi.Service
	usage     usageapi.Service
	askings   recall.Askings // of the other gateways, by customer
}

// New makes the service.
func New(d Deps) (*Service, error) {
	set, err := newSettings(d.Config, d.Metrics)
	if err != nil {
		return nil, err
	}
	return &Service{
		settings: set, db: d.DB, outbox: d.Outbox, trigger: balanceapi.NewMulticastTrigger(d.Bus), log: d.Log, now: d.Now,
		customers: d.Customers, usage: d.Usage,
	}, nil
}

// Current implements balanceapi.Service.
func (s *Service) Current(ctx context.Context, customerID string) (current, held money.Micros, err error) {
	customerID, err = auth.Own(ctx, customerID)
	if err != nil {
		return 0, 0, err
	}
	return s.current(ctx, customerID)
}

// current counts every answered call as spent, whether or not its charge has
// been posted: usage knows what was charged on each open lease.
func (s *Service) current(ctx context.Context, customerID string) (current, held money.Micros, err error) {
	leases, err := listIDs(ctx, s.db, openLeasesSQL, customerID)
	if err != nil {
		return 0, 0, err
	}
	charged, err := s.usage.Charged(ctx, customerID, leases)
	if err != nil {
		return 0, 0, err
	}
	a, posted, err := snapshot(ctx, s.db, customerID)
	if err != nil {
		return 0, 0, err
	}
	var unposted money.Micros
	for leaseID, already := range posted {
		unposted += max(money.Micros(charged[leaseID])-already, 0)
	}
	return a.total() - unposted, a.leased - unposted, nil
}

// ListAdjustments implements balanceapi.Service.
func (s *Service) ListAdjustments(ctx context.Context, customerID string, limit int, cursor string) ([]balanceapi.Adjustment, string, error) {
	customerID, after, limit, err := s.listing(ctx, customerID, limit, cursor)
	if err != nil {
		return nil, "", err
	}
	adjustments, next, err := listAdjustments(ctx, s.db, customerID, auth.Admin(ctx) == nil, after, limit)
	return adjustments, next, err
}

// ListEntries implements balanceapi.Service.
func (s *Service) ListEntries(ctx context.Context, customerID string, limit int, cursor string) ([]balanceapi.Entry, string, error) {
	customerID, before, limit, err := s.listing(ctx, customerID, limit, cursor)
	if err != nil {
		return nil, "", err
	}
	if _, err := s.usage.Charged(ctx, customerID, nil); err != nil {
		return nil, "", err
	}
	s.outbox.Delivered(ctx, usageapi.Host, customerID) // what was charged is posted, so that the entries sum to the balance
	return listEntries(ctx, s.db, customerID, before, limit)
}

func (s *Service) listing(ctx context.Context, customerID string, limit int, cursor string) (string, page.Cursor, int, error) {
	limit, err := page.Limit(limit)
	if err != nil {
		return "", page.Cursor{}, 0, err
	}
	at, err := page.Parse(cursor)
	if err != nil {
		return "", page.Cursor{}, 0, err
	}
	customerID, err = auth.Own(ctx, customerID)
	return customerID, at, limit, err
}

// Increment implements balanceapi.Service.
func (s *Service) Increment(ctx context.Context, customerID string, delta money.Micros, reference, idempotencyKey string, visible bool) (money.Micros, error) {
	if err := s.checkAdjustment(ctx, "delta", delta, reference, idempotencyKey, customerID); err != nil {
		return 0, err
	}
	out, err := idempotency.Tx(ctx, s.db, func(tx *db.Tx) (out balanceapi.IncrementOut, err error) {
		t := s.adjustment(ctx, idempotencyKey, kindAdjustment, reference, visible, leg{customerID, available, delta}, leg{house, cash, -delta})
		out.NewBalance, err = s.adjust(ctx, tx, t, customerID, delta)
		return out, err
	})
	if err != nil {
		return 0, err
	}
	return out.NewBalance, s.raised(ctx, customerID)
}

// Decrement implements balanceapi.Service. When too much of the balance is
// leased, the gateways are asked to give it back first.
func (s *Service) Decrement(ctx context.Context, customerID string, delta money.Micros, reference, idempotencyKey string, visible bool) (money.Micros, error) {
	if err := s.checkAdjustment(ctx, "delta", delta, reference, idempotencyKey, customerID); err != nil {
		return 0, err
	}
	out, err := spend(ctx, s, customerID, delta, func(tx *db.Tx) (out balanceapi.DecrementOut, err error) {
		t := s.adjustment(ctx, idempotencyKey, kindAdjustment, reference, visible, leg{customerID, available, -delta}, leg{house, cash, delta})
		out.NewBalance, err = s.adjust(ctx, tx, t, customerID, -delta)
		return out, err
	})
	return out.NewBalance, err
}

// Transfer implements balanceapi.Service.
func (s *Service) Transfer(ctx context.Context, fromID, toID string, amount money.Micros, reference, idempotencyKey string, visible bool) error {
	if err := s.checkAdjustment(ctx, "amount", amount, reference, idempotencyKey, fromID, toID); err != nil {
		return err
	}
	if fromID == toID {
		return fault.BadField("to_id", "is the customer that pays")
	}
	_, err := spend(ctx, s, fromID, amount, func(tx *db.Tx) (out balanceapi.TransferOut, err error) {
		t := s.adjustment(ctx, idempotencyKey, kindTransfer, reference, visible, leg{fromID, available, -amount}, leg{toID, available, amount})
		if _, err := s.adjust(ctx, tx, t, fromID, -amount); err != nil {
			return out, err
		}
		return out, s.repay(ctx, tx, t.id, toID)
	})
	if err != nil {
		return err
	}
	return s.raised(ctx, toID)
}

// spend runs a debit; when the available money does not suffice it recalls what
// is leased and tries once more.
func spend[Out any](ctx context.Context, s *Service, customerID string, amount money.Micros, debit func(tx *db.Tx) (Out, error)) (Out, error) {
	out, err := idempotency.Tx(ctx, s.db, debit)
	if !errors.Is(err, errShort) {
		return out, err
	}
	if err := s.trigger.OnRecall(ctx, customerID, "").Err(); err != nil {
		return out, fault.Wrap(fault.Unavailable, err, "a part of the balance is in use: try again in a moment").After(time.Second)
	}
	out, err = idempotency.Tx(ctx, s.db, debit)
	if !errors.Is(err, errShort) {
		return out, err
	}
	_, held, err := s.current(ctx, customerID)
	if err != nil {
		return out, err
	}
	a, err := readAccounts(ctx, s.db, customerID)
	if err != nil {
		return out, err
	}
	if a.available+held >= amount { // calls in flight hold a part that they may not spend
		return out, fault.New(fault.Unavailable, "a part of the balance is held by calls that are running: try again in a moment").After(time.Second)
	}
	return out, fault.New(fault.PaymentRequired, "the balance does not suffice")
}

// checkAdjustment holds an adjustment to the rules: an admin, an amount above
// zero, a reference, a key, and customers that exist.
func (s *Service) checkAdjustment(ctx context.Context, name string, amount money.Micros, reference, key string, customerIDs ...string) error {
	if err := auth.Admin(ctx); err != nil {
		return err
	}
	switch {
	case amount <= 0 || amount > maxDelta:
		return fault.BadField(name, "must be between 1 and %d micro-dollars", int64(maxDelta))
	case reference == "" || len(reference) > 500:
		return fault.BadField("reference", "says what the money is for, in 1 to 500 characters")
	case key == "" || len(key) > 255:
		return fault.BadField("idempotency_key", "is needed so that the money moves once: 1 to 255 characters")
	}
	for _, customerID := range customerIDs {
		if customerID == "" {
			return fault.BadField("customer_id", "names no customer")
		}
		status, err := s.customers.Status(ctx, customerID)
		if err != nil {
			return err
		}
		if status == customersapi.Deleted {
			return fault.New(fault.NotFound, "customer %s has been deleted", customerID)
		}
	}
	return nil
}

func (s *Service) adjustment(ctx context.Context, key, kind, reference string, visible bool, legs ...leg) transfer {
	actor, _ := auth.From(ctx)
	return transfer{id: "adjust:" + key, kind: kind, reference: reference, visible: visible, actor: actor.ID, at: s.now(), legs: legs}
}

// adjust posts an adjustment of a customer with its audit row and its fact, and
// says the new balance.
func (s *Service) adjust(ctx context.Context, tx *db.Tx, t transfer, customerID string, delta money.Micros) (money.Micros, error) {
	applied, err := post(ctx, tx, t)
	if err != nil {
		return 0, err
	}
	if applied {
		if err := s.repay(ctx, tx, t.id, customerID); err != nil {
			return 0, err
		}
		detail := map[string]string{"delta": fmt.Sprint(int64(delta)), "reference": t.reference, "transfer": t.id}
		if err := audit.Add(ctx, tx, t.at, "balance."+t.kind, customerID, detail); err != nil {
			return 0, err
		}
	}
	a, err := readAccounts(ctx, tx, customerID)
	if err != nil || !applied {
		return a.total(), err
	}
	return a.total(), s.announce(ctx, tx, customerID, delta, "system", t.reference, a.total())
}

// repay pays off what a customer owes from what a transfer has made available.
func (s *Service) repay(ctx context.Context, tx *db.Tx, transferID, customerID string) error {
	a, err := readAccounts(ctx, tx, customerID)
	if err != nil {
		return err
	}
	paid := min(a.available, -a.receivable)
	if paid <= 0 {
		return nil
	}
	_, err = post(ctx, tx, transfer{
		id: "repay:" + customerID + ":" + transferID, kind: kindRepay, reference: "Calls that were owed", actor: balanceapi.Host, at: s.now(),
		legs: []leg{{customerID, available, -paid}, {customerID, receivable, paid}},
	})
	return err
}

// settled follows a charge: it counts it, and states when nothing is left.
func (s *Service) settled(ctx context.Context, tx *db.Tx, customerID string, amount money.Micros) error {
	if amount <= 0 {
		return nil
	}
	tx.AfterCommit(func() { s.IncrementPostedMicros(int64(amount)) })
	a, err := readAccounts(ctx, tx, customerID)
	if err != nil || a.total() > 0 || a.total()+amount <= 0 {
		return err
	}
	return s.fact(ctx, tx, customerID, &customers.Event{Type: customers.EventType_EventTypeBalanceZero, BalanceZero: &customers.BalanceZero{}})
}

// announce states a change that was not a call, and that nothing is left when
// the change made it so.
func (s *Service) announce(ctx context.Context, tx *db.Tx, customerID string, delta money.Micros, kind, reference string, total money.Micros) error {
	event := &customers.Event{Type: customers.EventType_EventTypeBalanceIncrement,
		BalanceIncrement: &customers.BalanceIncrement{Amount: int64(delta), Type: kind, Reference: reference}}
	if delta < 0 {
		event = &customers.Event{Type: customers.EventType_EventTypeBalanceDecrement,
			BalanceDecrement: &customers.BalanceDecrement{Amount: int64(-delta), Type: kind, Reference: reference}}
	}
	if err := s.fact(ctx, tx, customerID, event); err != nil || delta >= 0 || total > 0 {
		return err
	}
	return s.fact(ctx, tx, customerID, &customers.Event{Type: customers.EventType_EventTypeBalanceZero, BalanceZero: &customers.BalanceZero{}})
}

func (s *Service) fact(ctx context.Context, tx *db.Tx, customerID string, event *customers.Event) error {
	actor, _ := auth.From(ctx)
	event.Customer, event.CallerId = &customers.Customer{Id: customerID}, actor.ID
	return s.outbox.Add(ctx, tx, balanceapi.Host, customers.Topic, customerID, event)
}

// raised tells whoever remembers that a customer could not pay.
func (s *Service) raised(ctx context.Context, customerID string) error {
	if err := s.trigger.OnBalanceRaised(ctx, customerID).Err(); err != nil {
		return fault.Wrap(fault.Unavailable, err, "the balance has changed, but not every gateway knows yet")
	}
	return nil
}

// Audit checks the ledger's invariants. It is a ticker.
func (s *Service) Audit(ctx context.Context) error {
	sum, mismatches, err := audited(ctx, s.db)
	if err != nil {
		return err
	}
	s.ObserveLedgerSum(int64(sum))
	if sum != 0 || mismatches != 0 {
		return fmt.Errorf("the ledger is broken: its sum is %d micro-dollars, %d accounts differ from their entries", sum, mismatches)
	}
	return nil
}
