package split

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The services of the shop that have a process of their own; users and graph are at the edge.
const (
	productsService = "products"
	ordersService   = "orders"
)

// shopApart is the shop over three processes.
var shopApart = topology{"the shop in 3 processes", func(t *testing.T) []role {
	edge := slices.DeleteFunc(services(t), func(s string) bool { return s == productsService || s == ordersService })
	return []role{{"edge", edge}, {productsService, []string{productsService}}, {ordersService, []string{ordersService}}}
}}

const (
	shopAdmin    = "boss@shop.example"
	shopPassword = "a shop's long password"
)

// shopSettings make the shop's admin, and have what crashed halfway put right soon.
var shopSettings = []string{"M3O_SHOP_ADMIN_EMAIL=" + shopAdmin, "M3O_SHOP_ADMIN_PASSWORD=" + shopPassword, "M3O_ORDERS_RESERVATIONLIMIT=2s", "M3O_LOG=warn"}

// shop is that of a deployment, by way of GraphQL.
type shop struct {
	*deployment
	admin client
}

// TestTheShopApart holds the shop over three processes to what it is in one: nothing is sold twice, no answered order is
// lost, and what was stated reaches everybody, whoever is killed and whatever comes twice.
func TestTheShopApart(t *testing.T) {
	t.Parallel()
	h := &shop{deployment: deploy(t, shopApart, shopSettings...)}
	h.admin = h.login(t, shopAdmin)
	t.Run("TheLastItems", h.lastItems)
	t.Run("RepeatedRequests", h.repeatedRequests)
	for _, name := range []string{productsService, ordersService, "edge"} {
		if name == productsService || long() {
			t.Run("KillOf/"+name, func(t *testing.T) { h.killed(t, name) })
		}
	}
}

// graphql is an answer of /graphql.
type graphql struct {
	Data   map[string]json.RawMessage
	Errors []struct {
		Message    string
		Extensions struct{ Code string }
	}
}

// ok is the code of an answer without errors.
const ok = "OK"

// code is that of the first error.
func (g graphql) code() string {
	if len(g.Errors) == 0 {
		return ok
	}
	return g.Errors[0].Extensions.Code
}

// ask executes an operation; the error says that there was no answer.
func ask(c client, query string) (g graphql, err error) {
	a, err := c.send("/graphql", map[string]string{"query": query})
	if err == nil && a.status != http.StatusOK {
		err = fmt.Errorf("%d %s", a.status, a.body)
	}
	if err == nil {
		err = json.Unmarshal(a.body, &g)
	}
	return g, err
}

// text is a text that an operation must answer with, such as the id of what was made.
func text(t *testing.T, c client, query, operation, field string) (value string) {
	t.Helper()
	g, err := ask(c, query)
	var object map[string]json.RawMessage
	if err == nil {
		err = json.Unmarshal(g.Data[operation], &object)
	}
	if err == nil {
		err = json.Unmarshal(object[field], &value)
	}
	if err != nil {
		t.Fatalf("%s: %v %v", query, g.Errors, err)
	}
	return value
}

func (h *shop) login(t *testing.T, email string) client {
	t.Helper()
	return h.client().as(text(t, h.client(), fmt.Sprintf(`mutation{login(input:{email:%q,password:%q}){token}}`, email, shopPassword), "login", "token"))
}

// buyer registers a user, who is logged in.
func (h *shop) buyer(t *testing.T, name string) client {
	t.Helper()
	email := name + "@shop.example"
	text(t, h.client(), fmt.Sprintf(`mutation{registerUser(input:{email:%q,username:%q,password:%q,type:0}){id}}`, email, name, shopPassword), "registerUser", "id")
	return h.login(t, email)
}

// sell puts a product on sale and returns its id.
func (h *shop) sell(t *testing.T, name string, stock int) string {
	t.Helper()
	return text(t, h.admin, fmt.Sprintf(`mutation{createProduct(input:{name:%q,description:"D",price:25,stock:%d}){id}}`, name, stock), "createProduct", "id")
}

