package test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// shop is the shop of a system, over GraphQL.
type shop struct {
	t     *testing.T
	sys   *system
	admin string // the token of its admin
	ids   map[string]string
}

const (
	shopAdmin    = "boss@shop.example"
	shopPassword = "a shop's long password"
)

func openShop(t *testing.T, s store) *shop {
	t.Helper()
	sys := startWith(t, s, []string{
		"M3O_ADMIN_EMAIL=" + adminEmail, "M3O_ADMIN_PASSWORD=" + adminPassword, "M3O_NO_DEMO=true",
		"M3O_SHOP_ADMIN_EMAIL=" + shopAdmin, "M3O_SHOP_ADMIN_PASSWORD=" + shopPassword,
	})
	h := &shop{t: t, sys: sys, ids: map[string]string{}}
	h.admin = h.login(shopAdmin, shopPassword)
	return h
}

// graphql is an answer of /graphql.
type graphql struct {
	answer
	Data   map[string]json.RawMessage
	Errors []struct {
		Message    string
		Extensions struct{ Code, Field string }
	}
}

// code is that of the first error, OK when there is none.
func (g graphql) code() string {
	if len(g.Errors) == 0 {
		return "OK"
	}
	return g.Errors[0].Extensions.Code
}

// ask sends an operation with a token as Authorization.
func (h *shop) ask(token, query string) graphql {
	h.t.Helper()
	got := graphql{answer: h.sys.post(h.t, "/graphql", map[string]string{"query": query}, "Authorization", token)}
	if err := json.Unmarshal(got.body, &got); err != nil {
		h.t.Fatalf("%d %s", got.status, got.body)
	}
	return got
}

// get is a text of an answer, by its path.
func (h *shop) get(g graphql, path ...string) (text string) {
	h.t.Helper()
	value := g.Data[path[0]]
	for _, name := range path[1:] {
		var object map[string]json.RawMessage
		if err := json.Unmarshal(value, &object); err != nil {
			h.t.Fatalf("%d %s has no %v", g.status, g.body, path)
		}
		value = object[name]
	}
	if err := json.Unmarshal(value, &text); err != nil {
		h.t.Fatalf("%d %s has no %v", g.status, g.body, path)
	}
	return text
}

func (h *shop) login(email, password string) string {
	h.t.Helper()
	return h.get(h.ask("", fmt.Sprintf(`mutation{login(input:{email:%q,password:%q}){token}}`, email, password)), "login", "token")
}

// register makes a user and logs in.
func (h *shop) register(name string) (token string) {
	h.t.Helper()
	email := name + "@shop.example"
	h.ask("", fmt.Sprintf(`mutation{registerUser(input:{email:%q,username:%q,password:%q,type:0}){id}}`, email, name, shopPassword))
	return h.login(email, shopPassword)
}

func (h *shop) sell(name string, price, stock int) (id string) {
	h.t.Helper()
	made := h.ask(h.admin, fmt.Sprintf(`mutation{createProduct(input:{name:%q,description:"D",price:%d,stock:%d}){id}}`, name, price, stock))
	return h.get(made, "createProduct", "id")
}

// example is an operation as the seed's README has it, with what stands for something in it replaced.
func (h *shop) example(name string, replace ...string) string {
	h.t.Helper()
	text, err := os.ReadFile("../internal/shop/graph/examples/" + name + ".graphql")
	if err != nil {
		h.t.Fatal(err)
	}
	return strings.NewReplacer(replace...).Replace(string(text))
}

var (
	shopID    = regexp.MustCompile(`(usr|prd|ord)_[0-9a-z]{26}`)
	shopToken = regexp.MustCompile(`[\w-]+\.[\w-]+\.[\w-]{20,}`)
)

