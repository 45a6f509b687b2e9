package gateway_test

import (
	"bufio"
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

	"m3o/internal/db/dbtest"
	"m3o/internal/keys/keysapi"
	"m3o/internal/money"
	"m3o/internal/publicapi/publicapiapi"
)

// raw sells a server of bytes as /v1/raw/call: it reads a request and then does as told.
func (s *door) raw(units publicapiapi.Units, do func(net.Conn)) {
	s.t.Helper()
	listener, err := new(net.ListenConfig).Listen(s.t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				if r, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
					_, _ = io.Copy(io.Discard, r.Body)
					do(c)
				}
			}()
		}
	}()
	s.publish(publicapiapi.Route{Name: "raw", Target: "http://" + listener.Addr().String(), Endpoints: []publicapiapi.EndpointRoute{
		{Name: "Raw.Call", Path: "/call", Price: 10_000, Units: units, Timeout: time.Second},
	}})
}

func TestEveryFailureOfAnUpstreamIsChargedOnceOrNotAtAll(t *testing.T) {
	t.Parallel()
	bytesOut := publicapiapi.Units{By: publicapiapi.ByBytesOut, Per: 1000, Maximum: 1000}
	byHeader := publicapiapi.Units{By: publicapiapi.ByHeader, Per: 1, Maximum: 10}
	half := "HTTP/1.1 200 OK\r\nContent-Length: 100\r\nM3O-Units: 3\r\n\r\n" + strings.Repeat("x", 40)
	for _, test := range []struct {
		name   string
		units  publicapiapi.Units
		answer string
		after  string // reset, wait or nothing
		status int    // 0: the answer breaks off
		spent  money.Micros
	}{
		{"reset", publicapiapi.Units{}, "", "reset", 502, 0},
		{"closed", byHeader, "", "", 502, 0},
		{"never", bytesOut, "", "wait", 504, 0},
		{"half a head", publicapiapi.Units{}, "HTTP/1.1 200 OK\r\nContent-", "wait", 504, 0},
		{"garbage", publicapiapi.Units{}, "SSH-2.0-OpenSSH_9.6\r\n", "", 502, 0},
		{"500", byHeader, "HTTP/1.1 500 Oh\r\nContent-Length: 2\r\nM3O-Units: 9\r\n\r\nno", "", 500, 0},
		{"half an answer", publicapiapi.Units{}, half, "", 0, 10_000},
		{"half an answer, then reset", byHeader, half, "reset", 0, 30_000},
		{"half an answer, then nothing", publicapiapi.Units{}, half, "wait", 0, 10_000},
		{"half of a known length", bytesOut, half, "reset", 0, 1000},
		{"half of no known length", bytesOut, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n28\r\n" + strings.Repeat("x", 40) + "\r\n", "", 0, 400},
		{"garbage in a chunk", bytesOut, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n28\r\n" + strings.Repeat("x", 40) + "\r\nzz\r\n", "", 0, 400},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newDoor(t, dbtest.SQLite(t))
			s.credit(1_000_000)
			key := s.key(nil)
			done := make(chan struct{})
			t.Cleanup(func() { close(done) })
			s.raw(test.units, func(c net.Conn) {
				_, _ = io.WriteString(c, test.answer)
				switch test.after {
				case "reset":
					_ = c.(*net.TCPConn).SetLinger(0)
				case "wait":
					<-done
				}
			})
			resp := s.ask(s.front(), key, "/v1/raw/call")
			_, err := io.ReadAll(resp.Body)
			if broken := err != nil; broken != (test.status == 0) || !broken && resp.StatusCode != test.status {
				t.Errorf("got %d, %v", resp.StatusCode, err)
			}
			s.wantBalance(1_000_000 - test.spent)
			records := s.records()
			if paid := len(records) == 1 && records[0].Price == test.spent; paid != (test.spent > 0) || len(records) > 1 {
				t.Errorf("recorded %+v", records)
			}
			if err := s.balance.Audit(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAnUpstreamIsPaidExactlyAndRevocationsHold(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	s.credit(50 * 10_000)
	key := s.key(nil)
	s.sell(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "fine") })
	var wait sync.WaitGroup
	var served, refused atomic.Int64
	for range 200 {
		wait.Go(func() {
			switch s.call(key, "/v1/up/call", "{}").Code {
			case 200:
				served.Add(1)
			case 402:
				refused.Add(1)
			}
		})
	}
	wait.Wait()
	if served.Load() != 50 || refused.Load() != 150 {
		t.Errorf("%d served, %d refused", served.Load(), refused.Load())
	}
	s.wantBalance(0)
	s.set(func() { delete(s.keys, keysapi.Hash(key)) })
	if err := keysapi.NewMulticastTrigger(s.bus).OnKeysChanged(t.Context(), customer).Err(); err != nil {
		t.Fatal(err)
	}
	want(t, s.call(key, "/v1/up/call", "{}"), 401, "v1", "Unauthorized")
}

func TestCredentialsOfAnAPIAreSentInPlaceOfTheCallers(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	s.credit(100_000)
	key := s.key(nil)
	var got http.Header
	var path string
	up := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got, path = r.Header.Clone(), r.Method+" "+r.RequestURI
	}))
	t.Cleanup(up.Close)
	s.publish(publicapiapi.Route{Name: "up", Target: up.URL + "/base/", Header: sealed(t, "up", secrets{"Authorization": "Bearer theirs", "X-Api-Key": "k"}), Endpoints: []publicapiapi.EndpointRoute{
		{Name: "Up.Read", Method: "GET", Pattern: "/things/{id}", Path: "/v2/things/{id}", Price: 10},
		{Name: "Up.List", Method: "GET", Pattern: "/things", Path: "/v2/things", Price: 10},
	}})
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/v1/up/things/a%2Fb?x=1", nil)
	r.Header.Set("Authorization", "Bearer "+key)
	r.Header.Set("X-Api-Key", "mine")
	want(t, s.do(r), 200, "", "")
	if path != "GET /base/v2/things/a%2Fb?x=1" || got.Get("Authorization") != "Bearer theirs" || len(got["X-Api-Key"]) != 1 || got.Get("X-Api-Key") != "k" {
		t.Errorf("the target saw %s %v", path, got)
	}
	want(t, s.call(key, "/v1/up/list", ""), 200, "", "") // by name, as POST
	if path != "GET /base/v2/things" {
		t.Errorf("the target saw %s", path)
	}
	w := s.call(key, "/v1/up/things", "")
	want(t, w, 405, "v1", "This endpoint is called by GET")
	if w.Header().Get("Allow") != "GET" {
		t.Errorf("got %v", w.Header())
	}
}

