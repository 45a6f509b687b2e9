package test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// hello makes one metered call.
func (c client) hello() (answer, error) {
	return c.send(http.MethodPost, "/v1/helloworld/call", strings.NewReader(`{"name":"Jane"}`))
}

// reprice sets the price of helloworld's calls.
func (s *system) reprice(t *testing.T, admin client, price int64) {
	t.Helper()
	do[any](t, admin, "/publicapi/Update", map[string]any{"api": map[string]any{
		"name": "helloworld", "pricing": map[string]int64{"Helloworld.Call": price, "Helloworld.Stream": price}}})
}

// setBalance leaves a new customer with less than the sign-up credit.
func (c customer) setBalance(t *testing.T, admin client, amount int64) {
	t.Helper()
	do[any](t, admin, "/balance/Decrement", moved(c.id, 1_000_000-amount, "Set for a test", "set-"+c.id, false))
}

// balanced checks that the ledger as a whole sums to 0.
func (s *system) balanced(t *testing.T) {
	t.Helper()
	if a := s.request(t, "GET", "/metrics", ""); !ledgerSumsToZero(a.body) {
		t.Errorf("the ledger does not sum to 0: %s", a.body)
	}
}

func TestExactness(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s store) {
		const price, paid, calls = 10_000, 50, 400
		sys := start(t, s)
		boss := sys.admin(t)
		sys.reprice(t, boss, price)
		mel := sys.signUp(t, boss, "mel@example.com")
		mel.setBalance(t, boss, price*paid)
		caller := sys.as(mel.key(t).Key)
		var mu sync.Mutex
		got, begin := map[string]int{}, make(chan struct{})
		var wait sync.WaitGroup
		for range calls {
			wait.Go(func() {
				<-begin
				a, err := caller.hello()
				mu.Lock()
				defer mu.Unlock()
				got[fmt.Sprintf("%d %s %v", a.status, a.header.Get("M3O-Price"), err)]++
			})
		}
		close(begin)
		wait.Wait()
		if got["200 10000 <nil>"] != paid || got["402  <nil>"] != calls-paid {
			t.Errorf("answers: %v", got)
		}
		records := mel.records(t, 7)
		for _, r := range records {
			if r.Price != price || r.Status != http.StatusOK {
				t.Errorf("%+v", r)
			}
		}
		if b := mel.balance(t); len(records) != paid || b.Current != 0 || b.Leased != 0 {
			t.Errorf("%d records, %+v", len(records), b)
		}
		mel.addsUp(t, 7)
		sys.balanced(t)
		if a, err := caller.hello(); err != nil || a.status != http.StatusPaymentRequired {
			t.Errorf("one more: %v %d", err, a.status)
		}
	})
}

// ledgerSumsToZero says whether the exposition has the ledger's sum, and that it is 0.
func ledgerSumsToZero(exposition []byte) bool {
	return regexp.MustCompile(`(?m)^balance_ledger_sum\{[^}]*\} 0$`).Match(exposition)
}
