package products_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"m3o/internal/auth"
	"m3o/internal/db"
	"m3o/internal/db/dbtest"
	"m3o/internal/fault"
	"m3o/internal/id"
	"m3o/internal/page"
	"m3o/internal/shop/products"
	"m3o/internal/shop/products/productsapi"
	orderfacts "m3o/pkg/events/proto/orders"
	userfacts "m3o/pkg/events/proto/users"
)

func TestAddedProductIsShown(t *testing.T) {
	each(t, func(t *testing.T, s productsapi.Service, h *house) {
		added, err := s.AddProduct(admin(t.Context()), "Lamp", "Gives light", 25, 4)
		must(t, err)
		if !strings.HasPrefix(added.ID, "prd_") || added.Name != "Lamp" || added.Description != "Gives light" || added.Price != 25 || added.Stock != 4 || added.CreatedAt.IsZero() {
			t.Errorf("added %+v", added)
		}
		got, err := s.GetProduct(t.Context(), added.ID)
		if err != nil || got != added {
			t.Errorf("got %+v, %v, want %+v", got, err, added)
		}
		many, err := s.GetProductsByID(t.Context(), []string{added.ID, "prd_none", "\x00", added.ID})
		if err != nil || len(many) != 1 || many[0] != added {
			t.Errorf("got %+v, %v", many, err)
		}
		listed, next, err := s.GetProducts(t.Context(), "", 0, "")
		if err != nil || len(listed) != 1 || listed[0] != added || next != "" {
			t.Errorf("listed %+v, %q, %v: delivered twice, it was added once", listed, next, err)
		}
	})
}

func TestAddProductRefuses(t *testing.T) {
	each(t, func(t *testing.T, s productsapi.Service, _ *house) {
		const most = productsapi.Max
		for name, tc := range map[string]struct {
			name, description string
			price, stock      int
			field             string
		}{
			"NoName":             {"", "", 1, 1, "name"},
			"BlankName":          {" \t", "", 1, 1, "name"},
			"LongName":           {strings.Repeat("ä", 201), "", 1, 1, "name"},
			"BrokenName":         {"a\x00b", "", 1, 1, "name"},
			"LongDescription":    {"x", strings.Repeat("a", 10_001), 1, 1, "description"},
			"PriceBelowZero":     {"x", "", -1, 1, "price"},
			"PriceAboveTheMost":  {"x", "", most + 1, 1, "price"},
			"StockBelowZero":     {"x", "", 1, -1, "stock"},
			"StockAboveTheMost":  {"x", "", 1, most + 1, "stock"},
			"StockFarAboveAsInt": {"x", "", 1, 3_000_000_000, "stock"},
		} {
			_, err := s.AddProduct(admin(t.Context()), tc.name, tc.description, tc.price, tc.stock)
			t.Log(name)
			wantFault(t, err, fault.Invalid, tc.field)
		}
		if _, err := s.AddProduct(admin(t.Context()), strings.Repeat("ä", 200), strings.Repeat("a", 10_000), most, most); err != nil {
			t.Errorf("the most: %v", err)
		}
	})
}

func TestOnlyAnAdminChangesWhatIsSold(t *testing.T) {
	each(t, func(t *testing.T, s productsapi.Service, _ *house) {
		productID := sells(t, s, "Lamp", 1, 1)
		_, err := s.AddProduct(user(t.Context()), "x", "", 1, 1)
		wantFault(t, err, fault.Forbidden, "")
		_, err = s.UpdateInventory(user(t.Context()), productID, productsapi.Add, 1)
		wantFault(t, err, fault.Forbidden, "")
		_, err = s.AddProduct(t.Context(), "x", "", 1, 1)
		wantFault(t, err, fault.Unauthenticated, "")
		_, err = s.UpdateInventory(t.Context(), productID, productsapi.Add, 1)
		wantFault(t, err, fault.Unauthenticated, "")
		if _, err = s.UpdateInventory(auth.AsService(t.Context(), "demo"), productID, productsapi.Add, 1); err != nil {
			t.Errorf("a service of ours: %v", err)
		}
	})
}

