package balance_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"m3o/internal/balance/balanceapi"
	"m3o/internal/db"
	"m3o/internal/db/dbtest"
	"m3o/internal/fault"
	"m3o/internal/money"
	"m3o/internal/rpc/rpctest"
	"m3o/pkg/events/proto/customers"
)

// each runs a body on both engines, directly and over loopback with every
// mutating call delivered twice.
func each(t *testing.T, body func(t *testing.T, s balanceapi.Service, h *house)) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		t.Run("direct", func(t *testing.T) {
			h := newHouse(t, d)
			body(t, h.balance, h)
			h.sound(t, t.Context())
		})
	})
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		t.Run("loopback", func(t *testing.T) {
			h := newHouse(t, d)
			body(t, rpctest.Loopback[balanceapi.Service](t, contract(), h.balance), h)
			h.sound(t, t.Context())
		})
	})
}

func want(t *testing.T, s balanceapi.Service, customerID string, total, leased money.Micros) {
	t.Helper()
	current, held, err := s.Current(admin(t.Context()), customerID)
	if err != nil {
		t.Fatal(err)
	}
	if current != total || held != leased {
		t.Fatalf("%s has %d, of which %d leased; want %d and %d", customerID, current, held, total, leased)
	}
}

func credit(t *testing.T, s balanceapi.Service, customerID string, amount money.Micros) {
	t.Helper()
	if _, err := s.Increment(admin(t.Context()), customerID, amount, "top-up", keys(), true); err != nil {
		t.Fatal(err)
	}
}

func TestSignUpCreditIsGrantedOnceAfterVerification(t *testing.T) {
	each(t, func(t *testing.T, s balanceapi.Service, h *house) {
		ctx := t.Context()
		want(t, s, "cus_a", 0, 0)
		h.state(t, ctx, customers.EventType_EventTypeCreated, "cus_a")
		want(t, s, "cus_a", 0, 0)
		h.state(t, ctx, customers.EventType_EventTypeVerified, "cus_a")
		h.state(t, ctx, customers.EventType_EventTypeVerified, "cus_a")
		want(t, s, "cus_a", money.Dollar, 0)
	})
}

func TestAdjustments(t *testing.T) {
	each(t, func(t *testing.T, s balanceapi.Service, h *house) {
		ctx := admin(t.Context())
		balance, err := s.Increment(ctx, "cus_a", 500, "gift", "key-1", true)
		if err != nil || balance != 500 {
			t.Fatalf("credited: %d, %v", balance, err)
		}
		if balance, err = s.Increment(ctx, "cus_a", 500, "gift", "key-1", true); err != nil || balance != 500 {
			t.Fatalf("the same key again: %d, %v", balance, err)
		}
		if _, err = s.Increment(ctx, "cus_a", 501, "gift", "key-1", true); !fault.Is(err, fault.Unprocessable) {
			t.Fatalf("the same key for something else: %v", err)
		}
		if balance, err = s.Decrement(ctx, "cus_a", 200, "fee", "key-2", false); err != nil || balance != 300 {
			t.Fatalf("debited: %d, %v", balance, err)
		}
		if _, err = s.Decrement(ctx, "cus_a", 301, "fee", "key-3", false); !fault.Is(err, fault.PaymentRequired) {
			t.Fatalf("debited below zero: %v", err)
		}
		if err = s.Transfer(ctx, "cus_a", "cus_b", 100, "share", "key-4", true); err != nil {
			t.Fatal(err)
		}
		if err = s.Transfer(ctx, "cus_a", "cus_b", 201, "share", "key-5", true); !fault.Is(err, fault.PaymentRequired) {
			t.Fatalf("transferred below zero: %v", err)
		}
		want(t, s, "cus_a", 200, 0)
		want(t, s, "cus_b", 100, 0)

		own, _, err := s.ListAdjustments(as(t.Context(), "cus_a"), "", 0, "")
		if err != nil || len(own) != 2 || own[0].Delta != 500 || own[1].Delta != -100 || own[0].Reference != "gift" {
			t.Fatalf("the customer sees %+v, %v", own, err)
		}
		all, next, err := s.ListAdjustments(ctx, "cus_a", 2, "")
		if err != nil || len(all) != 2 || next == "" {
			t.Fatalf("the admin's first page is %+v, %q, %v", all, next, err)
		}
		rest, next, err := s.ListAdjustments(ctx, "cus_a", 2, next)
		if err != nil || len(rest) != 1 || next != "" || all[1].Delta != -200 {
			t.Fatalf("the admin's second page is %+v after %+v, %q, %v", rest, all, next, err)
		}
	})
}

