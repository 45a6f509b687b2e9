package orders_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"m3o/internal/auth"
	"m3o/internal/bus"
	"m3o/internal/bus/outbox"
	"m3o/internal/config"
	"m3o/internal/db"
	"m3o/internal/db/dbtest"
	"m3o/internal/fault"
	"m3o/internal/rpc/rpctest"
	"m3o/internal/shop/orders"
	"m3o/internal/shop/orders/ordersapi"
	"m3o/internal/shop/products"
	"m3o/internal/shop/products/productsapi"
)

// house is the orders service with its real neighbour products over one database.
type house struct {
	t        testing.TB
	db       *db.DB
	bus      *bus.Memory
	outbox   *outbox.Outbox
	products *products.Service
	orders   *orders.Service
	ahead    atomic.Int64 // of the clock
}

// newHouse makes the services; facts flow until the test ends. between may stand between orders and products.
func newHouse(t testing.TB, d *db.DB, between func(productsapi.Service) productsapi.Service) *house {
	t.Helper()
	h := stillHouse(t, d, between)
	h.flow()
	return h
}

// stillHouse makes the services, whose facts stay where they are until flow.
func stillHouse(t testing.TB, d *db.DB, between func(productsapi.Service) productsapi.Service) *house {
	t.Helper()
	h := &house{t: t, db: d}
	log := slog.New(slog.DiscardHandler)
	h.outbox = outbox.New(d, time.Now, log)
	h.bus = bus.NewMemory(bus.MemoryConfig{Logger: log, DeadLetter: h.outbox.DeadLetter, Backoff: []time.Duration{time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond}})
	h.products = h.newProducts()
	var stock productsapi.Service = h.products
	if between != nil {
		stock = between(stock)
	}
	h.orders = h.newOrders(stock)
	return h
}

func (h *house) newProducts() *products.Service {
	h.t.Helper()
	s, err := products.New(products.Deps{DB: h.db, Outbox: h.outbox, Config: config.Unset{}, Metrics: prometheus.NewRegistry(), Now: h.now})
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

func (h *house) newOrders(stock productsapi.Service) *orders.Service {
	h.t.Helper()
	s, err := orders.New(orders.Deps{
		DB: h.db, Outbox: h.outbox, Config: config.Unset{}, Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler), Now: h.now, Products: stock,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

// flow lets the facts flow until the test ends.
func (h *house) flow() {
	h.t.Cleanup(h.products.Register(h.bus))
	h.t.Cleanup(h.orders.Register(h.bus))
	h.relay()
}

// relay publishes facts until the test ends.
func (h *house) relay() {
	for _, source := range []string{"users", productsapi.Host, ordersapi.Host} {
		relay := h.outbox.Relay(h.bus, source)
		relay.Start()
		h.t.Cleanup(relay.Stop)
	}
}

// now goes on by a microsecond each time that somebody looks, however long the test takes.
func (h *house) now() time.Time {
	return time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC).Add(time.Duration(h.ahead.Add(int64(time.Microsecond))))
}

// pass moves the clock of both services.
func (h *house) pass(d time.Duration) { h.ahead.Add(int64(d)) }

func as(ctx context.Context, userID string) context.Context {
	return auth.With(ctx, auth.Account{ID: userID, Type: auth.TypeShopUser})
}

func admin(ctx context.Context) context.Context {
	return auth.With(ctx, auth.Account{ID: "usr_admin", Type: auth.TypeShopAdmin})
}

// sells puts a product on sale.
func (h *house) sells(name string, price, stock int) string {
	h.t.Helper()
	p, err := h.products.AddProduct(admin(h.t.Context()), name, "", price, stock)
	if err != nil {
		h.t.Fatal(err)
	}
	return p.ID
}

func contract() rpctest.Contract[ordersapi.Service] {
	return rpctest.Contract[ordersapi.Service]{Routes: ordersapi.Routes, Client: func(b bus.Bus) ordersapi.Service { return ordersapi.NewClient(b) }}
}

// each runs a story on both engines; on SQLite also over the bus with every mutating call delivered twice.
func each(t *testing.T, story func(t *testing.T, s ordersapi.Service, h *house)) {
	t.Helper()
	t.Parallel()
	rpctest.Each(t, contract(), func(t *testing.T) (ordersapi.Service, *house) {
		h := newHouse(t, dbtest.SQLite(t), nil)
		return h.orders, h
	}, story)
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t, dbtest.Postgres(t), nil)
		story(t, h.orders, h)
	})
}

