package grpc_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"connectrpc.com/grpcreflect"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"m3o/internal/auth"
	"m3o/internal/fault"
	"m3o/internal/shop/orders/ordersapi"
	"m3o/internal/shop/products/productsapi"
	"m3o/internal/shop/users/usersapi"
	shopv1 "m3o/pkg/shop/v1"
	"m3o/pkg/shop/v1/shopv1connect"
)

var (
	created  = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	user     = usersapi.User{ID: "usr_1", Username: "Ada", Email: "ada@example.com", Type: 1, CreatedAt: created}
	userSaid = &shopv1.User{Id: "usr_1", Username: "Ada", Email: "ada@example.com", Type: 1, CreatedAt: timestamppb.New(created)}

	product     = productsapi.Product{ID: "prd_1", Name: "Lamp", Description: "It shines.", Price: productsapi.Max, Stock: 3, CreatedAt: created}
	productSaid = &shopv1.Product{Id: "prd_1", Name: "Lamp", Description: "It shines.", Price: 2147483647, Stock: 3, CreatedAt: timestamppb.New(created)}

	order = ordersapi.Order{
		ID: "ord_1", UserID: "usr_1", Status: "placed", PriceTotal: 14, Quantity: 2, CreatedAt: created,
		Lines: []ordersapi.OrderProduct{{ProductID: "prd_1", Name: "Lamp", Price: 7, Quantity: 2}},
	}
	orderSaid = &shopv1.Order{
		Id: "ord_1", UserId: "usr_1", Status: "placed", PriceTotal: 14, Quantity: 2, CreatedAt: timestamppb.New(created),
		OrderProducts: []*shopv1.OrderProduct{{ProductId: "prd_1", Name: "Lamp", Price: 7, Quantity: 2}},
	}
)

// Each method of the three services, over gRPC, gRPC-Web and Connect.
func TestEveryMethodSpeaksForItsContract(t *testing.T) {
	t.Parallel()
	for name, protocol := range map[string]connect.ClientOption{"gRPC": connect.WithGRPC(), "gRPC-Web": connect.WithGRPCWeb(), "Connect": connect.WithProtoJSON()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			s.speakUsers(shopv1connect.NewUsersServiceClient(s.client, s.url, protocol))
			s.speakProducts(shopv1connect.NewProductsServiceClient(s.client, s.url, protocol))
			s.speakOrders(shopv1connect.NewOrdersServiceClient(s.client, s.url, protocol))
		})
	}
}

func (s *server) speakUsers(c shopv1connect.UsersServiceClient) {
	t, ctx := s.t, s.t.Context()
	s.users.GetUserReturns(user, nil)
	one, err := c.GetUser(ctx, with(shopToken, &shopv1.GetUserRequest{Id: "usr_1"}))
	must(t, err)
	same(t, one.Msg, &shopv1.GetUserResponse{User: userSaid})
	_, asked := s.users.GetUserArgsForCall(0)

	s.users.GetUsersReturns([]usersapi.User{user, user}, "more", nil)
	many, err := c.GetUsers(ctx, with(shopToken, &shopv1.GetUsersRequest{Search: "ad", Limit: 2, Cursor: "from"}))
	must(t, err)
	same(t, many.Msg, &shopv1.GetUsersResponse{Users: []*shopv1.User{userSaid, userSaid}, NextCursor: "more"})
	_, search, limit, cursor := s.users.GetUsersArgsForCall(0)

	s.users.LoginReturns("a token", nil)
	login, err := c.Login(ctx, with("", &shopv1.LoginRequest{Email: "ada@example.com", Password: "secret"}))
	must(t, err)
	same(t, login.Msg, &shopv1.LoginResponse{Token: "a token"})
	_, email, password := s.users.LoginArgsForCall(0)

	_, err = c.Logout(ctx, with("Bearer "+shopToken, &shopv1.LogoutRequest{}))
	must(t, err)
	_, token := s.users.LogoutArgsForCall(0)

	s.users.RegisterUserReturns(user, nil)
	made, err := c.RegisterUser(ctx, with("", &shopv1.RegisterUserRequest{Email: "x@example.com", Username: "X", Password: "pass", Type: 1}))
	must(t, err)
	same(t, made.Msg, &shopv1.RegisterUserResponse{User: userSaid})
	_, newEmail, username, newPassword, kind := s.users.RegisterUserArgsForCall(0)

	got := []any{asked, search, limit, cursor, email, password, token, newEmail, username, newPassword, kind}
	want := []any{"usr_1", "ad", 2, "from", "ada@example.com", "secret", shopToken, "x@example.com", "X", "pass", 1}
	if !slices.Equal(got, want) {
		t.Errorf("the contract was asked %v, want %v", got, want)
	}
}