// same compares an answer with what it must be: ids are named in the order in which they come up.
func (h *shop) same(name string, g graphql, want string) {
	h.t.Helper()
	got := shopID.ReplaceAllStringFunc(string(g.body), func(id string) string {
		if h.ids[id] == "" {
			h.ids[id] = fmt.Sprintf("<%s %d>", id[:3], len(h.ids)+1)
		}
		return h.ids[id]
	})
	if got = shopToken.ReplaceAllString(got, "<token>"); g.status != http.StatusOK || got != want {
		h.t.Errorf("%s: %d\ngot  %s\nwant %s", name, g.status, got, want)
	}
}

// TestTheReadmeOfTheShop does everything that the seed's README shows, as it is written there.
func TestTheReadmeOfTheShop(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store) {
		h := openShop(t, s)
		h.same("register", h.ask("", h.example("03-Register", "EMAIL", "jane@shop.example", "USERNAME", "jane")),
			`{"data":{"registerUser":{"id":"<usr 1>","email":"jane@shop.example","username":"jane","type":0}}}`)
		login := h.ask("", h.example("04-Login", "EMAIL", "jane@shop.example"))
		h.same("login", login, `{"data":{"login":{"token":"<token>"}}}`)
		jane := h.get(login, "login", "token")
		made := h.ask(h.admin, h.example("06-CreateProduct"))
		h.same("createProduct", made, `{"data":{"createProduct":{"id":"<prd 2>","price":1,"name":"NAME","description":"DESC","stock":1}}}`)
		product := h.get(made, "createProduct", "id")
		h.same("updateInventory", h.ask("Bearer "+h.admin, h.example("07-UpdateInventory", `"ID"`, `"`+product+`"`)), `{"data":{"updateInventory":{"success":true}}}`)
		placed := h.ask(jane, h.example("05-PlaceOrder", "PRODUCTID", product))
		h.same("placeOrder", placed, `{"data":{"placeOrder":{"id":"<ord 3>","user_id":"<usr 1>","quantity":1,"price_total":1,"order_products":[{"product_id":"<prd 2>","price":1,"quantity":1}]}}}`)
		lists := h.ask(h.admin, h.example("01-Lists"))
		h.same("lists", lists, `{"data":{"users":[{"id":"<usr 1>","username":"jane","email":"jane@shop.example","type":0},{"id":"<usr 4>","username":"Admin","email":"boss@shop.example","type":1}],`+
			`"products":[{"id":"<prd 2>","name":"NAME","description":"DESC","price":1,"stock":1}],"orders":[{"id":"<ord 3>","user_id":"<usr 1>","price_total":1,"quantity":1}]}}`)
		user, order := h.get(placed, "placeOrder", "user_id"), h.get(placed, "placeOrder", "id")
		items := h.example("02-Items", `user(id: "ID_STRING")`, `user(id: "`+user+`")`, `product(id: "ID_STRING")`, `product(id: "`+product+`")`, `order(id: "ID_STRING")`, `order(id: "`+order+`")`)
		h.same("items", h.ask("Bearer "+jane, items), `{"data":{"user":{"id":"<usr 1>","username":"jane","email":"jane@shop.example","type":0},`+
			`"product":{"id":"<prd 2>","name":"NAME","description":"DESC","price":1,"stock":1},`+
			`"order":{"id":"<ord 3>","user_id":"<usr 1>","price_total":1,"quantity":1,"order_products":[{"product_id":"<prd 2>","quantity":1,"price":1}]}}}`)
		h.same("a list with everything", h.ask(jane, `{ordersPage(first:1){items{status user{username} order_products{name product{stock}}} next_cursor}}`),
			`{"data":{"ordersPage":{"items":[{"status":"placed","user":{"username":"jane"},"order_products":[{"name":"NAME","product":{"stock":1}}]}],"next_cursor":null}}}`)
	})
}

