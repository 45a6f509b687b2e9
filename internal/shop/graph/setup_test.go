package graph_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"m3o/internal/auth"
	"m3o/internal/bus"
	"m3o/internal/config"
	"m3o/internal/customers/customersapi"
	"m3o/internal/customers/customersapi/customersapifakes"
	"m3o/internal/fault"
	"m3o/internal/shop/graph"
	"m3o/internal/shop/orders/ordersapi"
	"m3o/internal/shop/orders/ordersapi/ordersapifakes"
	"m3o/internal/shop/products/productsapi"
	"m3o/internal/shop/products/productsapi/productsapifakes"
	"m3o/internal/shop/users/usersapi"
	"m3o/internal/shop/users/usersapi/usersapifakes"
)

// The tokens of a shop. What they stand for is in accounts; tests may revoke them.
const (
	userToken     = "user.token.x"
	adminToken    = "admin.token.x"
	platformToken = "platform-token"
)

// shop is graph before services that are fakes, reached as the edge reaches it.
type shop struct {
	t         *testing.T
	bus       bus.Bus
	graph     *graph.Service
	users     *usersapifakes.FakeService
	products  *productsapifakes.FakeService
	orders    *ordersapifakes.FakeService
	customers *customersapifakes.FakeService
	log       *safeBuffer
	url       string
	now       time.Time

	mu       sync.Mutex
	accounts map[string]usersapi.ShopAccount
	lifetime time.Duration // of a token
	away     error         // of users, when it is asked for a token
}

// safeBuffer is a log that is read while it is written.
type safeBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// setup makes a shop; settings are like BodyLimit=2000.
func setup(t *testing.T, settings ...string) *shop {
	t.Helper()
	s := &shop{
		t: t, log: &safeBuffer{}, lifetime: time.Hour, now: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC),
		users: &usersapifakes.FakeService{}, products: &productsapifakes.FakeService{}, orders: &ordersapifakes.FakeService{}, customers: &customersapifakes.FakeService{},
		accounts: map[string]usersapi.ShopAccount{
			userToken:  {ID: "usr_1", Email: "jane@example.com", TokenID: "jti_1"},
			adminToken: {ID: "usr_9", Email: "boss@example.com", Type: usersapi.TypeAdmin, TokenID: "jti_9"},
		},
	}
	s.users.AuthenticateStub = s.authenticate
	s.customers.AuthenticateStub = func(_ context.Context, token string) (customersapi.Session, error) {
		if token != platformToken {
			return customersapi.Session{}, fault.New(fault.Unauthenticated, "Unauthorized")
		}
		return customersapi.Session{ID: "ses_1", CustomerID: "cus_1", Admin: true, Expires: s.now.Add(time.Hour)}, nil
	}
	log := slog.New(slog.NewTextHandler(s.log, nil))
	b := bus.NewMemory(bus.MemoryConfig{Logger: log})
	s.bus = b
	var err error
	s.graph, err = graph.New(graph.Deps{
		Bus: b, Config: settingsOf(settings), Log: log, Now: func() time.Time { return s.now },
		Customers: s.customers, Users: s.users, Products: s.products, Orders: s.orders,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.graph.Register(b))
	if err := s.graph.OnStartup(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.graph.OnShutdown(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	server := httptest.NewServer(http.HandlerFunc(s.edge))
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

func settingsOf(settings []string) config.Source {
	values := config.Map{}
	for _, setting := range settings {
		name, value, _ := strings.Cut(setting, "=")
		values["graph."+name] = value
	}
	return values
}

// edge forwards a request to the bus as the edge does: the first part of its path is the host.
func (s *shop) edge(w http.ResponseWriter, r *http.Request) {
	host, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	r.URL = &url.URL{Scheme: "https", Host: host, Path: "/" + path, RawQuery: r.URL.RawQuery}
	s.bus.Handler(host).ServeHTTP(w, r)
}

func (s *shop) authenticate(_ context.Context, token string) (usersapi.ShopAccount, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	account, ok := s.accounts[token]
	if s.away != nil {
		return account, s.away
	}
	if !ok {
		return account, fault.New(fault.Unauthenticated, "Unauthorized")
	}
	account.Expires = s.now.Add(s.lifetime)
	return account, nil
}

func (s *shop) revoke(token string) {
	s.mu.Lock()
	account := s.accounts[token]
	delete(s.accounts, token)
	s.mu.Unlock()
	for range usersapi.NewMulticastTrigger(s.bus).OnTokenRevoked(s.t.Context(), account.ID, account.TokenID).All() {
	}
}

// reply is an HTTP answer of graph.
type reply struct {
	status int
	header http.Header
	text   string
	Data   map[string]any
	Errors []struct {
		Message    string
		Path       []any
		Extensions map[string]any
	}
}

// code is that of the first error.
func (r reply) code() string {
	if len(r.Errors) == 0 {
		return ""
	}
	code, _ := r.Errors[0].Extensions["code"].(string)
	return code
}

// do sends a request. Header lines are "Name: value".
func (s *shop) do(method, path, body string, header ...string) reply {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	got := reply{status: answer.StatusCode, header: answer.Header, text: string(text)}
	if strings.HasPrefix(answer.Header.Get("Content-Type"), "application/json") && method != http.MethodHead {
		if err := json.Unmarshal(text, &got); err != nil {
			s.t.Fatalf("%d %s: %v", answer.StatusCode, text, err)
		}
	}
	return got
}

// ask sends an operation with a token, by POST.
func (s *shop) ask(token, query string, variables ...any) reply {
	s.t.Helper()
	asked := map[string]any{"query": query}
	if len(variables) > 0 {
		asked["variables"] = variables[0]
	}
	body, err := json.Marshal(asked)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.do(http.MethodPost, "/graphql", string(body), "Authorization: "+token)
}

// who is the caller of a call that a fake has got.
func who(ctx context.Context) auth.Account {
	account, _ := auth.From(ctx)
	return account
}

func product(id string) productsapi.Product {
	return productsapi.Product{ID: id, Name: "Lamp", Description: "Gives light", Price: 25, Stock: 4, CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
}

func order(id string) ordersapi.Order {
	return ordersapi.Order{
		ID: id, UserID: "usr_1", Status: ordersapi.Placed, PriceTotal: 50, Quantity: 2, CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Lines: []ordersapi.OrderProduct{{ProductID: "prd_1", Name: "Lamp", Price: 25, Quantity: 2}},
	}
}
