package gateway

import (
	"context"
	"time"

	"m3o/internal/expiry"
)

// defaultTimeout is the time budget of an endpoint that sets none.
const defaultTimeout = 10 * time.Second

// budget gives a call the time that its endpoint may take; a stream may take as long as it
// lasts.
func budget(ctx context.Context, e *endpoint) *expiry.Context {
	if e.Stream {
		return expiry.With(ctx, 0)
	}
	return expiry.With(ctx, e.timeout())
}

func (e *endpoint) timeout() time.Duration {
	if e.Timeout <= 0 {
		return defaultTimeout
	}
	return e.Timeout
}
