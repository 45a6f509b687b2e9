package grpc

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"time"

	"connectrpc.com/connect"
	"connectrpc.com/grpcreflect"

	"m3o/internal/auth"
	"m3o/internal/id"
	"m3o/internal/shop/grpc/wire/wireconnect"
	"m3o/internal/shop/orders/ordersapi"
	"m3o/internal/shop/products/productsapi"
	"m3o/internal/shop/users/usersapi"
	"m3o/pkg/shop/v1/shopv1connect"
)

// Config is what the shop is reached by. All is required.
type Config struct {
	Users    usersapi.Service
	Products productsapi.Service
	Orders   ordersapi.Service

	// Platform finds the account of an access token of the platform, whose admins are the shop's too;
	// fault.Unauthenticated when there is none.
	Platform func(ctx context.Context, accessToken string) (auth.Account, error)

	Ready func(context.Context) bool // whether the process takes requests
	Log   *slog.Logger
	Now   func() time.Time // UTC
}

// The bounds of a call.
const (
	maxRequest = 1 << 20          // bytes of a message
	maxAnswer  = 4 << 20          // bytes of a message as it is sent; a gRPC client takes no more, unless it is told to
	timeLimit  = 20 * time.Second // of a call whose client gives it none, or more
)

// Handlers are what to serve, by the prefix of the path, such as /m3o.shop.v1.UsersService/. Health and reflection are for
// everybody and do not look at who is calling.
func Handlers(c Config) (map[string]http.Handler, error) {
	described, err := newDescriptors()
	if err != nil {
		return nil, err
	}
	bounds := []connect.HandlerOption{connect.WithReadMaxBytes(maxRequest), connect.WithSendMaxBytes(maxAnswer), connect.WithRecover(recovering(c.Log))}
	shop := append(slices.Clone(bounds), connect.WithInterceptors(newDoor(c)))
	names := []string{shopv1connect.UsersServiceName, shopv1connect.ProductsServiceName, shopv1connect.OrdersServiceName}
	everything := append(slices.Clone(names), wireconnect.HealthName)
	reflector := grpcreflect.NewReflector(grpcreflect.NamerFunc(func() []string { return everything }),
		grpcreflect.WithDescriptorResolver(described))
	all := map[string]http.Handler{}
	add := func(prefix string, h http.Handler) { all[prefix] = h }
	add(shopv1connect.NewUsersServiceHandler(users{c.Users}, shop...))
	add(shopv1connect.NewProductsServiceHandler(products{c.Products}, shop...))
	add(shopv1connect.NewOrdersServiceHandler(orders{c.Orders}, shop...))
	add(wireconnect.NewHealthHandler(newHealth(c, names), bounds...))
	add(grpcreflect.NewHandlerV1(reflector, bounds...))
	add(grpcreflect.NewHandlerV1Alpha(reflector, bounds...)) // which many tools still ask first
	return all, nil
}

// recovering makes an internal error of a panic, and logs it.
func recovering(log *slog.Logger) func(context.Context, connect.Spec, http.Header, any) error {
	return func(ctx context.Context, spec connect.Spec, _ http.Header, reason any) error {
		log.LogAttrs(ctx, slog.LevelError, "panic", slog.String("request", id.Request(ctx)), slog.String("procedure", spec.Procedure),
			slog.String("panic", fmt.Sprint(reason)), slog.String("stack", string(debug.Stack())))
		return internal(ctx)
	}
}
