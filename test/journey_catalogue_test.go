package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// upstream is somebody's HTTP API on loopback; it says what it was asked.
type upstream struct {
	*httptest.Server
	mu   sync.Mutex
	last asked
}

// asked is a request as the upstream saw it.
type asked struct {
	method, path, query string
	header              http.Header
	body                string
}

func newUpstream(t *testing.T) *upstream {
	u := &upstream{}
	u.Server = httptest.NewServer(u)
	t.Cleanup(u.Close)
	return u
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	u.mu.Lock()
	u.last = asked{r.Method, r.URL.Path, r.URL.RawQuery, r.Header.Clone(), string(body)}
	u.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if strings.HasSuffix(strings.ToLower(r.URL.Path), "fail") {
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, `{"oops":true}`)
		return
	}
	_, _ = io.WriteString(w, `{"ok":true}`)
}

func (u *upstream) seen() asked {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.last
}

// api is an API for sale.
type api struct {
	Name        string           `json:"name"`
	DisplayName string           `json:"display_name"`
	Description string           `json:"description"`
	Category    string           `json:"category"`
	Icon        string           `json:"icon"`
	OpenAPI     string           `json:"open_api_json"`
	Examples    string           `json:"examples_json"`
	Pricing     map[string]int64 `json:"pricing"`
	Quotas      map[string]int64 `json:"quotas"`
	Target      string           `json:"target"`
}

// newAPI describes an API whose endpoints all take {postcode string, count integer}.
func newAPI(name, target string, prices map[string]int64) api {
	title := strings.ToUpper(name[:1]) + name[1:]
	schema := map[string]any{"type": "object", "properties": map[string]any{"postcode": map[string]any{"type": "string"}, "count": map[string]any{"type": "integer"}}}
	paths, pricing := map[string]any{}, map[string]int64{}
	for endpoint, price := range prices {
		paths[fmt.Sprintf("/%s/%s", name, endpoint)] = map[string]any{"post": map[string]any{
			"operationId": title + "." + endpoint,
			"requestBody": map[string]any{"content": map[string]any{"application/json": map[string]any{"schema": schema}}},
			"responses":   map[string]any{"200": map[string]any{"description": "OK"}},
		}}
		pricing[title+"."+endpoint] = price
	}
	document, _ := json.Marshal(map[string]any{"openapi": "3.0.3", "info": map[string]any{"title": title, "version": "1"}, "paths": paths})
	return api{Name: name, DisplayName: title, Description: "Answers what it was asked.", Category: "testing", Icon: "🔁",
		OpenAPI: string(document), Examples: "{}", Pricing: pricing, Quotas: map[string]int64{}, Target: target}
}

// publish puts an API on sale.
func publish(t *testing.T, admin client, a api) {
	t.Helper()
	do[map[string]any](t, admin, "/publicapi/Publish", map[string]any{"api": a})
}

func (j *journey) catalogue(t *testing.T) {
	pat := j.signUp(t, j.boss, "pat@example.com")
	k := pat.key(t)
	echo := newAPI("echo", j.upstream.URL, map[string]int64{"Say": 500, "Free": 0, "Fail": 700, "Quota": 900})
	echo.Quotas["Echo.Quota"] = 2
	call := func(endpoint string) answer {
		return j.as(k.Key).post(t, "/v1/echo/"+endpoint, map[string]int{"count": 1})
	}
	refusedAs(t, call("say"), 404, "v1", "No such API")
	publish(t, j.boss, echo)
	charged := func(endpoint, price string) {
		t.Helper()
		if a := call(endpoint); a.status != 200 || string(a.body) != `{"ok":true}` || a.header.Get("M3O-Price") != price {
			t.Errorf("%s: %d %s, price %q; want %s", endpoint, a.status, a.body, a.header.Get("M3O-Price"), price)
		}
	}
	charged("say", "500")
	charged("free", "0")
	charged("quota", "0")
	charged("quota", "0")
	charged("quota", "900")
	if a := call("fail"); a.status != http.StatusTeapot || string(a.body) != `{"oops":true}` || a.header.Get("M3O-Price") != "" {
		t.Errorf("a target's own failure: %d %s, price %q", a.status, a.body, a.header.Get("M3O-Price"))
	}
	if b := pat.balance(t); b.Current != 1_000_000-500-900 {
		t.Errorf("the balance is %d", b.Current)
	}
	echo.Pricing["Echo.Say"] = 600
	publish(t, j.boss, echo)
	charged("say", "600")
	do[map[string]any](t, j.boss, "/publicapi/Update", map[string]any{"api": map[string]any{"name": "echo", "description": "Says it back.", "pricing": map[string]int64{"Echo.Say": 650}}})
	charged("say", "650")
	if got := j.get(t, "echo"); got.Description != "Says it back." || got.Category != "testing" {
		t.Errorf("after an update: %+v", got)
	}
	scoped := do[key](t, pat.client, "/v1/api/keys/generate", map[string]any{"scopes": []string{"helloworld"}, "description": "d"})
	refusedAs(t, j.as(scoped.Key).post(t, "/v1/echo/say", struct{}{}), 403, "v1.blocked", "Request blocked. Insufficient privileges")
	gone := newAPI("gone", "http://127.0.0.1:1", map[string]int64{"Call": 5})
	publish(t, j.boss, gone)
	before := pat.balance(t).Current
	refused(t, j.as(k.Key).post(t, "/v1/gone/call", struct{}{}), 502)
	if after := pat.balance(t).Current; after != before {
		t.Errorf("an unreachable target has cost %d", before-after)
	}
	done(t, j.boss, "/publicapi/Remove", map[string]string{"name": "gone"})
	refusedAs(t, j.as(k.Key).post(t, "/v1/gone/call", struct{}{}), 404, "v1", "No such API")
	refused(t, j.post(t, "/publicapi/Get", map[string]string{"name": "gone"}), 404)
	refused(t, j.boss.post(t, "/publicapi/Remove", map[string]string{"name": "never-was"}), 404)
}