func line(productID string, quantity int) ordersapi.OrderLine {
	return ordersapi.OrderLine{ProductID: productID, Quantity: quantity}
}

// counts are where the units of a product are.
type counts struct{ stock, reserved, sold int64 }

func (h *house) counts(productID string) (c counts) {
	h.t.Helper()
	h.scan(`SELECT stock, reserved, sold FROM products WHERE id = $1`, []any{productID}, &c.stock, &c.reserved, &c.sold)
	return c
}

// scan reads one row of the store.
func (h *house) scan(query string, args []any, into ...any) {
	h.t.Helper()
	if err := h.db.QueryRow(h.t.Context(), query, args...).Scan(into...); err != nil {
		h.t.Fatalf("%s: %v", query, err)
	}
}

// settled waits until everything that was stated is taken, and no order holds anything that is not sold.
func (h *house) settled() {
	h.t.Helper()
	h.wait("everything is taken", func() bool {
		var pending, open int64
		h.scan(`SELECT COUNT(*) FROM outbox WHERE published_at IS NULL`, nil, &pending)
		h.scan(`SELECT COUNT(*) FROM products_reservations WHERE state = 'reserved'`, nil, &open)
		return pending == 0 && open == 0
	})
}

// wait polls until something is true.
func (h *house) wait(what string, is func() bool) {
	h.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatalf("waited in vain: %s", what)
		}
	}
}

// sound checks the stores themselves when all is settled: every unit that came is somewhere, what is sold is what
// placed orders have, and each placed order was stated once.
func (h *house) sound() {
	h.t.Helper()
	for name, query := range map[string]string{
		"units that are nowhere":        `SELECT COALESCE(SUM(initial + added - subtracted - stock - reserved - sold), 0) FROM products`,
		"units still reserved":          `SELECT COALESCE(SUM(reserved), 0) FROM products`,
		"units sold but in no order":    `SELECT (SELECT COALESCE(SUM(sold), 0) FROM products) - (SELECT COALESCE(SUM(quantity), 0) FROM orders WHERE status = 'placed')`,
		"placed orders not sold":        `SELECT COUNT(*) FROM orders o WHERE o.status = 'placed' AND NOT EXISTS (SELECT 1 FROM products_reservations r WHERE r.order_id = o.id AND r.state = 'sold')`,
		"rejected orders not released":  `SELECT COUNT(*) FROM orders o WHERE o.status = 'rejected' AND NOT EXISTS (SELECT 1 FROM products_reservations r WHERE r.order_id = o.id AND r.state = 'released')`,
		"placed orders not stated once": `SELECT COUNT(*) FROM orders o WHERE o.status = 'placed' AND (SELECT COUNT(*) FROM outbox e WHERE e.topic = 'orders' AND e.key = o.id) <> 1`,
		"rejected orders stated":        `SELECT COUNT(*) FROM orders o JOIN outbox e ON e.topic = 'orders' AND e.key = o.id WHERE o.status = 'rejected'`,
		"dead letters":                  `SELECT COUNT(*) FROM dead_letters`,
	} {
		var n int64
		h.scan(`SELECT CAST((`+query+`) AS BIGINT)`, nil, &n)
		if n != 0 {
			h.t.Errorf("%s: %d, want 0", name, n)
		}
	}
}

// wantFault fails unless err is a fault of that code, about that field unless it is empty.
func wantFault(t *testing.T, err error, code fault.Code, field string) {
	t.Helper()
	f := fault.From(err)
	if err == nil || f.Code != code || field != "" && (len(f.Fields) != 1 || f.Fields[0].Name != field) {
		t.Errorf("got %v, want %s about %q", err, code, field)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
