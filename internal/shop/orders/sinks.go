package orders

import (
	"context"

	"m3o/internal/db"
	"m3o/pkg/events/proto/products"
	"m3o/pkg/events/proto/users"
)

// OnUsers keeps a user's names. The event need not be noted: what is kept of it is kept once.
func (s *Service) OnUsers(ctx context.Context, event *users.Event) error {
	if event.GetType() != users.EventType_USER_REGISTERED {
		return nil
	}
	u := event.GetUserRegistered().GetUser()
	return s.db.Batch(db.Relaxed(ctx), func(tx *db.Tx) error {
		return keepUser(ctx, tx, u.GetId(), u.GetUsername(), u.GetEmail())
	})
}

// OnProducts keeps a product's name and stock. Events need not be noted: of two, the later version is kept, in whatever
// order and however often they come.
func (s *Service) OnProducts(ctx context.Context, event *products.Event) error {
	return s.db.Batch(db.Relaxed(ctx), func(tx *db.Tx) error {
		switch event.GetType() {
		case products.EventType_PRODUCT_CREATED:
			p := event.GetProductCreated()
			return keepProduct(ctx, tx, p.GetId(), p.GetName(), int64(p.GetStock()), p.GetVersion())
		case products.EventType_INVENTORY_UPDATE:
			u := event.GetInventoryUpdate()
			return keepStock(ctx, tx, u.GetProductId(), int64(u.GetStock()), u.GetDeleted(), u.GetVersion())
		}
		return nil
	})
}