func TestBadAdjustmentsChangeNothing(t *testing.T) {
	each(t, func(t *testing.T, s balanceapi.Service, h *house) {
		for name, call := range map[string]func(ctx context.Context) error{
			"zero": func(ctx context.Context) error { _, err := s.Increment(ctx, "cus_a", 0, "r", keys(), true); return err },
			"negative": func(ctx context.Context) error {
				_, err := s.Increment(ctx, "cus_a", -1, "r", keys(), true)
				return err
			},
			"too much": func(ctx context.Context) error {
				_, err := s.Increment(ctx, "cus_a", 1<<62, "r", keys(), true)
				return err
			},
			"no reference": func(ctx context.Context) error {
				_, err := s.Increment(ctx, "cus_a", 1, "", keys(), true)
				return err
			},
			"no key":             func(ctx context.Context) error { _, err := s.Increment(ctx, "cus_a", 1, "r", "", true); return err },
			"no customer":        func(ctx context.Context) error { _, err := s.Decrement(ctx, "", 1, "r", keys(), true); return err },
			"to oneself":         func(ctx context.Context) error { return s.Transfer(ctx, "cus_a", "cus_a", 1, "r", keys(), true) },
			"backwards transfer": func(ctx context.Context) error { return s.Transfer(ctx, "cus_a", "cus_b", -1, "r", keys(), true) },
		} {
			if err := call(admin(t.Context())); !fault.Is(err, fault.Invalid) {
				t.Errorf("%s: %v", name, err)
			}
			if err := call(as(t.Context(), "cus_a")); !fault.Is(err, fault.Forbidden) {
				t.Errorf("%s by a customer: %v", name, err)
			}
		}
		if _, _, err := s.Current(as(t.Context(), "cus_a"), "cus_b"); !fault.Is(err, fault.Forbidden) {
			t.Errorf("another's balance: %v", err)
		}
		want(t, s, "cus_a", 0, 0)
	})
}

func TestLease(t *testing.T) {
	each(t, func(t *testing.T, s balanceapi.Service, h *house) {
		ctx := t.Context()
		credit(t, s, "cus_a", 1000)
		g := hold(s, "gw", "cus_a")
		lease, err := g.ask(ctx, 10, 300)
		if err != nil || lease.Granted != 300 || lease.ID != g.lease {
			t.Fatalf("granted %+v, %v", lease, err)
		}
		want(t, s, "cus_a", 1000, 300)
		more, err := g.ask(ctx, 700, 5000)
		if err != nil || more.ID != lease.ID || more.Granted != 700 {
			t.Fatalf("the rest is less than wanted, but enough: %+v, %v", more, err)
		}
		none, err := g.ask(ctx, 1, 5)
		if err != nil || none.Granted != 0 {
			t.Fatalf("nothing is left: %+v, %v", none, err)
		}
		poor := hold(s, "gw", "cus_b")
		if empty, err := poor.ask(ctx, 1, 5); err != nil || empty.Granted != 0 || empty.ID != poor.lease {
			t.Fatalf("a customer without money: %+v, %v", empty, err)
		}

		if refused := h.serve(t, ctx, "cus_a", lease.ID, 150, 3); len(refused) > 0 {
			t.Fatalf("refused %v", refused)
		}
		want(t, s, "cus_a", 550, 550)
		if err := s.CloseLease(ctx, lease.ID); err != nil {
			t.Fatal(err)
		}
		want(t, s, "cus_a", 550, 0)
		if refused := h.serve(t, ctx, "cus_a", lease.ID, 150, 1); len(refused) != 1 {
			t.Fatal("a call was charged on a closed lease")
		}
		if again, err := g.ask(ctx, 1, 100); err != nil || again.ID != "" || again.Granted != 0 {
			t.Fatalf("a closed lease cannot be extended: %+v, %v", again, err)
		}
		want(t, s, "cus_a", 550, 0)
	})
}

