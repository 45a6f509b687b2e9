package gateway_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"m3o/internal/db/dbtest"
	"m3o/internal/money"
	"m3o/internal/publicapi/publicapiapi"
)

// publish puts an API on sale.
func (s *door) publish(route publicapiapi.Route) {
	s.t.Helper()
	s.set(func() {
		s.catalogue.Version++
		s.catalogue.APIs = append(s.catalogue.APIs, route)
	})
	if err := s.gateway.OnCatalogueChanged(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// sellUnits puts the service demo on sale as /v1/svc/call and h as /v1/web/call, at
// that price for units.
func (s *door) sellUnits(price money.Micros, units publicapiapi.Units, h http.HandlerFunc) {
	s.t.Helper()
	s.answer(h)
	up := httptest.NewServer(h)
	s.t.Cleanup(up.Close)
	s.publish(publicapiapi.Route{Name: "svc", Target: "service:demo", Endpoints: []publicapiapi.EndpointRoute{
		{Name: "svc.Call", Path: "/call", Price: price, Units: units},
	}})
	s.publish(publicapiapi.Route{Name: "web", Target: up.URL, Endpoints: []publicapiapi.EndpointRoute{
		{Name: "web.Call", Method: http.MethodPost, Pattern: "/call", Path: "/call", Price: price, Units: units},
		{Name: "web.Head", Method: http.MethodHead, Pattern: "/call", Path: "/call", Price: price, Units: units},
	}})
}

// spent is what the customer has paid since it had so much.
func (s *door) spent(before money.Micros) money.Micros {
	s.t.Helper()
	current, _, err := s.balance.Current(s.admin(), customer)
	if err != nil {
		s.t.Fatal(err)
	}
	return before - current
}

func TestUnitsAreWhatTheTargetSays(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	s.credit(1_000_000)
	key := s.key(nil)
	s.sellUnits(10, publicapiapi.Units{By: publicapiapi.ByHeader, Per: 4, Maximum: 100}, func(w http.ResponseWriter, r *http.Request) {
		for _, units := range r.URL.Query()["u"] {
			w.Header().Add("M3O-Units", units)
		}
		_, _ = io.WriteString(w, "fine")
	})
	left := money.Micros(1_000_000)
	for _, test := range []struct {
		query string
		price money.Micros
	}{
		{"?u=3", 8}, {"?u=4", 10}, {"?u=0", 0}, {"?u=100", 250}, {"?u=100000", 250}, {"?u=99999999999999999999", 3},
		{"", 3}, {"?u=-1", 3}, {"?u=many", 3}, {"?u=1.5", 3}, {"?u=8&u=9", 3},
	} {
		w := s.call(key, "/v1/web/call"+test.query, "{}")
		if got := w.Header().Get("M3O-Price"); w.Code != 200 || got != strconv.Itoa(int(test.price)) || w.Header().Get("M3O-Units") != "" {
			t.Errorf("%s: %d %v, want the price %d", test.query, w.Code, w.Header(), test.price)
		}
		if spent := s.spent(left); spent != test.price {
			t.Errorf("%s: paid %d, want %d", test.query, spent, test.price)
		}
		left -= test.price
	}
	s.answer(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("M3O-Units", "7") })
	if w := s.call(key, "/v1/svc/call", "{}"); w.Header().Get("M3O-Price") != "18" || w.Header().Get("M3O-Units") != "" {
		t.Errorf("a service: %d %v", w.Code, w.Header())
	}
}

func TestTheMostACallCanCostIsHeld(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	s.credit(999)
	key := s.key(nil)
	release, entered := make(chan struct{}), make(chan struct{}, 1)
	s.sellUnits(10, publicapiapi.Units{By: publicapiapi.ByHeader, Per: 1, Maximum: 100}, func(w http.ResponseWriter, _ *http.Request) {
		entered <- struct{}{}
		<-release
		w.Header().Set("M3O-Units", "1")
	})
	w := s.call(key, "/v1/svc/call", "{}")
	want(t, w, 402, "v1.blocked", "Request blocked. Insufficient credit")
	var body map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || body["price"] != 1000.0 || body["balance"] != 999.0 || body["topup"] != "/billing" {
		t.Errorf("got %s, %v", w.Body, err)
	}
	s.credit(1)
	done := make(chan struct{})
	go func() { s.call(key, "/v1/svc/call", "{}"); close(done) }()
	<-entered
	want(t, s.call(key, "/v1/svc/call", "{}"), 402, "v1.blocked", "Request blocked. Insufficient credit")
	close(release)
	<-done
	s.wantBalance(990)
	if w := s.call(key, "/v1/demo/free", "{}"); w.Code != 200 {
		t.Errorf("got %d", w.Code)
	}
}

func TestBytesOfAKnownLengthArePricedAtOnce(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	s.credit(100_000)
	key := s.key(nil)
	s.sellUnits(3, publicapiapi.Units{By: publicapiapi.ByBytesOut, Per: 2, Maximum: 100}, func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.Query().Get("n"))
		w.Header().Set("Content-Length", strconv.Itoa(n))
		if r.Method != http.MethodHead {
			_, _ = w.Write(bytes.Repeat([]byte("x"), n))
		}
	})
	for n, price := range map[string]string{"0": "0", "1": "2", "10": "15", "100": "150", "5000": "150"} {
		w := s.call(key, "/v1/web/call?n="+n, "{}")
		if w.Header().Get("M3O-Price") != price || strconv.Itoa(w.Body.Len()) != n || w.Header().Get("Trailer") != "" {
			t.Errorf("%s bytes: %d %v, %d bytes", n, w.Code, w.Header(), w.Body.Len())
		}
	}
	s.wantBalance(100_000 - 2 - 15 - 150 - 150)
	r := httptest.NewRequestWithContext(t.Context(), "HEAD", "/v1/web/call?n=50", nil)
	r.Header.Set("Authorization", "Bearer "+key)
	if w := s.do(r); w.Code != 200 || w.Header().Get("M3O-Price") != "0" {
		t.Errorf("HEAD: %d %v", w.Code, w.Header())
	}
}

