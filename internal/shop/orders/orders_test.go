package orders_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"m3o/internal/auth"
	"m3o/internal/db"
	"m3o/internal/db/dbtest"
	"m3o/internal/fault"
	"m3o/internal/shop/orders/ordersapi"
	"m3o/internal/shop/products/productsapi"
	orderfacts "m3o/pkg/events/proto/orders"
	productfacts "m3o/pkg/events/proto/products"
	userfacts "m3o/pkg/events/proto/users"
)

func TestPlacedOrderIsThere(t *testing.T) {
	each(t, func(t *testing.T, s ordersapi.Service, h *house) {
		lamp, chair := h.sells("Lamp", 25, 10), h.sells("Chair", 100, 10)
		placed, err := s.PlaceOrder(as(t.Context(), "usr_1"), []ordersapi.OrderLine{line(chair, 1), line(lamp, 2), line(chair, 2)}, "")
		must(t, err)
		lines := []ordersapi.OrderProduct{{ProductID: chair, Name: "Chair", Price: 100, Quantity: 3}, {ProductID: lamp, Name: "Lamp", Price: 25, Quantity: 2}}
		if !strings.HasPrefix(placed.ID, "ord_") || placed.UserID != "usr_1" || placed.Status != ordersapi.Placed || placed.PriceTotal != 350 ||
			placed.Quantity != 5 || !slices.Equal(placed.Lines, lines) || placed.CreatedAt.IsZero() {
			t.Errorf("placed %+v", placed)
		}
		if c := h.counts(lamp); c.stock != 8 {
			t.Errorf("%+v: the stock is taken before the answer, and delivered twice, once", c)
		}
		got, err := s.GetOrder(as(t.Context(), "usr_1"), placed.ID)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(placed) {
			t.Errorf("got %+v, %v, want %+v", got, err, placed)
		}
		h.settled()
		if c := h.counts(chair); c != (counts{7, 0, 3}) {
			t.Errorf("chairs %+v", c)
		}
		h.sound()
	})
}

func TestPlacedOrderIsStated(t *testing.T) {
	t.Parallel()
	h := newHouse(t, dbtest.SQLite(t), nil)
	lamp := h.sells("Lamp", 25, 10)
	placed, err := h.orders.PlaceOrder(as(t.Context(), "usr_1"), []ordersapi.OrderLine{line(lamp, 2)}, "")
	must(t, err)
	records, _, err := h.outbox.List(t.Context(), orderfacts.Topic, 0, "")
	must(t, err)
	var e orderfacts.Event
	must(t, protojson.Unmarshal(records[0].Event.Data, &e))
	o := e.GetOrderPlaced()
	if len(records) != 1 || records[0].Event.Key != placed.ID || e.GetType() != orderfacts.EventType_ORDER_PLACED || o.GetId() != placed.ID || o.GetUserId() != "usr_1" ||
		o.GetPriceTotal() != 50 || o.GetQuantity() != 2 || o.GetCreatedAt() != db.Micro(placed.CreatedAt) || len(o.GetOrderProducts()) != 1 ||
		o.GetOrderProducts()[0].GetProductId() != lamp || o.GetOrderProducts()[0].GetName() != "Lamp" || o.GetOrderProducts()[0].GetPrice() != 25 || o.GetOrderProducts()[0].GetQuantity() != 2 {
		t.Errorf("stated %v", &e)
	}
}

