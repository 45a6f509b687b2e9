package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus"

	"m3o/internal/auth"
	"m3o/internal/db/dbtest"
	"m3o/internal/fault"
	"m3o/internal/keys/keysapi"
	"m3o/internal/problem"
	"m3o/internal/publicapi/publicapiapi"
	"m3o/internal/web"
)

// port is a door behind a real port.
type port struct {
	*door
	at string
}

func newPort(t *testing.T) port {
	t.Helper()
	s := newDoor(t, dbtest.SQLite(t))
	s.offer(
		publicapiapi.EndpointRoute{Name: "Demo.Paid", Path: "/paid", Price: 10_000},
		publicapiapi.EndpointRoute{Name: "Demo.Free", Path: "/free"},
		publicapiapi.EndpointRoute{Name: "Demo.Lines", Path: "/lines", Price: 10_000, Stream: true},
	)
	server := httptest.NewServer(s.gateway)
	t.Cleanup(server.Close)
	return port{s, server.URL}
}

// dial opens a WebSocket; the status is that of the answer to the handshake.
func (s port) dial(key, path string) (*socket, int) {
	s.t.Helper()
	conn, answer, err := websocket.Dial(s.t.Context(), s.at+path, &websocket.DialOptions{
		HTTPHeader: http.Header{"Authorization": {"Bearer " + key}, "Idempotency-Key": {"once"}},
	})
	if err != nil && answer == nil {
		s.t.Fatal(err)
	}
	if err != nil {
		return nil, answer.StatusCode
	}
	s.t.Cleanup(func() { _ = conn.CloseNow() })
	return &socket{s.t, conn}, answer.StatusCode
}

// open is dial where a refusal fails the test.
func (s port) open(key, path string) *socket {
	s.t.Helper()
	c, status := s.dial(key, path)
	if status != http.StatusSwitchingProtocols {
		s.t.Fatalf("the handshake was answered with %d", status)
	}
	return c
}

type socket struct {
	t    testing.TB
	conn *websocket.Conn
}

func (c *socket) say(text string) {
	c.t.Helper()
	if err := c.conn.Write(c.t.Context(), websocket.MessageText, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *socket) hear() (string, error) {
	ctx, cancel := context.WithTimeout(c.t.Context(), 10*time.Second)
	defer cancel()
	_, text, err := c.conn.Read(ctx)
	return string(text), err
}

func (c *socket) hears(want ...string) {
	c.t.Helper()
	for _, text := range want {
		if got, err := c.hear(); err != nil || got != text {
			c.t.Fatalf("heard %q, %v; want %q", got, err, text)
		}
	}
}

// hearsProblem wants a problem document.
func (c *socket) hearsProblem(code int, id, detail string) {
	c.t.Helper()
	text, err := c.hear()
	var got struct {
		ID, Detail, Instance string
		Code                 int
	}
	if err != nil || json.Unmarshal([]byte(text), &got) != nil || got.Code != code || got.ID != id || got.Detail != detail {
		c.t.Fatalf("heard %s, %v; want %d %s %s", text, err, code, id, detail)
	}
}

// isClosed wants the socket to be closed with a code.
func (c *socket) isClosed(want websocket.StatusCode) {
	c.t.Helper()
	text, err := c.hear()
	if got := websocket.CloseStatus(err); got != want {
		c.t.Fatalf("heard %q and was closed with %v (%v), want %v", text, got, err, want)
	}
}

// lines answers with a stream of newline-delimited JSON, as our services do.
func lines(texts ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-ndjson")
		for _, text := range texts {
			_, _ = io.WriteString(w, text+"\n")
			_ = http.NewResponseController(w).Flush()
		}
	}
}

