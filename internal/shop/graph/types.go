package graph

import (
	"context"

	graphql "github.com/graph-gophers/graphql-go"

	"m3o/internal/shop/graph/graphapi"
	"m3o/internal/shop/orders/ordersapi"
	"m3o/internal/shop/products/productsapi"
	"m3o/internal/shop/users/usersapi"
)

// The types of the schema. The library finds their fields by name, case and underscores aside. Amounts fit an Int: the
// services refuse what is larger.

type user struct {
	ID              graphql.ID
	Email, Username string
	Type            int32
	CreatedAt       graphql.Time
}

func newUser(u usersapi.User) *user {
	return &user{graphql.ID(u.ID), u.Email, u.Username, int32(u.Type), graphql.Time{Time: u.CreatedAt}}
}

type product struct {
	ID                graphql.ID
	Name, Description string
	Price, Stock      int32
	CreatedAt         graphql.Time
}

func newProduct(p productsapi.Product) *product {
	return &product{graphql.ID(p.ID), p.Name, p.Description, int32(p.Price), int32(p.Stock), graphql.Time{Time: p.CreatedAt}}
}

type order struct {
	related *related

	ID, UserID           graphql.ID
	PriceTotal, Quantity int32
	OrderProducts        []*orderProduct
	Status               string
	CreatedAt            graphql.Time
}

func newOrder(o ordersapi.Order, r *related) *order {
	return &order{
		r, graphql.ID(o.ID), graphql.ID(o.UserID), int32(o.PriceTotal), int32(o.Quantity),
		each(o.Lines, func(l ordersapi.OrderProduct) *orderProduct { return newOrderProduct(l, r) }), o.Status, graphql.Time{Time: o.CreatedAt},
	}
}

// User is who ordered; nil when there is no such user any more.
func (o *order) User(ctx context.Context) (*user, error) { return o.related.users.get(ctx, o.UserID) }

type orderProduct struct {
	related *related

	ProductID       graphql.ID
	Quantity, Price int32
	Name            string
}

func newOrderProduct(l ordersapi.OrderProduct, r *related) *orderProduct {
	return &orderProduct{r, graphql.ID(l.ProductID), int32(l.Quantity), int32(l.Price), l.Name}
}

// Product is the product as it is now; nil when it is not sold any more.
func (p *orderProduct) Product(ctx context.Context) (*product, error) {
	return p.related.products.get(ctx, p.ProductID)
}

type stockChange struct {
	related *related

	ProductID graphql.ID
	Stock     int32
}

func newStockChange(c graphapi.Stock, r *related) *stockChange {
	return &stockChange{r, graphql.ID(c.ProductID), int32(c.Stock)}
}

// Product is the product as it is now; nil when it is not sold any more.
func (c *stockChange) Product(ctx context.Context) (*product, error) {
	return c.related.products.get(ctx, c.ProductID)
}

type userPage struct {
	Items      []*user
	NextCursor *string
}

type productPage struct {
	Items      []*product
	NextCursor *string
}

type orderPage struct {
	Items      []*order
	NextCursor *string
}

type session struct{ Token string }

type result struct{ Success bool }

// each is what f makes of each.
func each[From, To any](all []From, f func(From) To) []To {
	made := make([]To, len(all))
	for i, one := range all {
		made[i] = f(one)
	}
	return made
}

// cursor is that of the next page, nil when there is none.
func cursor(next string) *string {
	if next == "" {
		return nil
	}
	return &next
}
