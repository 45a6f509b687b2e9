// Package carry puts values into contexts, one of each type, at half of what
// context.WithValue costs: every metered call pays for several. It imports nothing of ours.
package carry

import "context"

// carrier is a context that carries a value.
type carrier[T any] struct {
	context.Context
	value T
}

type key[T any] struct{}

// Value implements context.Context.
func (c *carrier[T]) Value(k any) any {
	if k == (key[T]{}) {
		return c
	}
	return c.Context.Value(k)
}

// With returns a context that carries v, in place of another value of the same type. The
// type is the key: whoever wants nobody else to set or read the value keeps the type private.
func With[T any](ctx context.Context, v T) context.Context { return &carrier[T]{ctx, v} }

// From is the value of that type that ctx carries, false when there is none.
func From[T any](ctx context.Context) (v T, ok bool) {
	c, ok := ctx.Value(key[T]{}).(*carrier[T])
	if ok {
		v = c.value
	}
	return v, ok
}
