package grpc_test

import (
	"context"
	"testing"
	"time"

	"connectrpc.com/connect"

	"m3o/internal/shop/grpc/wire"
	"m3o/internal/shop/grpc/wire/wireconnect"
)

func TestHealthIsWhetherRequestsAreTaken(t *testing.T) {
	t.Parallel()
	for ready, want := range map[bool]wire.HealthCheckResponse_ServingStatus{true: wire.HealthCheckResponse_SERVING, false: wire.HealthCheckResponse_NOT_SERVING} {
		s := setup(t)
		s.ready.Store(ready)
		c := wireconnect.NewHealthClient(s.client, s.url, connect.WithGRPC())
		for _, service := range []string{"", "grpc.health.v1.Health", "m3o.shop.v1.UsersService", "m3o.shop.v1.ProductsService", "m3o.shop.v1.OrdersService"} {
			said, err := c.Check(t.Context(), with("x.y.z", &wire.HealthCheckRequest{Service: service})) // whoever asks
			if err != nil || said.Msg.GetStatus() != want {
				t.Errorf("%q: %v, %v, want %s", service, said, err, want)
			}
		}
		_, err := c.Check(t.Context(), with("", &wire.HealthCheckRequest{Service: "m3o.shop.v1.NoService"}))
		if r := read(t, err); r.code != connect.CodeNotFound {
			t.Errorf("err = %v", err)
		}
	}
}

func TestHealthIsWatchedUntilItEnds(t *testing.T) {
	t.Parallel()
	for service, want := range map[string][]wire.HealthCheckResponse_ServingStatus{
		"m3o.shop.v1.UsersService": {wire.HealthCheckResponse_SERVING, wire.HealthCheckResponse_NOT_SERVING},
		"m3o.shop.v1.NoService":    {wire.HealthCheckResponse_SERVICE_UNKNOWN},
	} {
		t.Run(service, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			stream, err := wireconnect.NewHealthClient(s.client, s.url, connect.WithGRPC()).Watch(ctx, with("", &wire.HealthCheckRequest{Service: service}))
			must(t, err)
			defer stream.Close()
			for i := 0; stream.Receive(); i++ {
				s.ready.Store(false) // once it has said something
				if i >= len(want) || stream.Msg().GetStatus() != want[i] {
					t.Errorf("answer %d is %s, want %v", i, stream.Msg().GetStatus(), want)
				}
			}
			if r := read(t, stream.Err()); r.code != connect.CodeUnavailable {
				t.Errorf("it ends with %v", stream.Err())
			}
		})
	}
}