func (s *server) speakProducts(c shopv1connect.ProductsServiceClient) {
	t, ctx := s.t, s.t.Context()
	s.products.GetProductReturns(product, nil)
	one, err := c.GetProduct(ctx, with("", &shopv1.GetProductRequest{Id: "prd_1"}))
	must(t, err)
	same(t, one.Msg, &shopv1.GetProductResponse{Product: productSaid})
	_, asked := s.products.GetProductArgsForCall(0)

	s.products.GetProductsReturns([]productsapi.Product{product}, "more", nil)
	many, err := c.GetProducts(ctx, with("", &shopv1.GetProductsRequest{Search: "la", Limit: -1, Cursor: "from"}))
	must(t, err)
	same(t, many.Msg, &shopv1.GetProductsResponse{Products: []*shopv1.Product{productSaid}, NextCursor: "more"})
	_, search, limit, cursor := s.products.GetProductsArgsForCall(0)

	s.products.AddProductReturns(product, nil)
	added, err := c.AddProduct(ctx, with(shopToken, &shopv1.AddProductRequest{Name: "Lamp", Description: "d", Price: -5, Stock: 2147483647}))
	must(t, err)
	same(t, added.Msg, &shopv1.AddProductResponse{Product: productSaid})
	_, name, description, price, stock := s.products.AddProductArgsForCall(0)

	s.products.UpdateInventoryReturns(true, nil)
	updated, err := c.UpdateInventory(ctx, with(shopToken, &shopv1.UpdateInventoryRequest{Id: "prd_2", Type: shopv1.InventoryUpdateType_SUBTRACT, Number: 4}))
	must(t, err)
	same(t, updated.Msg, &shopv1.UpdateInventoryResponse{Success: true})
	_, id, kind, number := s.products.UpdateInventoryArgsForCall(0)

	got := []any{asked, search, limit, cursor, name, description, price, stock, id, kind, number}
	want := []any{"prd_1", "la", -1, "from", "Lamp", "d", -5, productsapi.Max, "prd_2", productsapi.Subtract, 4}
	if !slices.Equal(got, want) {
		t.Errorf("the contract was asked %v, want %v", got, want)
	}
}

func (s *server) speakOrders(c shopv1connect.OrdersServiceClient) {
	t, ctx := s.t, s.t.Context()
	s.orders.GetOrderReturns(order, nil)
	one, err := c.GetOrder(ctx, with(shopToken, &shopv1.GetOrderRequest{Id: "ord_1"}))
	must(t, err)
	same(t, one.Msg, &shopv1.GetOrderResponse{Order: orderSaid})
	_, asked := s.orders.GetOrderArgsForCall(0)

	s.orders.GetOrdersReturns([]ordersapi.Order{order}, "more", nil)
	many, err := c.GetOrders(ctx, with(shopToken, &shopv1.GetOrdersRequest{Search: "o", Limit: 9, Cursor: "from"}))
	must(t, err)
	same(t, many.Msg, &shopv1.GetOrdersResponse{Orders: []*shopv1.Order{orderSaid}, NextCursor: "more"})
	_, search, limit, cursor := s.orders.GetOrdersArgsForCall(0)

	s.orders.PlaceOrderReturns(order, nil)
	placed, err := c.PlaceOrder(ctx, with(shopToken, &shopv1.PlaceOrderRequest{
		OrderProducts: []*shopv1.OrderLine{{ProductId: "prd_1", Quantity: 2}, {ProductId: "prd_2", Quantity: 1}}, IdempotencyKey: "once",
	}))
	must(t, err)
	same(t, placed.Msg, &shopv1.PlaceOrderResponse{Order: orderSaid})
	_, lines, key := s.orders.PlaceOrderArgsForCall(0)

	got, want := []any{asked, search, limit, cursor, key}, []any{"ord_1", "o", 9, "from", "once"}
	if !slices.Equal(got, want) || !slices.Equal(lines, []ordersapi.OrderLine{{ProductID: "prd_1", Quantity: 2}, {ProductID: "prd_2", Quantity: 1}}) {
		t.Errorf("the contract was asked %v, %v", got, lines)
	}
}

