package orders_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"m3o/internal/bus"
	"m3o/internal/db"
	"m3o/internal/db/dbtest"
	"m3o/internal/fault"
	"m3o/internal/rpc"
	"m3o/internal/shop/orders/ordersapi"
	"m3o/internal/shop/products/productsapi"
	orderfacts "m3o/pkg/events/proto/orders"
)

var errKilled = errors.New("killed")

// fragile kills what calls it before or after a change: the caller's process has no answer, and nobody has one of it.
type fragile struct {
	productsapi.Service
	kill string // such as "before Reserve"
}

func (f fragile) at(step string, change func() error) error {
	if f.kill == "before "+step {
		return errKilled
	}
	err := change()
	if f.kill == "after "+step {
		return errKilled
	}
	return err
}

func (f fragile) Reserve(ctx context.Context, orderID, holder string, lines []productsapi.ReserveLine) (reserved []productsapi.ReservedLine, err error) {
	err = f.at("Reserve", func() error {
		reserved, err = f.Service.Reserve(ctx, orderID, holder, lines)
		return err
	})
	return reserved, err
}

func (f fragile) Release(ctx context.Context, orderID string) error {
	return f.at("Release", func() error { return f.Service.Release(ctx, orderID) })
}

func (f fragile) Commit(ctx context.Context, orderID string) error {
	return f.at("Commit", func() error { return f.Service.Commit(ctx, orderID) })
}

func (f fragile) OpenReservations(ctx context.Context, olderThan time.Duration, limit int) (open []productsapi.Reservation, err error) {
	err = f.at("OpenReservations", func() error {
		open, err = f.Service.OpenReservations(ctx, olderThan, limit)
		return err
	})
	return open, err
}

// A process is killed at each step of an order, and the next one at each step of recovering it. Whatever happens, in the
// end nothing is lost, nothing is held, and the user who tries again has one order.
func TestAKillAtEveryStep(t *testing.T) {
	t.Parallel()
	for _, order := range []string{"before Reserve", "after Reserve", "before the answer"} {
		for _, recovery := range []string{"", "before OpenReservations", "after OpenReservations", "before Release", "after Release", "before Commit", "after Commit"} {
			t.Run(order+", "+recovery, func(t *testing.T) {
				t.Parallel()
				dbtest.Each(t, func(t *testing.T, d *db.DB) { testKill(t, d, order, recovery) })
			})
		}
	}
}

func testKill(t *testing.T, d *db.DB, order, recovery string) {
	// The first process never gets to publish its facts.
	first := stillHouse(t, d, func(s productsapi.Service) productsapi.Service { return fragile{s, order} })
	lamp := first.sells("Lamp", 25, 10)
	wanted := []ordersapi.OrderLine{line(lamp, 3)}
	_, err := first.orders.PlaceOrder(as(t.Context(), "usr_1"), wanted, "k")
	if killed := order != "before the answer"; killed != errors.Is(err, errKilled) || !killed && err != nil {
		t.Fatalf("place: %v", err)
	}
	// The second recovers, and may be killed as well; the third does it all.
	second := stillHouse(t, d, func(s productsapi.Service) productsapi.Service { return fragile{s, recovery} })
	second.pass(2 * time.Minute)
	if err := second.orders.Recover(t.Context()); err != nil && !errors.Is(err, errKilled) {
		t.Fatalf("recover: %v", err)
	}
	third := stillHouse(t, d, nil)
	third.pass(2 * time.Minute)
	must(t, third.orders.Recover(t.Context()))
	if c := third.counts(lamp); c.reserved != 0 || c.stock+c.sold != 10 {
		t.Errorf("after recovery: %+v", c)
	}
	var delivered atomic.Int64
	third.bus.Subscribe(orderfacts.Topic, "witness", func(context.Context, bus.Event) error { delivered.Add(1); return nil })
	third.flow()
	o, err := third.orders.PlaceOrder(as(t.Context(), "usr_1"), wanted, "k")
	if err != nil || o.Status != ordersapi.Placed {
		t.Errorf("tried again: %+v, %v", o, err)
	}
	third.settled()
	third.sound()
	if c := third.counts(lamp); c != (counts{7, 0, 3}) {
		t.Errorf("in the end: %+v, want one order of 3", c)
	}
	if n := delivered.Load(); n != 1 {
		t.Errorf("%d facts were delivered, want 1", n)
	}
}

// A key names what its first call has reserved, also when that call got no further.
func TestAKeyOfAPendingOrderIsNotForAnother(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := stillHouse(t, d, func(s productsapi.Service) productsapi.Service { return fragile{s, "after Reserve"} })
		lamp := h.sells("Lamp", 25, 10)
		_, err := h.orders.PlaceOrder(as(t.Context(), "usr_1"), []ordersapi.OrderLine{line(lamp, 3)}, "k")
		if !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
		next := h.newOrders(h.products)
		_, err = next.PlaceOrder(as(t.Context(), "usr_1"), []ordersapi.OrderLine{line(lamp, 4)}, "k")
		wantFault(t, err, fault.Conflict, "")
		if o, err := next.PlaceOrder(as(t.Context(), "usr_1"), []ordersapi.OrderLine{line(lamp, 3)}, "k"); err != nil || o.Quantity != 3 {
			t.Errorf("%+v, %v", o, err)
		}
		h.flow()
		h.settled()
		h.sound()
	})
}