// TestBadInputOfTheShop gives each rule of the shop's contract what breaks it.
func TestBadInputOfTheShop(t *testing.T) {
	t.Parallel()
	h := openShop(t, sqlite(t))
	jane, john := h.register("jane"), h.register("john")
	lamp := h.sell("Lamp", 25, 4)
	dear := h.sell("Dear", 2147483647, 10)
	order := h.get(h.ask(jane, fmt.Sprintf(`mutation{placeOrder(input:{order_products:[{product_id:%q,quantity:1}]}){id user_id}}`, lamp)), "placeOrder", "id")
	janesID := h.get(h.ask(jane, fmt.Sprintf(`{order(id:%q){user_id}}`, order)), "order", "user_id")
	register := func(email, password string, kind int) string {
		return fmt.Sprintf(`mutation{registerUser(input:{email:%q,username:"x",password:%q,type:%d}){id}}`, email, password, kind)
	}
	create := func(price, stock string) string {
		return fmt.Sprintf(`mutation{createProduct(input:{name:"N",description:"D",price:%s,stock:%s}){id}}`, price, stock)
	}
	inventory := func(id string, kind, number int) string {
		return fmt.Sprintf(`mutation{updateInventory(input:{id:%q,type:%d,number:%d}){success}}`, id, kind, number)
	}
	place := func(lines string) string {
		return `mutation{placeOrder(input:{order_products:[` + strings.ReplaceAll(lines, "LAMP", `"`+lamp+`"`) + `]}){id}}`
	}
	for _, test := range []struct{ name, token, query, code, field string }{
		{"AnAddressThatIsTaken", "", register("Jane@Shop.Example", shopPassword, 0), "CONFLICT", ""},
		{"AnAddressThatIsNone", "", register("jane", shopPassword, 0), "BAD_INPUT", "email"},
		{"AShortPassword", "", register("a@shop.example", "1234567", 0), "BAD_INPUT", "password"},
		{"AnAdminByNobody", "", register("a@shop.example", shopPassword, 1), "UNAUTHENTICATED", ""},
		{"AnAdminByAUser", jane, register("a@shop.example", shopPassword, 1), "FORBIDDEN", ""},
		{"ATypeThatIsNone", h.admin, register("a@shop.example", shopPassword, 2), "BAD_INPUT", "type"},
		{"AWrongPassword", "", `mutation{login(input:{email:"jane@shop.example",password:"wrong password"}){token}}`, "UNAUTHENTICATED", ""},
		{"AnUnknownAddress", "", `mutation{login(input:{email:"nobody@shop.example",password:"wrong password"}){token}}`, "UNAUTHENTICATED", ""},
		{"ABadToken", "a.b.c", `{products{id}}`, "UNAUTHENTICATED", ""},
		{"UsersByNobody", "", `{users{id}}`, "UNAUTHENTICATED", ""},
		{"UsersByAUser", jane, `{users{id}}`, "FORBIDDEN", ""},
		{"AnotherUser", john, `{user(id:"` + janesID + `"){email}}`, "FORBIDDEN", ""},
		{"AnothersOrder", john, `{order(id:"` + order + `"){id}}`, "", ""},
		{"OrdersByNobody", "", `{orders{id}}`, "UNAUTHENTICATED", ""},
		{"NoSuchProduct", "", `{product(id:"prd_none"){id}}`, "NOT_FOUND", ""},
		{"NoSuchUser", h.admin, `{user(id:"usr_none"){id}}`, "NOT_FOUND", ""},
		{"NoSuchOrder", h.admin, `{order(id:"ord_none"){id}}`, "NOT_FOUND", ""},
		{"TooManyRows", "", `{products(first:1001){id}}`, "BAD_INPUT", "first"},
		{"ACursorThatIsNone", "", `{products(after:"x"){id}}`, "BAD_INPUT", "after"},
		{"SellingByAUser", jane, create("1", "1"), "FORBIDDEN", ""},
		{"APriceBelowZero", h.admin, create("-1", "1"), "BAD_INPUT", "price"},
		{"AStockBelowZero", h.admin, create("1", "-1"), "BAD_INPUT", "stock"},
		{"APriceBeyondInt", h.admin, create("2147483648", "1"), "BAD_INPUT", "price"},
		{"InventoryByAUser", jane, inventory(lamp, 1, 1), "FORBIDDEN", ""},
		{"InventoryOfNothing", h.admin, inventory(lamp, 0, 1), "BAD_INPUT", "type"},
		{"InventoryOfAnotherKind", h.admin, inventory(lamp, 9, 1), "BAD_INPUT", "type"},
		{"MoreThanThereIs", h.admin, inventory(lamp, 2, 100), "", ""},
		{"InventoryBeyondInt", h.admin, inventory(lamp, 1, 2147483647), "BAD_INPUT", "number"},
		{"InventoryOfNoProduct", h.admin, inventory("prd_none", 1, 1), "NOT_FOUND", ""},
		{"OrderByNobody", "", place(`{product_id:LAMP,quantity:1}`), "UNAUTHENTICATED", ""},
		{"AnEmptyOrder", jane, place(``), "BAD_INPUT", "order_products"},
		{"NoneOfAProduct", jane, place(`{product_id:LAMP,quantity:1},{product_id:LAMP,quantity:0}`), "BAD_INPUT", "order_products[1].quantity"},
		{"LessThanNone", jane, place(`{product_id:LAMP,quantity:-1}`), "BAD_INPUT", "order_products[0].quantity"},
		{"OrderOfNoProduct", jane, place(`{product_id:"prd_none",quantity:1}`), "NOT_FOUND", ""},
		{"MoreThanInStock", jane, place(`{product_id:LAMP,quantity:4}`), "OUT_OF_STOCK", ""},
		{"TwiceIsTheSum", jane, place(`{product_id:LAMP,quantity:2},{product_id:LAMP,quantity:2}`), "OUT_OF_STOCK", ""},
		{"APriceOfAllBeyondInt", jane, place(`{product_id:"` + dear + `",quantity:2}`), "BAD_INPUT", ""},
		{"AQuantityBeyondInt", jane, place(`{product_id:LAMP,quantity:2147483647},{product_id:LAMP,quantity:1}`), "BAD_INPUT", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := h.ask(test.token, test.query)
			if g.code() == "OK" || test.code != "" && g.code() != test.code || test.field != "" && g.Errors[0].Extensions.Field != test.field {
				t.Errorf("%d %s", g.status, g.body)
			}
			if code := g.code(); code == "INTERNAL" {
				t.Errorf("%s", g.body)
			}
		})
	}
	if g := h.ask(h.admin, fmt.Sprintf(`{product(id:%q){stock} orders{id}}`, lamp)); string(g.Data["product"]) != `{"stock":3}` || strings.Count(string(g.Data["orders"]), "ord_") != 1 {
		t.Errorf("something has changed: %s", g.body)
	}
}

