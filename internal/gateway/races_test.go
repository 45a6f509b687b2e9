package gateway_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"m3o/internal/billing/billingapi"
	"m3o/internal/db/dbtest"
	"m3o/internal/keys/keysapi"
	"m3o/internal/publicapi/publicapiapi"
)

// inFlight begins calls that the target answers when release is closed, and
// returns when n of them have reached it.
type inFlight struct {
	door    *door
	release chan struct{}
	entered chan struct{}
	wait    sync.WaitGroup
	served  atomic.Int64
}

func newInFlight(s *door) *inFlight {
	f := &inFlight{door: s, release: make(chan struct{}), entered: make(chan struct{}, 100)}
	s.answer(func(w http.ResponseWriter, r *http.Request) {
		f.entered <- struct{}{}
		<-f.release
		w.WriteHeader(200)
	})
	return f
}

// begin begins a call and says whether it has reached the target.
func (f *inFlight) begin(key, path string) bool {
	done := make(chan struct{})
	f.wait.Go(func() {
		defer close(done)
		if f.door.call(key, path, "{}").Code == 200 {
			f.served.Add(1)
		}
	})
	select {
	case <-f.entered:
		return true
	case <-done:
		return false
	}
}

func (f *inFlight) end() int64 {
	close(f.release)
	f.wait.Wait()
	return f.served.Load()
}

