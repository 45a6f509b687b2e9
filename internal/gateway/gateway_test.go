package gateway_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"m3o/internal/billing/billingapi"
	"m3o/internal/db"
	"m3o/internal/db/dbtest"
	"m3o/internal/keys/keysapi"
	"m3o/internal/publicapi/publicapiapi"
)

// want checks an answer's status and, for a refusal, M3O's id and detail.
func want(t *testing.T, w *httptest.ResponseRecorder, status int, id, detail string) {
	t.Helper()
	var problem struct {
		ID     string `json:"id"`
		Code   int    `json:"code"`
		Detail string `json:"detail"`
	}
	if w.Code >= 400 {
		if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil {
			t.Fatalf("%d %s: %v", w.Code, w.Body, err)
		}
	}
	if w.Code != status || problem.ID != id || problem.Detail != detail {
		t.Fatalf("got %d %q %q, want %d %q %q", w.Code, problem.ID, problem.Detail, status, id, detail)
	}
}

func TestRefusalsInTheContractsOrder(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	good := s.key(nil)
	blocked := func(r *keysapi.Record) {
		r.Blocked = []keysapi.Block{{Reason: keysapi.BlockedByBan, Message: "User has been banned"}}
	}
	want(t, s.call("", "/v1/demo/paid", "{}"), 401, "v1", "Unauthorized")
	want(t, s.call("nonsense", "/v1/demo/paid", "{}"), 401, "v1", "Unauthorized")
	want(t, s.call(good[:len(good)-1]+"!", "/v1/demo/paid", "{}"), 401, "v1", "Unauthorized")
	want(t, s.call(s.key(func(r *keysapi.Record) { r.Expires = time.Now().Add(-time.Second); blocked(r) }), "/v1/demo/paid", "{}"), 401, "v1", "Unauthorized")
	want(t, s.call(s.key(blocked), "/v1/nope/nope", "{}"), 403, "v1.blocked", "Request blocked. User has been banned")
	scoped := s.key(func(r *keysapi.Record) { r.Scopes = []string{"other"} })
	for _, path := range []string{"/v1/nope/nope", "/v1/demo", "/v1/demo/", "/v1/", "/v1/demo/../keys", "/v1/demo/paid/more/still"} {
		want(t, s.call(scoped, path, "{}"), 404, "v1", "No such API")
	}
	want(t, s.call(scoped, "/v1/demo/paid", "{}"), 403, "v1.blocked", "Request blocked. Insufficient privileges")
	want(t, s.call(good, "/v1/demo/paid", "{}"), 402, "v1.blocked", "Request blocked. Insufficient credit")
	if n := len(s.records()); n != 0 {
		t.Errorf("%d refused calls were recorded", n)
	}
}

func TestAUnauthorizedAnswerSaysHowToAuthenticate(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	w := s.call("", "/v1/demo/paid", "{}")
	if !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Bearer") || w.Header().Get("M3O-Request-Id") == "" {
		t.Errorf("got %v", w.Header())
	}
}

func TestServedCallIsRecordedAndPaid(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newDoor(t, d)
		s.credit(25_000)
		key := s.key(func(r *keysapi.Record) { r.Scopes = []string{"demo"} })
		for _, path := range []string{"/v1/demo/paid", "/v1/Demo/PAID"} {
			w := s.call(key, path, `{"a":1}`)
			want(t, w, 200, "", "")
			if w.Body.String() != `{"ok":true}` || w.Header().Get("M3O-Price") != "10000" {
				t.Fatalf("got %s %v", w.Body, w.Header())
			}
		}
		s.wantBalance(5_000)
		want(t, s.call(key, "/v1/demo/demo/paid", "{}"), 402, "v1.blocked", "Request blocked. Insufficient credit")
		records := s.records()
		if len(records) != 2 || records[0].Endpoint != "Demo.Paid" || records[0].Price != 10_000 || records[0].Status != 200 || records[0].Service != "demo" {
			t.Fatalf("recorded %+v", records)
		}
		s.credit(5_000)
		want(t, s.call(key, "/v1/demo/paid", "{}"), 200, "", "")
		s.wantBalance(0)
	})
}