// A program without a gRPC library posts JSON.
func TestAMethodIsAPost(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.products.GetProductReturns(product, nil)
	post := func(body string) (int, map[string]any) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/m3o.shop.v1.ProductsService/GetProduct", strings.NewReader(body))
		must(t, err)
		r.Header.Set("Content-Type", "application/json")
		answer, err := http.DefaultClient.Do(r)
		must(t, err)
		defer answer.Body.Close()
		said := map[string]any{}
		must(t, json.NewDecoder(answer.Body).Decode(&said))
		return answer.StatusCode, said
	}
	if status, said := post(`{"id": "prd_1"}`); status != http.StatusOK || said["product"].(map[string]any)["price"] != 2147483647.0 {
		t.Errorf("%d %v", status, said)
	}
	s.products.GetProductReturns(productsapi.Product{}, fault.New(fault.NotFound, "there is no such product"))
	if status, said := post(`{"id": "prd_2"}`); status != http.StatusNotFound || said["code"] != "not_found" || said["message"] != "there is no such product" {
		t.Errorf("%d %v", status, said)
	}
	if status, said := post(`{"id": 1}`); status != http.StatusBadRequest || said["code"] != "invalid_argument" {
		t.Errorf("%d %v", status, said)
	}
}

func TestTheTokenSaysWhoIsCalling(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		metadata string
		caller   auth.Account
		code     connect.Code // 0: none
	}{
		"Nobody":         {},
		"Bare":           {metadata: shopToken, caller: auth.Account{ID: "usr_1", Type: auth.TypeShopUser, Session: "tok_1"}},
		"Bearer":         {metadata: "Bearer " + shopToken, caller: auth.Account{ID: "usr_1", Type: auth.TypeShopUser, Session: "tok_1"}},
		"SmallBearer":    {metadata: "bearer   " + shopToken, caller: auth.Account{ID: "usr_1", Type: auth.TypeShopUser, Session: "tok_1"}},
		"Platform":       {metadata: "Bearer " + platformToken, caller: auth.Account{ID: "cus_1", Type: auth.TypeAdmin}},
		"BadToken":       {metadata: "x.y.z", code: connect.CodeUnauthenticated},
		"BadSession":     {metadata: "m3o_at_x", code: connect.CodeUnauthenticated},
		"AnotherScheme":  {metadata: "Basic " + shopToken, code: connect.CodeUnauthenticated},
		"TooManyParts":   {metadata: shopToken + ".d", code: connect.CodeUnauthenticated},
		"BearerOfNobody": {metadata: "Bearer", code: connect.CodeUnauthenticated},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			_, err := shopv1connect.NewUsersServiceClient(s.client, s.url, connect.WithGRPC()).GetUser(t.Context(), with(test.metadata, &shopv1.GetUserRequest{}))
			if test.code != 0 {
				if r := read(t, err); r.code != test.code || r.info.GetReason() != "UNAUTHENTICATED" || s.users.GetUserCallCount() != 0 {
					t.Errorf("%v, and the contract was asked %d times", err, s.users.GetUserCallCount())
				}
				return
			}
			must(t, err)
			ctx, _ := s.users.GetUserArgsForCall(0)
			if caller, ok := auth.From(ctx); caller != test.caller || ok != (test.metadata != "") {
				t.Errorf("%+v is calling", caller)
			}
		})
	}
}

// Whoever holds a token that has ended may log in again, and out.
func TestATokenThatHasEndedIsNoHindrance(t *testing.T) {
	t.Parallel()
	s := setup(t)
	c := shopv1connect.NewUsersServiceClient(s.client, s.url, connect.WithGRPC())
	_, err := c.Login(t.Context(), with("x.y.z", &shopv1.LoginRequest{}))
	must(t, err)
	_, err = c.Logout(t.Context(), with("x.y.z", &shopv1.LogoutRequest{}))
	must(t, err)
}

