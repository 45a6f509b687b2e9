package billing

import (
	"context"

	"m3o/internal/auth"
	"m3o/internal/billing/billingapi"
	"m3o/internal/db"
	"m3o/internal/db/changelog"
	"m3o/internal/rpc"
	"m3o/pkg/events/proto/customers"
)

// OnCustomers deletes the billing account of a deleted customer.
func (s *Service) OnCustomers(ctx context.Context, event *customers.Event) (err error) {
	customerID := event.GetCustomer().GetId()
	if event.GetType() != customers.EventType_EventTypeDeleted || customerID == "" {
		return nil
	}
	err = s.db.Tx(ctx, func(tx *db.Tx) error {
		fresh, err := s.outbox.Once(ctx, tx, billingapi.Host, rpc.Event(ctx).ID)
		if err != nil || !fresh {
			return err
		}
		if err := drop(ctx, tx, customerID); err != nil {
			return err
		}
		return changelog.Note(ctx, tx, billingapi.Host, customerID)
	})
	if err != nil {
		return err
	}
	return s.changed(ctx, customerID)
}

// state writes down the fact that a customer has another tier, last in the
// transaction.
func (s *Service) state(ctx context.Context, tx *db.Tx, customerID, tier string) error {
	fact := &customers.Event{
		Type: customers.EventType_EventTypeSubscriptionChanged, Customer: &customers.Customer{Id: customerID},
		SubscriptionChanged: &customers.SubscriptionChanged{Tier: tier},
	}
	if caller, ok := auth.From(ctx); ok {
		fact.CallerId = caller.ID
	}
	return s.outbox.Add(ctx, tx, billingapi.Host, customers.Topic, customerID, fact)
}
