package products_test

import (
	"context"
	"encoding/json"
	"flag"
	"log/slog"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/encoding/protojson"

	"m3o/internal/auth"
	"m3o/internal/bus"
	"m3o/internal/bus/outbox"
	"m3o/internal/config"
	"m3o/internal/db"
	"m3o/internal/db/dbtest"
	"m3o/internal/fault"
	"m3o/internal/rpc/rpctest"
	"m3o/internal/shop/products"
	"m3o/internal/shop/products/productsapi"
	productfacts "m3o/pkg/events/proto/products"
)

// TestMain shortens the model test; M3O_TEST_LONG=1 runs it in full.
func TestMain(m *testing.M) {
	flag.Parse()
	if os.Getenv("M3O_TEST_LONG") == "" {
		_ = flag.Set("rapid.checks", "10")
	}
	os.Exit(m.Run())
}

// house is the products service over a database, and the bus that its facts come from.
type house struct {
	t        testing.TB
	db       *db.DB
	bus      *bus.Memory
	outbox   *outbox.Outbox
	metrics  *prometheus.Registry
	products *products.Service
	ahead    atomic.Int64 // of the clock
}

func newHouse(t testing.TB, d *db.DB) *house {
	t.Helper()
	h := &house{t: t, db: d, metrics: prometheus.NewRegistry()}
	log := slog.New(slog.DiscardHandler)
	h.outbox = outbox.New(d, time.Now, log)
	h.bus = bus.NewMemory(bus.MemoryConfig{Logger: log, DeadLetter: h.outbox.DeadLetter})
	h.products = h.another(h.metrics)
	t.Cleanup(h.products.Register(h.bus))
	for _, source := range []string{"users", "orders"} {
		relay := h.outbox.Relay(h.bus, source)
		relay.Start()
		t.Cleanup(relay.Stop)
	}
	return h
}

// another is the service once more on the same database, as another process has it.
func (h *house) another(metrics prometheus.Registerer) *products.Service {
	h.t.Helper()
	s, err := products.New(products.Deps{DB: h.db, Outbox: h.outbox, Config: config.Unset{}, Metrics: metrics, Now: h.now})
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

// now goes on by a microsecond each time that somebody looks, however long the test takes.
func (h *house) now() time.Time {
	return time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC).Add(time.Duration(h.ahead.Add(int64(time.Microsecond))))
}

// pass moves the clock.
func (h *house) pass(d time.Duration) { h.ahead.Add(int64(d)) }

func contract() rpctest.Contract[productsapi.Service] {
	return rpctest.Contract[productsapi.Service]{Routes: productsapi.Routes, Client: func(b bus.Bus) productsapi.Service { return productsapi.NewClient(b) }}
}

// each runs a story on both engines; on SQLite also over the bus with every mutating call delivered twice.
func each(t *testing.T, story func(t *testing.T, s productsapi.Service, h *house)) {
	t.Helper()
	t.Parallel()
	rpctest.Each(t, contract(), func(t *testing.T) (productsapi.Service, *house) {
		h := newHouse(t, dbtest.SQLite(t))
		return h.products, h
	}, story)
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t, dbtest.Postgres(t))
		story(t, h.products, h)
	})
}

func admin(ctx context.Context) context.Context {
	return auth.With(ctx, auth.Account{ID: "usr_admin", Type: auth.TypeShopAdmin})
}

func user(ctx context.Context) context.Context {
	return auth.With(ctx, auth.Account{ID: "usr_1", Type: auth.TypeShopUser})
}

// sells puts a product on sale.
func sells(t testing.TB, s productsapi.Service, name string, price, stock int) string {
	t.Helper()
	p, err := s.AddProduct(admin(t.Context()), name, "", price, stock)
	if err != nil {
		t.Fatal(err)
	}
	return p.ID
}

func line(productID string, quantity int) productsapi.ReserveLine {
	return productsapi.ReserveLine{ProductID: productID, Quantity: quantity}
}

// counts are where the units of a product are.
type counts struct{ stock, reserved, sold int64 }

// failing is what *testing.T and *rapid.T have in common here.
type failing interface {
	Helper()
	Fatalf(format string, args ...any)
}

func (h *house) counts(t failing, productID string) (c counts) {
	t.Helper()
	err := h.db.QueryRow(h.t.Context(), `SELECT stock, reserved, sold FROM products WHERE id = $1`, productID).Scan(&c.stock, &c.reserved, &c.sold)
	if err != nil {
		t.Fatalf("product %s: %v", productID, err)
	}
	return c
}

// sound checks the store itself: every unit is somewhere, and what products say is reserved and sold is what orders hold.
func (h *house) sound(t failing) {
	t.Helper()
	ctx := h.t.Context()
	held := map[string]counts{}
	rows, err := h.db.Query(ctx, `SELECT state, lines FROM products_reservations`)
	if err != nil {
		t.Fatalf("reservations: %v", err)
	}
	defer rows.Close()
	for rows.Next() {
		var state, text string
		var lines []productsapi.ReservedLine
		if err := rows.Scan(&state, &text); err != nil {
			t.Fatalf("reservations: %v", err)
		}
		if err := json.Unmarshal([]byte(text), &lines); err != nil {
			t.Fatalf("lines %s: %v", text, err)
		}
		for _, l := range lines {
			c := held[l.ProductID]
			switch state {
			case "reserved":
				c.reserved += int64(l.Quantity)
			case "sold":
				c.sold += int64(l.Quantity)
			}
			held[l.ProductID] = c
		}
	}
	products, err := h.db.Query(ctx, `SELECT id, initial + added - subtracted, stock, reserved, sold FROM products`)
	if err != nil {
		t.Fatalf("products: %v", err)
	}
	defer products.Close()
	for products.Next() {
		var productID string
		var came int64
		var c counts
		if err := products.Scan(&productID, &came, &c.stock, &c.reserved, &c.sold); err != nil {
			t.Fatalf("products: %v", err)
		}
		if h := held[productID]; came != c.stock+c.reserved+c.sold || h.reserved != c.reserved || h.sold != c.sold {
			t.Fatalf("%s: %d came and %+v are there, orders hold %+v", productID, came, c, h)
		}
	}
}

// updates are the stated stocks of a product, in their order.
func (h *house) updates(productID string) (all []*productfacts.InventoryUpdate) {
	h.t.Helper()
	records, _, err := h.outbox.List(h.t.Context(), productfacts.Topic, 1000, "")
	if err != nil {
		h.t.Fatal(err)
	}
	for i := len(records) - 1; i >= 0; i-- {
		var e productfacts.Event
		if err := protojson.Unmarshal(records[i].Event.Data, &e); err != nil {
			h.t.Fatal(err)
		}
		if u := e.GetInventoryUpdate(); records[i].Event.Key == productID && u != nil {
			all = append(all, u)
		}
	}
	return all
}

// wantFault fails unless err is a fault of that code, about that field unless it is empty.
func wantFault(t *testing.T, err error, code fault.Code, field string) {
	t.Helper()
	f := fault.From(err)
	if err == nil || f.Code != code || field != "" && (len(f.Fields) != 1 || f.Fields[0].Name != field) {
		t.Errorf("got %v, want %s about %q", err, code, field)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
