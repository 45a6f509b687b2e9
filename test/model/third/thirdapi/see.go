package thirdapi

import (
	"context"
	"time"

	"m3o/internal/auth"
	"m3o/internal/frame"
	"m3o/internal/id"
)

// See is what the service of that host sees of its caller.
func See(ctx context.Context, now func() time.Time, service string) Sight {
	f := frame.Of(ctx)
	account, _ := auth.From(ctx)
	sight := Sight{
		Service: service, Depth: f.Depth, Languages: f.Languages, Forwarded: f.Forwarded, Baggage: f.Baggage, Trace: f.Traceparent,
		Account: account.ID, Request: id.Request(ctx), Now: frame.Now(ctx, now), Leaked: ctx.Value(Leak{}) != nil,
	}
	until, bounded := ctx.Deadline()
	if sight.Bounded = bounded; bounded {
		sight.Left = until.Sub(now())
	}
	return sight
}
