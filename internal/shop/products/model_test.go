package products_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"m3o/internal/db"
	"m3o/internal/db/dbtest"
	"m3o/internal/fault"
	"m3o/internal/id"
	"m3o/internal/shop/products/productsapi"
)

// model is the stock as a child would keep it: what is on the shelf, and a bag for each order.
type model struct {
	stock   map[string]int
	deleted map[string]bool
	bags    map[string]*bag
}

type bag struct {
	state string
	lines []productsapi.ReserveLine
}

// canReserve is the fault that a reservation must end with, empty for none.
func (m *model) canReserve(lines []productsapi.ReserveLine) string {
	for _, l := range lines {
		switch {
		case m.deleted[l.ProductID]:
			return "not found"
		case m.stock[l.ProductID] < l.Quantity:
			return "out of stock"
		}
	}
	return ""
}

// TestStockAgainstAModel runs random operations against the service and against the model, and compares both after each.
func TestStockAgainstAModel(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := newHouse(t, d)
		rapid.Check(t, func(rt *rapid.T) { runModel(rt, t, h) })
	})
}

func runModel(rt *rapid.T, t *testing.T, h *house) {
	ctx, s := admin(t.Context()), h.products
	m := &model{stock: map[string]int{}, deleted: map[string]bool{}, bags: map[string]*bag{}}
	var ids []string
	for i := range 3 {
		stock := rapid.IntRange(0, 6).Draw(rt, "stock")
		productID := sells(t, s, fmt.Sprint("Product ", i), 2, stock)
		ids = append(ids, productID)
		m.stock[productID] = stock
	}
	product := rapid.SampledFrom(ids)
	orders := []string{id.New("ord"), id.New("ord"), id.New("ord"), id.New("ord")}
	order := rapid.SampledFrom(orders)
	expect := func(err error, want string) {
		rt.Helper()
		got := ""
		switch {
		case err == nil:
		case productsapi.OutOfStock(err):
			got = "out of stock"
		case productsapi.Released(err):
			got = "released"
		case fault.Is(err, fault.NotFound):
			got = "not found"
		case fault.Is(err, fault.Conflict):
			got = "sold"
		default:
			got = err.Error()
		}
		if got != want {
			rt.Fatalf("got %q, want %q", got, want)
		}
	}
	rt.Repeat(map[string]func(*rapid.T){
		"reserve": func(rt *rapid.T) {
			orderID := order.Draw(rt, "order")
			var lines []productsapi.ReserveLine
			for _, productID := range rapid.SliceOfNDistinct(product, 1, 3, rapid.ID[string]).Draw(rt, "products") {
				lines = append(lines, line(productID, rapid.IntRange(1, 3).Draw(rt, "quantity")))
			}
			reserved, err := s.Reserve(ctx, orderID, "usr_1", lines)
			if b := m.bags[orderID]; b != nil {
				if b.state == "released" {
					expect(err, "released")
					return
				}
				expect(err, "")
				lines = b.lines
			} else if want := m.canReserve(lines); want != "" {
				expect(err, want)
				return
			} else {
				expect(err, "")
				m.bags[orderID] = &bag{"reserved", lines}
				for _, l := range lines {
					m.stock[l.ProductID] -= l.Quantity
				}
			}
			for i, l := range lines {
				if r := reserved[i]; r.ProductID != l.ProductID || r.Quantity != l.Quantity || r.Price != 2 {
					rt.Fatalf("reserved %v, want %v", reserved, lines)
				}
			}
		},
		"release": func(rt *rapid.T) {
			orderID := order.Draw(rt, "order")
			err := s.Release(ctx, orderID)
			switch b := m.bags[orderID]; {
			case b == nil:
				expect(err, "")
				m.bags[orderID] = &bag{state: "released"}
			case b.state == "sold":
				expect(err, "sold")
			default:
				expect(err, "")
				for _, l := range b.lines {
					m.stock[l.ProductID] += l.Quantity
				}
				m.bags[orderID] = &bag{state: "released"}
			}
		},
		"commit": func(rt *rapid.T) {
			orderID := order.Draw(rt, "order")
			err := s.Commit(ctx, orderID)
			switch b := m.bags[orderID]; {
			case b == nil:
				expect(err, "not found")
			case b.state == "released":
				expect(err, "released")
			default:
				expect(err, "")
				b.state = "sold"
			}
		},
		"add": func(rt *rapid.T) {
			productID, n := product.Draw(rt, "product"), rapid.IntRange(1, 4).Draw(rt, "number")
			_, err := s.UpdateInventory(ctx, productID, productsapi.Add, n)
			if m.deleted[productID] {
				expect(err, "not found")
				return
			}
			expect(err, "")
			m.stock[productID] += n
		},
		"subtract": func(rt *rapid.T) {
			productID, n := product.Draw(rt, "product"), rapid.IntRange(1, 4).Draw(rt, "number")
			_, err := s.UpdateInventory(ctx, productID, productsapi.Subtract, n)
			switch {
			case m.deleted[productID]:
				expect(err, "not found")
			case m.stock[productID] < n:
				expect(err, "out of stock")
			default:
				expect(err, "")
				m.stock[productID] -= n
			}
		},
		"delete": func(rt *rapid.T) {
			if rapid.IntRange(0, 9).Draw(rt, "seldom") > 0 {
				rt.Skip()
			}
			productID := product.Draw(rt, "product")
			_, err := s.UpdateInventory(ctx, productID, productsapi.Delete, 0)
			if m.deleted[productID] {
				expect(err, "not found")
				return
			}
			expect(err, "")
			m.deleted[productID] = true
		},
		"": func(rt *rapid.T) {
			for _, productID := range ids {
				if c := h.counts(rt, productID); c.stock != int64(m.stock[productID]) {
					rt.Fatalf("%s: %+v, want a stock of %d", productID, c, m.stock[productID])
				}
			}
			h.sound(rt)
		},
	})
}
