package balance

import (
	"context"
	"fmt"
	"time"

	"m3o/internal/balance/balanceapi"
	"m3o/internal/bus"
	"m3o/internal/db"
	"m3o/internal/money"
	"m3o/internal/rpc"
	"m3o/pkg/events/proto/customers"
	"m3o/pkg/events/proto/requests"
)

// OnCustomers grants the sign-up credit to a verified customer and writes off
// what a deleted one leaves behind.
func (s *Service) OnCustomers(ctx context.Context, event *customers.Event) error {
	customerID := event.Customer.GetId()
	switch event.Type {
	case customers.EventType_EventTypeVerified:
		return s.grant(ctx, customerID)
	case customers.EventType_EventTypeDeleted:
		return s.writeOff(ctx, customerID)
	}
	return nil
}

// grant gives the sign-up credit, once for a customer whatever happens: the
// transfer's id is the customer's.
func (s *Service) grant(ctx context.Context, customerID string) error {
	credit := money.Micros(s.SignUpCredit())
	if credit == 0 {
		return nil
	}
	err := s.db.Tx(ctx, func(tx *db.Tx) error {
		if fresh, err := s.outbox.Once(ctx, tx, balanceapi.Host, rpc.Event(ctx).ID); err != nil || !fresh {
			return err
		}
		t := transfer{
			id: "signup:" + customerID, kind: kindSignUp, reference: "Sign-up credit", visible: true, actor: balanceapi.Host, at: s.now(),
			legs: []leg{{customerID, available, credit}, {house, promo, -credit}},
		}
		applied, err := post(ctx, tx, t)
		if err != nil || !applied {
			return err
		}
		return s.announce(ctx, tx, customerID, credit, "promo", t.reference, credit)
	})
	if err != nil {
		return err
	}
	return s.raised(ctx, customerID)
}

// writeOffID is the transfer that ends a customer's accounts: after it nothing is
// leased to them or taken from them.
func writeOffID(customerID string) string { return "writeoff:" + customerID }

// writeOff ends every lease of a customer and moves what is left to breakage.
func (s *Service) writeOff(ctx context.Context, customerID string) error {
	leases, err := listIDs(ctx, s.db, openLeasesSQL, customerID)
	if err != nil {
		return err
	}
	if _, err := s.usage.Charged(ctx, customerID, leases); err != nil { // calls that were served before count
		return err
	}
	if err := s.closeAll(ctx, leases); err != nil {
		return err
	}
	return s.db.Tx(ctx, func(tx *db.Tx) error {
		if fresh, err := s.outbox.Once(ctx, tx, balanceapi.Host, rpc.Event(ctx).ID); err != nil || !fresh {
			return err
		}
		if _, err := lockAvailable(ctx, tx, customerID); err != nil { // no lease is granted meanwhile
			return err
		}
		a, err := readAccounts(ctx, tx, customerID)
		if err != nil {
			return err
		}
		if a.leased > 0 { // of a call that was admitted just before
			return bus.After(time.Second, fmt.Errorf("%d micro-dollars of deleted customer %s are still leased", a.leased, customerID))
		}
		transferID := writeOffID(customerID)
		switch gone, err := isApplied(ctx, tx, transferID); {
		case err != nil:
			return err
		case gone && a.available == 0 && a.receivable == 0: // deleted again, to be erased
			return nil
		case gone: // something has reached the accounts since
			transferID += ":" + rpc.Event(ctx).ID
		}
		_, err = post(ctx, tx, transfer{
			id: transferID, kind: kindWriteOff, reference: "Account deleted", visible: true, actor: balanceapi.Host, at: s.now(),
			legs: []leg{
				{customerID, available, -a.available}, {customerID, receivable, -a.receivable}, {house, breakage, a.available + a.receivable},
			},
		})
		return err
	})
}

// OnRequests posts what recorded calls were charged.
func (s *Service) OnRequests(ctx context.Context, event *requests.Event) error {
	if event.Type != requests.EventType_EventTypeRequest {
		return nil
	}
	eventID := rpc.Event(ctx).ID
	return s.db.Batch(db.Relaxed(ctx), func(tx *db.Tx) error { // as durable as the record it follows
		if fresh, err := s.outbox.Once(ctx, tx, balanceapi.Host, eventID); err != nil || !fresh {
			return err
		}
		for _, c := range event.Charges {
			transferID := fmt.Sprintf("charge:%s:%s", eventID, c.Lease)
			if err := s.charge(ctx, tx, transferID, event.CustomerId, c.Lease, money.Micros(c.Amount)); err != nil {
				return err
			}
		}
		return nil
	})
}