func TestListIsPagedNewestFirst(t *testing.T) {
	each(t, func(t *testing.T, s productsapi.Service, _ *house) {
		var want []string
		for i := range 5 {
			want = append([]string{sells(t, s, fmt.Sprintf("Lamp %d 100%%", i), 1, 1)}, want...)
		}
		sells(t, s, "Chair", 1, 1)
		var got []string
		for cursor, more := "", true; more; more = cursor != "" {
			found, next, err := s.GetProducts(t.Context(), "lAmP", 2, cursor)
			must(t, err)
			for _, p := range found {
				got = append(got, p.ID)
			}
			cursor = next
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got %v, want %v", got, want)
		}
		for search, n := range map[string]int{"100%": 5, "p%1": 0, "_": 0, "chair": 1, "": 6} {
			if found, _, err := s.GetProducts(t.Context(), search, 0, ""); err != nil || len(found) != n {
				t.Errorf("search %q: %d found, %v, want %d", search, len(found), err, n)
			}
		}
		_, _, err := s.GetProducts(t.Context(), "a\x00", 0, "")
		wantFault(t, err, fault.Invalid, "search")
		_, _, err = s.GetProducts(t.Context(), "", 1001, "")
		wantFault(t, err, fault.Invalid, "limit")
		_, _, err = s.GetProducts(t.Context(), "", 1, "?")
		wantFault(t, err, fault.Invalid, "cursor")
		_, err = s.GetProductsByID(t.Context(), make([]string, 1001))
		wantFault(t, err, fault.Invalid, "ids")
	})
}