func TestPlaceOrderRefuses(t *testing.T) {
	each(t, func(t *testing.T, s ordersapi.Service, h *house) {
		lamp, dear := h.sells("Lamp", 25, 10), h.sells("Dear", productsapi.Max, 10)
		many := make([]ordersapi.OrderLine, 201)
		for i := range many {
			many[i] = line(fmt.Sprint("prd_", i), 1)
		}
		for name, tc := range map[string]struct {
			lines []ordersapi.OrderLine
			key   string
			code  fault.Code
			field string
		}{
			"Nothing":      {nil, "", fault.Invalid, "order_products"},
			"NoProduct":    {[]ordersapi.OrderLine{line(lamp, 1), line("", 1)}, "", fault.Invalid, "order_products[1].product_id"},
			"Zero":         {[]ordersapi.OrderLine{line(lamp, 1), line(dear, 0)}, "", fault.Invalid, "order_products[1].quantity"},
			"BelowZero":    {[]ordersapi.OrderLine{line(lamp, -1)}, "", fault.Invalid, "order_products[0].quantity"},
			"TooMany":      {[]ordersapi.OrderLine{line(lamp, productsapi.Max+1)}, "", fault.Invalid, "order_products[0].quantity"},
			"TooManyInAll": {[]ordersapi.OrderLine{line(lamp, productsapi.Max), line(lamp, 1)}, "", fault.Invalid, "order_products[1].quantity"},
			"TooDear":      {[]ordersapi.OrderLine{line(lamp, 1), line(dear, 1)}, "", fault.Invalid, "order_products"},
			"ManyLines":    {many, "", fault.Invalid, "order_products"},
			"LongKey":      {[]ordersapi.OrderLine{line(lamp, 1)}, strings.Repeat("k", 256), fault.Invalid, "idempotency_key"},
			"Unknown":      {[]ordersapi.OrderLine{line("prd_none", 1)}, "", fault.NotFound, ""},
			"Broken":       {[]ordersapi.OrderLine{line("\x00", 1)}, "", fault.NotFound, ""},
		} {
			t.Log(name)
			_, err := s.PlaceOrder(as(t.Context(), "usr_1"), tc.lines, tc.key)
			wantFault(t, err, tc.code, tc.field)
		}
		if _, err := s.PlaceOrder(as(t.Context(), "usr_1"), []ordersapi.OrderLine{line(lamp, 11)}, ""); !productsapi.OutOfStock(err) || fault.From(err).Extra["reason"] != nil && fault.From(err).Extra["reason"] != "OUT_OF_STOCK" {
			t.Errorf("out of stock: %v", err)
		}
		_, err := s.PlaceOrder(t.Context(), []ordersapi.OrderLine{line(lamp, 1)}, "")
		wantFault(t, err, fault.Unauthenticated, "")
		for _, other := range []auth.Account{{ID: "cus_1", Type: auth.TypeCustomer}, {ID: "cus_admin", Type: auth.TypeAdmin}, {ID: "demo", Type: auth.TypeService}} {
			_, err = s.PlaceOrder(auth.With(t.Context(), other), []ordersapi.OrderLine{line(lamp, 1)}, "")
			wantFault(t, err, fault.Forbidden, "")
		}
		if c := h.counts(lamp); c != (counts{stock: 10}) {
			t.Errorf("%+v", c)
		}
	})
}

func TestAnIdempotencyKeyIsOneOrder(t *testing.T) {
	each(t, func(t *testing.T, s ordersapi.Service, h *house) {
		lamp, chair := h.sells("Lamp", 25, 10), h.sells("Chair", 100, 10)
		place := func(userID, key string, lines ...ordersapi.OrderLine) (ordersapi.Order, error) {
			return s.PlaceOrder(as(t.Context(), userID), lines, key)
		}
		first, err := place("usr_1", "k", line(lamp, 1), line(chair, 2))
		must(t, err)
		for _, again := range [][]ordersapi.OrderLine{{line(lamp, 1), line(chair, 2)}, {line(chair, 1), line(lamp, 1), line(chair, 1)}} {
			if got, err := place("usr_1", "k", again...); err != nil || fmt.Sprint(got) != fmt.Sprint(first) {
				t.Errorf("got %+v, %v, want %+v", got, err, first)
			}
		}
		for _, other := range [][]ordersapi.OrderLine{{line(lamp, 1)}, {line(lamp, 1), line(chair, 3)}, {line(lamp, 1), line(chair, 2), line("prd_x", 1)}} {
			_, err := place("usr_1", "k", other...)
			wantFault(t, err, fault.Conflict, "")
			if productsapi.OutOfStock(err) {
				t.Errorf("%v: that is another conflict", err)
			}
		}
		for _, userID := range []string{"usr_2", "usr_1"} {
			if got, err := place(userID, "k"+userID, line(lamp, 1)); err != nil || got.ID == first.ID {
				t.Errorf("%s: %+v, %v", userID, got, err)
			}
		}
		if _, err := place("usr_1", "later", line(lamp, 9)); !productsapi.OutOfStock(err) {
			t.Errorf("more than there is: %v", err)
		}
		_, err = h.products.UpdateInventory(admin(t.Context()), lamp, productsapi.Add, 10)
		must(t, err)
		if _, err := place("usr_1", "later", line(lamp, 9)); err != nil {
			t.Errorf("a refusal is not kept: %v", err)
		}
		h.settled()
		h.sound()
	})
}

