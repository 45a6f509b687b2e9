package customers

import (
	"context"

	"m3o/internal/auth"
	"m3o/internal/customers/customersapi"
	"m3o/internal/db"
	"m3o/internal/fault"
	"m3o/pkg/events/proto/customers"
)

// state adds a fact about r to the outbox; it is the last thing a transaction does. The caller is who did it, or the
// customer when nobody has been authenticated.
func (s *Service) state(ctx context.Context, tx *db.Tx, r record, event *customers.Event) error {
	event.CallerId = r.ID
	if caller, ok := auth.From(ctx); ok {
		event.CallerId = caller.ID
	}
	event.Customer = &customers.Customer{
		Id: r.ID, Status: r.Status, Email: r.Email, Name: r.Name, Meta: r.Meta, Created: r.Created, Updated: r.Updated,
	}
	return s.outbox.Add(ctx, tx, customersapi.Host, customers.Topic, r.ID, event)
}

// fact is an event that says nothing but its type.
func fact(kind customers.EventType) *customers.Event { return &customers.Event{Type: kind} }

// changed has everybody forget what they remember of a customer. An error means that somebody may not have: the change
// stands, and the call can be repeated.
func (s *Service) changed(ctx context.Context, customerID string) error {
	if customerID == "" {
		return nil
	}
	if err := s.trigger.OnCustomerChanged(ctx, customerID).Err(); err != nil {
		return fault.Wrap(fault.Unavailable, err, "the change is stored, but not everybody has been told: repeat the call")
	}
	return nil
}

// settle waits for a moment until the house has taken the facts about a customer, so that what follows from them, such
// as the sign-up credit, is there when the call is answered.
func (s *Service) settle(ctx context.Context, customerID string) {
	s.outbox.Delivered(ctx, customersapi.Host, customerID)
}