func TestEveryFaultHasACode(t *testing.T) {
	t.Parallel()
	s := setup(t)
	c := shopv1connect.NewProductsServiceClient(s.client, s.url, connect.WithGRPC())
	for code, want := range map[fault.Code]struct {
		code   connect.Code
		reason string
	}{
		fault.Invalid:         {connect.CodeInvalidArgument, "BAD_INPUT"},
		fault.Unauthenticated: {connect.CodeUnauthenticated, "UNAUTHENTICATED"},
		fault.PaymentRequired: {connect.CodeInternal, "INTERNAL"},
		fault.Forbidden:       {connect.CodePermissionDenied, "FORBIDDEN"},
		fault.NotFound:        {connect.CodeNotFound, "NOT_FOUND"},
		fault.BadMethod:       {connect.CodeInvalidArgument, "BAD_INPUT"},
		fault.Expired:         {connect.CodeDeadlineExceeded, "UNAVAILABLE"},
		fault.Conflict:        {connect.CodeAlreadyExists, "CONFLICT"},
		fault.Gone:            {connect.CodeNotFound, "NOT_FOUND"},
		fault.TooLarge:        {connect.CodeInvalidArgument, "BAD_INPUT"},
		fault.Unprocessable:   {connect.CodeInvalidArgument, "BAD_INPUT"},
		fault.Limited:         {connect.CodeResourceExhausted, "UNAVAILABLE"},
		fault.Internal:        {connect.CodeInternal, "INTERNAL"},
		fault.Unimplemented:   {connect.CodeInternal, "INTERNAL"},
		fault.BadGateway:      {connect.CodeUnavailable, "UNAVAILABLE"},
		fault.Unavailable:     {connect.CodeUnavailable, "UNAVAILABLE"},
		fault.Timeout:         {connect.CodeDeadlineExceeded, "UNAVAILABLE"},
		fault.Loop:            {connect.CodeInternal, "INTERNAL"},
	} {
		s.products.GetProductReturns(productsapi.Product{}, fmt.Errorf("at table products: %w", fault.Wrap(code, errors.New("pq: no route"), "the sentence")))
		_, err := c.GetProduct(t.Context(), with("", &shopv1.GetProductRequest{}))
		r, text := read(t, err), "the sentence"
		if want.reason == "INTERNAL" {
			text = "internal error"
		}
		if r.code != want.code || r.info.GetReason() != want.reason || r.info.GetDomain() != "shop.m3o" || r.text != text {
			t.Errorf("%s: %s %q %v, want %s %s", code, r.code, r.text, r.info, want.code, want.reason)
		}
	}
}

func TestInternalTextStaysInside(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.orders.GetOrderReturns(ordersapi.Order{}, errors.New("SELECT * FROM orders: the disk is full"))
	_, err := shopv1connect.NewOrdersServiceClient(s.client, s.url, connect.WithGRPC()).GetOrder(t.Context(), with("", &shopv1.GetOrderRequest{}))
	r := read(t, err)
	if r.code != connect.CodeInternal || r.text != "internal error" || r.info.GetMetadata()["request_id"] != "req_1" || strings.Contains(fmt.Sprint(r.info), "disk") {
		t.Errorf("%v %v", err, r.info)
	}
	if log := s.logged(); !strings.Contains(log, "the disk is full") || !strings.Contains(log, "req_1") || !strings.Contains(log, "OrdersService/GetOrder") {
		t.Errorf("the log says %s", log)
	}
}

func TestAPanicIsAnInternalError(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.orders.GetOrderStub = func(context.Context, string) (ordersapi.Order, error) { panic("the secret reason") }
	_, err := shopv1connect.NewOrdersServiceClient(s.client, s.url, connect.WithGRPC()).GetOrder(t.Context(), with("", &shopv1.GetOrderRequest{}))
	if r := read(t, err); r.code != connect.CodeInternal || r.text != "internal error" || !strings.Contains(s.logged(), "the secret reason") {
		t.Errorf("%v; the log says %s", err, s.logged())
	}
}

func TestARefusalSaysWhatToMend(t *testing.T) {
	t.Parallel()
	s := setup(t)
	c := shopv1connect.NewProductsServiceClient(s.client, s.url, connect.WithGRPC())
	refuse := func(err error) refusal {
		s.products.UpdateInventoryReturns(false, err)
		_, err = c.UpdateInventory(t.Context(), with(shopToken, &shopv1.UpdateInventoryRequest{}))
		return read(t, err)
	}
	r := refuse(fault.BadField("update_type", "is 1, 2 or 3"))
	if f := r.bad.GetFieldViolations(); len(f) != 1 || f[0].GetField() != "type" || f[0].GetDescription() != "is 1, 2 or 3" {
		t.Errorf("the fields are %v", f)
	}
	r = refuse(fault.New(fault.Limited, "later").After(1500 * time.Millisecond))
	if got := r.wait.GetRetryDelay().AsDuration(); got != 1500*time.Millisecond {
		t.Errorf("wait %s", got)
	}
	r = refuse(fmt.Errorf("reserve: %w", productsapi.NewOutOfStock("prd_1", "Lamp")))
	if r.code != connect.CodeFailedPrecondition || r.info.GetReason() != "OUT_OF_STOCK" || !strings.Contains(r.text, "Lamp") {
		t.Errorf("%s %v %s", r.code, r.info, r.text)
	}
}