// TestTheLastItemsOfTheShopAreSoldOnce has two hundred buyers at once for a hundred items.
func TestTheLastItemsOfTheShopAreSoldOnce(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store) {
		h := openShop(t, s)
		jane, lamp := h.register("jane"), h.sell("Lamp", 25, 100)
		var mu sync.Mutex
		codes := map[string]int{}
		var wait sync.WaitGroup
		for range 200 {
			wait.Go(func() {
				g := h.ask(jane, fmt.Sprintf(`mutation{placeOrder(input:{order_products:[{product_id:%q,quantity:1}]}){id}}`, lamp))
				mu.Lock()
				defer mu.Unlock()
				codes[g.code()]++
			})
		}
		wait.Wait()
		if codes["OK"] != 100 || codes["OUT_OF_STOCK"] != 100 {
			t.Errorf("they were answered %v", codes)
		}
		g := h.ask(jane, fmt.Sprintf(`{product(id:%q){stock} orders(first:1000){id}}`, lamp))
		if n := strings.Count(string(g.Data["orders"]), "ord_"); string(g.Data["product"]) != `{"stock":0}` || n != 100 {
			t.Errorf("%d orders, %s", n, g.Data["product"])
		}
	})
}

// watcher is a WebSocket to the shop.
type watcher struct {
	t    *testing.T
	conn *websocket.Conn
}