// place orders some of a product; without a key each call is an order of its own. The code is empty when nobody can know
// what became of the order.
func place(c client, product string, quantity int, key string) (id, code string) {
	g, err := ask(c, fmt.Sprintf(`mutation{placeOrder(input:{order_products:[{product_id:%q,quantity:%d}],idempotency_key:%q}){id}}`, product, quantity, key))
	if err != nil {
		return "", ""
	}
	var order struct{ ID string }
	if code = g.code(); code == ok {
		err = json.Unmarshal(g.Data["placeOrder"], &order)
	}
	if err != nil || code != ok && code != outOfStock {
		return "", ""
	}
	return order.ID, code
}

const outOfStock = "OUT_OF_STOCK"

// rush is callers who order one product, and what they were answered.
type rush struct {
	product string
	over    atomic.Bool
	wait    sync.WaitGroup

	mu         sync.Mutex
	placed     map[string]int // what each order that was answered has of the product, by its id
	codes      map[string]int // how often each code was answered, also to one order
	unanswered int            // calls without a key of which nobody knows what became
	wrong      []string       // what must not be
	latest     time.Time      // when the latest call without a key began whose order is placed: it needed every process
}

func newRush(product string) *rush {
	return &rush{product: product, placed: map[string]int{}, codes: map[string]int{}}
}

// note notes what a call was answered.
func (r *rush) note(id, code string, quantity int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.codes[code]++; code == ok {
		r.placed[id] = quantity
	}
}

func (r *rush) complain(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wrong = append(r.wrong, fmt.Sprintf(format, args...))
}

// orders is how many orders were answered.
func (r *rush) orders() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.placed)
}

func (r *rush) worksSince(since time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.latest.After(since)
}

// once calls without a key.
func (r *rush) once(c client, quantity int) {
	begun := time.Now()
	id, code := place(c, r.product, quantity, "")
	r.note(id, code, quantity)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case code == "":
		r.unanswered++
	case code == ok && begun.After(r.latest):
		r.latest = begun
	}
}

// withKey calls with a key until the order is placed, and then once more: the key means one order.
func (r *rush) withKey(c client, quantity int, key string) {
	for first := ""; ; time.Sleep(breath) {
		id, code := place(c, r.product, quantity, key)
		r.note(id, code, quantity)
		switch {
		case code == outOfStock:
			r.complain("%s is out of stock, of which there is enough", r.product)
			return
		case code != ok:
		case first == "":
			first = id
		default:
			if id != first {
				r.complain("the key %s has the orders %s and %s", key, first, id)
			}
			return
		}
	}
}

// breath is between two calls of a caller.
const breath = 5 * time.Millisecond

// begin starts callers who order until the rush is over, each second one with keys.
func (r *rush) begin(callers []client) {
	for i, c := range callers {
		r.wait.Go(func() {
			for n := 0; !r.over.Load(); n++ {
				time.Sleep(breath)
				if quantity := 1 + n%3; i%2 == 0 {
					r.once(c, quantity)
				} else {
					r.withKey(c, quantity, fmt.Sprintf("%s-%d-%d", r.product, i, n))
				}
			}
		})
	}
}

// stop ends the rush and waits for its last answers.
func (r *rush) stop() {
	r.over.Store(true)
	r.wait.Wait()
}

