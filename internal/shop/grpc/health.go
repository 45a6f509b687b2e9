package grpc

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"

	"m3o/internal/shop/grpc/wire"
	"m3o/internal/shop/grpc/wire/wireconnect"
)

const (
	lookEvery  = time.Second // how often the components are asked, however many ask us
	maxWatches = 1000        // at the same time
)

// health tells whether the process takes requests, for all services alike.
type health struct {
	ready    func(context.Context) bool
	services []string // of the shop; the empty name is the whole process
	now      func() time.Time
	watches  atomic.Int64

	mu     sync.Mutex
	status wire.HealthCheckResponse_ServingStatus
	until  time.Time // for which the status is good enough
}

var _ wireconnect.HealthHandler = (*health)(nil)

func newHealth(c Config, services []string) *health {
	return &health{ready: c.Ready, services: append([]string{"", wireconnect.HealthName}, services...), now: c.Now}
}

// Check says how a service is; one that is not here is NotFound.
func (h *health) Check(ctx context.Context, r *connect.Request[wire.HealthCheckRequest]) (*connect.Response[wire.HealthCheckResponse], error) {
	if !slices.Contains(h.services, r.Msg.GetService()) {
		return nil, connect.NewError(connect.CodeNotFound, errors.New("there is no such service"))
	}
	return connect.NewResponse(&wire.HealthCheckResponse{Status: h.look(ctx)}), nil
}

// Watch says how a service is, and says it again when it has changed; one that is not here is SERVICE_UNKNOWN. When the
// process takes no requests any more, as when it stops, the stream ends after that was said: the client asks again.
func (h *health) Watch(ctx context.Context, r *connect.Request[wire.HealthCheckRequest], stream *connect.ServerStream[wire.HealthCheckResponse]) error {
	defer h.watches.Add(-1)
	if h.watches.Add(1) > maxWatches {
		return connect.NewError(connect.CodeResourceExhausted, errors.New("too many are watching already"))
	}
	beat := time.NewTicker(lookEvery)
	defer beat.Stop()
	for said := wire.HealthCheckResponse_UNKNOWN; ; {
		serving := h.look(ctx)
		status := serving
		if !slices.Contains(h.services, r.Msg.GetService()) {
			status = wire.HealthCheckResponse_SERVICE_UNKNOWN
		}
		if status != said {
			if err := stream.Send(&wire.HealthCheckResponse{Status: status}); err != nil {
				return err
			}
			said = status
		}
		if serving != wire.HealthCheckResponse_SERVING {
			return connect.NewError(connect.CodeUnavailable, errors.New("this process takes no requests: ask again"))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-beat.C:
		}
	}
}

// look is how the process is, a second ago at most. Who asks may go away meanwhile: others want to know, too.
func (h *health) look(ctx context.Context) wire.HealthCheckResponse_ServingStatus {
	h.mu.Lock()
	defer h.mu.Unlock()
	if now := h.now(); !now.Before(h.until) {
		h.status, h.until = wire.HealthCheckResponse_NOT_SERVING, now.Add(lookEvery)
		if h.ready(context.WithoutCancel(ctx)) {
			h.status = wire.HealthCheckResponse_SERVING
		}
	}
	return h.status
}
