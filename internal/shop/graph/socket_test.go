package graph_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"m3o/internal/bus"
	"m3o/internal/fault"
	"m3o/internal/shop/orders/ordersapi"
	"m3o/internal/shop/products/productsapi"
	"m3o/internal/shop/users/usersapi"
	orderfacts "m3o/pkg/events/proto/orders"
	productfacts "m3o/pkg/events/proto/products"
)

// client is a WebSocket to a shop.
type client struct {
	t    *testing.T
	conn *websocket.Conn
}

// patience is how long tests wait for what has to come.
const patience = 10 * time.Second

// dial opens a WebSocket. Header lines are "Name: value".
func (s *shop) dial(subprotocol string, header ...string) *client {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	h := http.Header{}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		h.Set(name, value)
	}
	conn, _, err := websocket.Dial(ctx, s.url+"/graphql", &websocket.DialOptions{Subprotocols: []string{subprotocol}, HTTPHeader: h})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.CloseNow() })
	return &client{s.t, conn}
}

// greeted opens a WebSocket for a token.
func (s *shop) greeted(token string) *client {
	s.t.Helper()
	c := s.dial("graphql-transport-ws")
	c.say(`{"type":"connection_init","payload":{"Authorization":"Bearer ` + token + `"}}`)
	c.hears(`{"type":"connection_ack"}`)
	return c
}

func (c *client) say(text string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	if err := c.conn.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) hear() string {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	_, text, err := c.conn.Read(ctx)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(text)
}

func (c *client) hears(want string) {
	c.t.Helper()
	if got := c.hear(); got != want {
		c.t.Fatalf("heard %s, want %s", got, want)
	}
}

// closes waits for the close and returns its code and reason.
func (c *client) closes() string {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	for {
		if _, _, err := c.conn.Read(ctx); err != nil {
			var closed websocket.CloseError
			if !errors.As(err, &closed) {
				c.t.Fatal(err)
			}
			return fmt.Sprintf("%d %s", closed.Code, closed.Reason)
		}
	}
}