func TestTheSameKeyByManyAtOnceIsOneOrder(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := newHouse(t, d, nil)
		lamp := h.sells("Lamp", 25, 10)
		other := h.newOrders(h.newProducts())
		var ids, conflicts sync.Map
		var crowd sync.WaitGroup
		for i := range 40 {
			s, quantity := []ordersapi.Service{h.orders, other}[i%2], 1+i/2%2
			crowd.Go(func() {
				o, err := s.PlaceOrder(as(t.Context(), "usr_1"), []ordersapi.OrderLine{line(lamp, quantity)}, "k")
				switch {
				case err == nil:
					ids.Store(o.ID, o.Quantity)
				case fault.Is(err, fault.Conflict):
					conflicts.Store(i, true)
				default:
					t.Error(err)
				}
			})
		}
		crowd.Wait()
		h.settled()
		h.sound()
		if n := size(&ids); n != 1 || size(&conflicts) != 20 {
			t.Errorf("%d orders and %d conflicts, want 1 and 20", n, size(&conflicts))
		}
	})
}

// All calls have reserved before the first order is inserted, so that those of one key meet in one set.
func TestRepetitionsInOneSetAreOneOrder(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		const keys, calls = 8, 4
		var reserving sync.WaitGroup
		reserving.Add(keys * calls)
		h := newHouse(t, d, func(s productsapi.Service) productsapi.Service {
			return meddling{s, func(string) error { reserving.Done(); reserving.Wait(); return nil }}
		})
		lamp := h.sells("Lamp", 25, 10)
		var orders sync.Map
		h.crowd(t, keys*calls, func(i int) error {
			o, err := h.orders.PlaceOrder(as(t.Context(), "usr_1"), []ordersapi.OrderLine{line(lamp, 1)}, fmt.Sprint("k", i%keys))
			if before, known := orders.LoadOrStore(i%keys, o); known && fmt.Sprint(before) != fmt.Sprint(o) {
				t.Errorf("key %d: %+v, and %+v", i%keys, before, o)
			}
			return err
		})
		h.settled()
		h.sound()
		if c := h.counts(lamp); c != (counts{2, 0, 8}) {
			t.Errorf("%+v", c)
		}
	})
}

func size(m *sync.Map) (n int) {
	m.Range(func(any, any) bool { n++; return true })
	return n
}