// What is remembered of products is not what changes: a list is as the store is, whoever has changed it.
func TestAListIsAsTheStoreIs(t *testing.T) {
	each(t, func(t *testing.T, s productsapi.Service, h *house) {
		ctx := admin(t.Context())
		other := h.another(prometheus.NewRegistry())
		long, err := s.AddProduct(ctx, "Book", strings.Repeat("é", 9000), 7, 3)
		must(t, err)
		lamp, gone := sells(t, s, "Lamp", 25, 4), sells(t, s, "Chair", 40, 1)
		listed := func() string {
			all, next, err := s.GetProducts(ctx, "", 3, "")
			must(t, err)
			text := next
			for _, p := range all {
				single, err := s.GetProduct(ctx, p.ID)
				must(t, err)
				if p != single {
					t.Errorf("listed as %+v, and is %+v", p, single)
				}
				text += fmt.Sprint(p.ID, " ", p.Stock, ";")
			}
			return text
		}
		if got, want := listed(), fmt.Sprint(gone, " 1;", lamp, " 4;", long.ID, " 3;"); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		_, err = other.UpdateInventory(ctx, lamp, productsapi.Subtract, 3)
		must(t, err)
		_, err = other.UpdateInventory(ctx, gone, productsapi.Delete, 0)
		must(t, err)
		_, err = other.Reserve(ctx, "ord_1", "usr_1", []productsapi.ReserveLine{line(long.ID, 2)})
		must(t, err)
		if got, want := listed(), fmt.Sprint(lamp, " 1;", long.ID, " 1;"); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

func TestUpdateInventory(t *testing.T) {
	each(t, func(t *testing.T, s productsapi.Service, h *house) {
		productID := sells(t, s, "Lamp", 1, 5)
		update := func(kind, number int) error {
			ok, err := s.UpdateInventory(admin(t.Context()), productID, kind, number)
			if ok != (err == nil) {
				t.Errorf("success is %t with %v", ok, err)
			}
			return err
		}
		must(t, update(productsapi.Add, 10))
		must(t, update(productsapi.Subtract, 12))
		if c := h.counts(t, productID); c != (counts{stock: 3}) {
			t.Errorf("5 + 10 - 12 are %+v: delivered twice, each happens once", c)
		}
		if err := update(productsapi.Subtract, 4); !productsapi.OutOfStock(err) {
			t.Errorf("more than there is: %v", err)
		}
		wantFault(t, update(productsapi.Add, productsapi.Max), fault.Invalid, "number")
		wantFault(t, update(productsapi.Add, 0), fault.Invalid, "number")
		wantFault(t, update(productsapi.Subtract, -1), fault.Invalid, "number")
		wantFault(t, update(productsapi.Add, productsapi.Max+1), fault.Invalid, "number")
		wantFault(t, update(0, 1), fault.Invalid, "type")
		wantFault(t, update(9, 1), fault.Invalid, "type")
		for _, other := range []string{"prd_none", "", "a\x00"} {
			_, err := s.UpdateInventory(admin(t.Context()), other, productsapi.Add, 1)
			wantFault(t, err, fault.NotFound, "")
		}
		h.sound(t)
		must(t, h.products.AnnounceStock(t.Context())) // has nothing to add
		var stocks []int32
		for _, u := range h.updates(productID) {
			stocks = append(stocks, u.GetStock())
		}
		if fmt.Sprint(stocks) != "[15 3]" {
			t.Errorf("stated %v, want each change at once", stocks)
		}
	})
}

// What is reserved may come back, so there must be room for it.
func TestStockHasRoomForWhatIsReserved(t *testing.T) {
	each(t, func(t *testing.T, s productsapi.Service, h *house) {
		productID := sells(t, s, "Lamp", 0, productsapi.Max)
		_, err := s.Reserve(t.Context(), "ord_1", "usr_1", []productsapi.ReserveLine{line(productID, 1000)})
		must(t, err)
		_, err = s.UpdateInventory(admin(t.Context()), productID, productsapi.Add, 1)
		wantFault(t, err, fault.Invalid, "number")
		must(t, s.Release(t.Context(), "ord_1"))
		h.sound(t)
	})
}

func TestDeletedProductIsNotSoldAnyMore(t *testing.T) {
	each(t, func(t *testing.T, s productsapi.Service, h *house) {
		productID := sells(t, s, "Lamp", 1, 5)
		for orderID, n := range map[string]int{"ord_1": 1, "ord_2": 2} {
			_, err := s.Reserve(t.Context(), orderID, "usr_1", []productsapi.ReserveLine{line(productID, n)})
			must(t, err)
		}
		_, err := s.UpdateInventory(admin(t.Context()), productID, productsapi.Delete, 7)
		must(t, err)
		_, err = s.GetProduct(t.Context(), productID)
		wantFault(t, err, fault.NotFound, "")
		if listed, _, err := s.GetProducts(t.Context(), "", 0, ""); err != nil || len(listed) != 0 {
			t.Errorf("listed %v, %v", listed, err)
		}
		_, err = s.Reserve(t.Context(), "ord_3", "usr_1", []productsapi.ReserveLine{line(productID, 1)})
		wantFault(t, err, fault.NotFound, "")
		_, err = s.UpdateInventory(admin(t.Context()), productID, productsapi.Delete, 0)
		wantFault(t, err, fault.NotFound, "")
		must(t, s.Commit(t.Context(), "ord_1"))
		must(t, s.Release(t.Context(), "ord_2"))
		if c := h.counts(t, productID); c != (counts{stock: 4, sold: 1}) {
			t.Errorf("%+v: open reservations go on", c)
		}
		if all := h.updates(productID); len(all) != 1 || !all[0].GetDeleted() {
			t.Errorf("stated %v", all)
		}
	})
}

func TestReserveIsAllOrNothing(t *testing.T) {
	each(t, func(t *testing.T, s productsapi.Service, h *house) {
		lamp, chair := sells(t, s, "Lamp", 25, 4), sells(t, s, "Chair", 100, 1)
		got, err := s.Reserve(t.Context(), "ord_1", "usr_1", []productsapi.ReserveLine{line(lamp, 2), line(chair, 1)})
		must(t, err)
		want := []productsapi.ReservedLine{{ProductID: lamp, Name: "Lamp", Price: 25, Quantity: 2}, {ProductID: chair, Name: "Chair", Price: 100, Quantity: 1}}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got %v, want %v", got, want)
		}
		_, err = s.Reserve(t.Context(), "ord_2", "usr_1", []productsapi.ReserveLine{line(lamp, 1), line(chair, 1)})
		if f := fault.From(err); !productsapi.OutOfStock(err) || f.Code != fault.Conflict || f.Detail != "product: Chair with id: "+chair+" is out of stock" {
			t.Errorf("got %v", err)
		}
		_, err = s.Reserve(t.Context(), "ord_3", "usr_1", []productsapi.ReserveLine{line(lamp, 1), line("prd_none", 1)})
		wantFault(t, err, fault.NotFound, "")
		if a, b := h.counts(t, lamp), h.counts(t, chair); a != (counts{2, 2, 0}) || b != (counts{0, 1, 0}) {
			t.Errorf("lamps %+v, chairs %+v", a, b)
		}
		h.sound(t)
	})
}

func TestReserveRefuses(t *testing.T) {
	each(t, func(t *testing.T, s productsapi.Service, h *house) {
		dear := sells(t, s, "Dear", productsapi.Max, 5)
		many := make([]productsapi.ReserveLine, 201)
		for i := range many {
			many[i] = line(fmt.Sprint("prd_", i), 1)
		}
		for name, tc := range map[string]struct {
			orderID, holder string
			lines           []productsapi.ReserveLine
			code            fault.Code
			field           string
		}{
			"NoOrder":      {"", "usr_1", []productsapi.ReserveLine{line(dear, 1)}, fault.Invalid, "order_id"},
			"BrokenOrder":  {"a\x00", "usr_1", []productsapi.ReserveLine{line(dear, 1)}, fault.Invalid, "order_id"},
			"NoHolder":     {"ord_1", "", []productsapi.ReserveLine{line(dear, 1)}, fault.Invalid, "holder"},
			"NoLines":      {"ord_1", "usr_1", nil, fault.Invalid, "order_products"},
			"ManyLines":    {"ord_1", "usr_1", many, fault.Invalid, "order_products"},
			"Twice":        {"ord_1", "usr_1", []productsapi.ReserveLine{line(dear, 1), line(dear, 1)}, fault.Invalid, "order_products[1].product_id"},
			"None":         {"ord_1", "usr_1", []productsapi.ReserveLine{line(dear, 0)}, fault.Invalid, "order_products[0].quantity"},
			"TooMany":      {"ord_1", "usr_1", []productsapi.ReserveLine{line(dear, productsapi.Max+1)}, fault.Invalid, "order_products[0].quantity"},
			"TooDear":      {"ord_1", "usr_1", []productsapi.ReserveLine{line(dear, 2)}, fault.Invalid, "order_products"},
			"BrokenId":     {"ord_1", "usr_1", []productsapi.ReserveLine{line("\x00", 2)}, fault.NotFound, ""},
			"LongId":       {"ord_1", "usr_1", []productsapi.ReserveLine{line(strings.Repeat("a", 65), 2)}, fault.NotFound, ""},
			"UnknownOrder": {"ord_1", "usr_1", []productsapi.ReserveLine{line("prd_none", 2)}, fault.NotFound, ""},
		} {
			t.Log(name)
			_, err := s.Reserve(t.Context(), tc.orderID, tc.holder, tc.lines)
			wantFault(t, err, tc.code, tc.field)
		}
		if _, err := s.Reserve(t.Context(), "ord_1", "usr_1", []productsapi.ReserveLine{line(dear, 1)}); err != nil {
			t.Errorf("the most: %v", err)
		}
		h.sound(t)
	})
}

func TestWhatAnOrderHoldsEndsOnce(t *testing.T) {
	each(t, func(t *testing.T, s productsapi.Service, h *house) {
		lamp := sells(t, s, "Lamp", 25, 10)
		reserve := func(orderID string) error {
			_, err := s.Reserve(t.Context(), orderID, "usr_1", []productsapi.ReserveLine{line(lamp, 2)})
			return err
		}
		for range 2 {
			must(t, reserve("ord_sold"))
			must(t, reserve("ord_released"))
		}
		for range 2 {
			must(t, s.Commit(t.Context(), "ord_sold"))
			must(t, s.Release(t.Context(), "ord_released"))
			must(t, s.Release(t.Context(), "ord_never"))
		}
		must(t, reserve("ord_sold")) // repeated, late
		for _, orderID := range []string{"ord_released", "ord_never"} {
			if err := reserve(orderID); !productsapi.Released(err) {
				t.Errorf("reserve %s: %v", orderID, err)
			}
			if err := s.Commit(t.Context(), orderID); !productsapi.Released(err) {
				t.Errorf("commit %s: %v", orderID, err)
			}
		}
		wantFault(t, s.Release(t.Context(), "ord_sold"), fault.Conflict, "")
		wantFault(t, s.Commit(t.Context(), "ord_none"), fault.NotFound, "")
		wantFault(t, s.Commit(t.Context(), ""), fault.Invalid, "order_id")
		wantFault(t, s.Release(t.Context(), ""), fault.Invalid, "order_id")
		if c := h.counts(t, lamp); c != (counts{8, 0, 2}) {
			t.Errorf("%+v", c)
		}
		h.sound(t)
	})
}

func TestOpenReservationsAreTheOldOnes(t *testing.T) {
	each(t, func(t *testing.T, s productsapi.Service, h *house) {
		lamp := sells(t, s, "Lamp", 25, 10)
		for _, orderID := range []string{"ord_1", "ord_2", "ord_3", "ord_4"} {
			_, err := s.Reserve(t.Context(), orderID, "usr_1", []productsapi.ReserveLine{line(lamp, 2)})
			must(t, err)
			h.pass(time.Minute)
		}
		must(t, s.Commit(t.Context(), "ord_1"))
		open, err := s.OpenReservations(t.Context(), 90*time.Second, 0)
		must(t, err)
		if len(open) != 2 || open[0].OrderID != "ord_2" || open[1].OrderID != "ord_3" || open[0].Holder != "usr_1" ||
			len(open[0].Lines) != 1 || open[0].Lines[0] != (productsapi.ReservedLine{ProductID: lamp, Name: "Lamp", Price: 25, Quantity: 2}) {
			t.Errorf("got %+v", open)
		}
		if one, err := s.OpenReservations(t.Context(), 90*time.Second, 1); err != nil || len(one) != 1 || one[0].OrderID != "ord_2" {
			t.Errorf("got %+v, %v", one, err)
		}
	})
}

// The crowd asks two processes for more than there is, some by orders of two products in either order.
func TestACrowdGetsWhatThereIsAndNoMore(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := newHouse(t, d)
		processes := []*products.Service{h.products, h.another(prometheus.NewRegistry())}
		hot, a, b := sells(t, h.products, "Hot", 1, 100), sells(t, h.products, "A", 1, 60), sells(t, h.products, "B", 1, 60)
		var got, refused sync.Map
		var crowd sync.WaitGroup
		for i := range 400 {
			lines := [][]productsapi.ReserveLine{{line(hot, 1)}, {line(a, 1), line(b, 1)}, {line(hot, 1)}, {line(b, 1), line(a, 1)}}[i%4]
			crowd.Go(func() {
				_, err := processes[i/4%2].Reserve(t.Context(), id.New("ord"), "usr_1", lines)
				switch {
				case err == nil:
					got.Store(i, len(lines))
				case productsapi.OutOfStock(err):
					refused.Store(i, len(lines))
				default:
					t.Error(err)
				}
			})
		}
		crowd.Wait()
		if one, two := howMany(&got, 1), howMany(&got, 2); one != 100 || two != 60 {
			t.Errorf("%d and %d orders got something, want 100 and 60", one, two)
		}
		if one, two := howMany(&refused, 1), howMany(&refused, 2); one != 100 || two != 140 {
			t.Errorf("%d and %d orders were refused, want 100 and 140", one, two)
		}
		for _, productID := range []string{hot, a, b} {
			if c := h.counts(t, productID); c.stock != 0 {
				t.Errorf("%+v", c)
			}
		}
		h.sound(t)
	})
}

