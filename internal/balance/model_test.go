package balance_test

import (
	"flag"
	"os"
	"testing"

	"pgregory.net/rapid"

	"m3o/internal/db"
	"m3o/internal/db/dbtest"
	"m3o/internal/fault"
	"m3o/internal/money"
)

// model is the ledger as a child would keep it: a number for what a customer may
// spend, one for what it owes, and what is left of each lease.
type model struct {
	free, owed map[string]money.Micros
	leases     []*modelLease
}

type modelLease struct {
	*holding
	amount, charged money.Micros
	closed          bool
}

func (m *model) leased(customer string) (sum money.Micros) {
	for _, l := range m.leases {
		if l.customer == customer && !l.closed {
			sum += l.amount - l.charged
		}
	}
	return sum
}

// repay pays off what is owed from what is free.
func (m *model) repay(customer string) {
	paid := min(m.free[customer], m.owed[customer])
	m.free[customer] -= paid
	m.owed[customer] -= paid
}

// TestMain shortens the model test; M3O_TEST_LONG=1 runs it in full.
func TestMain(m *testing.M) {
	flag.Parse()
	if os.Getenv("M3O_TEST_LONG") == "" {
		_ = flag.Set("rapid.checks", "10")
	}
	os.Exit(m.Run())
}

// TestLedgerAgainstAModel runs random operations against the ledger and against
// the model, and compares both after each.
func TestLedgerAgainstAModel(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := newHouse(t, d)
		rapid.Check(t, func(rt *rapid.T) {
			runModel(rt, t, h, keys())
		})
	})
}

func runModel(rt *rapid.T, t *testing.T, h *house, prefix string) {
	ctx, s := admin(t.Context()), h.balance
	people := []string{"cus_" + prefix + "a", "cus_" + prefix + "b"}
	m := &model{free: map[string]money.Micros{}, owed: map[string]money.Micros{}}
	customer := rapid.SampledFrom(people)
	amount := rapid.Custom(func(rt *rapid.T) money.Micros { return money.Micros(rapid.IntRange(1, 100).Draw(rt, "micros")) })
	expect := func(err error, ok bool) {
		if ok && err != nil || !ok && !fault.Is(err, fault.PaymentRequired) {
			rt.Fatalf("allowed: %t, answer: %v", ok, err)
		}
	}
	// A debit that only the leased part could pay is put off, not refused.
	debited := func(err error, who string, n money.Micros) bool {
		if m.free[who] < n && m.free[who]+m.leased(who) >= n {
			if !fault.Is(err, fault.Unavailable) {
				rt.Fatalf("a debit that could be paid later: %v", err)
			}
			return false
		}
		expect(err, m.free[who] >= n)
		return err == nil
	}
	lease := func(rt *rapid.T) *modelLease {
		if len(m.leases) == 0 {
			rt.Skip("no lease yet")
		}
		return rapid.SampledFrom(m.leases).Draw(rt, "lease")
	}
	rt.Repeat(map[string]func(*rapid.T){
		"credit": func(rt *rapid.T) {
			who, n := customer.Draw(rt, "customer"), amount.Draw(rt, "amount")
			_, err := s.Increment(ctx, who, n, "credit", keys(), true)
			expect(err, true)
			m.free[who] += n
			m.repay(who)
		},
		"debit": func(rt *rapid.T) {
			who, n := customer.Draw(rt, "customer"), amount.Draw(rt, "amount")
			_, err := s.Decrement(ctx, who, n, "debit", keys(), true)
			if debited(err, who, n) {
				m.free[who] -= n
			}
		},
		"transfer": func(rt *rapid.T) {
			from, n := customer.Draw(rt, "from"), amount.Draw(rt, "amount")
			to := people[0]
			if from == to {
				to = people[1]
			}
			if debited(s.Transfer(ctx, from, to, n, "transfer", keys(), true), from, n) {
				m.free[from] -= n
				m.free[to] += n
				m.repay(to)
			}
		},
		"lease": func(rt *rapid.T) {
			who, need := customer.Draw(rt, "customer"), amount.Draw(rt, "need")
			want := need + amount.Draw(rt, "more")
			g := hold(s, "gw", who)
			granted, err := g.ask(ctx, need, want)
			expect(err, true)
			expected := money.Micros(0)
			if m.free[who] >= need {
				expected = min(m.free[who], want)
			}
			if granted.Granted != expected {
				rt.Fatalf("granted %d, want %d", granted.Granted, expected)
			}
			if expected > 0 {
				m.free[who] -= expected
				m.leases = append(m.leases, &modelLease{holding: g, amount: expected})
			}
		},
		"extend": func(rt *rapid.T) {
			l, need := lease(rt), amount.Draw(rt, "need")
			want := need + amount.Draw(rt, "more")
			if rapid.Bool().Draw(rt, "the answer is lost") {
				_, err := s.Lease(ctx, l.request(need, want))
				expect(err, true)
			} else {
				granted, err := l.ask(ctx, need, want)
				expect(err, true)
				if !l.closed && granted.Granted < need && m.free[l.customer] >= need {
					rt.Fatalf("granted %d of %d", granted.Granted, need)
				}
			}
			if l.closed {
				return
			}
			var held int64
			if err := h.db.QueryRow(ctx, `SELECT amount FROM ledger_leases WHERE id = $1`, l.lease).Scan(&held); err != nil {
				rt.Fatal(err)
			}
			fresh := money.Micros(held) - l.amount
			if fresh < 0 || fresh > want {
				rt.Fatalf("%d were added, wanted were %d", fresh, want)
			}
			l.amount += fresh
			m.free[l.customer] -= fresh
		},
		"serve": func(rt *rapid.T) {
			l := lease(rt)
			price := min(amount.Draw(rt, "price"), l.amount-l.charged)
			if price == 0 {
				rt.Skip("the lease is spent")
			}
			refused := h.serve(rt, ctx, l.customer, l.lease, price, 1)
			if (len(refused) > 0) != l.closed {
				rt.Fatalf("refused %v on a lease that is closed: %t", refused, l.closed)
			}
			if !l.closed {
				l.charged += price
			}
		},
		"serve late": func(rt *rapid.T) {
			who, price := customer.Draw(rt, "customer"), amount.Draw(rt, "price")
			h.serve(rt, ctx, who, "", price, 1)
			h.outbox.Delivered(ctx, "usage", who)
			paid := min(m.free[who], price)
			m.free[who] -= paid
			m.owed[who] += price - paid
		},
		"return": func(rt *rapid.T) {
			l, n := lease(rt), amount.Draw(rt, "part")
			if n >= l.amount-l.charged {
				rt.Skip("a gateway returns what it has, and keeps some")
			}
			expect(l.giveBack(ctx, n), true)
			if !l.closed {
				l.amount -= n
				m.free[l.customer] += n
				m.repay(l.customer)
			}
		},
		"close": func(rt *rapid.T) {
			l := lease(rt)
			expect(s.CloseLease(ctx, l.lease), true)
			if !l.closed {
				l.closed = true
				m.free[l.customer] += l.amount - l.charged
				m.repay(l.customer)
			}
		},
		"": func(rt *rapid.T) {
			for _, who := range people {
				current, held, err := s.Current(ctx, who)
				if err != nil {
					rt.Fatal(err)
				}
				if want := m.free[who] + m.leased(who) - m.owed[who]; current != want || held != m.leased(who) {
					rt.Fatalf("%s has %d, of which %d leased; the model says %d and %d", who, current, held, want, m.leased(who))
				}
			}
			h.sound(rt, ctx)
		},
	})
}