func TestOrdersAreTheirUsers(t *testing.T) {
	each(t, func(t *testing.T, s ordersapi.Service, h *house) {
		lamp := h.sells("Lamp", 25, 10)
		mine, err := s.PlaceOrder(as(t.Context(), "usr_1"), []ordersapi.OrderLine{line(lamp, 1)}, "")
		must(t, err)
		theirs, err := s.PlaceOrder(as(t.Context(), "usr_2"), []ordersapi.OrderLine{line(lamp, 1)}, "")
		must(t, err)
		_, err = s.GetOrder(as(t.Context(), "usr_1"), theirs.ID)
		wantFault(t, err, fault.Forbidden, "")
		_, err = s.GetOrder(auth.With(t.Context(), auth.Account{ID: "usr_1", Type: auth.TypeCustomer}), mine.ID)
		wantFault(t, err, fault.Forbidden, "")
		_, err = s.GetOrder(t.Context(), mine.ID)
		wantFault(t, err, fault.Unauthenticated, "")
		for _, none := range []string{"ord_none", "", "\x00"} {
			_, err = s.GetOrder(as(t.Context(), "usr_1"), none)
			wantFault(t, err, fault.NotFound, "")
			_, err = s.GetOrder(t.Context(), none)
			wantFault(t, err, fault.Unauthenticated, "")
		}
		_, _, err = s.GetOrders(t.Context(), "", 0, "")
		wantFault(t, err, fault.Unauthenticated, "")
		_, _, err = s.GetOrders(auth.With(t.Context(), auth.Account{ID: "usr_1", Type: auth.TypeCustomer}), "", 0, "")
		wantFault(t, err, fault.Forbidden, "")
		for name, tc := range map[string]struct {
			ctx  context.Context
			want []string
		}{
			"user":    {as(t.Context(), "usr_1"), []string{mine.ID}},
			"nobody":  {as(t.Context(), "usr_3"), nil},
			"admin":   {admin(t.Context()), []string{theirs.ID, mine.ID}},
			"service": {auth.AsService(t.Context(), "graph"), []string{theirs.ID, mine.ID}},
		} {
			if got := ids(t, tc.ctx, s, ""); !slices.Equal(got, tc.want) {
				t.Errorf("%s: got %v, want %v", name, got, tc.want)
			}
			if o, err := s.GetOrder(tc.ctx, mine.ID); (err == nil) != slices.Contains(tc.want, mine.ID) || err == nil && o.ID != mine.ID {
				t.Errorf("%s: %+v, %v", name, o, err)
			}
		}
	})
}

// ids are the orders that a caller finds, page by page.
func ids(t *testing.T, ctx context.Context, s ordersapi.Service, search string) (all []string) {
	t.Helper()
	for cursor, more := "", true; more; more = cursor != "" {
		found, next, err := s.GetOrders(ctx, search, 1, cursor)
		must(t, err)
		for _, o := range found {
			all = append(all, o.ID)
		}
		cursor = next
	}
	return all
}

func TestOrdersAreFoundByWhatTheyHave(t *testing.T) {
	each(t, func(t *testing.T, s ordersapi.Service, h *house) {
		for userID, name := range map[string]string{"usr_1": "Ada", "usr_2": "Grace"} {
			must(t, h.db.Tx(t.Context(), func(tx *db.Tx) error {
				return h.outbox.Add(t.Context(), tx, "users", userfacts.Topic, userID, &userfacts.Event{
					Type: userfacts.EventType_USER_REGISTERED, UserRegistered: &userfacts.UserRegistered{User: &userfacts.User{
						Id: userID, Username: name, Email: strings.ToLower(name) + "@example.com",
					}},
				})
			}))
		}
		lamp, chair := h.sells("Lamp 100%", 25, 10), h.sells("Chair", 25, 10)
		one, err := s.PlaceOrder(as(t.Context(), "usr_1"), []ordersapi.OrderLine{line(lamp, 1), line(chair, 1)}, "")
		must(t, err)
		two, err := s.PlaceOrder(as(t.Context(), "usr_2"), []ordersapi.OrderLine{line(chair, 1)}, "")
		must(t, err)
		_, err = h.products.UpdateInventory(admin(t.Context()), lamp, productsapi.Delete, 0)
		must(t, err)
		h.settled()
		for search, want := range map[string][]string{
			"lamp": {one.ID}, "CHAIR": {two.ID, one.ID}, "grace": {two.ID}, "ada@": {one.ID}, one.ID: {one.ID}, "100%": {one.ID}, "p%1": nil, "quantity": nil,
		} {
			if got := ids(t, admin(t.Context()), s, search); !slices.Equal(got, want) {
				t.Errorf("%s: got %v, want %v", search, got, want)
			}
		}
		for search, want := range map[string][]string{"lamp": {one.ID}, "chair": {one.ID}, "grace": nil, "ada": nil, two.ID: nil} {
			if got := ids(t, as(t.Context(), "usr_1"), s, search); !slices.Equal(got, want) {
				t.Errorf("%s by a user: got %v, want %v", search, got, want)
			}
		}
		_, _, err = s.GetOrders(admin(t.Context()), "\x00", 0, "")
		wantFault(t, err, fault.Invalid, "search")
		_, _, err = s.GetOrders(admin(t.Context()), "", -1, "")
		wantFault(t, err, fault.Invalid, "limit")
		_, _, err = s.GetOrders(admin(t.Context()), "", 0, "?")
		wantFault(t, err, fault.Invalid, "cursor")
	})
}