func howMany(m *sync.Map, lines int) (n int) {
	m.Range(func(_, l any) bool {
		if l.(int) == lines {
			n++
		}
		return true
	})
	return n
}

// The same orders are reserved, sold and released by two processes at once: each ends one way.
func TestTheSameOrdersByManyAtOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := newHouse(t, d)
		processes := []*products.Service{h.products, h.another(prometheus.NewRegistry())}
		lamp, chair := sells(t, h.products, "Lamp", 1, 1000), sells(t, h.products, "Chair", 1, 1000)
		var crowd sync.WaitGroup
		for i := range 300 {
			s, orderID := processes[i%2], fmt.Sprint("ord_", i/6%20)
			crowd.Go(func() {
				_, err := s.Reserve(t.Context(), orderID, "usr_1", []productsapi.ReserveLine{line(chair, 2), line(lamp, 1)})
				if err == nil && i%3 == 0 {
					err = s.Commit(t.Context(), orderID)
				} else if err == nil {
					err = s.Release(t.Context(), orderID)
				}
				if err != nil && !fault.Is(err, fault.Conflict) {
					t.Error(err)
				}
			})
		}
		crowd.Wait()
		h.sound(t)
		if c := h.counts(t, lamp); c.reserved != 0 || c.stock+c.sold != 1000 {
			t.Errorf("%+v", c)
		}
	})
}

