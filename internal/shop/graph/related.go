package graph

import (
	"context"
	"slices"
	"sync"

	graphql "github.com/graph-gophers/graphql-go"

	"m3o/internal/page"
	"m3o/internal/shop/orders/ordersapi"
)

// related is what the rows of one list refer to. The first row that is asked for it reads it for all of them, so that a
// list costs one more call for its users and one for its products, however long it is.
type related struct {
	users    shared[*user]
	products shared[*product]
}

// shared is read once, by whoever comes first.
type shared[T any] struct {
	read  func(ctx context.Context) (map[graphql.ID]T, error)
	once  sync.Once
	found map[graphql.ID]T
	err   error
}

func (s *shared[T]) get(ctx context.Context, id graphql.ID) (T, error) {
	s.once.Do(func() { s.found, s.err = s.read(ctx) })
	return s.found[id], s.err
}

// relate says what is to be read when somebody asks.
func (r *resolver) relate(userIDs, productIDs []string) *related {
	all := &related{}
	all.users.read = func(ctx context.Context) (map[graphql.ID]*user, error) {
		found, err := inParts(userIDs, func(ids []string) ([]*user, error) {
			users, err := r.users.GetUsersByID(ctx, ids)
			return each(users, newUser), err
		})
		return byID(found, func(u *user) graphql.ID { return u.ID }), err
	}
	all.products.read = func(ctx context.Context) (map[graphql.ID]*product, error) {
		found, err := inParts(productIDs, func(ids []string) ([]*product, error) {
			products, err := r.products.GetProductsByID(ctx, ids)
			return each(products, newProduct), err
		})
		return byID(found, func(p *product) graphql.ID { return p.ID }), err
	}
	return all
}

// ordersOf are the orders of a list, with what they refer to.
func (r *resolver) ordersOf(found []ordersapi.Order) []*order {
	var userIDs, productIDs []string
	for _, o := range found {
		userIDs = append(userIDs, o.UserID)
		for _, l := range o.Lines {
			productIDs = append(productIDs, l.ProductID)
		}
	}
	related := r.relate(userIDs, productIDs)
	return each(found, func(o ordersapi.Order) *order { return newOrder(o, related) })
}

// orderOf is a single order.
func (r *resolver) orderOf(o ordersapi.Order) *order { return r.ordersOf([]ordersapi.Order{o})[0] }

// inParts asks for many rows, each once and no more at a time than a page may have.
func inParts[T any](ids []string, read func(ids []string) ([]T, error)) (all []T, err error) {
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	for part := range slices.Chunk(ids, page.Max) {
		found, err := read(part)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

func byID[T any](all []T, id func(T) graphql.ID) map[graphql.ID]T {
	index := make(map[graphql.ID]T, len(all))
	for _, one := range all {
		index[id(one)] = one
	}
	return index
}
