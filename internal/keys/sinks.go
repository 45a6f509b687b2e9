package keys

import (
	"context"

	"m3o/internal/auth"
	"m3o/internal/db"
	"m3o/internal/db/changelog"
	"m3o/internal/keys/keysapi"
	"m3o/internal/rpc"
	"m3o/pkg/events/proto/customers"
)

// OnCustomers deletes the keys of a deleted customer, each with its fact.
func (s *Service) OnCustomers(ctx context.Context, event *customers.Event) (err error) {
	customerID := event.GetCustomer().GetId()
	if event.GetType() != customers.EventType_EventTypeDeleted || customerID == "" {
		return nil
	}
	var count int
	err = s.db.Tx(ctx, func(tx *db.Tx) error {
		fresh, err := s.outbox.Once(ctx, tx, keysapi.Host, rpc.Event(ctx).ID)
		if err != nil || !fresh {
			return err
		}
		ids, err := liveKeys(ctx, tx, customerID, "")
		if err != nil {
			return err
		}
		count = len(ids)
		if err := drop(ctx, tx, customerID); err != nil {
			return err
		}
		if err := changelog.Note(ctx, tx, keysapi.Host, customerID); err != nil {
			return err
		}
		return s.stateEach(ctx, tx, customerID, ids, deleted)
	})
	if err != nil {
		return err
	}
	s.log.InfoContext(ctx, "deleted the keys of a deleted customer", "customer", customerID, "keys", count)
	return s.changed(ctx, customerID, "revoked", count) // also for a repeated event: the first may have told nobody
}

// state writes down a fact about a customer's keys, last in the transaction.
func (s *Service) state(ctx context.Context, tx *db.Tx, fact *customers.Event) error {
	if caller, ok := auth.From(ctx); ok {
		fact.CallerId = caller.ID
	}
	return s.outbox.Add(ctx, tx, keysapi.Host, customers.Topic, fact.GetCustomer().GetId(), fact)
}

// stateEach writes down one fact a key.
func (s *Service) stateEach(ctx context.Context, tx *db.Tx, customerID string, ids []string, fact func(customerID, keyID string) *customers.Event) error {
	for _, keyID := range ids {
		if err := s.state(ctx, tx, fact(customerID, keyID)); err != nil {
			return err
		}
	}
	return nil
}

func generated(customerID, keyID string, scopes []string) *customers.Event {
	return &customers.Event{
		Type: customers.EventType_EventTypeGenerateKey, Customer: &customers.Customer{Id: customerID},
		GenerateKey: &customers.GenerateKey{Id: keyID, Scopes: scopes},
	}
}

func deleted(customerID, keyID string) *customers.Event {
	return &customers.Event{
		Type: customers.EventType_EventTypeDeleteKey, Customer: &customers.Customer{Id: customerID},
		DeleteKey: &customers.DeleteKey{Id: keyID},
	}
}

func blocked(customerID, keyID string) *customers.Event {
	return &customers.Event{
		Type: customers.EventType_EventTypeBlockKey, Customer: &customers.Customer{Id: customerID},
		BlockKey: &customers.BlockKey{Id: keyID},
	}
}

func unblocked(customerID, keyID string) *customers.Event {
	return &customers.Event{
		Type: customers.EventType_EventTypeUnblockKey, Customer: &customers.Customer{Id: customerID},
		UnblockKey: &customers.UnblockKey{Id: keyID},
	}
}