func TestABrokenAPIIsNotCalledAndCostsNothing(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	s.credit(10)
	key := s.key(nil)
	s.answer(func(http.ResponseWriter, *http.Request) { t.Error("the target was called") })
	s.publish(publicapiapi.Route{Name: "odd", Target: "service:demo", Broken: "its credentials cannot be opened", Endpoints: []publicapiapi.EndpointRoute{{Name: "Odd.Call", Path: "/x", Price: 10}}})
	w := s.call(key, "/v1/odd/call", "{}")
	want(t, w, 503, "v1", "The service is not available, try again in a moment")
	if strings.Contains(w.Body.String(), "credentials") {
		t.Errorf("got %s", w.Body)
	}
	s.wantBalance(10)
}

type secrets = map[string]publicapiapi.Secret

// sealed are credentials as the catalogue tells them.
func sealed(t *testing.T, api string, credentials secrets) map[string]publicapiapi.Sealed {
	t.Helper()
	keys, err := publicapiapi.NewKeyring(houseSecret())
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]publicapiapi.Sealed{}
	for name, value := range credentials {
		all[name] = keys.Seal(api, name, value)
	}
	return all
}

func TestACredentialThatCannotBeOpenedKeepsCallsBack(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	s.credit(10)
	key := s.key(nil)
	up := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the target was called") }))
	t.Cleanup(up.Close)
	theirs := sealed(t, "other", secrets{"X-Key": "one"}) // bound to another API
	s.publish(publicapiapi.Route{Name: "up", Target: up.URL, Header: theirs, Endpoints: []publicapiapi.EndpointRoute{{Name: "Up.Call", Path: "/call", Price: 10}}})
	want(t, s.call(key, "/v1/up/call", "{}"), 502, "v1", "The API could not be reached")
	s.wantBalance(10)
}