func (h *shop) watch(token, query string) *watcher {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 10*time.Second)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, h.sys.base+"/graphql", &websocket.DialOptions{Subprotocols: []string{"graphql-transport-ws"}})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = conn.CloseNow() })
	w := &watcher{h.t, conn}
	w.say(map[string]any{"type": "connection_init", "payload": map[string]string{"Authorization": token}})
	if got := w.hear(); got != `{"type":"connection_ack"}` {
		h.t.Fatal(got)
	}
	w.say(map[string]any{"id": "1", "type": "subscribe", "payload": map[string]string{"query": query}})
	w.say(map[string]string{"type": "ping"})
	if got := w.hear(); got != `{"type":"pong"}` {
		h.t.Fatal(got)
	}
	return w
}

func (w *watcher) say(message any) {
	w.t.Helper()
	text, err := json.Marshal(message)
	if err == nil {
		err = w.conn.Write(w.t.Context(), websocket.MessageText, text)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// hear is the next message, or why the socket was closed.
func (w *watcher) hear() string {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	_, text, err := w.conn.Read(ctx)
	if code := websocket.CloseStatus(err); code > 0 {
		return fmt.Sprint("closed ", int(code))
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

func TestTheShopTellsWhatHappens(t *testing.T) {
	t.Parallel()
	h := openShop(t, sqlite(t))
	jane, lamp := h.register("jane"), h.sell("Lamp", 25, 100)
	orders := h.watch(h.admin, `subscription{orderPlaced{id price_total user{username} order_products{name quantity}}}`)
	stock := h.watch("Bearer "+jane, fmt.Sprintf(`subscription{stockChanged(id:%q){stock product{name}}}`, lamp))
	placed := h.ask(jane, fmt.Sprintf(`mutation{placeOrder(input:{order_products:[{product_id:%q,quantity:2}]}){id}}`, lamp))
	want := fmt.Sprintf(`{"id":"1","type":"next","payload":{"data":{"orderPlaced":{"id":%q,"price_total":50,"user":{"username":"jane"},"order_products":[{"name":"Lamp","quantity":2}]}}}}`, h.get(placed, "placeOrder", "id"))
	if got := orders.hear(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := stock.hear(); got != `{"id":"1","type":"next","payload":{"data":{"stockChanged":{"stock":98,"product":{"name":"Lamp"}}}}}` {
		t.Error(got)
	}
	if g := h.ask(jane, `mutation{logout{success}}`); g.code() != "OK" {
		t.Errorf("%s", g.body)
	}
	if got := stock.hear(); got != "closed 4401" {
		t.Errorf("after the logout: %s", got)
	}
	if g := h.ask(jane, `{orders{id}}`); g.code() != "UNAUTHENTICATED" {
		t.Errorf("after the logout: %s", g.body)
	}
}

func TestThePlaygroundIsThere(t *testing.T) {
	t.Parallel()
	h := openShop(t, sqlite(t))
	page, err := h.sys.send(http.MethodGet, "/playground", nil)
	if err != nil || page.status != http.StatusOK || !strings.Contains(page.header.Get("Content-Security-Policy"), "default-src 'none'; script-src 'self'") {
		t.Fatal(page.status, page.header, err)
	}
	for _, file := range regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(string(page.body), -1) {
		a, err := h.sys.send(http.MethodGet, file[1], nil)
		if err != nil || a.status != http.StatusOK || len(a.body) == 0 || strings.HasPrefix(file[1], "http") {
			t.Errorf("%s: %d, %d bytes, %v", file[1], a.status, len(a.body), err)
		}
	}
	if a, err := h.sys.send(http.MethodGet, "/", nil); err != nil || !strings.Contains(string(a.body), `href="/playground"`) {
		t.Errorf("the landing page does not lead there: %v", err)
	}
	if a, err := h.sys.send(http.MethodGet, "/playground/assets/nothing.js", nil); err != nil || a.status != http.StatusNotFound {
		t.Errorf("a file that is not there: %d %v", a.status, err)
	}
}