func TestAChangeOfTierGivesBackNoUnitOfACallInFlight(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	s.set(func() { s.tier.Caps = map[string]int64{"demo.free": 2} })
	key := s.key(nil)
	f := newInFlight(s)
	for range 4 {
		f.begin(key, "/v1/demo/free")
		if err := billingapi.NewMulticastTrigger(s.bus).OnTierChanged(t.Context(), customer).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if n := f.end(); n != 2 {
		t.Errorf("a cap of 2 let %d calls through", n)
	}
}

func TestTidyGivesBackNoUnitOfACallInFlight(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	s.set(func() { s.tier.Caps = map[string]int64{"demo.free": 2} })
	key := s.key(nil)
	f := newInFlight(s)
	for range 4 {
		f.begin(key, "/v1/demo/free")
		for range 100 { // longer than an allowance is leased for
			s.ahead.Add(int64(time.Second))
			if err := s.gateway.Tidy(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := f.end(); n != 2 {
		t.Errorf("a cap of 2 let %d calls through", n)
	}
	if n := len(s.records()); n != 2 {
		t.Errorf("%d calls are recorded", n)
	}
}

func TestThePriceOfOneCallServesOneHoweverSlow(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	s.credit(10_000)
	key := s.key(nil)
	f := newInFlight(s)
	for range 3 {
		f.begin(key, "/v1/demo/paid")
		for range 100 { // longer than money is leased for
			s.ahead.Add(int64(time.Second))
			if err := s.gateway.Tidy(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := s.balance.CloseExpired(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := f.end(); n != 1 {
		t.Errorf("the price of one call has served %d", n)
	}
	s.wantBalance(0)
}

func TestACallWhoseLeaseHasEndedIsNotServed(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	s.credit(100_000) // enough that nothing is leased ahead of need
	key := s.key(nil)
	f := newInFlight(s)
	f.begin(key, "/v1/demo/paid")
	s.ahead.Add(int64(time.Hour)) // the process was asleep
	if err := s.balance.CloseExpired(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := f.end(); n != 0 {
		t.Errorf("%d calls were served on a lease that had ended", n)
	}
	s.wantBalance(100_000)
}

func TestATopUpDuringARefusalIsNotOverlooked(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	key := s.key(nil)
	s.set(func() { s.leased = func() { s.credit(1_000_000) } })
	s.call(key, "/v1/demo/paid", "{}")
	want(t, s.call(key, "/v1/demo/paid", "{}"), 200, "", "")
}

func TestAnAnswerThatGetsLostTakesNoMoneyWithIt(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	key := s.key(nil)
	s.credit(20_000)
	for _, lost := range []int{1, 3} { // it would have opened the lease
		s.set(func() { s.lose = lost })
		for range lost {
			want(t, s.call(key, "/v1/demo/paid", "{}"), 503, "v1", "The service is not available, try again in a moment")
		}
		for range 2 {
			want(t, s.call(key, "/v1/demo/paid", "{}"), 200, "", "")
		}
		want(t, s.call(key, "/v1/demo/paid", "{}"), 402, "v1.blocked", "Request blocked. Insufficient credit")
		s.credit(20_000) // the next lost one would have extended the lease
	}
	for range 2 {
		want(t, s.call(key, "/v1/demo/paid", "{}"), 200, "", "")
	}
	s.wantBalance(0)
}

func TestAnOpeningThatIsNotAnsweredIsGivenBack(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	s.credit(20_000)
	s.set(func() { s.lose = 1 })
	want(t, s.call(s.key(nil), "/v1/demo/paid", "{}"), 503, "v1", "The service is not available, try again in a moment")
	if _, err := s.balance.Decrement(s.admin(), customer, 20_000, "take back", "k1", true); err != nil {
		t.Error(err)
	}
	s.wantBalance(0)
}

func TestALeaseThatCouldNotBeClosedIsClosedBeforeTheNext(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	s.credit(20_000)
	key := s.key(nil)
	want(t, s.call(key, "/v1/demo/paid", "{}"), 200, "", "")
	s.set(func() { s.lose = 1 })
	if err := s.gateway.OnRecall(t.Context(), customer, "gw_other"); err == nil {
		t.Error("the recall was answered")
	}
	want(t, s.call(key, "/v1/demo/paid", "{}"), 200, "", "")
	s.wantBalance(0)
}

func TestALeaseOnItsWayBackIsWaitedFor(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	s.credit(20_000)
	key := s.key(nil)
	want(t, s.call(key, "/v1/demo/paid", "{}"), 200, "", "")
	closing, closed := make(chan struct{}), make(chan struct{})
	s.set(func() { s.closing = func() { close(closing); time.Sleep(100 * time.Millisecond) } })
	go func() {
		defer close(closed)
		if err := s.gateway.OnRecall(s.t.Context(), customer, "gw_other"); err != nil {
			t.Error(err)
		}
	}()
	<-closing
	want(t, s.call(key, "/v1/demo/paid", "{}"), 200, "", "")
	<-closed
	s.wantBalance(0)
}

func TestAnAnswerThatGetsLostTakesNoAllowanceWithIt(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	s.set(func() { s.tier.Caps = map[string]int64{"demo.free": 3} })
	key := s.key(nil)
	s.set(func() { s.lose = 2 })
	for range 2 {
		want(t, s.call(key, "/v1/demo/free", "{}"), 503, "v1", "The service is not available, try again in a moment")
	}
	for range 3 {
		want(t, s.call(key, "/v1/demo/free", "{}"), 200, "", "")
	}
	want(t, s.call(key, "/v1/demo/free", "{}"), 403, "v1.blocked", "Request blocked. Usage cap exceeded")
	s.set(func() { s.lose = 1 }) // and its lease has ended before the request is repeated
	other := s.key(func(r *keysapi.Record) { r.CustomerID = "cus_b" })
	want(t, s.call(other, "/v1/demo/free", "{}"), 503, "v1", "The service is not available, try again in a moment")
	s.ahead.Add(int64(time.Hour))
	want(t, s.call(other, "/v1/demo/free", "{}"), 200, "", "")
}

func TestARecallDuringALeaseLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	s.credit(20_000)
	key := s.key(nil)
	for range 2 {
		want(t, s.call(key, "/v1/demo/paid", "{}"), 200, "", "")
	}
	for s.leases.Load() < 2 { // the one ahead of need, which finds nothing
		time.Sleep(time.Millisecond)
	}
	s.credit(50_000) // the next call extends the lease
	s.set(func() {
		s.leased = func() {
			if _, err := s.balance.Decrement(s.admin(), customer, 50_000, "take back", "k1", true); err != nil {
				t.Error(err)
			}
		}
	})
	want(t, s.call(key, "/v1/demo/paid", "{}"), 402, "v1.blocked", "Request blocked. Insufficient credit")
	s.wantBalance(0)
}

func TestAChangeOfTierOrKeysIsNoNewSecond(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	s.set(func() { s.tier.Rate = 2 })
	key := s.key(nil)
	began, served := time.Now(), 0
	for range 50 {
		if s.call(key, "/v1/demo/free", "{}").Code == 200 {
			served++
		}
		if err := billingapi.NewMulticastTrigger(s.bus).OnTierChanged(t.Context(), customer).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if most := 3 + int(2*time.Since(began).Seconds()); served > most {
		t.Errorf("%d calls in %v at 2 a second", served, time.Since(began))
	}
}

func TestAClockThatJumpsBackRefusesNobodyForLong(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	s.set(func() { s.tier.Rate = 1000 })
	key := s.key(nil)
	want(t, s.call(key, "/v1/demo/free", "{}"), 200, "", "")
	s.ahead.Add(-int64(time.Hour))
	if w := s.call(key, "/v1/demo/free", "{}"); w.Code == 429 && w.Header().Get("Retry-After") != "1" {
		t.Fatalf("got %d %v", w.Code, w.Header())
	}
	s.ahead.Add(int64(time.Second))
	want(t, s.call(key, "/v1/demo/free", "{}"), 200, "", "")
}

func TestQuietCustomersAreForgottenAndTheirKeysStayRevocable(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	key := s.key(nil)
	want(t, s.call(key, "/v1/demo/free", "{}"), 200, "", "")
	for range 3 { // gives back, then forgets
		s.ahead.Add(int64(20 * time.Minute))
		if err := s.gateway.Tidy(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	want(t, s.call(key, "/v1/demo/free", "{}"), 200, "", "")
	s.set(func() { clear(s.keys) })
	if err := s.gateway.OnKeysChanged(t.Context(), customer); err != nil {
		t.Fatal(err)
	}
	want(t, s.call(key, "/v1/demo/free", "{}"), 401, "v1", "Unauthorized")
}

func TestACustomerIsNotForgottenDuringItsFirstCall(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	s.credit(20_000)
	key := s.key(nil)
	tidy := func() {
		if err := s.gateway.Tidy(t.Context()); err != nil {
			t.Error(err)
		}
	}
	s.set(func() { s.tierAsked, s.leased = tidy, tidy })
	for range 2 {
		want(t, s.call(key, "/v1/demo/paid", "{}"), 200, "", "")
	}
	s.wantBalance(0)
}

func TestACustomerThatIsForgottenJustBeforeItsCallIsServed(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	s.credit(20_000)
	key := s.key(nil)
	want(t, s.call(key, "/v1/demo/paid", "{}"), 200, "", "")
	for range 100 {
		s.ahead.Add(int64(20 * time.Minute))
		if err := s.gateway.Tidy(t.Context()); err != nil { // gives back
			t.Fatal(err)
		}
		var beside sync.WaitGroup
		beside.Go(func() { _ = s.gateway.Tidy(t.Context()) })
		want(t, s.call(key, "/v1/demo/free", "{}"), 200, "", "")
		beside.Wait()
	}
	want(t, s.call(key, "/v1/demo/paid", "{}"), 200, "", "")
	s.wantBalance(0)
}

func TestStopIsQuickWhenUsageIsAway(t *testing.T) {
	t.Parallel()
	d := dbtest.SQLite(t)
	s := newDoor(t, d)
	s.credit(100_000)
	want(t, s.call(s.key(nil), "/v1/demo/paid", "{}"), 200, "", "")
	other := s.key(nil)
	want(t, s.call(other, "/v1/demo/paid", "{}"), 200, "", "")
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	want(t, s.call(other, "/v1/demo/paid", "{}"), 200, "", "") // paid from the lease; kept in the journal
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := s.gateway.Stop(ctx); err == nil || time.Since(began) > 5*time.Second {
		t.Errorf("stopped after %v with %v", time.Since(began), err)
	}
}

// sell puts an HTTP server on sale as /v1/up/call.
func (s *door) sell(h http.HandlerFunc) {
	up := httptest.NewServer(h)
	s.t.Cleanup(up.Close)
	s.set(func() {
		s.catalogue.Version++
		s.catalogue.APIs = append(s.catalogue.APIs, publicapiapi.Route{Name: "up", Target: up.URL, Endpoints: []publicapiapi.EndpointRoute{
			{Name: "Up.Call", Method: http.MethodPost, Pattern: "/call", Path: "/call", Price: 10_000},
			{Name: "Up.Brief", Method: http.MethodPost, Pattern: "/brief", Path: "/brief", Price: 10_000, Timeout: 200 * time.Millisecond},
		}})
	})
	if err := s.gateway.OnCatalogueChanged(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

func TestACallerCannotTakeItsNameFromTheRequest(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	s.credit(100_000)
	key := s.key(nil)
	var got http.Header
	s.sell(func(w http.ResponseWriter, r *http.Request) { got = r.Header.Clone() })
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/up/call", strings.NewReader("{}"))
	r.Header.Set("Authorization", "Bearer "+key)
	r.Header.Set("Connection", "M3o-Customer-Id, M3o-Key-Id, M3o-Request-Id, Traceparent")
	r.Header["M3o_customer_id"] = []string{"cus_victim"}
	want(t, s.do(r), 200, "", "")
	if got.Get("M3O-Customer-Id") != customer || got.Get("Traceparent") == "" || got["M3o_customer_id"] != nil || got.Get("Authorization") != "" {
		t.Errorf("the target saw %v", got)
	}
}

func TestAServiceThatNobodyServesCannotBeReached(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	s.credit(100_000)
	s.publish(publicapiapi.Route{Name: "ghost", Target: "service:ghost", Endpoints: []publicapiapi.EndpointRoute{{Name: "Ghost.Call", Path: "/call", Price: 10_000}}})
	w := s.call(s.key(nil), "/v1/ghost/call", "{}")
	want(t, w, 502, "v1", "The API could not be reached")
	if w.Header().Get("Retry-After") != "1" {
		t.Errorf("%v", w.Header())
	}
	s.wantBalance(100_000)
}

func TestUpstreamFailuresAreNotCharged(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	s.credit(100_000)
	key := s.key(nil)
	late := make(chan struct{})
	s.sell(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("M3O-Price", "1")
		w.Header().Set("M3O-Request-Id", "forged")
		switch r.URL.Query().Get("do") {
		case "never":
			<-late
		case "reset":
			c, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				c.Close()
			}
		case "fail":
			w.WriteHeader(500)
		default:
			_, _ = io.WriteString(w, "fine")
		}
	})
	t.Cleanup(func() { close(late) }) // before the server closes, which waits for it
	want(t, s.call(key, "/v1/up/brief?do=never", "{}"), 504, "v1", "The API did not answer in time")
	want(t, s.call(key, "/v1/up/call?do=reset", "{}"), 502, "v1", "The API could not be reached")
	if w := s.call(key, "/v1/up/call?do=fail", "{}"); w.Code != 500 || w.Header().Get("M3O-Price") != "" {
		t.Errorf("got %d %v", w.Code, w.Header())
	}
	s.wantBalance(100_000)
	w := s.call(key, "/v1/up/call", "{}")
	if w.Code != 200 || w.Body.String() != "fine" || w.Header().Get("M3O-Price") != "10000" {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if id := w.Header().Values("M3O-Request-Id"); len(id) != 1 || id[0] == "forged" {
		t.Errorf("the request is called %v", id)
	}
	s.wantBalance(90_000)
}

func TestNothingIsUpgradedToATunnel(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	s.credit(100_000)
	key := s.key(nil)
	s.sell(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			t.Errorf("the target saw %v", r.Header)
		}
	})
	front := httptest.NewServer(s.gateway)
	t.Cleanup(front.Close)
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", front.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "POST /v1/up/call HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nConnection: Upgrade\r\nUpgrade: zz\r\nContent-Length: 0\r\n\r\n", key)
	status, err := bufio.NewReader(c).ReadString('\n')
	if err != nil || !strings.HasPrefix(status, "HTTP/1.1 200") {
		t.Errorf("got %q, %v", status, err)
	}
}
