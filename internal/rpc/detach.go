package rpc

import (
	"context"
	"time"

	"m3o/internal/auth"
	"m3o/internal/frame"
	"m3o/internal/id"
)

// detach returns a context that has of ctx only what travels to another service,
// wherever that runs: its end and deadline, who is calling, the request's id and the
// frame. It ends after limit at the latest; 0 means no limit.
func detach(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	bare := context.Background()
	if account, ok := auth.From(ctx); ok {
		bare = auth.With(bare, account)
	}
	if ip := auth.Client(ctx); ip != "" {
		bare = auth.WithClient(bare, ip)
	}
	if request := id.Request(ctx); request != "" {
		bare = id.WithRequest(bare, request)
	}
	if f, ok := frame.From(ctx); ok {
		bare = frame.With(bare, f)
	}
	until, bounded := ctx.Deadline()
	if limit > 0 && (!bounded || time.Until(until) > limit) {
		until, bounded = time.Now().Add(limit), true
	}
	cancel := context.CancelFunc(nil)
	if bounded {
		bare, cancel = context.WithDeadline(bare, until)
	} else {
		bare, cancel = context.WithCancel(bare)
	}
	if ctx.Done() == nil {
		return bare, cancel
	}
	stop := context.AfterFunc(ctx, cancel)
	return bare, func() {
		stop()
		cancel()
	}
}
