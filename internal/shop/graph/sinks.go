package graph

import (
	"context"

	"m3o/internal/db"
	"m3o/internal/shop/graph/graphapi"
	"m3o/internal/shop/orders/ordersapi"
	"m3o/pkg/events/proto/orders"
	"m3o/pkg/events/proto/products"
)

// OnOrders passes on which orders have been placed.
func (s *Service) OnOrders(_ context.Context, event *orders.Event) error {
	if event.GetType() != orders.EventType_ORDER_PLACED {
		return nil
	}
	o := event.GetOrderPlaced()
	lines := each(o.GetOrderProducts(), func(p *orders.OrderProduct) ordersapi.OrderProduct {
		return ordersapi.OrderProduct{ProductID: p.GetProductId(), Name: p.GetName(), Price: int(p.GetPrice()), Quantity: int(p.GetQuantity())}
	})
	return s.news.add(graphapi.News{Placed: []ordersapi.Order{{
		ID: o.GetId(), UserID: o.GetUserId(), Status: ordersapi.Placed, PriceTotal: int(o.GetPriceTotal()), Quantity: int(o.GetQuantity()),
		Lines: lines, CreatedAt: db.Time(o.GetCreatedAt()),
	}}})
}

// OnProducts passes on how much there is of which product.
func (s *Service) OnProducts(_ context.Context, event *products.Event) error {
	if event.GetType() != products.EventType_INVENTORY_UPDATE {
		return nil
	}
	p := event.GetInventoryUpdate()
	stock := int(p.GetStock())
	if p.GetDeleted() { // what is left of it is not sold any more
		stock = 0
	}
	return s.news.add(graphapi.News{Stock: []graphapi.Stock{{ProductID: p.GetProductId(), Stock: stock, Version: p.GetVersion()}}})
}

// OnNewsHeard tells the subscriptions of this replica what has happened.
func (s *Service) OnNewsHeard(_ context.Context, news graphapi.News) error {
	for _, o := range news.Placed {
		s.resolver.placed.tell(everything, o)
	}
	for _, c := range news.Stock {
		s.resolver.stock.tell(c.ProductID, c)
	}
	return nil
}

// OnTokenRevoked ends the WebSockets of a token, or of a user when none is named.
func (s *Service) OnTokenRevoked(_ context.Context, userID string, tokenID string) error {
	s.sockets.revoke(userID, tokenID)
	return nil
}