func TestOrdersOfDeletedProductsStayReadable(t *testing.T) {
	each(t, func(t *testing.T, s ordersapi.Service, h *house) {
		lamp := h.sells("Lamp", 25, 10)
		placed, err := s.PlaceOrder(as(t.Context(), "usr_1"), []ordersapi.OrderLine{line(lamp, 1)}, "")
		must(t, err)
		_, err = h.products.UpdateInventory(admin(t.Context()), lamp, productsapi.Delete, 0)
		must(t, err)
		got, err := s.GetOrder(as(t.Context(), "usr_1"), placed.ID)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(placed) {
			t.Errorf("got %+v, %v, want %+v", got, err, placed)
		}
		_, err = s.PlaceOrder(as(t.Context(), "usr_1"), []ordersapi.OrderLine{line(lamp, 1)}, "")
		wantFault(t, err, fault.NotFound, "")
	})
}

// Of what is said of a product's stock the newest is kept, in whatever order it comes.
func TestTheNewestStockIsKept(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := stillHouse(t, d, nil)
		update := func(stock int32, version int64, deleted bool) *productfacts.Event {
			return &productfacts.Event{Type: productfacts.EventType_INVENTORY_UPDATE, InventoryUpdate: &productfacts.InventoryUpdate{ProductId: "prd_1", Stock: stock, Version: version, Deleted: deleted}}
		}
		created := &productfacts.Event{Type: productfacts.EventType_PRODUCT_CREATED, ProductCreated: &productfacts.ProductCreated{Id: "prd_1", Name: "Lamp", Stock: 10, Version: 1}}
		for _, e := range []*productfacts.Event{update(8, 3, false), created, update(7, 4, true), {Type: 999}, update(9, 2, false), update(8, 3, false), created} {
			must(t, h.orders.OnProducts(t.Context(), e))
		}
		var name string
		var stock, version int64
		var deleted bool
		h.scan(`SELECT name, stock, version, deleted FROM orders_products`, nil, &name, &stock, &version, &deleted)
		if name != "Lamp" || stock != 7 || version != 4 || !deleted {
			t.Errorf("kept %s, %d, version %d, deleted %t", name, stock, version, deleted)
		}
	})
}