// publish states a fact on a durable topic.
func (s *shop) publish(topic, key string, message any) {
	s.t.Helper()
	data, err := json.Marshal(message)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.bus.Publish(s.t.Context(), bus.Event{ID: "evt_" + key, Topic: topic, Key: key, Data: data}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) placed(id string) {
	s.publish("orders", id, &orderfacts.Event{Type: orderfacts.EventType_ORDER_PLACED, OrderPlaced: &orderfacts.OrderPlaced{
		Id: id, UserId: "usr_1", PriceTotal: 50, Quantity: 2, CreatedAt: 1_767_323_045_000_000,
		OrderProducts: []*orderfacts.OrderProduct{{ProductId: "prd_1", Name: "Lamp", Price: 25, Quantity: 2}},
	}})
}

func (s *shop) stocked(id string, stock int32, version int64) {
	s.changed(&productfacts.InventoryUpdate{ProductId: id, Stock: stock, Version: version})
}

func (s *shop) changed(update *productfacts.InventoryUpdate) {
	s.publish("products", update.GetProductId(), &productfacts.Event{Type: productfacts.EventType_INVENTORY_UPDATE, InventoryUpdate: update})
}

func TestQueriesAndMutationsRunOnASocket(t *testing.T) {
	t.Parallel()
	s := setup(t)
	answering(s)
	c := s.greeted(userToken)
	c.say(`{"id":"1","type":"subscribe","payload":{"query":"query($i:ID!){product(id:$i){id}}","variables":{"i":"prd_1"}}}`)
	c.hears(`{"id":"1","type":"next","payload":{"data":{"product":{"id":"prd_1"}}}}`)
	c.hears(`{"id":"1","type":"complete"}`)
	c.say(`{"id":"1","type":"subscribe","payload":{"query":"mutation{placeOrder(input:{order_products:[{product_id:\"prd_1\",quantity:1}]}){id}}"}}`)
	c.hears(`{"id":"1","type":"next","payload":{"data":{"placeOrder":{"id":"ord_2"}}}}`)
	c.hears(`{"id":"1","type":"complete"}`)
	if ctx, _, _ := s.orders.PlaceOrderArgsForCall(0); who(ctx).ID != "usr_1" {
		t.Errorf("it was placed by %v", who(ctx))
	}
	c.say(`{"id":"2","type":"subscribe","payload":{"query":"{nope}"}}`)
	c.hears(`{"id":"2","type":"error","payload":[{"message":"Cannot query field \"nope\" on type \"Query\".","locations":[{"line":1,"column":2}],"extensions":{"code":"GRAPHQL_VALIDATION_FAILED"}}]}`)
	s.orders.GetOrderReturns(ordersapi.Order{}, fault.New(fault.NotFound, "no such order"))
	s.orders.GetOrderStub = nil
	c.say(`{"id":"2","type":"subscribe","payload":{"query":"{order(id:\"x\"){id}}"}}`)
	c.hears(`{"id":"2","type":"next","payload":{"errors":[{"message":"no such order","path":["order"],"extensions":{"code":"NOT_FOUND"}}],"data":null}}`)
	c.hears(`{"id":"2","type":"complete"}`)
	c.say(`{"type":"ping","payload":{"a":1}}`)
	c.hears(`{"type":"pong","payload":{"a":1}}`)
	c.say(`{"type":"pong"}`)
	c.say(`{"type":"ping"}`)
	c.hears(`{"type":"pong"}`)
}

func TestSubscriptionsTellWhatHappens(t *testing.T) {
	t.Parallel()
	s := setup(t)
	answering(s)
	admin, user := s.greeted(adminToken), s.greeted(userToken)
	admin.say(`{"id":"o","type":"subscribe","payload":{"query":"subscription{orderPlaced{id status price_total created_at user{username} order_products{name product{stock}}}}"}}`)
	user.say(`{"id":"s","type":"subscribe","payload":{"query":"subscription($i:ID=\"prd_1\"){stockChanged(id:$i){product_id stock}}"}}`)
	s.listening(2)
	s.stocked("prd_2", 1, 1)
	s.stocked("prd_1", 3, 5)
	s.stocked("prd_1", 4, 4) // which came again
	s.stocked("prd_1", 2, 6)
	s.placed("ord_7")
	user.hears(`{"id":"s","type":"next","payload":{"data":{"stockChanged":{"product_id":"prd_1","stock":3}}}}`)
	user.hears(`{"id":"s","type":"next","payload":{"data":{"stockChanged":{"product_id":"prd_1","stock":2}}}}`)
	admin.hears(`{"id":"o","type":"next","payload":{"data":{"orderPlaced":{"id":"ord_7","status":"placed","price_total":50,"created_at":"2026-01-02T03:04:05Z",` +
		`"user":{"username":"jane"},"order_products":[{"name":"Lamp","product":{"stock":4}}]}}}}`)
	user.say(`{"id":"s","type":"complete"}`)
	s.listening(1)
	s.stocked("prd_1", 1, 7)
	user.say(`{"type":"ping"}`)
	user.hears(`{"type":"pong"}`) // and nothing before it
}

func TestWhoMayNotSubscribeIsTold(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.products.GetProductStub = func(_ context.Context, id string) (productsapi.Product, error) {
		return productsapi.Product{}, fault.New(fault.NotFound, "there is no product %s", id)
	}
	user, nobody := s.greeted(userToken), s.greeted("")
	user.say(`{"id":"1","type":"subscribe","payload":{"query":"subscription{orderPlaced{id}}"}}`)
	user.hears(`{"id":"1","type":"error","payload":[{"message":"only an admin of the shop may do this","extensions":{"code":"FORBIDDEN"}}]}`)
	nobody.say(`{"id":"1","type":"subscribe","payload":{"query":"subscription{orderPlaced{id}}"}}`)
	nobody.hears(`{"id":"1","type":"error","payload":[{"message":"Unauthorized","extensions":{"code":"UNAUTHENTICATED"}}]}`)
	nobody.say(`{"id":"1","type":"subscribe","payload":{"query":"subscription{stockChanged(id:\"x\"){stock}}"}}`)
	nobody.hears(`{"id":"1","type":"error","payload":[{"message":"there is no product x","extensions":{"code":"NOT_FOUND"}}]}`)
}

func TestWhatTheProtocolForbidsClosesTheSocket(t *testing.T) {
	t.Parallel()
	s := setup(t, "BodyLimit=2000")
	const ping, init = `{"type":"ping"}`, `{"type":"connection_init"}`
	const watch = `{"id":"1","type":"subscribe","payload":{"query":"subscription{stockChanged(id:\"x\"){stock}}"}}`
	for _, test := range []struct {
		name string
		says []string
		want string
	}{
		{"NotJSON", []string{`{`}, "4400 Invalid message: a message is a JSON object with a type"},
		{"AnArray", []string{`[]`}, "4400 "},
		{"NoType", []string{`{}`}, `4400 Invalid message: "" is no type of message that a client sends`},
		{"AServersType", []string{`{"type":"next","id":"1"}`}, `4400 Invalid message: "next" is no type`},
		{"NoID", []string{init, `{"type":"subscribe","payload":{"query":"{products{id}}"}}`}, "4400 Invalid message: subscribe needs an id"},
		{"NoQuery", []string{init, `{"type":"subscribe","id":"1","payload":{}}`}, "4400 Invalid message: the payload of subscribe"},
		{"NoPayload", []string{init, `{"type":"subscribe","id":"1"}`}, "4400 "},
		{"CompleteWithoutID", []string{init, `{"type":"complete"}`}, "4400 "},
		{"ATokenThatIsANumber", []string{`{"type":"connection_init","payload":{"Authorization":1}}`}, "4400 "},
		{"PingWithAText", []string{`{"type":"ping","payload":"x"}`}, "4400 "},
		{"SubscribeFirst", []string{ping, watch}, "4401 Unauthorized"},
		{"ABadToken", []string{`{"type":"connection_init","payload":{"token":"a.b.c"}}`}, "4403 Forbidden"},
		{"SameID", []string{init, watch, watch}, "4409 Subscriber for 1 already exists"},
		{"InitTwice", []string{init, init}, "4429 Too many initialisation requests"},
		{"TooLong", []string{`{"type":"ping","payload":{"x":"` + strings.Repeat("x", 2000) + `"}}`}, "1009 "},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := s.dial("graphql-transport-ws")
			c.t = t
			for _, text := range test.says {
				c.say(text)
			}
			if got := c.closes(); !strings.HasPrefix(got, test.want) {
				t.Errorf("closed with %s, want %s", got, test.want)
			}
		})
	}
	c := s.dial("graphql-ws")
	if got := c.closes(); !strings.HasPrefix(got, "4406 ") {
		t.Errorf("another subprotocol: %s", got)
	}
	c = s.dial("graphql-transport-ws")
	if err := c.conn.Write(t.Context(), websocket.MessageBinary, []byte(ping)); err != nil {
		t.Fatal(err)
	}
	if got := c.closes(); !strings.HasPrefix(got, "4400 ") {
		t.Errorf("binary: %s", got)
	}
}