// counting is a server that counts its connections.
func counting(t *testing.T) (address string, opened, closed *atomic.Int64) {
	opened, closed = &atomic.Int64{}, &atomic.Int64{}
	up := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	up.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			opened.Add(1)
		case http.StateClosed:
			closed.Add(1)
		}
	}
	up.Start()
	t.Cleanup(up.Close)
	return up.URL, opened, closed
}

func TestConnectionsOutliveTheCatalogueUntilTheirAPIChanges(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	s.credit(100_000)
	key := s.key(nil)
	address, opened, closed := counting(t)
	route := publicapiapi.Route{Name: "up", Target: address, Header: sealed(t, "up", secrets{"X-Key": "one"}), Endpoints: []publicapiapi.EndpointRoute{{Name: "Up.Call", Path: "/call", Price: 10}}}
	s.publish(route)
	for range 3 {
		want(t, s.call(key, "/v1/up/call", "{}"), 200, "", "")
		s.publish(publicapiapi.Route{Name: fmt.Sprint("other", s.catalogue.Version), Target: "service:demo"})
	}
	if opened.Load() != 1 {
		t.Errorf("%d connections over three catalogues", opened.Load())
	}
	route.Header = sealed(t, "up", secrets{"X-Key": "two"})
	s.set(func() { s.catalogue.APIs = nil })
	s.publish(route)
	for deadline := time.Now().Add(5 * time.Second); closed.Load() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the old connection stays open")
		}
	}
	want(t, s.call(key, "/v1/up/call", "{}"), 200, "", "")
	if opened.Load() != 2 {
		t.Errorf("%d connections", opened.Load())
	}
}

func TestAnAPIInANetworkThatIsNotAllowedIsNotReached(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	s.credit(100_000)
	key := s.key(nil)
	s.sell(func(http.ResponseWriter, *http.Request) {})
	want(t, s.call(key, "/v1/up/call", "{}"), 200, "", "")
	if err := s.gateway.SetUpstreamNetworks(t.Context(), `["10.0.0.0/8"]`); err != nil {
		t.Fatal(err)
	}
	want(t, s.call(key, "/v1/up/call", "{}"), 502, "v1", "The API could not be reached")
	if err := s.gateway.SetUpstreamNetworks(t.Context(), `["everywhere"]`); err == nil {
		t.Error("a network that is none was taken")
	}
	if err := s.gateway.SetUpstreamNetworks(t.Context(), `["127.0.0.1/32", "::1/128"]`); err != nil {
		t.Fatal(err)
	}
	want(t, s.call(key, "/v1/up/call", "{}"), 200, "", "")
	s.wantBalance(80_000)
}

func TestACallerThatGoesAwayHasBeenServed(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	s.credit(100_000)
	key, front := s.key(nil), s.front()
	gone := make(chan struct{})
	s.sell(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "begun")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(gone)
	})
	resp := s.ask(front, key, "/v1/up/call")
	if _, err := io.ReadFull(resp.Body, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	<-gone
	s.wantBalance(90_000)
}

func TestOneCustomerCannotKeepAnAPIFromTheOthers(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	s.credit(10_000_000)
	key := s.key(nil)
	const mostOutbound = 128 // as the gateway has it
	release, waiting := make(chan struct{}), make(chan struct{}, mostOutbound)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		waiting <- struct{}{}
		<-release
	}))
	t.Cleanup(upstream.Close)
	s.publish(publicapiapi.Route{Name: "held", Target: upstream.URL, Endpoints: []publicapiapi.EndpointRoute{{Name: "Held.Call", Path: "/call", Price: 10}}})
	var all sync.WaitGroup
	for range mostOutbound {
		all.Go(func() {
			if w := s.call(key, "/v1/held/call", "{}"); w.Code != 200 {
				t.Errorf("a call within the limit: %d %s", w.Code, w.Body)
			}
		})
	}
	for range mostOutbound {
		<-waiting
	}
	if w := s.call(key, "/v1/held/call", "{}"); w.Code != 429 || w.Header().Get("Retry-After") == "" {
		t.Errorf("a call over the limit: %d %s", w.Code, w.Body)
	}
	close(release)
	all.Wait()
	if w := s.call(key, "/v1/held/call", "{}"); w.Code != 200 {
		t.Errorf("after the others: %d %s", w.Code, w.Body)
	}
	s.wantBalance(10_000_000 - 10*(mostOutbound+1))
}