// catalogued is an API as /publicapi/Get shows it.
type catalogued struct {
	ID, Name, Description, Category, Target string
	Pricing                                 map[string]any
}

func (j *journey) get(t *testing.T, name string) catalogued {
	t.Helper()
	return do[struct{ API catalogued }](t, j.client, "/publicapi/Get", map[string]string{"name": name}).API
}

func (j *journey) forwarding(t *testing.T) {
	fay := j.signUp(t, j.boss, "fay@example.com")
	k := fay.key(t)
	c := j.as(k.Key)
	odd := "{ \"count\" :1,\n\t\"z\":null }"
	a := c.request(t, "POST", "/v1/echo/say", odd, "M3O-Customer-Id", "cus_forged", "M3O-Key-Id", "key_forged", "M3O-Request-Id", "req_forged", "Cookie", "a=b")
	saw := j.upstream.seen()
	if a.status != 200 || saw.body != odd {
		t.Errorf("%d: the target saw %q", a.status, saw.body)
	}
	if h := saw.header; h.Get("M3O-Customer-Id") != fay.id || h.Get("M3O-Key-Id") != k.ID || h.Get("M3O-Request-Id") != a.header.Get("M3O-Request-Id") || h.Get("Traceparent") == "" {
		t.Errorf("the target saw the headers %v; the answer's id is %s", h, a.header.Get("M3O-Request-Id"))
	}
	if strings.Contains(fmt.Sprint(saw.header), k.Key) {
		t.Error("the target saw the API key")
	}
	for _, way := range []struct{ method, path, body, kind string }{
		{"GET", "/v1/echo/say?postcode=12345&count=3", "", ""},
		{"POST", "/v1/echo/say", "postcode=12345&count=3", "application/x-www-form-urlencoded"},
		{"POST", "/v1/echo/say?count=3", `{"postcode":"12345"}`, "application/json"},
	} {
		a := c.request(t, way.method, way.path, way.body, "Content-Type", way.kind)
		if saw := j.upstream.seen(); a.status != 200 || !strings.Contains(saw.query+saw.body, "12345") || !strings.Contains(saw.query+saw.body, "count") {
			t.Errorf("%s %s: %d, the target saw %q %q", way.method, way.path, a.status, saw.query, saw.body)
		}
	}
	if a := c.request(t, "POST", "/v1/echo/say", strings.Repeat(" ", 10<<20-2)+"{}"); a.status != 200 {
		t.Errorf("a body of 10 MiB: %d %s", a.status, a.body)
	}
	refused(t, c.request(t, "POST", "/v1/echo/say", strings.Repeat(" ", 10<<20-1)+"{}"), 413)
}