func TestMessagesAreBounded(t *testing.T) {
	t.Parallel()
	s := setup(t)
	c := shopv1connect.NewProductsServiceClient(s.client, s.url, connect.WithGRPC())
	_, err := c.AddProduct(t.Context(), with(shopToken, &shopv1.AddProductRequest{Description: strings.Repeat("x", 1<<20)}))
	if r := read(t, err); r.code != connect.CodeResourceExhausted || s.products.AddProductCallCount() != 0 {
		t.Errorf("a long question: %v", err)
	}
	noise := make([]byte, 5<<20) // what can be compressed to that at best
	_, _ = rand.Read(noise)
	s.products.GetProductReturns(productsapi.Product{Description: base64.StdEncoding.EncodeToString(noise)}, nil)
	_, err = c.GetProduct(t.Context(), with("", &shopv1.GetProductRequest{}))
	if r := read(t, err); r.code != connect.CodeResourceExhausted {
		t.Errorf("a long answer: %v", err)
	}
}

func TestACallHasALimitOfTime(t *testing.T) {
	t.Parallel()
	s := setup(t)
	c := shopv1connect.NewProductsServiceClient(s.client, s.url, connect.WithGRPC())
	_, err := c.GetProduct(t.Context(), with("", &shopv1.GetProductRequest{}))
	must(t, err)
	ctx, _ := s.products.GetProductArgsForCall(0)
	if end, ok := ctx.Deadline(); !ok || time.Until(end) > 20*time.Second {
		t.Errorf("until %s, %t", end, ok)
	}
	s.products.GetProductStub = func(ctx context.Context, _ string) (productsapi.Product, error) {
		<-ctx.Done()
		return productsapi.Product{}, fmt.Errorf("read: %w", ctx.Err())
	}
	hasty, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = c.GetProduct(hasty, with("", &shopv1.GetProductRequest{}))
	if r := read(t, err); r.code != connect.CodeDeadlineExceeded {
		t.Errorf("err = %v", err)
	}
}

// What grpcurl and its like ask.
func TestReflectionTellsAll(t *testing.T) {
	t.Parallel()
	s := setup(t)
	stream := grpcreflect.NewClient(s.client, s.url, connect.WithGRPC()).NewStream(t.Context())
	defer func() { _, _ = stream.Close() }()
	names, err := stream.ListServices()
	must(t, err)
	var listed []string
	for _, name := range names {
		listed = append(listed, string(name))
		if files, err := stream.FileContainingSymbol(name); err != nil || len(files) == 0 {
			t.Errorf("%s: %d files, %v", name, len(files), err)
		}
	}
	slices.Sort(listed)
	if want := []string{"grpc.health.v1.Health", "m3o.shop.v1.OrdersService", "m3o.shop.v1.ProductsService", "m3o.shop.v1.UsersService"}; !slices.Equal(listed, want) {
		t.Errorf("it lists %v", listed)
	}
	for _, detail := range []string{"ErrorInfo", "BadRequest", "RetryInfo"} {
		if files, err := stream.FileContainingSymbol(protoreflect.FullName("google.rpc." + detail)); err != nil || files[0].GetName() != "google/rpc/error_details.proto" {
			t.Errorf("%s: %v, %v", detail, files, err)
		}
	}
	if _, err := stream.FileContainingSymbol("m3o.shop.v1.Nothing"); err == nil {
		t.Error("it knows what there is not")
	}
}

// Every method of the contract of the seed is there, and no field of a message is forgotten on the way.
func TestTheMessagesAreThoseOfTheContracts(t *testing.T) {
	t.Parallel()
	for _, pair := range []struct{ contract, message any }{
		{usersapi.User{}, shopv1.User{}}, {productsapi.Product{}, shopv1.Product{}}, {ordersapi.Order{}, shopv1.Order{}},
		{ordersapi.OrderProduct{}, shopv1.OrderProduct{}}, {ordersapi.OrderLine{}, shopv1.OrderLine{}},
	} {
		said := map[string]bool{}
		for f := range fields(pair.message) {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			said[name] = true
		}
		for f := range fields(pair.contract) {
			if name := f.Tag.Get("json"); !said[name] {
				t.Errorf("%T has no %s", pair.message, name)
			}
		}
	}
}

func fields(of any) func(yield func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		kind := reflect.TypeOf(of)
		for i := range kind.NumField() {
			if f := kind.Field(i); f.IsExported() && !yield(f) {
				return
			}
		}
	}
}

func TestAnUnknownMethodIsUnimplemented(t *testing.T) {
	t.Parallel()
	s := setup(t)
	answer, err := http.Post(s.url+"/m3o.shop.v1.UsersService/Nothing", "application/json", strings.NewReader("{}"))
	must(t, err)
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	if answer.StatusCode != http.StatusNotFound {
		t.Errorf("%d %s", answer.StatusCode, text)
	}
}
