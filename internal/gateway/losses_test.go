package gateway_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"m3o/internal/db/dbtest"
	"m3o/internal/gateway"
	"m3o/internal/keys/keysapi"
	"m3o/internal/money"
)

// TestLossesTakeNoMoneyOutOfReach: two gateways pay from one balance, while requests between the
// processes get lost, with or without their effect, and are late or slow. When that is over all
// of the money can be spent, long before any lease would end by itself, and not more than that.
func TestLossesTakeNoMoneyOutOfReach(t *testing.T) {
	t.Parallel()
	for range 4 {
		seed := rand.Uint64()
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			s := newDoor(t, dbtest.SQLite(t))
			first := s.gateway
			s.journal = t.TempDir()
			s.open()
			t.Cleanup(func() { _ = s.gateway.Stop(s.t.Context()) })
			r := rand.New(rand.NewPCG(seed, 0))
			for round := range 5 {
				s.loseAndSpend(t, r, fmt.Sprint("cus_", round), first, s.gateway)
			}
		})
	}
}

const (
	spendable = 60 // calls that the balance pays
	lossy     = 150 * time.Millisecond
	spentIn   = 10 * time.Second // a lease that nobody knows of ends after a minute
)

// loseAndSpend spends a customer's money at the gateways, and fails when not all of it can be.
func (s *door) loseAndSpend(t *testing.T, r *rand.Rand, customerID string, gateways ...*gateway.Service) {
	t.Helper()
	const price money.Micros = 10_000
	if _, err := s.balance.Increment(s.admin(), customerID, spendable*price, "top-up", customerID, true); err != nil {
		t.Fatal(err)
	}
	key := s.key(func(record *keysapi.Record) { record.CustomerID = customerID })
	var mu sync.Mutex
	s.set(func() {
		s.fate = func() fate {
			mu.Lock()
			defer mu.Unlock()
			return fate(max(r.IntN(9)-4, 0)) // five in nine are answered
		}
	})
	over := time.AfterFunc(lossy, func() { s.set(func() { s.fate = nil }) })
	defer over.Stop()
	var served atomic.Int64
	var callers sync.WaitGroup
	statuses := make([]map[int]int, 2*len(gateways))
	until := time.Now().Add(spentIn)
	for i := range statuses {
		statuses[i] = map[int]int{}
		callers.Go(func() {
			for served.Load() < spendable && time.Now().Before(until) {
				call := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/demo/paid", strings.NewReader("{}"))
				call.Header.Set("Authorization", "Bearer "+key)
				w := httptest.NewRecorder()
				gateways[i%len(gateways)].ServeHTTP(w, call)
				if statuses[i][w.Code]++; w.Code == http.StatusOK {
					served.Add(1)
				}
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	callers.Wait()
	s.set(func() { s.fate = nil })
	s.late.Wait()
	if served.Load() != spendable {
		t.Errorf("%s: %d of %d calls that can be paid were served; by caller: %v", customerID, served.Load(), spendable, statuses)
	}
	if current, _, err := s.balance.Current(s.admin(), customerID); err != nil || current != 0 {
		t.Errorf("%s: the balance is %d (%v)", customerID, current, err)
	}
}