func TestStockThatOrdersTookIsStatedOnceForAll(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := newHouse(t, d)
		var ids []string
		for i := range 45 { // more than are held at once
			ids = append(ids, sells(t, h.products, fmt.Sprint("Lamp ", i), 1, 10))
		}
		for i := range 90 {
			_, err := h.products.Reserve(t.Context(), fmt.Sprint("ord_", i), "usr_1", []productsapi.ReserveLine{line(ids[i%45], 1)})
			must(t, err)
		}
		for range 2 {
			must(t, h.products.AnnounceStock(t.Context()))
		}
		for _, productID := range ids {
			if all := h.updates(productID); len(all) != 1 || all[0].GetStock() != 8 || all[0].GetVersion() != 3 || all[0].GetDeleted() {
				t.Errorf("stated %v", all)
			}
		}
		must(t, h.products.Commit(t.Context(), "ord_0"))
		_, err := h.products.UpdateInventory(admin(t.Context()), ids[1], productsapi.Add, 5)
		must(t, err)
		must(t, h.products.Release(t.Context(), "ord_2"))
		must(t, h.products.AnnounceStock(t.Context()))
		for i, want := range []string{"[8]", "[8 13]", "[8 9]"} {
			var stocks []int32
			for _, u := range h.updates(ids[i]) {
				stocks = append(stocks, u.GetStock())
			}
			if fmt.Sprint(stocks) != want {
				t.Errorf("%d: stated %v, want %s: selling what was reserved changes no stock", i, stocks, want)
			}
		}
	})
}

