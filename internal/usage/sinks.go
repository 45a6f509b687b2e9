package usage

import (
	"context"

	"m3o/internal/db"
	"m3o/internal/rpc"
	"m3o/internal/usage/usageapi"
	"m3o/pkg/events/proto/customers"
)

// OnCustomers deletes the records of a deleted customer.
func (s *Service) OnCustomers(ctx context.Context, event *customers.Event) error {
	if event.Type != customers.EventType_EventTypeDeleted {
		return nil
	}
	if err := s.flush(ctx, event.Customer.GetId()); err != nil { // what came later would not be deleted
		return err
	}
	return s.db.Tx(ctx, func(tx *db.Tx) error {
		if fresh, err := s.outbox.Once(ctx, tx, usageapi.Host, rpc.Event(ctx).ID); err != nil || !fresh {
			return err
		}
		return deleteCustomer(ctx, tx, event.Customer.GetId())
	})
}
