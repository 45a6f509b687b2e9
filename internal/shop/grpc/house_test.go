package grpc_test

import (
	"net/http"
	"testing"
	"time"

	"connectrpc.com/connect"

	"m3o/internal/app/apptest"
	"m3o/internal/shop/grpc/wire"
	"m3o/internal/shop/grpc/wire/wireconnect"
	shopv1 "m3o/pkg/shop/v1"
	"m3o/pkg/shop/v1/shopv1connect"
)

const (
	adminEmail = "root@example.com"
	password   = "correct horse battery"
)

// shop is a running house with an admin of the shop.
type shop struct {
	*apptest.System
	t        testing.TB
	users    shopv1connect.UsersServiceClient
	products shopv1connect.ProductsServiceClient
	orders   shopv1connect.OrdersServiceClient
	health   wireconnect.HealthClient
}

func startShop(t testing.TB) *shop {
	t.Helper()
	s := &shop{t: t, System: apptest.Start(t, apptest.Set("SHOP", "ADMIN_EMAIL", adminEmail), apptest.Set("SHOP", "ADMIN_PASSWORD", password))}
	client := newClient(t)
	s.users = shopv1connect.NewUsersServiceClient(client, s.URL, connect.WithGRPC())
	s.products = shopv1connect.NewProductsServiceClient(client, s.URL, connect.WithGRPC())
	s.orders = shopv1connect.NewOrdersServiceClient(client, s.URL, connect.WithGRPC())
	s.health = wireconnect.NewHealthClient(client, s.URL, connect.WithGRPC())
	return s
}

func (s *shop) login(email string) string {
	s.t.Helper()
	login, err := s.users.Login(s.t.Context(), with("", &shopv1.LoginRequest{Email: email, Password: password}))
	must(s.t, err)
	return login.Msg.GetToken()
}

// join registers somebody and logs in.
func (s *shop) join(email string) (id, token string) {
	s.t.Helper()
	made, err := s.users.RegisterUser(s.t.Context(), with("", &shopv1.RegisterUserRequest{Email: email, Username: "Somebody", Password: password}))
	must(s.t, err)
	return made.Msg.GetUser().GetId(), s.login(email)
}

// wantReason fails unless err gives that reason.
func wantReason(t testing.TB, err error, reason string) {
	t.Helper()
	if r := read(t, err); r.info.GetReason() != reason {
		t.Errorf("err = %v (%s), want %s", err, r.info.GetReason(), reason)
	}
}

// The whole, from a login to an order, over gRPC on the port that serves HTTP/1.1, too.
func TestTheShopOverGRPC(t *testing.T) {
	t.Parallel()
	s := startShop(t)
	ctx := t.Context()
	admin := s.login(adminEmail)
	added, err := s.products.AddProduct(ctx, with(admin, &shopv1.AddProductRequest{Name: "Lamp", Description: "It shines.", Price: 7, Stock: 3}))
	must(t, err)
	lamp := added.Msg.GetProduct()
	ada, token := s.join("ada@example.com")
	_, other := s.join("other@example.com")

	_, err = s.users.RegisterUser(ctx, with(token, &shopv1.RegisterUserRequest{Email: "evil@example.com", Username: "Evil", Password: password, Type: 1}))
	wantReason(t, err, "FORBIDDEN")
	_, err = s.users.GetUsers(ctx, with(token, &shopv1.GetUsersRequest{}))
	wantReason(t, err, "FORBIDDEN")
	_, err = s.products.AddProduct(ctx, with(token, &shopv1.AddProductRequest{Name: "Lamp"}))
	wantReason(t, err, "FORBIDDEN")
	lines := []*shopv1.OrderLine{{ProductId: lamp.GetId(), Quantity: 2}}
	_, err = s.orders.PlaceOrder(ctx, with("", &shopv1.PlaceOrderRequest{OrderProducts: lines}))
	wantReason(t, err, "UNAUTHENTICATED")

	placed, err := s.orders.PlaceOrder(ctx, with(token, &shopv1.PlaceOrderRequest{OrderProducts: lines}))
	must(t, err)
	order := placed.Msg.GetOrder()
	if order.GetUserId() != ada || order.GetPriceTotal() != 14 || order.GetQuantity() != 2 || order.GetStatus() != "placed" {
		t.Errorf("placed %v", order)
	}
	_, err = s.orders.PlaceOrder(ctx, with(token, &shopv1.PlaceOrderRequest{OrderProducts: lines}))
	wantReason(t, err, "OUT_OF_STOCK")
	found, err := s.orders.GetOrder(ctx, with(token, &shopv1.GetOrderRequest{Id: order.GetId()}))
	must(t, err)
	same(t, found.Msg.GetOrder(), order)
	if _, err = s.orders.GetOrder(ctx, with(other, &shopv1.GetOrderRequest{Id: order.GetId()})); err == nil {
		t.Error("another reads the order")
	}
	left, err := s.products.GetProduct(ctx, with("", &shopv1.GetProductRequest{Id: lamp.GetId()}))
	if err != nil || left.Msg.GetProduct().GetStock() != 1 {
		t.Errorf("left is %v, %v", left, err)
	}

	_, err = s.users.Logout(ctx, with("Bearer "+token, &shopv1.LogoutRequest{}))
	must(t, err)
	_, err = s.users.GetUser(ctx, with(token, &shopv1.GetUserRequest{}))
	wantReason(t, err, "UNAUTHENTICATED")
	if answer := s.Do(http.MethodGet, "/healthz", "", nil); answer.Status != http.StatusOK {
		t.Errorf("HTTP/1.1 answers %d", answer.Status)
	}
}

// Who watches the health must not hold up a stop.
func TestAStopEndsTheWatch(t *testing.T) {
	t.Parallel()
	s := startShop(t)
	watch, err := s.health.Watch(t.Context(), with("", &wire.HealthCheckRequest{}))
	must(t, err)
	defer watch.Close()
	if !watch.Receive() || watch.Msg().GetStatus() != wire.HealthCheckResponse_SERVING {
		t.Fatalf("first is %v, %v", watch.Msg(), watch.Err())
	}
	began := time.Now()
	s.Stop()
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the stop took %s", took)
	}
	if !watch.Receive() || watch.Msg().GetStatus() != wire.HealthCheckResponse_NOT_SERVING || watch.Receive() {
		t.Errorf("last is %v, %v", watch.Msg(), watch.Err())
	}
}