func TestPlacedOrdersAreSold(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := newHouse(t, d)
		lamp := sells(t, h.products, "Lamp", 1, 100)
		for i := range 50 {
			orderID := fmt.Sprint("ord_", i)
			_, err := h.products.Reserve(t.Context(), orderID, "usr_1", []productsapi.ReserveLine{line(lamp, 1)})
			must(t, err)
			for range 2 { // two events, as if one were delivered twice
				must(t, d.Tx(t.Context(), func(tx *db.Tx) error {
					return h.outbox.Add(t.Context(), tx, "orders", orderfacts.Topic, orderID, &orderfacts.Event{
						Type: orderfacts.EventType_ORDER_PLACED, OrderPlaced: &orderfacts.OrderPlaced{Id: orderID},
					})
				}))
			}
			must(t, d.Tx(t.Context(), func(tx *db.Tx) error {
				return h.outbox.Add(t.Context(), tx, "orders", orderfacts.Topic, orderID, &orderfacts.Event{Type: 999})
			}))
		}
		for i := range 50 {
			h.outbox.Delivered(t.Context(), "orders", fmt.Sprint("ord_", i))
		}
		if c := h.counts(t, lamp); c != (counts{50, 0, 50}) {
			t.Errorf("%+v", c)
		}
		if letters, _, err := h.outbox.DeadLetters(t.Context(), 1, ""); err != nil || len(letters) > 0 {
			t.Errorf("dead letters %+v, %v", letters, err)
		}
		h.sound(t)
	})
}

func TestBuyersAreCountedOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t, dbtest.SQLite(t))
	for i, kind := range []userfacts.EventType{userfacts.EventType_USER_REGISTERED, userfacts.EventType_USER_REGISTERED, 999} {
		userID := fmt.Sprint("usr_", i)
		must(t, h.db.Tx(t.Context(), func(tx *db.Tx) error {
			return h.outbox.Add(t.Context(), tx, "users", userfacts.Topic, userID, &userfacts.Event{Type: kind})
		}))
		h.outbox.Delivered(t.Context(), "users", userID)
	}
	families, err := h.metrics.Gather()
	must(t, err)
	for _, f := range families {
		if f.GetName() == "products_buyers" && f.GetMetric()[0].GetCounter().GetValue() == 2 {
			return
		}
	}
	t.Errorf("products_buyers is not 2: %v", families)
}

func TestItsReadsAreOnSale(t *testing.T) {
	t.Parallel()
	p := newHouse(t, dbtest.SQLite(t)).products.Published()
	if p == nil || p.Name != "products" || len(p.Functions) != 2 || p.Functions[0].Name != "GetProduct" || p.Functions[1].Name != "GetProducts" {
		t.Fatalf("published as %+v", p)
	}
}

func TestACursorOfAnotherListIsRefused(t *testing.T) {
	each(t, func(t *testing.T, s productsapi.Service, _ *house) {
		_, _, err := s.GetProducts(t.Context(), "", 0, page.Cursor{Time: 1, ID: "ord_1"}.String())
		wantFault(t, err, fault.Invalid, "cursor")
	})
}

func TestALongIDIsNotRepeatedWhole(t *testing.T) {
	each(t, func(t *testing.T, s productsapi.Service, _ *house) {
		_, err := s.GetProduct(t.Context(), strings.Repeat("x", 5000))
		if !fault.Is(err, fault.NotFound) || len(fault.From(err).Detail) > 100 {
			t.Errorf("%.200v", err)
		}
	})
}