// lastItems: of two hundred buyers at once of a hundred items a hundred get one.
func (h *shop) lastItems(t *testing.T) {
	const stock, buyers = 100, 200
	jane, r := h.buyer(t, "jane"), newRush(h.sell(t, "Lamp", stock))
	heard := h.witness(t)
	begin := make(chan struct{})
	for range buyers {
		r.wait.Go(func() {
			<-begin
			r.once(jane, 1)
		})
	}
	close(begin)
	r.stop()
	if want := map[string]int{ok: stock, outOfStock: buyers - stock}; !maps.Equal(r.codes, want) {
		t.Errorf("%d buyers of %d items were answered %v", buyers, stock, r.codes)
	}
	h.check(t, r, stock)
	if g, err := ask(jane, fmt.Sprintf(`{product(id:%q){stock}}`, r.product)); err != nil || string(g.Data["product"]) != `{"stock":0}` {
		t.Errorf("the shop says %s, %v %v", g.Data["product"], g.Errors, err)
	}
	for id := range r.placed {
		if n := heard.times(id); n != 1 {
			t.Errorf("the subscription was told %d times of order %s", n, id)
		}
	}
}

// repeatedRequests: each request between the processes comes twice, and each order is there once.
func (h *shop) repeatedRequests(t *testing.T) {
	const stock = 100_000
	r, callers := newRush(h.sell(t, "Chair", stock)), []client{h.buyer(t, "ada"), h.buyer(t, "grace"), h.admin, h.admin}
	retold := h.retell(t)
	r.begin(callers)
	t.Cleanup(r.stop)
	eventually(t, startLimit, "orders", func() bool { return r.orders() >= 40 })
	r.stop()
	h.check(t, r, stock)
	if retold() < 40 {
		t.Errorf("%d requests came twice: this shows nothing", retold())
	}
	t.Logf("%d orders, %d requests came twice, answers %v", r.orders(), retold(), r.codes)
}

// killed ends a process without warning in the midst of a rush, and starts it anew as a supervisor does.
func (h *shop) killed(t *testing.T, name string) {
	const stock, each = 1_000_000, 50
	var callers []client
	for i := range 8 {
		callers = append(callers, h.buyer(t, fmt.Sprintf("%s-buyer-%d", name, i)))
	}
	r := newRush(h.sell(t, "Table of "+name, stock))
	heard := h.witness(t)
	r.begin(callers)
	t.Cleanup(r.stop)
	kills := 1
	if long() {
		kills = 3
	}
	var recovery time.Duration
	for range kills {
		before := r.orders()
		eventually(t, startLimit, "orders", func() bool { return r.orders() >= before+each })
		p := h.process(t, name)
		p.kill()
		p.program.start(t)
		started := time.Now()
		eventually(t, recoveryLimit, "an order after the kill of "+name, func() bool { return r.worksSince(started) })
		recovery = max(recovery, time.Since(started))
	}
	r.stop()
	ended := time.Now()
	h.check(t, r, stock)
	settled := time.Since(ended)
	if name != "edge" { // whose end is that of the subscription
		eventually(t, settleLimit, "the subscription to be told of each order", func() bool { return heard.hasAll(r) })
	}
	results.addShop(t, shopOutcome{"kill -9 of " + name, r.orders(), r.codes[ok], r.codes[""], recovery, settled})
}

// check holds the books of the shop against what was answered, until they agree or the limit is over.
func (h *shop) check(t *testing.T, r *rush, initial int) {
	t.Helper()
	var complaints []string
	if !within(t.Context(), settleLimit, func() bool {
		complaints = h.books(t, r, initial)
		return len(complaints) == 0
	}) {
		t.Errorf("the books of the shop do not agree:\n%s\n%s", strings.Join(complaints, "\n"), h.tails())
	}
	for _, w := range r.wrong {
		t.Error(w)
	}
}