func TestARequestForALeaseNamesIt(t *testing.T) {
	each(t, func(t *testing.T, s balanceapi.Service, h *house) {
		for name, r := range map[string]balanceapi.LeaseRequest{
			"leaseID": {CustomerID: "cus_a", Holder: "gw", Turn: 1},
			"turn":    {CustomerID: "cus_a", Holder: "gw", LeaseID: "lse_1"},
			"want":    {CustomerID: "cus_a", Holder: "gw", LeaseID: "lse_1", Turn: 1, Need: 2, Want: 1},
		} {
			if _, err := s.Lease(t.Context(), r); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), name) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestWhatAnAnswerThatGotLostGrantedIsGrantedAgain(t *testing.T) {
	each(t, func(t *testing.T, s balanceapi.Service, h *house) {
		ctx := t.Context()
		credit(t, s, "cus_a", 1000)
		g := hold(s, "gw", "cus_a")
		lost := func(need, want money.Micros) {
			t.Helper()
			if _, err := s.Lease(ctx, g.request(need, want)); err != nil {
				t.Fatal(err)
			}
		}
		lost(10, 400) // it opened the lease
		if lease, err := g.ask(ctx, 10, 400); err != nil || lease.ID != g.lease || lease.Granted != 400 {
			t.Fatalf("granted %+v, %v", lease, err)
		}
		want(t, s, "cus_a", 1000, 400)
		lost(10, 400) // it extended the lease
		if lease, err := g.ask(ctx, 500, 600); err != nil || lease.Granted != 600 {
			t.Fatalf("granted %+v, %v: what was lost and what is lacking yet", lease, err)
		}
		lost(1, 1) // nothing was left
		if lease, err := g.ask(ctx, 0, 0); err != nil || lease.Granted != 0 {
			t.Fatalf("granted %+v, %v", lease, err)
		}
		want(t, s, "cus_a", 1000, 1000)
		h.sound(t, ctx)
	})
}

func TestARequestThatIsRepeatedTakesNothingMore(t *testing.T) {
	each(t, func(t *testing.T, s balanceapi.Service, h *house) {
		ctx := t.Context()
		g := hold(s, "gw", "cus_a")
		early := g.request(10, 100)
		again := func(want balanceapi.Lease) {
			t.Helper()
			if lease, err := s.Lease(ctx, early); err != nil || lease.ID != want.ID || lease.Granted != want.Granted {
				t.Fatalf("granted %+v, %v, want %+v", lease, err, want)
			}
		}
		again(balanceapi.Lease{ID: g.lease})
		credit(t, s, "cus_a", 1000)
		again(balanceapi.Lease{ID: g.lease}) // there was nothing when it came
		want(t, s, "cus_a", 1000, 0)
		if lease, err := g.ask(ctx, 10, 100); err != nil || lease.Granted != 100 {
			t.Fatalf("granted %+v, %v", lease, err)
		}
		if err := s.CloseLease(ctx, g.lease); err != nil {
			t.Fatal(err)
		}
		again(balanceapi.Lease{})

		late := hold(s, "gw", "cus_a") // given back before the request has come
		if err := s.CloseLease(ctx, late.lease); err != nil {
			t.Fatal(err)
		}
		early = late.request(10, 100)
		again(balanceapi.Lease{})
		want(t, s, "cus_a", 1000, 0)
		h.sound(t, ctx)
	})
}

func TestALeaseKeepsTheOrderOfItsRequests(t *testing.T) {
	each(t, func(t *testing.T, s balanceapi.Service, h *house) {
		ctx := t.Context()
		credit(t, s, "cus_a", 1000)
		g := hold(s, "gw", "cus_a")
		if _, err := g.ask(ctx, 10, 400); err != nil {
			t.Fatal(err)
		}
		early := g.request(10, 300)
		if err := g.giveBack(ctx, 150); err != nil {
			t.Fatal(err)
		}
		if lease, err := s.Lease(ctx, early); !fault.Is(err, fault.Conflict) {
			t.Fatalf("a request that was overtaken: %+v, %v", lease, err)
		}
		want(t, s, "cus_a", 1000, 250)

		// A return that was overtaken: it has been granted again, so it is not taken.
		g.turn, g.granted = g.turn+1, g.granted-100
		if lease, err := g.ask(ctx, 10, 10); err != nil || lease.Granted != 100 {
			t.Fatalf("granted %+v, %v", lease, err)
		}
		if err := s.Return(ctx, g.lease, g.turn-1, 100); err != nil {
			t.Fatal(err)
		}
		want(t, s, "cus_a", 1000, 250)

		stranger := hold(s, "gw_2", "cus_a")
		stranger.lease = g.lease
		if lease, err := stranger.ask(ctx, 10, 10); !fault.Is(err, fault.Conflict) {
			t.Fatalf("another's lease: %+v, %v", lease, err)
		}
	})
}

func TestAPartOfALeaseIsReturned(t *testing.T) {
	each(t, func(t *testing.T, s balanceapi.Service, h *house) {
		ctx := t.Context()
		credit(t, s, "cus_a", 1000)
		g := hold(s, "gw", "cus_a")
		if _, err := g.ask(ctx, 10, 300); err != nil {
			t.Fatal(err)
		}
		h.serve(t, ctx, "cus_a", g.lease, 100, 1)
		if err := g.giveBack(ctx, 150); err != nil {
			t.Fatal(err)
		}
		want(t, s, "cus_a", 900, 50)
		if refused := h.serve(t, ctx, "cus_a", g.lease, 50, 1); len(refused) > 0 {
			t.Fatalf("refused %v: the lease goes on", refused)
		}
		if err := g.giveBack(ctx, 5000); err != nil { // more than it ever held: nothing
			t.Fatal(err)
		}
		want(t, s, "cus_a", 850, 0)
		if err := s.CloseLease(ctx, g.lease); err != nil {
			t.Fatal(err)
		}
		if err := g.giveBack(ctx, 1); err != nil {
			t.Fatal(err)
		}
		want(t, s, "cus_a", 850, 0)
		if err := g.giveBack(ctx, 0); !fault.Is(err, fault.Invalid) {
			t.Errorf("nothing: %v", err)
		}
	})
}

func TestWhatOthersCanDoWithoutPaysForACall(t *testing.T) {
	each(t, func(t *testing.T, s balanceapi.Service, h *house) {
		ctx := t.Context()
		credit(t, s, "cus_a", 1000)
		one, two := hold(s, "gw_1", "cus_a"), hold(s, "gw_2", "cus_a")
		first, err := one.ask(ctx, 10, 5000)
		if err != nil || first.Granted != 1000 || first.Elsewhere {
			t.Fatalf("alone it is given all: %+v, %v", first, err)
		}
		var asked []string
		t.Cleanup(balanceapi.NewHook(h.bus, "rep_1", "").OnRecall(func(ctx context.Context, customerID, holder string) error {
			asked = append(asked, customerID+" "+holder)
			if len(asked) > 1 {
				return nil
			}
			return one.giveBack(ctx, 700)
		}))
		second, err := two.ask(ctx, 10, 5000)
		if err != nil || second.Granted != 350 || !second.Elsewhere || len(asked) != 1 || asked[0] != "cus_a gw_2" {
			t.Fatalf("half of what comes back is left to the others: %+v, %v, asked %q", second, err, asked)
		}
		more, err := two.ask(ctx, 300, 300)
		if err != nil || more.Granted != 300 || len(asked) != 1 {
			t.Fatalf("what is needed is given: %+v, %v, asked %q", more, err, asked)
		}
		none, err := two.ask(ctx, 51, 51)
		if err != nil || none.Granted != 0 || !none.Elsewhere || len(asked) < 2 {
			t.Fatalf("others hold it and cannot do without: %+v, %v, asked %q", none, err, asked)
		}
		want(t, s, "cus_a", 1000, 950)
	})
}

func TestCallsThatComeLateAreOwedWhenNothingIsLeft(t *testing.T) {
	each(t, func(t *testing.T, s balanceapi.Service, h *house) {
		ctx := t.Context()
		credit(t, s, "cus_a", 100)
		h.serve(t, ctx, "cus_a", "", 60, 2)
		entries, _, err := s.ListEntries(admin(ctx), "cus_a", 0, "")
		if err != nil {
			t.Fatal(err)
		}
		var sum money.Micros
		for _, e := range entries {
			sum += e.Amount
		}
		if sum != -20 {
			t.Fatalf("the entries sum to %d, want -20: %+v", sum, entries)
		}
		want(t, s, "cus_a", -20, 0)
		if lease, err := hold(s, "gw", "cus_a").ask(ctx, 1, 1); err != nil || lease.Granted != 0 {
			t.Fatalf("a debtor was granted %+v, %v", lease, err)
		}
		credit(t, s, "cus_a", 50)
		want(t, s, "cus_a", 30, 0)
		if lease, err := hold(s, "gw", "cus_a").ask(ctx, 31, 31); err != nil || lease.Granted != 0 {
			t.Fatalf("the debt was not paid off first: %+v, %v", lease, err)
		}
	})
}

func TestEntriesSumToTheBalanceAsSoonAsCallsAreAnswered(t *testing.T) {
	each(t, func(t *testing.T, s balanceapi.Service, h *house) {
		ctx := t.Context()
		credit(t, s, "cus_a", 10_000)
		lease, err := hold(s, "gw", "cus_a").ask(ctx, 10, 1000)
		if err != nil {
			t.Fatal(err)
		}
		h.serve(t, ctx, "cus_a", lease.ID, 10, 7)
		var sum money.Micros
		for cursor := ""; ; {
			entries, next, err := s.ListEntries(as(ctx, "cus_a"), "", 2, cursor)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				sum += e.Amount
			}
			if cursor = next; cursor == "" {
				break
			}
		}
		if sum != 9930 {
			t.Fatalf("the entries sum to %d, want 9930", sum)
		}
	})
}

func TestWhatADeletedCustomerLeavesIsWrittenOff(t *testing.T) {
	each(t, func(t *testing.T, s balanceapi.Service, h *house) {
		ctx := t.Context()
		credit(t, s, "cus_a", 1000)
		lease, err := hold(s, "gw", "cus_a").ask(ctx, 10, 300)
		if err != nil {
			t.Fatal(err)
		}
		h.serve(t, ctx, "cus_a", lease.ID, 100, 1)
		h.state(t, ctx, customers.EventType_EventTypeDeleted, "cus_a")
		want(t, s, "cus_a", 0, 0)
		var breakage int64
		if err := h.db.QueryRow(ctx, `SELECT balance FROM ledger_accounts WHERE owner = 'house' AND name = 'breakage'`).Scan(&breakage); err != nil || breakage != 900 {
			t.Fatalf("breakage is %d, %v", breakage, err)
		}
	})
}

func TestACustomerThatIsDeletedAgainToBeErasedHoldsNobodyUp(t *testing.T) {
	each(t, func(t *testing.T, s balanceapi.Service, h *house) {
		ctx := t.Context()
		credit(t, s, "cus_a", 1000)
		for range 2 {
			h.state(t, ctx, customers.EventType_EventTypeDeleted, "cus_a")
			h.outbox.Delivered(ctx, "customers", "cus_a")
			want(t, s, "cus_a", 0, 0)
		}
	})
}

func TestADeletedCustomerIsGrantedNothingMore(t *testing.T) {
	each(t, func(t *testing.T, s balanceapi.Service, h *house) {
		ctx := t.Context()
		credit(t, s, "cus_a", 1000)
		h.state(t, ctx, customers.EventType_EventTypeDeleted, "cus_a")
		if lease, err := hold(s, "gw", "cus_a").ask(ctx, 0, 100); err != nil || lease.Granted != 0 {
			t.Fatalf("granted %+v, %v", lease, err)
		}
		h.serve(t, ctx, "cus_a", "", 10, 1) // a call that was in flight
		h.outbox.Delivered(ctx, "usage", "cus_a")
		want(t, s, "cus_a", 0, 0)
	})
}

func TestDebitsThatRaceNeverOverdraw(t *testing.T) {
	each(t, func(t *testing.T, s balanceapi.Service, h *house) {
		credit(t, s, "cus_a", 50)
		var wait sync.WaitGroup
		done := make(chan error, 80)
		for range 40 {
			wait.Go(func() {
				_, err := s.Decrement(admin(t.Context()), "cus_a", 2, "race", keys(), true)
				done <- err
			})
			wait.Go(func() {
				_, err := hold(s, "gw", "cus_a").ask(t.Context(), 1, 1)
				done <- err
			})
		}
		wait.Wait()
		close(done)
		for err := range done {
			if err != nil && !fault.Is(err, fault.PaymentRequired) && !fault.Is(err, fault.Unavailable) {
				t.Error(err)
			}
		}
		h.sound(t, t.Context())
	})
}

func TestBalanceZeroIsStatedOnTheTransitionOnly(t *testing.T) {
	each(t, func(t *testing.T, s balanceapi.Service, h *house) {
		ctx := t.Context()
		credit(t, s, "cus_a", 100)
		lease, err := hold(s, "gw", "cus_a").ask(ctx, 100, 100)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			h.serve(t, ctx, "cus_a", lease.ID, 50, 1)
			h.outbox.Delivered(ctx, "usage", "cus_a")
		}
		if err := s.CloseLease(ctx, lease.ID); err != nil {
			t.Fatal(err)
		}
		var zeros int
		if err := h.db.QueryRow(ctx, `SELECT COUNT(*) FROM outbox WHERE topic = 'customers' AND type = 19`).Scan(&zeros); err != nil || zeros != 1 {
			t.Fatalf("stated %d times, %v", zeros, err)
		}
	})
}

func TestLeasesOfADeadGatewayComeBack(t *testing.T) {
	each(t, func(t *testing.T, s balanceapi.Service, h *house) {
		ctx := t.Context()
		credit(t, s, "cus_a", 1000)
		if _, err := hold(s, "gw_dead", "cus_a").ask(ctx, 10, 300); err != nil {
			t.Fatal(err)
		}
		if err := h.balance.CloseExpired(ctx); err != nil {
			t.Fatal(err)
		}
		want(t, s, "cus_a", 1000, 300) // not yet
		past := db.Micro(time.Now().Add(-time.Hour))
		if err := h.db.Tx(ctx, func(tx *db.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE ledger_leases SET expires_at = $1`, past)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if err := h.balance.CloseExpired(ctx); err != nil {
			t.Fatal(err)
		}
		want(t, s, "cus_a", 1000, 0)
		if err := h.balance.Audit(ctx); err != nil {
			t.Fatal(err)
		}
	})
}
