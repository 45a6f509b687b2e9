package grpc_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"m3o/internal/auth"
	"m3o/internal/fault"
	"m3o/internal/id"
	"m3o/internal/shop/grpc"
	"m3o/internal/shop/grpc/wire"
	"m3o/internal/shop/orders/ordersapi/ordersapifakes"
	"m3o/internal/shop/products/productsapi/productsapifakes"
	"m3o/internal/shop/users/usersapi"
	"m3o/internal/shop/users/usersapi/usersapifakes"
)

// The tokens that are good in a test, and whose they are.
const (
	shopToken     = "a.b.c"
	platformToken = "m3o_at_admin"
)

// server is the handlers at a port, over contracts that a test plays.
type server struct {
	t        testing.TB
	users    *usersapifakes.FakeService
	products *productsapifakes.FakeService
	orders   *ordersapifakes.FakeService
	url      string
	client   *http.Client // speaks HTTP/2 without TLS

	ready atomic.Bool
	mu    sync.Mutex
	log   strings.Builder
}

func setup(t testing.TB) *server {
	t.Helper()
	s := &server{t: t, users: &usersapifakes.FakeService{}, products: &productsapifakes.FakeService{}, orders: &ordersapifakes.FakeService{}}
	s.ready.Store(true)
	s.users.AuthenticateStub = func(_ context.Context, token string) (usersapi.ShopAccount, error) {
		if token != shopToken {
			return usersapi.ShopAccount{}, fault.New(fault.Unauthenticated, "no such token")
		}
		return usersapi.ShopAccount{ID: "usr_1", TokenID: "tok_1"}, nil
	}
	handlers, err := grpc.Handlers(grpc.Config{
		Users: s.users, Products: s.products, Orders: s.orders, Platform: platform,
		Ready: func(context.Context) bool { return s.ready.Load() }, Log: slog.New(slog.NewTextHandler(s, nil)), Now: time.Now,
	})
	must(t, err)
	s.listen(handlers)
	return s
}

func platform(_ context.Context, token string) (auth.Account, error) {
	if token != platformToken {
		return auth.Account{}, fault.New(fault.Unauthenticated, "no such session")
	}
	return auth.Account{ID: "cus_1", Type: auth.TypeAdmin}, nil
}

// listen serves as the edge does: by prefix, each request with an id, by HTTP/1.1 and HTTP/2 without TLS.
func (s *server) listen(handlers map[string]http.Handler) {
	mux := http.NewServeMux()
	for prefix, h := range handlers {
		mux.Handle(prefix, h)
	}
	port := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mux.ServeHTTP(w, r.WithContext(id.WithRequest(r.Context(), "req_1")))
	}))
	port.Config.Protocols = new(http.Protocols)
	port.Config.Protocols.SetHTTP1(true)
	port.Config.Protocols.SetUnencryptedHTTP2(true)
	port.Start()
	s.t.Cleanup(port.Close)
	s.url, s.client = port.URL, newClient(s.t)
}

// newClient is an HTTP client of HTTP/2 without TLS.
func newClient(t testing.TB) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// Write takes a line of the log.
func (s *server) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(line)
}

func (s *server) logged() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// with is a request that carries a token, unless it is empty.
func with[T any](token string, message *T) *connect.Request[T] {
	r := connect.NewRequest(message)
	if token != "" {
		r.Header().Set("Authorization", token)
	}
	return r
}

// refusal is what an error says: its code and text, and the details that every client knows.
type refusal struct {
	code connect.Code
	text string
	info *wire.ErrorInfo
	bad  *wire.BadRequest
	wait *wire.RetryInfo
}

func read(t testing.TB, err error) (r refusal) {
	t.Helper()
	var e *connect.Error
	if !errors.As(err, &e) {
		t.Fatalf("err = %v", err)
	}
	r = refusal{code: e.Code(), text: e.Message(), info: &wire.ErrorInfo{}, bad: &wire.BadRequest{}, wait: &wire.RetryInfo{}}
	known := map[string]proto.Message{"google.rpc.ErrorInfo": r.info, "google.rpc.BadRequest": r.bad, "google.rpc.RetryInfo": r.wait}
	for _, d := range e.Details() {
		if into := known[d.Type()]; into == nil {
			t.Errorf("a detail %s", d.Type())
		} else if err := proto.Unmarshal(d.Bytes(), into); err != nil {
			t.Errorf("the detail %s: %v", d.Type(), err)
		}
	}
	return r
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// same fails unless two messages say the same.
func same(t testing.TB, got, want proto.Message) {
	t.Helper()
	if !proto.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}