func (j *journey) publishRefuses(t *testing.T) {
	for name, change := range map[string]func(*api){
		"no name":         func(a *api) { a.Name = "" },
		"bad name":        func(a *api) { a.Name = "../etc/passwd" },
		"broken document": func(a *api) { a.OpenAPI = "{" },
		"not OpenAPI":     func(a *api) { a.OpenAPI = `{"openapi":"3.0.3"}` },
		"unknown price":   func(a *api) { a.Pricing["Bad.Nope"] = 1 },
		"negative price":  func(a *api) { a.Pricing["Bad.Call"] = -1 },
		"unknown quota":   func(a *api) { a.Quotas["Bad.Nope"] = 1 },
		"broken examples": func(a *api) { a.Examples = "[" },
		"unknown example": func(a *api) { a.Examples = `{"nope":[{"title":"t","request":{}}]}` },
		"wrong example":   func(a *api) { a.Examples = `{"call":[{"title":"t","request":{"count":"many"}}]}` },
		"no target":       func(a *api) { a.Target = "" },
		"other scheme":    func(a *api) { a.Target = "file:///etc/passwd" },
		"no host":         func(a *api) { a.Target = "http://" },
	} {
		a := newAPI("bad", j.upstream.URL, map[string]int64{"Call": 1})
		change(&a)
		got := j.boss.post(t, "/publicapi/Publish", map[string]any{"api": a})
		if got.status != 400 {
			t.Errorf("%s:", name)
		}
		refused(t, got, 400)
	}
	refused(t, j.post(t, "/publicapi/Get", map[string]string{"name": "bad"}), 404)
}

func (j *journey) explore(t *testing.T) {
	type found struct{ APIs []struct{ Name string } }
	names := func(path string, in any) string {
		t.Helper()
		var all []string
		for _, a := range do[found](t, j.client, path, in).APIs {
			all = append(all, a.Name)
		}
		return strings.Join(all, " ")
	}
	saying := newAPI("zz", j.upstream.URL, map[string]int64{"Echo": 1})
	publish(t, j.boss, saying)
	other := newAPI("aa", j.upstream.URL, map[string]int64{"Call": 1})
	other.Description, other.Category = "Has an echo in its description.", "storage"
	publish(t, j.boss, other)
	for _, c := range []struct {
		path string
		in   map[string]any
		want string
	}{
		{"Index", map[string]any{}, "aa echo helloworld products zz"},
		{"Index", map[string]any{"limit": 2, "offset": 1}, "echo helloworld"},
		{"Search", map[string]any{"search_term": "eCHo"}, "echo zz aa"},
		{"Search", map[string]any{"search_term": "echo", "categories": []string{"storage"}}, "aa"},
		{"Search", map[string]any{"search_term": "%"}, ""},
		{"Search", map[string]any{"search_term": "' OR 1=1 --"}, ""},
	} {
		if got := names("/publicapi/explore/"+c.path, c.in); got != c.want {
			t.Errorf("%s %v: %q, want %q", c.path, c.in, got, c.want)
		}
	}
	one := do[struct {
		Summary struct{ Endpoints []struct{ Name string } }
		API     catalogued
	}](t, j.client, "/publicapi/explore/API", map[string]string{"name": "echo"})
	if len(one.Summary.Endpoints) != 4 || one.API.Name != "echo" {
		t.Errorf("%+v", one)
	}
	if c := do[struct{ Categories []string }](t, j.client, "/publicapi/explore/ListCategories", struct{}{}).Categories; len(c) != 4 {
		t.Errorf("categories %v", c)
	}
	if a := j.post(t, "/publicapi/explore/Pricing", struct{}{}); a.status != 200 || !bytes.Contains(a.body, []byte("Echo.Say")) {
		t.Errorf("%d %s", a.status, a.body)
	}
	for _, path := range []string{"/publicapi/openapi/echo", "/publicapi/postman/echo", "/publicapi/openapi/helloworld", "/publicapi/postman/helloworld"} {
		if a := j.request(t, "GET", path, ""); a.status != 200 || !json.Valid(a.body) {
			t.Errorf("%s: %d", path, a.status)
		}
	}
	refused(t, j.request(t, "GET", "/publicapi/openapi/nope", ""), 404)
	if a := do[found](t, j.client, "/publicapi/List", struct{}{}); len(a.APIs) != 5 {
		t.Errorf("%+v", a)
	}
	for _, name := range []string{"zz", "aa"} {
		done(t, j.boss, "/publicapi/Remove", map[string]string{"name": name})
	}
}

// newDeaf is an upstream that never answers.
func newDeaf(t *testing.T) *httptest.Server {
	end := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-end:
		}
	}))
	t.Cleanup(s.Close)
	t.Cleanup(func() { close(end) })
	return s
}