// What the store says of the shop as a whole: each of these counts what must not be.
var shopSQL = map[string]string{
	"%d reservations are open":                `SELECT COUNT(*) FROM products_reservations WHERE state = 'reserved'`,
	"%d placed orders are not sold":           `SELECT COUNT(*) FROM orders o LEFT JOIN products_reservations r ON r.order_id = o.id WHERE o.status = 'placed' AND COALESCE(r.state, '') <> 'sold'`,
	"%d orders are sold that are not placed":  `SELECT COUNT(*) FROM products_reservations r LEFT JOIN orders o ON o.id = r.order_id WHERE r.state = 'sold' AND COALESCE(o.status, '') <> 'placed'`,
	"%d placed orders are not stated once":    `SELECT COUNT(*) FROM orders o WHERE o.status = 'placed' AND 1 <> (SELECT COUNT(*) FROM outbox e WHERE e.topic = 'orders' AND e.type_name = 'ORDER_PLACED' AND e.key = o.id)`,
	"%d facts are not published":              `SELECT COUNT(*) FROM outbox WHERE published_at IS NULL`,
	"orders knows the wrong stock %d times":   `SELECT COUNT(*) FROM products p LEFT JOIN orders_products k ON k.id = p.id WHERE k.stock IS NULL OR k.stock <> p.stock OR k.version <> p.version OR k.name <> p.name`,
	"orders does not know %d users":           `SELECT COUNT(*) FROM outbox e LEFT JOIN orders_users u ON u.id = e.key WHERE e.topic = 'users' AND e.type_name = 'USER_REGISTERED' AND u.id IS NULL`,
	"products has not counted %d users":       `SELECT COUNT(*) FROM outbox e LEFT JOIN inbox i ON i.event_id = e.event_id AND i.grp = 'products' WHERE e.topic = 'users' AND e.type_name = 'USER_REGISTERED' AND i.grp IS NULL`,
	"%d products have lost or gained a piece": `SELECT COUNT(*) FROM products WHERE stock + reserved + sold <> initial + added - subtracted`,
	"%d dead letters":                         deadSQL,
}

const ordersSQL = `
	SELECT o.id, o.quantity FROM orders o JOIN products_reservations r ON r.order_id = o.id WHERE o.status = 'placed' AND r.lines LIKE '%' || $1 || '%'`

// books says what is wrong with the shop: pieces that are lost, orders that are not there or that nobody made, and facts
// that somebody has not taken or has taken twice.
func (h *shop) books(t *testing.T, r *rush, initial int) (complaints []string) {
	t.Helper()
	for what, query := range shopSQL {
		var n int
		if err := h.db.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
			complaints = append(complaints, fmt.Sprintf("%s: %v", query, err))
		} else if n != 0 {
			complaints = append(complaints, fmt.Sprintf(what, n))
		}
	}
	there, err := h.orders(t, r.product)
	if err != nil {
		return append(complaints, err.Error())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	wanted := 0
	for id, quantity := range r.placed {
		if there[id] != quantity {
			complaints = append(complaints, fmt.Sprintf("order %s was answered with %d pieces and has %d", id, quantity, there[id]))
		}
	}
	for _, quantity := range there {
		wanted += quantity
	}
	if extra := len(there) - len(r.placed); extra < 0 || extra > r.unanswered {
		complaints = append(complaints, fmt.Sprintf("%d orders were answered, of %d calls nobody knows, and there are %d", len(r.placed), r.unanswered, len(there)))
	}
	var stock, sold int
	err = h.db.QueryRowContext(t.Context(), `SELECT stock, sold FROM products WHERE id = $1`, r.product).Scan(&stock, &sold)
	if err != nil || sold != wanted || stock != initial-wanted {
		complaints = append(complaints, fmt.Sprintf("of %d pieces %d are ordered, %d sold and %d in stock (%v)", initial, wanted, sold, stock, err))
	}
	slices.Sort(complaints)
	return complaints
}

// orders are the placed ones of a product, with their quantity by their id.
func (h *shop) orders(t *testing.T, product string) (map[string]int, error) {
	t.Helper()
	rows, err := h.db.QueryContext(t.Context(), ordersSQL, product)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	all := map[string]int{}
	for rows.Next() {
		var id string
		var quantity int
		if err := rows.Scan(&id, &quantity); err != nil {
			return nil, err
		}
		all[id] = quantity
	}
	return all, errors.Join(rows.Err(), rows.Close())
}
