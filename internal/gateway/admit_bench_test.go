package gateway

import (
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"m3o/internal/balance/balanceapi"
	"m3o/internal/balance/balanceapi/balanceapifakes"
	"m3o/internal/billing/billingapi"
	"m3o/internal/billing/billingapi/billingapifakes"
	"m3o/internal/config"
	"m3o/internal/fault"
	"m3o/internal/id"
	"m3o/internal/keys/keysapi"
	"m3o/internal/keys/keysapi/keysapifakes"
	"m3o/internal/limit"
	"m3o/internal/publicapi/publicapiapi"
	"m3o/internal/publicapi/publicapiapi/publicapiapifakes"
	"m3o/internal/usage/usageapi/usageapifakes"
)

// crowd is a gateway with many keys, whose neighbours know nothing but them.
type crowd struct {
	*Service
	keys []string
}

// newCrowd makes keys of customers that have called.
func newCrowd(tb testing.TB, keys, customers int) *crowd {
	tb.Helper()
	lookup, apis, ledger, tiers := &keysapifakes.FakeService{}, &publicapiapifakes.FakeService{}, &balanceapifakes.FakeService{}, &billingapifakes.FakeService{}
	apis.SnapshotReturns(publicapiapi.Catalogue{Version: 1, APIs: []publicapiapi.Route{{Name: "demo", Target: "service:demo", Endpoints: []publicapiapi.EndpointRoute{
		{Name: "Demo.Paid", Path: "/paid", Price: 10},
		{Name: "Demo.Pet", Method: "GET", Pattern: "/pets/{id}", Path: "/pets/{id}", Price: 10},
	}}}}, nil)
	ledger.LeaseCalls(func(_ context.Context, r balanceapi.LeaseRequest) (balanceapi.Lease, error) {
		return balanceapi.Lease{ID: r.LeaseID, Granted: r.Want, Expires: time.Now().Add(time.Hour)}, nil
	})
	tiers.TierOfReturns(billingapi.Tier{ID: "pro", Rate: 1_000_000, Caps: map[string]int64{"other.call": 1}}, nil)
	s, err := New(Deps{
		Config: config.Unset{}, Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler), Now: time.Now, Journal: tb.TempDir(),
		Keys: lookup, PublicAPI: apis, Usage: &usageapifakes.FakeService{}, Balance: ledger, Billing: tiers,
	})
	if err != nil {
		tb.Fatal(err)
	}
	if err := s.Start(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Stop(context.WithoutCancel(tb.Context())); err != nil {
			tb.Error(err)
		}
	})
	c := &crowd{Service: s}
	for i := range keys {
		c.add(tb, fmt.Sprintf("key_%026d", i), fmt.Sprintf("cus_%026d", i%customers))
	}
	return c
}

// add makes a key known, as if it had been looked up.
func (c *crowd) add(tb testing.TB, id, customerID string) {
	text, err := keysapi.NewKey(rand.NewChaCha8([32]byte([]byte(fmt.Sprintf("%32s", id)))))
	if err != nil {
		tb.Fatal(err)
	}
	d, ok := digestOf(text)
	if !ok || keysapi.Hash(text) != hex.EncodeToString(d[:]) {
		tb.Fatalf("the digest of %s is not its hash", text)
	}
	owner := c.customers.get(customerID)
	c.keyring.keys.store(d, newKey(keysapi.Record{ID: id, CustomerID: customerID, Scopes: []string{"*"}}, owner))
	c.keys = append(c.keys, text)
}

// request is a call of a key.
func request(method, path, key string) *http.Request {
	r := httptest.NewRequest(method, path, http.NoBody)
	r.Header.Set("Authorization", "Bearer "+key)
	return r
}