// A fact whose delivery was not noted before a crash is delivered again.
func TestAFactThatComesAgainSellsOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := newHouse(t, d, nil)
		lamp := h.sells("Lamp", 25, 10)
		for range 5 {
			_, err := h.orders.PlaceOrder(as(t.Context(), "usr_1"), []ordersapi.OrderLine{line(lamp, 1)}, "")
			must(t, err)
		}
		h.settled()
		if _, err := d.Exec(t.Context(), `UPDATE outbox SET published_at = NULL WHERE topic = 'orders'`); err != nil {
			t.Fatal(err)
		}
		h.settled()
		if c := h.counts(lamp); c != (counts{5, 0, 5}) {
			t.Errorf("%+v", c)
		}
		h.sound()
	})
}

// Recovery leaves alone what is young, and sells what a placed order holds whose fact is late.
func TestRecoveryDecidesByTheOrder(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := stillHouse(t, d, nil)
		lamp := h.sells("Lamp", 25, 1000)
		_, err := h.orders.PlaceOrder(as(t.Context(), "usr_1"), []ordersapi.OrderLine{line(lamp, 1)}, "")
		must(t, err)
		h.crowd(t, 250, func(i int) error { // more than are looked at at once
			_, err := h.products.Reserve(t.Context(), fmt.Sprint("ord_", i), "usr_2", []productsapi.ReserveLine{{ProductID: lamp, Quantity: 2}})
			return err
		})
		must(t, h.orders.Recover(t.Context()))
		if c := h.counts(lamp); c != (counts{499, 501, 0}) {
			t.Errorf("while all is young: %+v", c)
		}
		h.pass(2 * time.Minute)
		must(t, h.orders.Recover(t.Context()))
		if c := h.counts(lamp); c != (counts{999, 0, 1}) {
			t.Errorf("later: %+v", c)
		}
		h.flow()
		h.settled()
		h.sound()
	})
}

// One order that cannot be ended does not keep the others from it.
func TestRecoveryGoesOnAfterAFailure(t *testing.T) {
	t.Parallel()
	failing := true
	h := stillHouse(t, dbtest.SQLite(t), func(s productsapi.Service) productsapi.Service {
		return stubborn{s, func(orderID string) bool { return failing && orderID == "ord_1" }}
	})
	lamp := h.sells("Lamp", 25, 10)
	for i := range 3 {
		_, err := h.products.Reserve(t.Context(), fmt.Sprint("ord_", i), "usr_2", []productsapi.ReserveLine{{ProductID: lamp, Quantity: 1}})
		must(t, err)
	}
	h.pass(2 * time.Minute)
	if err := h.orders.Recover(t.Context()); !errors.Is(err, errKilled) {
		t.Errorf("got %v", err)
	}
	if c := h.counts(lamp); c != (counts{9, 1, 0}) {
		t.Errorf("%+v", c)
	}
	failing = false
	must(t, h.orders.Recover(t.Context()))
	if c := h.counts(lamp); c != (counts{stock: 10}) {
		t.Errorf("%+v", c)
	}
}

// stubborn does not release some orders.
type stubborn struct {
	productsapi.Service
	refuses func(orderID string) bool
}

func (s stubborn) Release(ctx context.Context, orderID string) error {
	if s.refuses(orderID) {
		return errKilled
	}
	return s.Service.Release(ctx, orderID)
}

// mortal is a products process: while it dies its answers get lost, whether it has done what it was asked or not.
type mortal struct {
	productsapi.Service
	dying atomic.Bool
	asked atomic.Int64
}

func (m *mortal) Reserve(ctx context.Context, orderID, holder string, lines []productsapi.ReserveLine) ([]productsapi.ReservedLine, error) {
	n := m.asked.Add(1)
	if m.dying.Load() && n%2 == 0 {
		return nil, fault.New(fault.Unavailable, "products died")
	}
	reserved, err := m.Service.Reserve(ctx, orderID, holder, lines)
	if m.dying.Load() {
		return nil, fault.New(fault.Unavailable, "products died")
	}
	return reserved, err
}

// Two instances of orders and two of products talk over a bus. One products dies under the crowd, and another takes its
// place. Users try again with their keys until they have an order, or none is left.
func TestInstancesOverABusSurviveADeath(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := stillHouse(t, d, nil)
		last := h.sells("Last", 1, 100)
		dying := &mortal{Service: h.products}
		stop := rpc.Register(h.bus, rpc.Replica{Host: productsapi.Host, ID: "rep_dying"}, productsapi.Routes(dying))
		t.Cleanup(h.newProducts().Register(h.bus))
		for range 2 {
			t.Cleanup(h.newOrders(productsapi.NewClient(h.bus)).Register(h.bus))
		}
		h.relay()

		shop := ordersapi.NewClient(h.bus)
		var answered sync.Map
		placed, refused := h.crowd(t, 200, func(i int) error {
			if i == 100 {
				dying.dying.Store(true)
				stop()
				t.Cleanup(h.newProducts().Register(h.bus))
			}
			for {
				o, err := shop.PlaceOrder(as(t.Context(), fmt.Sprint("usr_", i)), []ordersapi.OrderLine{line(last, 1)}, "k")
				if fault.Is(err, fault.Unavailable) {
					continue
				}
				if err == nil {
					answered.Store(o.ID, true)
				}
				return err
			}
		})
		if placed != 100 || refused != 100 || size(&answered) != 100 || h.counts(last).stock != 0 {
			t.Errorf("%d placed, %d refused, %d ids, %+v", placed, refused, size(&answered), h.counts(last))
		}
		h.pass(2 * time.Minute)
		must(t, h.orders.Recover(t.Context()))
		h.settled()
		h.sound()
		answered.Range(func(orderID, _ any) bool {
			if o, err := shop.GetOrder(admin(t.Context()), orderID.(string)); err != nil || o.Status != ordersapi.Placed {
				t.Errorf("answered order: %+v, %v", o, err)
			}
			return true
		})
	})
}