// front serves the gateway over real connections.
func (s *door) front() *httptest.Server {
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.gateway.ServeHTTP(w, r) }))
	s.t.Cleanup(front.Close)
	return front
}

// ask calls an endpoint over a real connection.
func (s *door) ask(front *httptest.Server, key, path string) *http.Response {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), "POST", front.URL+path, strings.NewReader("{}"))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
	resp, err := front.Client().Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func TestBytesOfAStreamArePricedInATrailer(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	s.credit(100_000)
	key, front := s.key(nil), s.front()
	s.sellUnits(3, publicapiapi.Units{By: publicapiapi.ByBytesOut, Per: 2, Maximum: 1000}, func(w http.ResponseWriter, r *http.Request) {
		for range 3 {
			_, _ = io.WriteString(w, "0123456789")
			_ = http.NewResponseController(w).Flush()
		}
	})
	for _, path := range []string{"/v1/svc/call", "/v1/web/call"} {
		resp := s.ask(front, key, path)
		if _, announced := resp.Trailer["M3o-Price"]; !announced || resp.Header.Get("M3O-Price") != "" {
			t.Errorf("%s: %v, trailer %v", path, resp.Header, resp.Trailer)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || len(body) != 30 || resp.Trailer.Get("M3O-Price") != "45" {
			t.Errorf("%s: %d bytes, trailer %v, %v", path, len(body), resp.Trailer, err)
		}
	}
	s.wantBalance(100_000 - 90)
	if records := s.records(); len(records) != 2 || records[0].Price != 45 {
		t.Errorf("recorded %+v", records)
	}
}

func TestAStreamThatBreaksOffCostsWhatWasSent(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	s.credit(100_000)
	key, front := s.key(nil), s.front()
	s.sellUnits(1, publicapiapi.Units{By: publicapiapi.ByBytesOut, Per: 1, Maximum: 50_000}, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "0123456789")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	resp := s.ask(front, key, "/v1/web/call")
	if body, err := io.ReadAll(resp.Body); err == nil || string(body) != "0123456789" {
		t.Errorf("%q, %v", body, err)
	}
	s.wantBalance(100_000 - 10)
}

func TestAKilledProcessChargesAStreamUpToItsLastMark(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	s.credit(10_000_000)
	key, front := s.key(nil), s.front()
	release, first := make(chan struct{}), s.gateway
	const mark = 1 << 20
	s.sellUnits(1, publicapiapi.Units{By: publicapiapi.ByBytesOut, Per: 1, Maximum: 5_000_000}, func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write(make([]byte, mark))
		_, _ = w.Write(make([]byte, 10_000))
		_ = http.NewResponseController(w).Flush()
		<-release
	})
	resp := s.ask(front, key, "/v1/svc/call")
	if _, err := io.CopyN(io.Discard, bufio.NewReader(resp.Body), mark+10_000); err != nil {
		t.Fatal(err)
	}
	if n := len(s.records()); n != 0 {
		t.Fatalf("%d records of a call that has not ended", n)
	}
	s.open() // as after a kill
	s.wantBalance(10_000_000 - mark)
	if records := s.records(); len(records) != 1 || records[0].Price != mark {
		t.Fatalf("recorded %+v", records)
	}
	close(release) // what the killed process would have written does not count twice
	_, _ = io.Copy(io.Discard, resp.Body)
	if err := first.OnFlush(t.Context(), customer); err != nil {
		t.Fatal(err)
	}
	s.wantBalance(10_000_000 - mark)
}

func TestAnOpenCallHoldsItsMoneyHoweverLong(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	s.credit(1000)
	key, front := s.key(nil), s.front()
	release := make(chan struct{})
	s.sellUnits(1, publicapiapi.Units{By: publicapiapi.ByBytesOut, Per: 1, Maximum: 1000}, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "0123456789")
		_ = http.NewResponseController(w).Flush()
		<-release
	})
	resp := s.ask(front, key, "/v1/svc/call")
	for range 100 {
		s.ahead.Add(int64(time.Second))
		if err := s.gateway.Tidy(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.balance.CloseExpired(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	want(t, s.call(key, "/v1/svc/call", "{}"), 402, "v1.blocked", "Request blocked. Insufficient credit")
	close(release)
	_, _ = io.Copy(io.Discard, resp.Body)
	if got := resp.Trailer.Get("M3O-Price"); got != "10" {
		t.Errorf("it cost %q", got)
	}
	s.wantBalance(990)
}