func TestOnlySuccessesAreCharged(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	s.credit(10_000)
	key := s.key(nil)
	for _, status := range []int{400, 404, 429, 500, 503} {
		s.answer(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(status) })
		if w := s.call(key, "/v1/demo/paid", "{}"); w.Code != status || w.Header().Get("M3O-Price") != "" {
			t.Errorf("got %d %v", w.Code, w.Header())
		}
	}
	s.answer(func(http.ResponseWriter, *http.Request) { panic("a target's bug") })
	func() {
		defer func() { _ = recover() }()
		s.call(key, "/v1/demo/paid", "{}")
	}()
	s.wantBalance(10_000)
	for _, status := range []int{200} {
		s.answer(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(status) })
		want(t, s.call(key, "/v1/demo/paid", "{}"), status, "", "")
	}
	s.wantBalance(0)
}

func TestCreditForFiftyCallsServesFiftyOfFourHundred(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newDoor(t, d)
		s.credit(50 * 10_000)
		key := s.key(nil)
		var wait sync.WaitGroup
		codes := make(chan int, 400)
		for range 400 {
			wait.Go(func() { codes <- s.call(key, "/v1/demo/paid", "{}").Code })
		}
		wait.Wait()
		close(codes)
		count := map[int]int{}
		for code := range codes {
			count[code]++
		}
		if count[200] != 50 || count[402] != 350 {
			t.Fatalf("answers by status: %v", count)
		}
		s.wantBalance(0)
		if n := len(s.records()); n != 50 {
			t.Fatalf("%d records", n)
		}
		if err := s.balance.Audit(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	key := s.key(nil)
	for name, header := range map[string][2]string{
		"bearer":       {"Authorization", "Bearer " + key},
		"lower case":   {"Authorization", "bearer " + key},
		"basic":        {"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("anybody:"+key))},
		"sub-protocol": {"Sec-WebSocket-Protocol", key},
	} {
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/demo/free", strings.NewReader("{}"))
		r.Header.Set(header[0], header[1])
		if w := s.do(r); w.Code != 200 {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	for _, header := range []string{key, "Digest " + key, "Basic %%%", "Bearer", "Bearer "} {
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/demo/free", strings.NewReader("{}"))
		r.Header.Set("Authorization", header)
		want(t, s.do(r), 401, "v1", "Unauthorized")
	}
}

func TestFreeCallsThenTheBasePrice(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	s.set(func() { s.tier.FreeCalls = 3 })
	s.credit(1)
	key := s.key(nil)
	for i, price := range []string{"0", "0", "0", "1"} {
		w := s.call(key, "/v1/demo/free", "{}")
		want(t, w, 200, "", "")
		if got := w.Header().Get("M3O-Price"); got != price {
			t.Fatalf("call %d costs %s, want %s", i+1, got, price)
		}
	}
	want(t, s.call(key, "/v1/demo/free", "{}"), 402, "v1.blocked", "Request blocked. Insufficient credit")
}

func TestEndpointQuotaComesBeforeThePrice(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	key := s.key(nil)
	s.answer(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(500) })
	s.call(key, "/v1/demo/quota", "{}") // a failure uses nothing
	s.answer(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(200) })
	for range 2 {
		want(t, s.call(key, "/v1/demo/quota", "{}"), 200, "", "")
	}
	want(t, s.call(key, "/v1/demo/quota", "{}"), 402, "v1.blocked", "Request blocked. Insufficient credit")
	s.credit(10_000)
	if w := s.call(key, "/v1/demo/quota", "{}"); w.Code != 200 || w.Header().Get("M3O-Price") != "10000" {
		t.Fatalf("got %d %v", w.Code, w.Header())
	}
}

func TestCaps(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	s.set(func() { s.tier.Caps = map[string]int64{"demo.free": 2, "demo.paid": 0} })
	key := s.key(nil)
	want(t, s.call(key, "/v1/demo/paid", "{}"), 403, "v1.blocked", "Request blocked. Usage cap exceeded")
	for range 2 {
		want(t, s.call(key, "/v1/demo/free", "{}"), 200, "", "")
	}
	want(t, s.call(key, "/v1/demo/free", "{}"), 403, "v1.blocked", "Request blocked. Usage cap exceeded")
	s.set(func() { s.tier = billingapi.Tier{ID: "pro", FreeCalls: 10, Caps: map[string]int64{"demo.free": 3}} })
	if err := billingapi.NewMulticastTrigger(s.bus).OnTierChanged(t.Context(), customer).Err(); err != nil {
		t.Fatal(err)
	}
	want(t, s.call(key, "/v1/demo/free", "{}"), 200, "", "")
	want(t, s.call(key, "/v1/demo/free", "{}"), 403, "v1.blocked", "Request blocked. Usage cap exceeded")
}

func TestRates(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	s.set(func() { s.tier.Rate = 5 })
	slow := s.key(func(r *keysapi.Record) { r.Rate = 2 })
	for range 2 {
		want(t, s.call(slow, "/v1/demo/free", "{}"), 200, "", "")
	}
	w := s.call(slow, "/v1/demo/free", "{}")
	want(t, w, 429, "v1.blocked", "Too Many Requests")
	if w.Header().Get("Retry-After") != "1" || w.Header().Get("RateLimit-Policy") != `"tier";q=5;w=1, "key";q=2;w=1` || !strings.Contains(w.Header().Get("RateLimit"), `"key";r=0;t=1`) {
		t.Errorf("got %v", w.Header())
	}
	fast := s.key(nil)
	served := 0
	for range 10 {
		if s.call(fast, "/v1/demo/free", "{}").Code == 200 {
			served++
		}
	}
	if served < 3 || served > 4 { // five a second, two of them used by the slow key; the clock runs on
		t.Errorf("%d calls were served, want 3", served)
	}
}

func TestRevokedIsRevoked(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	keep := s.key(nil)
	for range 20 {
		key := s.key(nil)
		var wait sync.WaitGroup
		stop := make(chan struct{})
		for range 4 {
			wait.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						s.call(key, "/v1/demo/free", "{}")
					}
				}
			})
		}
		s.set(func() { delete(s.keys, keysapi.Hash(key)) })
		if err := keysapi.NewMulticastTrigger(s.bus).OnKeysChanged(t.Context(), customer).Err(); err != nil {
			t.Fatal(err)
		}
		for range 10 {
			want(t, s.call(key, "/v1/demo/free", "{}"), 401, "v1", "Unauthorized")
		}
		close(stop)
		wait.Wait()
	}
	want(t, s.call(keep, "/v1/demo/free", "{}"), 200, "", "")
}

