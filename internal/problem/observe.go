package problem

import "context"

type observerKey struct{}

// WithObserver returns a context whose internal errors are told to observe, once
// for each answer. The edge logs them there with the request id; nobody else
// sees their text.
func WithObserver(ctx context.Context, observe func(error)) context.Context {
	return context.WithValue(ctx, observerKey{}, observe)
}

// Observe tells the context's observer, if there is one, of an internal error.
func Observe(ctx context.Context, err error) {
	if observe, ok := ctx.Value(observerKey{}).(func(error)); ok {
		observe(err)
	}
}