func TestARevokedTokenEndsItsSockets(t *testing.T) {
	t.Parallel()
	s := setup(t)
	revoked, other, byHeader := s.greeted(adminToken), s.greeted(userToken), s.dial("graphql-transport-ws", "Authorization: "+adminToken)
	byHeader.say(`{"type":"connection_init"}`)
	byHeader.hears(`{"type":"connection_ack"}`)
	revoked.say(`{"id":"1","type":"subscribe","payload":{"query":"subscription{orderPlaced{id}}"}}`)
	s.listening(1)
	s.revoke(adminToken)
	for _, c := range []*client{revoked, byHeader} {
		if got := c.closes(); got != "4401 Unauthorized: the token has expired or was revoked" {
			t.Error(got)
		}
	}
	other.say(`{"type":"ping"}`)
	other.hears(`{"type":"pong"}`)
	s.listening(0)
}

func TestSocketsAndTheirOperationsAreCounted(t *testing.T) {
	t.Parallel()
	s := setup(t, "MaxSockets=2", "MaxSubscriptions=1")
	first := s.greeted("")
	first.say(`{"id":"1","type":"subscribe","payload":{"query":"subscription{stockChanged(id:\"x\"){stock}}"}}`)
	first.say(`{"id":"2","type":"subscribe","payload":{"query":"subscription{stockChanged(id:\"x\"){stock}}"}}`)
	first.hears(`{"id":"2","type":"error","payload":[{"message":"1 operations run on this socket, more cannot: complete some","extensions":{"code":"UNAVAILABLE"}}]}`)
	s.greeted("")
	_, answer, err := websocket.Dial(t.Context(), s.url+"/graphql", &websocket.DialOptions{Subprotocols: []string{"graphql-transport-ws"}})
	if err == nil || answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") != "1" {
		t.Errorf("a third socket: %v %v", answer, err)
	}
}

func TestASubscriptionThatIsTooSlowIsCutOff(t *testing.T) {
	t.Parallel()
	s := setup(t)
	answering(s)
	release := make(chan struct{})
	s.users.GetUsersByIDStub = func(context.Context, []string) ([]usersapi.User, error) { <-release; return nil, nil }
	c := s.greeted(adminToken)
	c.say(`{"id":"1","type":"subscribe","payload":{"query":"subscription{orderPlaced{id user{username}}}"}}`)
	s.listening(1)
	for i := range 300 {
		s.placed(fmt.Sprint("ord_", i))
	}
	s.listening(0)
	close(release)
	text := c.hear()
	for strings.Contains(text, `"type":"next"`) {
		text = c.hear()
	}
	if text != `{"id":"1","type":"error","payload":[{"message":"you take what happens too slowly, and some of it is lost: subscribe again","extensions":{"code":"UNAVAILABLE"}}]}` {
		t.Error(text)
	}
	c.say(`{"type":"ping"}`)
	c.hears(`{"type":"pong"}`)
}

