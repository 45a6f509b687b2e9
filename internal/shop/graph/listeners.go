package graph

import (
	"context"
	"sync"

	"m3o/internal/shop/graph/graphapi"
	"m3o/internal/shop/orders/ordersapi"
)

// listeners are the subscriptions of this replica.
type listeners struct {
	placed subject[ordersapi.Order]
	stock  subject[graphapi.Stock]
}

// everything is the key of a subject that is not divided.
const everything = ""

// subject is what subscriptions listen to, each to one key.
type subject[T any] struct {
	mu    sync.Mutex
	byKey map[string]map[*listener[T]]struct{}
}

// listener takes what happens. It must not wait; false says that it cannot take any more.
type listener[T any] struct{ take func(T) bool }

// backlog is how much may wait for a client before it counts as too slow.
const backlog = 256

// listen makes a channel of what happens to key until ctx ends: of what tell makes of it, and nil is not told. A client
// that is too slow is cut off, by the end of the operation that carries ctx.
func listen[T, U any](ctx context.Context, s *subject[T], key string, tell func(T) *U) (<-chan *U, error) {
	told := make(chan *U, backlog)
	l := &listener[T]{take: func(happened T) bool {
		made := tell(happened)
		if made == nil {
			return true
		}
		select {
		case told <- made:
			return true
		default:
			endOperation(ctx, errSlow)
			return false
		}
	}}
	s.add(key, l)
	context.AfterFunc(ctx, func() { s.remove(key, l) })
	return told, nil
}

func (s *subject[T]) add(key string, l *listener[T]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byKey == nil {
		s.byKey = map[string]map[*listener[T]]struct{}{}
	}
	if s.byKey[key] == nil {
		s.byKey[key] = map[*listener[T]]struct{}{}
	}
	s.byKey[key][l] = struct{}{}
}

func (s *subject[T]) remove(key string, l *listener[T]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byKey[key], l)
	if len(s.byKey[key]) == 0 {
		delete(s.byKey, key)
	}
}

// tell hands over what has happened to everybody who listens to key.
func (s *subject[T]) tell(key string, happened T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range s.byKey[key] {
		if !l.take(happened) {
			delete(s.byKey[key], l)
		}
	}
}

type operationEnd struct{}

// withEnd is the context of an operation on a socket, which endOperation ends.
func withEnd(ctx context.Context, end context.CancelCauseFunc) context.Context {
	return context.WithValue(ctx, operationEnd{}, end)
}

func endOperation(ctx context.Context, why error) {
	if end, ok := ctx.Value(operationEnd{}).(context.CancelCauseFunc); ok {
		end(why)
	}
}
