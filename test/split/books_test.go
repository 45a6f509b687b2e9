package split

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// settleLimit is how long the last calls of a load may take to be in the books of every process.
const settleLimit = 30 * time.Second

// agree holds the books against what shoppers have seen, until they agree or the limit is over; it returns what does not.
func (d *deployment) agree(t *testing.T, m *market, shoppers ...*shopper) (complaints []string) {
	t.Helper()
	within(t.Context(), settleLimit, func() bool {
		complaints = d.ledger(t)
		for _, s := range shoppers {
			complaints = append(complaints, s.books(t, m)...)
		}
		return len(complaints) == 0
	})
	return complaints
}

// check is agree where a complaint fails the test.
func (d *deployment) check(t *testing.T, m *market, shoppers ...*shopper) {
	t.Helper()
	if complaints := d.agree(t, m, shoppers...); len(complaints) > 0 {
		t.Errorf("the books do not agree:\n%s", strings.Join(complaints, "\n"))
	}
}

// What the store says of the ledger as a whole.
const (
	sumSQL      = `SELECT COALESCE(SUM(balance), 0) FROM ledger_accounts`
	mismatchSQL = `
	SELECT COUNT(*) FROM ledger_accounts a WHERE a.balance <>
	(SELECT COALESCE(SUM(e.amount), 0) FROM ledger_entries e WHERE e.owner = a.owner AND e.account = a.name)`
	leasedSQL = `
	SELECT COUNT(*) FROM ledger_accounts a WHERE a.name = 'leased' AND a.balance <>
	(SELECT COALESCE(SUM(l.amount - l.posted), 0) FROM ledger_leases l WHERE l.customer_id = a.owner AND NOT l.closed)`
	owedSQL = `SELECT COALESCE(SUM(balance), 0) FROM ledger_accounts WHERE name = 'receivable'`
	deadSQL = `SELECT COUNT(*) FROM dead_letters`
)

// ledger says what is wrong with the store as a whole.
func (d *deployment) ledger(t *testing.T) (complaints []string) {
	t.Helper()
	for what, query := range map[string]string{
		"the ledger sums to %d": sumSQL, "%d accounts are not the sum of their entries": mismatchSQL,
		"%d customers' leased money is not what their open leases hold": leasedSQL, "customers owe %d, who may owe nothing": owedSQL, "%d dead letters": deadSQL,
	} {
		var n int64
		if err := d.db.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
			complaints = append(complaints, fmt.Sprintf("%s: %v", query, err))
		} else if n != 0 {
			complaints = append(complaints, fmt.Sprintf(what, n))
		}
	}
	slices.Sort(complaints)
	return complaints
}

const leasesSQL = `
	SELECT id, holder, amount, posted, closed, expires_at FROM ledger_leases WHERE customer_id = $1 ORDER BY expires_at, id`

// leases are those of a shopper's money, for a message.
func (d *deployment) leases(t *testing.T, s *shopper) string {
	t.Helper()
	rows, err := d.db.QueryContext(t.Context(), leasesSQL, s.customer.id)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var text strings.Builder
	for rows.Next() {
		var id, holder string
		var amount, posted, expires int64
		var closed bool
		if err := rows.Scan(&id, &holder, &amount, &posted, &closed, &expires); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&text, "%s of %s: %d, of which %d are posted, closed %v, expires %v\n", id, holder, amount, posted, closed, time.UnixMicro(expires).UTC())
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// books says what is wrong with the records and the balance of a shopper: what was answered is recorded once and
// charged once, what was refused is not, and what was never answered at most once.
func (s *shopper) books(t *testing.T, m *market) (complaints []string) {
	t.Helper()
	complain := func(format string, args ...any) {
		complaints = append(complaints, s.id+": "+fmt.Sprintf(format, args...))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var spent int64
	recorded := map[string]bool{}
	for _, r := range s.records(t) {
		spent += r.Price
		cost, answered := s.served[r.RequestID]
		switch {
		case recorded[r.RequestID]:
			complain("recorded twice: %+v", r)
		case s.refused[r.RequestID] != 0:
			complain("answered %d and charged: %+v", s.refused[r.RequestID], r)
		case answered && cost != r.Price || r.Price != price || r.Status != http.StatusOK:
			complain("its answer said that it costs %d: %+v", cost, r)
		case r.Service == httpSeller && m != nil && !m.hasServed(r.RequestID):
			complain("charged and never served: %+v", r)
		}
		recorded[r.RequestID] = true
	}
	extra := len(recorded)
	for id := range s.served {
		if recorded[id] {
			extra--
		} else {
			complain("answered and not recorded: %s", id)
		}
	}
	if extra > s.unanswered {
		complain("%d records of calls that nobody made; %d answers never came", extra-s.unanswered, s.unanswered)
	}
	if err := s.money(t, spent); err != nil {
		complain("%v", err)
	}
	return complaints
}

// money checks that what was spent, and nothing else, has gone from the balance.
func (s *shopper) money(t *testing.T, spent int64) error {
	t.Helper()
	var sum int64
	for _, e := range s.entries(t) {
		sum += e.Amount
	}
	b := s.balance(t)
	var wrong []error
	if b.Current != s.credit-spent {
		wrong = append(wrong, fmt.Errorf("of %d the calls cost %d, and the balance is %d", s.credit, spent, b.Current))
	}
	if b.Current < 0 || spent > s.credit {
		wrong = append(wrong, fmt.Errorf("overspent: %d of %d", spent, s.credit))
	}
	if sum != b.Current {
		wrong = append(wrong, fmt.Errorf("the ledger's entries add up to %d, the balance is %d", sum, b.Current))
	}
	return errors.Join(wrong...)
}
