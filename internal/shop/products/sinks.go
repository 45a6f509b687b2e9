package products

import (
	"context"
	"time"

	"m3o/internal/db"
	"m3o/internal/rpc"
	"m3o/internal/shop/products/productsapi"
	"m3o/pkg/events/proto/orders"
	"m3o/pkg/events/proto/users"
)

// OnUsers counts those who may buy. What is sold does not depend on who is known, so nothing else is kept of them.
func (s *Service) OnUsers(ctx context.Context, event *users.Event) error {
	if event.GetType() != users.EventType_USER_REGISTERED {
		return nil
	}
	return s.db.Batch(db.Relaxed(ctx), func(tx *db.Tx) error {
		fresh, err := s.outbox.Once(ctx, tx, productsapi.Host, rpc.Event(ctx).ID)
		if err == nil && fresh {
			tx.AfterCommit(func() { _ = s.IncrementBuyers(1) }) // it never falls
		}
		return err
	})
}

// patience is how long a placed order may wait for company: nobody waits for it to be sold, and in company it costs a
// fraction of a transaction.
const patience = 2 * time.Millisecond

// OnOrders sells what a placed order holds. It needs no note of the event: what is sold is sold once.
func (s *Service) OnOrders(ctx context.Context, event *orders.Event) error {
	if event.GetType() != orders.EventType_ORDER_PLACED {
		return nil
	}
	return s.sell(ctx, patience, event.GetOrderPlaced().GetId())
}