func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"you said":%s}`, body)
}

func (s *door) keysChanged() {
	s.t.Helper()
	if err := keysapi.NewMulticastTrigger(s.bus).OnKeysChanged(s.t.Context(), customer).Err(); err != nil {
		s.t.Fatal(err)
	}
}

func TestEachMessageOfASocketIsACall(t *testing.T) {
	t.Parallel()
	s := newPort(t)
	s.credit(25_000)
	s.answer(echo)
	c := s.open(s.key(nil), "/v1/demo/paid")
	for _, text := range []string{"1", `{"a":2}`} {
		c.say(text)
		c.hears(`{"you said":` + text + `}`)
	}
	s.wantBalance(5_000)
	c.say("3")
	c.hearsProblem(402, "v1.blocked", "Request blocked. Insufficient credit")
	s.credit(5_000)
	c.say("4")
	c.hears(`{"you said":4}`)
	s.answer(func(w http.ResponseWriter, r *http.Request) {
		problem.Write(w, r, fault.New(fault.NotFound, "no such thing").WithID("demo.paid"))
	})
	c.say("5")
	c.hearsProblem(402, "v1.blocked", "Request blocked. Insufficient credit")
	s.credit(10_000)
	c.say("6")
	c.hearsProblem(404, "demo.paid", "no such thing")
	s.wantBalance(10_000)
	records := s.records()
	ids := map[string]bool{}
	for _, record := range records {
		ids[record.RequestID] = true
	}
	if len(records) != 3 || len(ids) != 3 {
		t.Errorf("records %v", records)
	}
	if err := c.conn.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Errorf("close: %v", err)
	}
}

func TestAStreamIsAMessageForEachOfItsOwn(t *testing.T) {
	t.Parallel()
	s := newPort(t)
	s.credit(100_000)
	var asked atomic.Value
	s.answer(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked.Store(r.Method + " " + r.Header.Get("Content-Type") + " " + string(body))
		lines(`{"n":1}`, `{"n":2}`, `{"n":3}`)(w, r)
	})
	c := s.open(s.key(nil), "/v1/demo/lines")
	c.say(`{"name":"x"}`)
	c.hears(`{"n":1}`, `{"n":2}`, `{"n":3}`)
	c.isClosed(websocket.StatusNormalClosure)
	if got := asked.Load(); got != `POST application/json {"name":"x"}` {
		t.Errorf("the target was asked %v", got)
	}
	s.wantBalance(90_000)
	if n := len(s.records()); n != 1 {
		t.Errorf("%d records", n)
	}
}

func TestAStreamThatFailsClosesItsSocket(t *testing.T) {
	t.Parallel()
	s := newPort(t)
	s.credit(100_000)
	key := s.key(nil)
	refuses := func(w http.ResponseWriter, r *http.Request) {
		problem.Write(w, r, fault.BadField("n", "too many").WithID("demo.lines"))
	}
	s.answer(refuses)
	c := s.open(key, "/v1/demo/lines")
	c.say("{}")
	c.hearsProblem(400, "demo.lines", "n: too many")
	c.isClosed(websocket.StatusInternalError)
	s.wantBalance(100_000)

	s.answer(func(w http.ResponseWriter, r *http.Request) {
		lines(`{"n":1}`, string(problem.Line(r, fault.New(fault.Unavailable, "broken").WithID("demo.lines"))))(w, r)
	})
	c = s.open(key, "/v1/demo/lines")
	c.say("{}")
	c.hears(`{"n":1}`)
	c.hearsProblem(503, "demo.lines", "broken")
	c.isClosed(websocket.StatusInternalError)
	s.wantBalance(90_000) // its answer had begun

	s.answer(func(w http.ResponseWriter, r *http.Request) {
		lines(`{"n":1}`)(w, r)
		panic(http.ErrAbortHandler)
	})
	c = s.open(key, "/v1/demo/lines")
	c.say("{}")
	c.hears(`{"n":1}`)
	c.hearsProblem(502, "v1", "The API broke off its answer")
	c.isClosed(websocket.StatusInternalError)
	s.wantBalance(80_000)
}

func TestAHandshakeIsRefusedAsACallWouldBe(t *testing.T) {
	t.Parallel()
	s := newPort(t)
	key := s.key(nil)
	for name, test := range map[string]struct {
		key, path string
		want      int
	}{
		"unknown key": {"m3o_nonsense", "/v1/demo/free", 401},
		"no credit":   {key, "/v1/demo/paid", 402},
		"scope":       {s.key(func(r *keysapi.Record) { r.Scopes = []string{"other"} }), "/v1/demo/free", 403},
		"blocked":     {s.key(func(r *keysapi.Record) { r.Blocked = []keysapi.Block{{Message: "m"}} }), "/v1/demo/free", 403},
		"no API":      {key, "/v1/demo/none", 404},
		"free":        {key, "/v1/demo/free", 101},
	} {
		if _, status := s.dial(test.key, test.path); status != test.want {
			t.Errorf("%s: %d, want %d", name, status, test.want)
		}
	}
	s.set(func() { s.down["keys"] = true })
	s.keysChanged()
	if _, status := s.dial(key, "/v1/demo/free"); status != 503 {
		t.Errorf("keys away: %d", status)
	}
	if n := len(s.records()); n != 0 {
		t.Errorf("%d records of handshakes", n)
	}
}

func TestABadHandshakeIsAProblem(t *testing.T) {
	t.Parallel()
	s := newPort(t)
	key := s.key(nil)
	for name, header := range map[string]map[string]string{
		"426 This WebSocket version is not supported: use 13": {"Sec-WebSocket-Version": "8", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="},
		"400 Sec-WebSocket-Key is not 16 bytes in base64":     {"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "short"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/v1/demo/free", nil)
		r.Header = http.Header{"Authorization": {"Bearer " + key}, "Upgrade": {"websocket"}, "Connection": {"keep-alive, Upgrade"}}
		for k, v := range header {
			r.Header.Set(k, v)
		}
		w := s.do(r)
		if got := fmt.Sprint(w.Code) + " "; !strings.HasPrefix(name, got) || !strings.Contains(w.Body.String(), name[4:]) {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

func TestTheKeyMayComeAsSubprotocol(t *testing.T) {
	t.Parallel()
	s := newPort(t)
	s.answer(echo)
	key := s.key(nil)
	conn, _, err := websocket.Dial(t.Context(), s.at+"/v1/demo/free", &websocket.DialOptions{
		Subprotocols: []string{key}, HTTPHeader: http.Header{"Origin": {"https://elsewhere.example"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.CloseNow() }()
	if conn.Subprotocol() != key {
		t.Errorf("the subprotocol is %q", conn.Subprotocol())
	}
	c := &socket{t, conn}
	c.say("1")
	c.hears(`{"you said":1}`)
}

func TestASocketEndsWithItsKeyAndItsAPI(t *testing.T) {
	t.Parallel()
	remove := func(s port, key string) { delete(s.keys, keysapi.Hash(key)) }
	change := func(of func(*keysapi.Record)) func(s port, key string) {
		return func(s port, key string) {
			record := s.keys[keysapi.Hash(key)]
			of(&record)
			s.keys[keysapi.Hash(key)] = record
		}
	}
	for name, test := range map[string]struct {
		change func(s port, key string)
		code   int
		detail string
	}{
		"revoked": {remove, 401, "Unauthorized"},
		"expired": {change(func(r *keysapi.Record) { r.Expires = time.Now() }), 401, "Unauthorized"},
		"blocked": {change(func(r *keysapi.Record) { r.Blocked = []keysapi.Block{{Message: "Enough"}} }), 403, "Request blocked. Enough"},
		"scope":   {change(func(r *keysapi.Record) { r.Scopes = []string{"other"} }), 403, "Request blocked. Insufficient privileges"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newPort(t)
			s.credit(100_000)
			started, ended := make(chan struct{}), make(chan struct{})
			s.answer(func(w http.ResponseWriter, r *http.Request) {
				lines(`{"n":1}`)(w, r)
				close(started)
				<-r.Context().Done()
				close(ended)
			})
			key := s.key(nil)
			idle, busy := s.open(key, "/v1/demo/free"), s.open(key, "/v1/demo/lines")
			busy.say("{}")
			busy.hears(`{"n":1}`)
			<-started
			s.set(func() { test.change(s, key) })
			s.keysChanged()
			began := time.Now()
			idle.hearsProblem(test.code, map[int]string{401: "v1", 403: "v1.blocked"}[test.code], test.detail)
			idle.isClosed(websocket.StatusPolicyViolation)
			busy.hearsProblem(test.code, map[int]string{401: "v1", 403: "v1.blocked"}[test.code], test.detail)
			busy.isClosed(websocket.StatusPolicyViolation)
			if took := time.Since(began); took > 3*time.Second { // a second, on a machine that has nothing else to do
				t.Errorf("it took %v", took)
			}
			<-ended
			s.wantBalance(90_000)
		})
	}
}

func TestASocketEndsWhenItsAPIIsTakenOffSale(t *testing.T) {
	t.Parallel()
	s := newPort(t)
	c := s.open(s.key(nil), "/v1/demo/free")
	s.offer()
	c.hearsProblem(404, "v1", "No such API")
	c.isClosed(websocket.StatusPolicyViolation)
}

func TestAMessageAfterTheRevocationIsRefused(t *testing.T) {
	t.Parallel()
	s := newPort(t)
	s.credit(100_000)
	s.answer(echo)
	key := s.key(nil)
	for range 10 {
		c := s.open(key, "/v1/demo/paid")
		s.set(func() {
			s.keys[keysapi.Hash(key)] = keysapi.Record{ID: "key_b", CustomerID: customer, Scopes: []string{"*"}, Blocked: []keysapi.Block{{Message: "Enough"}}}
		})
		s.keysChanged()
		c.say("1")
		c.hearsProblem(403, "v1.blocked", "Request blocked. Enough")
		c.isClosed(websocket.StatusPolicyViolation)
		s.set(func() {
			s.keys[keysapi.Hash(key)] = keysapi.Record{ID: "key_b", CustomerID: customer, Scopes: []string{"*"}}
		})
		s.keysChanged()
	}
	s.wantBalance(100_000)
}

func TestMessagesCountTowardsTheRateAndTheHandshakeDoesNot(t *testing.T) {
	t.Parallel()
	s := newPort(t)
	s.answer(echo)
	c := s.open(s.key(func(r *keysapi.Record) { r.Rate = 2 }), "/v1/demo/free")
	for _, text := range []string{"1", "2"} {
		c.say(text)
		c.hears(`{"you said":` + text + `}`)
	}
	c.say("3")
	c.hearsProblem(429, "v1.blocked", "Too Many Requests")
}

func TestAMessageOverTheLimitClosesTheSocket(t *testing.T) {
	t.Parallel()
	s := newPort(t)
	s.answer(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprint(w, n)
	})
	c := s.open(s.key(nil), "/v1/demo/free")
	c.say(strings.Repeat("x", 10<<20))
	c.hears("10485760")
	c.say(strings.Repeat("x", 10<<20+1))
	c.isClosed(websocket.StatusMessageTooBig)
}

func TestLongAnswersComeInPieces(t *testing.T) {
	t.Parallel()
	s := newPort(t)
	long := `"` + strings.Repeat("ä", 1<<20) + `"`
	s.answer(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for piece := range slices.Chunk([]byte(long), 7001) {
			_, _ = w.Write(piece)
		}
	})
	c := s.open(s.key(nil), "/v1/demo/free")
	c.conn.SetReadLimit(10 << 20)
	for range 2 {
		c.say("{}")
		c.hears(long)
	}
	s.answer(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) })
	c.say("{}")
	c.hears("")
}

func TestASlowReaderHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	s := newPort(t)
	s.credit(100_000)
	stuck := make(chan struct{})
	s.answer(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/lines" {
			echo(w, r)
			return
		}
		line := `"` + strings.Repeat("x", 1<<20) + `"`
		for n := 0; r.Context().Err() == nil; n++ {
			lines(line)(w, r)
			if n == 3 {
				close(stuck)
			}
		}
	})
	key := s.key(nil)
	slow := s.open(key, "/v1/demo/lines")
	slow.say("{}")
	c := s.open(key, "/v1/demo/free")
	for range 20 {
		c.say("1")
		c.hears(`{"you said":1}`)
	}
	_ = slow.conn.CloseNow()
	select {
	case <-stuck:
	default: // it was stuck even earlier
	}
}

func TestACustomerHasSoManySockets(t *testing.T) {
	t.Parallel()
	s := newPort(t)
	key := s.key(nil)
	var open []*socket
	for range 100 {
		open = append(open, s.open(key, "/v1/demo/free"))
	}
	if _, status := s.dial(key, "/v1/demo/free"); status != 429 {
		t.Errorf("one more: %d", status)
	}
	if c, _ := s.dial(s.key(func(r *keysapi.Record) { r.CustomerID = "cus_b" }), "/v1/demo/free"); c == nil {
		t.Error("another customer's is refused")
	}
	_ = open[0].conn.Close(websocket.StatusNormalClosure, "")
	s.eventually("a place to be free", func() bool {
		_, status := s.dial(key, "/v1/demo/free")
		return status == 101
	})
}

func (s port) eventually(what string, ok func() bool) {
	s.t.Helper()
	limit := time.After(10 * time.Second)
	for !ok() {
		select {
		case <-limit:
			s.t.Fatalf("waited too long for %s", what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func TestAStopEndsSocketsAfterTheMessageInFlight(t *testing.T) {
	t.Parallel()
	s := newPort(t)
	s.credit(100_000)
	called, release := make(chan struct{}), make(chan struct{})
	s.answer(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/lines" {
			lines(`{"n":1}`)(w, r)
			<-r.Context().Done()
			return
		}
		close(called)
		<-release
		echo(w, r)
	})
	key := s.key(nil)
	idle, busy, stream := s.open(key, "/v1/demo/free"), s.open(key, "/v1/demo/paid"), s.open(key, "/v1/demo/lines")
	stream.say("{}")
	stream.hears(`{"n":1}`)
	busy.say("1")
	<-called
	stopped := make(chan error)
	go func() { stopped <- s.gateway.Stop(context.WithoutCancel(t.Context())) }()
	idle.isClosed(websocket.StatusGoingAway)
	stream.isClosed(websocket.StatusGoingAway)
	if _, status := s.dial(key, "/v1/demo/free"); status != 503 {
		t.Errorf("a new socket: %d", status)
	}
	close(release)
	busy.hears(`{"you said":1}`)
	busy.isClosed(websocket.StatusGoingAway)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	s.wantBalance(80_000)
}

func TestAClientThatGoesEndsItsCall(t *testing.T) {
	t.Parallel()
	s := newPort(t)
	s.credit(100_000)
	ended := make(chan struct{})
	s.answer(func(w http.ResponseWriter, r *http.Request) {
		lines(`{"n":1}`)(w, r)
		<-r.Context().Done()
		close(ended)
	})
	c := s.open(s.key(nil), "/v1/demo/lines")
	c.say("{}")
	c.hears(`{"n":1}`)
	_ = c.conn.CloseNow()
	<-ended
	s.wantBalance(90_000)
}

func TestAnUpstreamIsAskedOnceForEachMessage(t *testing.T) {
	t.Parallel()
	s := newPort(t)
	s.credit(100_000)
	var asked atomic.Int64
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		for _, name := range []string{"Upgrade", "Sec-Websocket-Key", "Sec-Websocket-Version", "Authorization", "Idempotency-Key"} {
			if r.Header[name] != nil {
				t.Errorf("the upstream saw %s", name)
			}
		}
		if r.URL.Path == "/echo" {
			echo(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		_, _ = io.WriteString(w, ": hello\n\nevent: x\ndata: {\"n\":1}\n\ndata:a\r\nda")
		_ = http.NewResponseController(w).Flush()
		_, _ = io.WriteString(w, "ta: b\r\nid: 7\r\n\r\ndata: lost")
	}))
	t.Cleanup(upstream.Close)
	s.offerAt(upstream.URL, publicapiapi.EndpointRoute{Name: "Demo.Echo", Path: "/echo"}, publicapiapi.EndpointRoute{Name: "Demo.Events", Path: "/events", Price: 10_000, Stream: true})
	key := s.key(nil)
	c := s.open(key, "/v1/demo/echo")
	for range 3 {
		c.say("1")
		c.hears(`{"you said":1}`)
	}
	c = s.open(key, "/v1/demo/events")
	c.say("{}")
	c.hears(`{"n":1}`, "a\nb")
	c.isClosed(websocket.StatusNormalClosure)
	if n := asked.Load(); n != 4 {
		t.Errorf("it was asked %d times", n)
	}
	s.wantBalance(90_000)
}

// edge puts the layers of the edge before a door.
func (s port) edge() port {
	s.t.Helper()
	handler, err := web.NewHandler(web.Config{
		Bus: s.bus, Gateway: s.gateway, Log: s.log, Now: s.now, Metrics: prometheus.NewRegistry(), Ready: web.NewReadiness(s.log),
		Authenticate: func(context.Context, string) (auth.Account, error) {
			return auth.Account{}, fault.New(fault.Unauthenticated, "nobody")
		},
		Catalogue: func(context.Context) (web.Catalogue, error) { return web.Catalogue{}, nil },
	})
	if err != nil {
		s.t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	s.t.Cleanup(server.Close)
	return port{s.door, server.URL}
}

func TestSocketsPassTheEdge(t *testing.T) {
	t.Parallel()
	s := newPort(t).edge()
	s.credit(100_000)
	s.answer(lines(`{"n":1}`, `{"n":2}`))
	c := s.open(s.key(nil), "/v1/demo/lines")
	c.say("{}")
	c.hears(`{"n":1}`, `{"n":2}`)
	c.isClosed(websocket.StatusNormalClosure)
	s.wantBalance(90_000)
}