func TestNothingFailsOpen(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"keys", "billing"} {
		s := newDoor(t, dbtest.SQLite(t))
		s.credit(100_000)
		key := s.key(nil)
		s.set(func() { s.down[name] = true })
		w := s.call(key, "/v1/demo/paid", "{}")
		want(t, w, 503, "v1", "The service is not available, try again in a moment")
		if w.Header().Get("Retry-After") == "" {
			t.Errorf("%s away: no Retry-After", name)
		}
		s.set(func() { s.down[name] = false })
		want(t, s.call(key, "/v1/demo/paid", "{}"), 200, "", "")
	}
}

func TestWithoutItsStoreNothingIsServed(t *testing.T) {
	t.Parallel()
	d := dbtest.SQLite(t)
	s := newDoor(t, d)
	key := s.key(nil)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	want(t, s.call(key, "/v1/demo/paid", "{}"), 503, "v1", "The service is not available, try again in a moment")
}

func TestACatalogueChangeIsInForceAtOnce(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	s.credit(10_000)
	key := s.key(nil)
	s.set(func() { s.catalogue = publicapiapi.Catalogue{Version: 2} })
	if err := publicapiapi.NewMulticastTrigger(s.bus).OnCatalogueChanged(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	want(t, s.call(key, "/v1/demo/paid", "{}"), 404, "v1", "No such API")
	s.wantBalance(10_000)
}

func TestADecrementGetsWhatIsLeasedButNotSpent(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	s.credit(50_000)
	key := s.key(nil)
	want(t, s.call(key, "/v1/demo/paid", "{}"), 200, "", "")
	rest, err := s.balance.Decrement(s.admin(), customer, 40_000, "fee", "fee-1", true)
	if err != nil || rest != 0 {
		t.Fatalf("%d, %v", rest, err)
	}
	want(t, s.call(key, "/v1/demo/paid", "{}"), 402, "v1.blocked", "Request blocked. Insufficient credit")
}

func TestQueryAndFormBecomeJSONOfTheSchemasTypes(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	key := s.key(nil)
	var got string
	s.answer(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = r.Method + " " + r.URL.Path + " " + string(body)
	})
	for _, test := range []struct{ method, query, kind, body, want string }{
		{"GET", "?postcode=12345&count=7", "", "", `POST /typed {"count":7,"postcode":"12345"}`},
		{"GET", "?count=many&tags=a&tags=b&other=5", "", "", `POST /typed {"count":"many","other":"5","tags":["a","b"]}`},
		{"POST", "?count=1", "application/json", `{"count": 2}`, `POST /typed {"count":2}`},
		{"POST", "", "application/x-www-form-urlencoded", `count=3&postcode=007`, `POST /typed {"count":3,"postcode":"007"}`},
		{"POST", "", "application/x-www-form-urlencoded", `{"count":4}`, `POST /typed {"count":4}`},
		{"POST", "", "application/json", `{ "as" : [it, is`, `POST /typed { "as" : [it, is`},
	} {
		r := httptest.NewRequestWithContext(t.Context(), test.method, "/v1/demo/typed"+test.query, strings.NewReader(test.body))
		r.Header.Set("Authorization", "Bearer "+key)
		r.Header.Set("Content-Type", test.kind)
		if w := s.do(r); w.Code != 200 || got != test.want {
			t.Errorf("%s %s %s: %d, the target got %s, want %s", test.method, test.query, test.body, w.Code, got, test.want)
		}
	}
	want(t, s.call(key, "/v1/demo/typed?count=1", `{"count`), 400, "v1", "The body is not a JSON object")
}