// 200 users order the last 100 items at once, and as many lines of several products.
func TestTheLastItemsAreSoldOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := newHouse(t, d, nil)
		last, a, b := h.sells("Last", 1, 100), h.sells("A", 1, 50), h.sells("B", 1, 50)
		placed, refused := h.crowd(t, 200, func(i int) error {
			_, err := h.orders.PlaceOrder(as(t.Context(), fmt.Sprint("usr_", i)), []ordersapi.OrderLine{line(last, 1)}, "")
			return err
		})
		if placed != 100 || refused != 100 || h.counts(last).stock != 0 {
			t.Errorf("%d placed, %d refused, %+v", placed, refused, h.counts(last))
		}
		placed, refused = h.crowd(t, 200, func(i int) error {
			lines := [][]ordersapi.OrderLine{{line(a, 1), line(b, 1)}, {line(b, 1), line(a, 1)}}[i%2]
			_, err := h.orders.PlaceOrder(as(t.Context(), fmt.Sprint("usr_", i)), lines, "")
			return err
		})
		if placed != 50 || refused != 150 || h.counts(a).stock != 0 || h.counts(b).stock != 0 {
			t.Errorf("%d placed, %d refused, %+v and %+v", placed, refused, h.counts(a), h.counts(b))
		}
		h.settled()
		h.sound()
	})
}

// crowd has n do something at once, and says how many orders were placed and how many out of stock.
func (h *house) crowd(t *testing.T, n int, do func(i int) error) (placed, refused int) {
	t.Helper()
	results := make([]error, n)
	var crowd sync.WaitGroup
	for i := range n {
		crowd.Go(func() { results[i] = do(i) })
	}
	crowd.Wait()
	for _, err := range results {
		switch {
		case err == nil:
			placed++
		case productsapi.OutOfStock(err):
			refused++
		default:
			t.Error(err)
		}
	}
	return placed, refused
}

// An order that is placed while recovery thinks it crashed is told so, and holds nothing.
func TestASlowOrderIsRejectedAndSaysSo(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		var h *house
		h = newHouse(t, d, func(s productsapi.Service) productsapi.Service {
			return meddling{s, func(method string) error {
				if method != "Reserve" {
					return nil
				}
				h.pass(2 * time.Minute)
				return h.newOrders(h.products).Recover(t.Context())
			}}
		})
		lamp := h.sells("Lamp", 25, 10)
		_, err := h.orders.PlaceOrder(as(t.Context(), "usr_1"), []ordersapi.OrderLine{line(lamp, 2)}, "k")
		wantFault(t, err, fault.Unavailable, "")
		if c := h.counts(lamp); c != (counts{stock: 10}) {
			t.Errorf("%+v", c)
		}
		all, _, err := h.orders.GetOrders(as(t.Context(), "usr_1"), "", 0, "")
		if err != nil || len(all) != 1 || all[0].Status != ordersapi.Rejected || all[0].PriceTotal != 50 || len(all[0].Lines) != 1 {
			t.Errorf("got %+v, %v", all, err)
		}
		other := h.newOrders(h.products)
		again, err := other.PlaceOrder(as(t.Context(), "usr_1"), []ordersapi.OrderLine{line(lamp, 2)}, "k")
		if err != nil || again.Status != ordersapi.Placed || again.ID == all[0].ID {
			t.Errorf("the key tried again: %+v, %v", again, err)
		}
		if got, err := other.PlaceOrder(as(t.Context(), "usr_1"), []ordersapi.OrderLine{line(lamp, 2)}, "k"); err != nil || got.ID != again.ID {
			t.Errorf("and again: %+v, %v", got, err)
		}
		h.settled()
		h.sound()
	})
}

// meddling does something after each change that products has made for orders, and loses its answer when that fails.
type meddling struct {
	productsapi.Service
	after func(method string) error
}

func (m meddling) Reserve(ctx context.Context, orderID, holder string, lines []productsapi.ReserveLine) ([]productsapi.ReservedLine, error) {
	reserved, err := m.Service.Reserve(ctx, orderID, holder, lines)
	return reserved, errors.Join(err, m.after("Reserve"))
}

func (m meddling) Release(ctx context.Context, orderID string) error {
	return errors.Join(m.Service.Release(ctx, orderID), m.after("Release"))
}

func (m meddling) Commit(ctx context.Context, orderID string) error {
	return errors.Join(m.Service.Commit(ctx, orderID), m.after("Commit"))
}