func TestAClientThatIsNotThereLosesItsSocket(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.graph.Hurry(time.Hour, 10*time.Millisecond, 50*time.Millisecond)
	c := s.greeted(userToken) // which answers no ping, for it does not read
	deadline := time.Now().Add(patience)
	for s.graph.Sockets() > 0 {
		if time.Now().After(deadline) {
			t.Fatal("it is still open")
		}
		time.Sleep(time.Millisecond)
	}
	_ = c
}

func TestWhoDoesNotSayWhoItIsLosesItsSocket(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.graph.Hurry(20*time.Millisecond, time.Hour, patience)
	if got := s.dial("graphql-transport-ws").closes(); got != "4408 Connection initialisation timeout" {
		t.Error(got)
	}
}

func TestATokenIsLookedAtAgainAndAgain(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		err  error
		want string
	}{
		{"NotGood", fault.New(fault.Unauthenticated, "Unauthorized"), "4401 Unauthorized: the token has expired or was revoked"},
		{"NotToBeChecked", fault.New(fault.Unavailable, "users is away"), "1013 the token cannot be checked"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			s.graph.Hurry(time.Hour, 20*time.Millisecond, patience)
			c := s.greeted(userToken)
			c.t = t
			s.mu.Lock()
			s.away = test.err // and no event says so
			s.mu.Unlock()
			if got := c.closes(); got != test.want {
				t.Error(got)
			}
		})
	}
}

func TestATokenThatExpiresEndsItsSocket(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.lifetime = 30 * time.Millisecond
	if got := s.greeted(userToken).closes(); got != "4401 Unauthorized: the token has expired or was revoked" {
		t.Error(got)
	}
}

func TestStoppingClosesTheSockets(t *testing.T) {
	t.Parallel()
	s := setup(t)
	c := s.greeted(userToken)
	stopped := make(chan error, 1)
	go func() { stopped <- s.graph.OnShutdown(context.WithoutCancel(t.Context())) }()
	if got := c.closes(); got != "1001 the server stops" {
		t.Error(got)
	}
	if err := <-stopped; err != nil || s.graph.Sockets() != 0 {
		t.Errorf("%v, and %d sockets are open", err, s.graph.Sockets())
	}
	if _, answer, err := websocket.Dial(t.Context(), s.url+"/graphql", nil); err == nil || answer.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a socket after the stop: %v", err)
	}
}

// listening waits until so many subscriptions listen.
func (s *shop) listening(want int) {
	s.t.Helper()
	deadline := time.Now().Add(patience)
	for s.graph.Listening() != want {
		if time.Now().After(deadline) {
			s.t.Fatalf("%d subscriptions listen, want %d", s.graph.Listening(), want)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestWhatCannotBeToldInTimeEndsASubscription(t *testing.T) {
	t.Parallel()
	s := setup(t, "OperationLimit=20ms")
	s.users.GetUsersByIDStub = func(ctx context.Context, _ []string) ([]usersapi.User, error) { <-ctx.Done(); return nil, ctx.Err() }
	c := s.greeted(adminToken)
	c.say(`{"id":"1","type":"subscribe","payload":{"query":"subscription{orderPlaced{id user{username}}}"}}`)
	s.listening(1)
	s.placed("ord_1")
	c.hears(`{"id":"1","type":"error","payload":[{"message":"it took too long to find out what happened","extensions":{"code":"UNAVAILABLE"}}]}`)
	s.listening(0)
}

func TestTheStockOfWhatIsGoneIsNothing(t *testing.T) {
	t.Parallel()
	s := setup(t)
	answering(s)
	s.products.GetProductsByIDStub = nil // it is gone
	c := s.greeted(userToken)
	c.say(`{"id":"1","type":"subscribe","payload":{"query":"subscription{stockChanged(id:\"prd_1\"){stock product{id}}}"}}`)
	s.listening(1)
	s.changed(&productfacts.InventoryUpdate{ProductId: "prd_1", Stock: 1, Version: 2, Deleted: true})
	c.hears(`{"id":"1","type":"next","payload":{"data":{"stockChanged":{"stock":0,"product":null}}}}`)
}