func TestBodiesOverTheLimitAreRefused(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	s.credit(10_000)
	key := s.key(nil)
	s.answer(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			w.WriteHeader(413)
		}
	})
	big := bytes.Repeat([]byte("x"), 10<<20+1)
	declared := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/demo/paid", bytes.NewReader(big))
	declared.Header.Set("Authorization", "Bearer "+key)
	want(t, s.do(declared), 413, "v1", "The request body is larger than 10485760 bytes")
	chunked := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/demo/paid", io.NopCloser(bytes.NewReader(big)))
	chunked.ContentLength = -1
	chunked.Header.Set("Authorization", "Bearer "+key)
	if w := s.do(chunked); w.Code != 413 {
		t.Errorf("got %d", w.Code)
	}
	s.wantBalance(10_000)
}

func TestTheTargetSeesWhoCallsAndNotTheKey(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	key := s.key(nil)
	var header http.Header
	s.answer(func(w http.ResponseWriter, r *http.Request) { header = r.Header.Clone() })
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/demo/free", strings.NewReader("{}"))
	for name, value := range map[string]string{
		"Authorization": "Bearer " + key, "M3O-Customer-Id": "cus_forged", "M3O-Key-Id": "forged", "M3O-Anything": "forged",
		"Traceparent": "00-11111111111111111111111111111111-1111111111111111-01", "Accept-Language": "de",
	} {
		r.Header.Set(name, value)
	}
	w := s.do(r)
	if header.Get("M3O-Customer-Id") != customer || header.Get("M3O-Key-Id") != "key_"+key[4:8] || header.Get("M3O-Request-Id") != w.Header().Get("M3O-Request-Id") {
		t.Errorf("the target saw %v", header)
	}
	if header.Get("Authorization") != "" || header.Get("M3O-Anything") != "" || strings.Contains(header.Get("Traceparent"), "1111111111111111") || len(header.Get("Traceparent")) != 55 {
		t.Errorf("the target saw %v", header)
	}
	if header.Get("Accept-Language") != "de" {
		t.Error("an ordinary header is lost")
	}
}

func TestLeasesOfAnEarlierProcessEndAtStart(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	s.credit(1_000_000)
	key := s.key(nil)
	want(t, s.call(key, "/v1/demo/paid", "{}"), 200, "", "")
	if _, leased, _ := s.balance.Current(s.admin(), customer); leased == 0 {
		t.Fatal("nothing is leased")
	}
	s.open() // as after a kill: the first gateway was never stopped
	current, leased, err := s.balance.Current(s.admin(), customer)
	if err != nil || current != 990_000 || leased != 0 {
		t.Fatalf("%d, of which %d leased, %v", current, leased, err)
	}
	want(t, s.call(key, "/v1/demo/paid", "{}"), 200, "", "")
}