// BenchmarkAdmit is admission alone, from the key to the price that is set aside, with
// 100,000 keys of 10,000 customers.
func BenchmarkAdmit(b *testing.B) {
	c := newCrowd(b, 100_000, 10_000)
	for _, call := range [][3]string{{"Name", "POST", "/v1/demo/paid"}, {"Pattern", "GET", "/v1/demo/pets/1"}} {
		b.Run(call[0], func(b *testing.B) {
			requests := make([]*http.Request, 1<<14)
			for i := range requests {
				requests[i] = request(call[1], call[2], c.keys[rand.IntN(len(c.keys))])
			}
			w := httptest.NewRecorder()
			admitAll(b, c.Service, w, requests)
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				var a admission // part of what every call has anyway
				for i := rand.IntN(len(requests)); pb.Next(); i = (i + 1) % len(requests) {
					a = admission{}
					if err := c.admit(w, requests[i], &a); err != nil {
						b.Error(err)
						return
					}
					c.settle(&a, a.held)
				}
			})
		})
	}
}

// BenchmarkAdmitShared is the same admission with rates that gateways share: by a budget
// in memory, and by asking Redis for each call, for which BenchmarkPing of internal/limit
// is the yardstick.
func BenchmarkAdmitShared(b *testing.B) {
	url := os.Getenv("M3O_TEST_REDIS")
	if url == "" {
		b.Skip("M3O_TEST_REDIS is not set")
	}
	for _, mode := range []limit.Mode{limit.Fast, limit.Strict} {
		b.Run(string(mode), func(b *testing.B) {
			c := newCrowd(b, 10, 10)
			c.share(b, url, mode)
			r, w := request("POST", "/v1/demo/paid", c.keys[0]), httptest.NewRecorder()
			for range 100 { // budgets are leased meanwhile
				admitAll(b, c.Service, w, []*http.Request{r})
			}
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				var a admission
				for pb.Next() {
					a = admission{}
					if err := c.admit(w, r, &a); err != nil && !fault.Is(err, fault.Limited) {
						b.Error(err)
						return
					}
					c.giveUp(&a)
				}
			})
		})
	}
}

// share makes the crowd's gateway share its rates with itself.
func (c *crowd) share(tb testing.TB, url string, mode limit.Mode) {
	tb.Helper()
	shared, err := limit.Open(tb.Context(), limit.Config{URL: url, Prefix: "m3o-test:" + id.New("run") + ":", Mode: mode, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := shared.Close(); err != nil {
			tb.Error(err)
		}
	})
	c.limits = shared
}

func admitAll(tb testing.TB, s *Service, w http.ResponseWriter, requests []*http.Request) {
	tb.Helper()
	for _, r := range requests {
		a := admission{}
		if err := s.admit(w, r, &a); err != nil {
			tb.Fatal(err)
		}
		s.giveUp(&a)
	}
}

func TestAdmissionByNameAllocatesNothing(t *testing.T) {
	c := newCrowd(t, 10, 10)
	r, w := request("POST", "/v1/demo/paid", c.keys[0]), httptest.NewRecorder()
	admitAll(t, c.Service, w, []*http.Request{r})
	var a admission
	if n := testing.AllocsPerRun(100, func() {
		a = admission{}
		if err := c.admit(w, r, &a); err != nil {
			t.Fatal(err)
		}
		c.giveUp(&a)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestAQuietCustomerWithAKeyTakesLessThan500Bytes(t *testing.T) {
	const customers, most = 100_000, 500
	c := newCrowd(t, 0, 1)
	before := heap()
	w := httptest.NewRecorder()
	for i := range customers {
		c.add(t, fmt.Sprintf("key_%026d", i), fmt.Sprintf("cus_%026d", i))
		text := c.keys[0]
		c.keys = c.keys[:0]
		if i%10 == 0 { // one in ten has called
			admitAll(t, c.Service, w, []*http.Request{request("POST", "/v1/demo/paid", text)})
		}
	}
	c.customers.each(func(who *customer) { who.used = time.Now().Add(-time.Minute).UnixNano() })
	c.now = func() time.Time { return time.Now().Add(-30 * time.Second) }
	if err := c.Tidy(t.Context()); err != nil {
		t.Fatal(err)
	}
	each := (heap() - before) / customers
	t.Logf("%d bytes", each)
	if each >= most {
		t.Errorf("a quiet customer takes %d bytes, want less than %d", each, most)
	}
	runtime.KeepAlive(c)
}

// heap is what is in use of it.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
