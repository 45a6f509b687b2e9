package web_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"m3o/internal/fault"
	"m3o/internal/rpc"
	"m3o/internal/web"
)

func TestLandingShowsTheCatalogueAndCommandsForThisAddress(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	resp, text := e.do("GET", "/", "")
	for _, want := range []string{
		"curl " + e.http.URL + "/v1/api/keys/generate", "curl " + e.http.URL + "/v1/helloworld/call", "curl " + e.http.URL + "/usage/list-records",
		"$M3O_API_TOKEN", "Hello World", "👋", "$0.00001", "100 free a month", "/v1/helloworld/stream", `href="/docs"`, `href="/openapi.json"`, `href="/metrics"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the landing page does not show %s", want)
		}
	}
	if policy := resp.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "script-src 'self';") || resp.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("headers %v", resp.Header)
	}
}

func TestLandingTakesNoCommandFromAHostHeader(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	r, err := http.NewRequestWithContext(t.Context(), "GET", e.http.URL+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "a;rm"
	if _, text := e.send(r); strings.Contains(text, "a;rm") || !strings.Contains(text, "curl "+e.http.URL) {
		t.Error("the page repeats a host that a shell would run")
	}
}

func TestLandingSaysWhenTheCatalogueCannotBeRead(t *testing.T) {
	t.Parallel()
	e := setup(t, func(c *web.Config) {
		c.Catalogue = func(context.Context) (web.Catalogue, error) { return web.Catalogue{}, errors.New("secret reason") }
	})
	resp, text := e.do("GET", "/", "")
	if resp.StatusCode != 200 || !strings.Contains(text, "cannot be read at the moment") || strings.Contains(text, "secret") {
		t.Errorf("%d %s", resp.StatusCode, text)
	}
	if resp, _ := e.do("GET", "/openapi.json", ""); resp.StatusCode != 500 {
		t.Errorf("/openapi.json: %d", resp.StatusCode)
	}
}

func TestProblemsExplainsEveryCode(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	_, text := e.do("GET", "/problems", "")
	for status := 400; status < 600; status++ {
		code := fault.FromStatus(status)
		if code.Status() == status && !strings.Contains(text, `id="`+string(code)+`"`) {
			t.Errorf("%d %s is not explained", status, code)
		}
	}
}

func TestPagesLoadNothingFromElsewhere(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	foreign := regexp.MustCompile(`(?:src|href)="(?:https?:)?//`)
	local := regexp.MustCompile(`(?:src|href)="(/assets/[^"]+)"`)
	for _, page := range []string{"/", "/docs", "/problems"} {
		_, text := e.do("GET", page, "")
		if found := foreign.FindString(text); found != "" {
			t.Errorf("%s loads %s", page, found)
		}
		for _, asset := range local.FindAllStringSubmatch(text, -1) {
			if resp, _ := e.do("GET", asset[1], ""); resp.StatusCode != 200 {
				t.Errorf("%s: %s is %d", page, asset[1], resp.StatusCode)
			}
		}
	}
}

func TestAssetsAreSentAsTheClientTakesThem(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	plain, text := e.do("GET", "/assets/scalar.js", "", "Accept-Encoding: identity")
	if plain.Header.Get("Content-Encoding") != "" || len(text) < 4_000_000 {
		t.Errorf("identity: %d bytes, %v", len(text), plain.Header)
	}
	zipped, text := e.do("GET", "/assets/scalar.js", "", "Accept-Encoding: gzip")
	if zipped.Header.Get("Content-Encoding") != "gzip" || len(text) > 1_500_000 || zipped.Header.Get("Content-Type") != "text/javascript; charset=utf-8" {
		t.Errorf("gzip: %d bytes, %v", len(text), zipped.Header)
	}
	again, _ := e.do("GET", "/assets/scalar.js", "", "Accept-Encoding: gzip", "If-None-Match: "+zipped.Header.Get("ETag"))
	if again.StatusCode != 304 {
		t.Errorf("a known file is sent again: %d", again.StatusCode)
	}
	if resp, _ := e.do("GET", "/assets/none.js", ""); resp.StatusCode != 404 {
		t.Errorf("unknown asset: %d", resp.StatusCode)
	}
}

func TestOpenAPI(t *testing.T) {
	t.Parallel()
	contract := []byte(`{"openapi":"3.1.0","paths":{"/sample/open":{"post":{"responses":{"200":{"description":"OK","content":{"application/json":{"schema":{"$ref":"#/components/schemas/sample.In"}}}}}}},
		"/v1/sample/Gone":{"post":{"x-m3o-endpoint":"Sample.Gone"}}},
		"components":{"schemas":{"sample.In":{"type":"object"}},"securitySchemes":{"session":{"type":"http","scheme":"bearer"}}}}`)
	now := catalogue()
	e := setup(t, func(c *web.Config) {
		c.Documents = [][]byte{contract}
		c.Catalogue = func(context.Context) (web.Catalogue, error) { return now, nil }
	})
	resp, text := e.do("GET", "/openapi.json", "")
	var doc struct {
		OpenAPI    string
		Paths      map[string]any
		Components struct{ Schemas, SecuritySchemes map[string]any }
	}
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/sample/open", "/v1/helloworld/call"} {
		if doc.Paths[path] == nil {
			t.Errorf("%s is missing", path)
		}
	}
	for _, path := range []string{"/v1/sample/Gone", "/v1/helloworld/Old", "/v1/helloworld/Call"} {
		if doc.Paths[path] != nil {
			t.Errorf("%s is not on sale", path)
		}
	}
	if doc.Components.Schemas["v1.helloworld.In"] == nil || doc.Components.Schemas["sample.In"] == nil || doc.Components.SecuritySchemes["session"] == nil || doc.OpenAPI != "3.1.0" {
		t.Errorf("components %+v", doc.Components)
	}
	parsed, err := openapi3.NewLoader().LoadFromData([]byte(text))
	if err != nil {
		t.Fatalf("the document cannot be resolved: %v", err)
	}
	if parsed.Paths.Value("/v1/helloworld/call").Post.RequestBody.Value.Content["application/json"].Schema.Value == nil {
		t.Error("a reference leads nowhere")
	}
	if again, _ := e.do("GET", "/openapi.json", "", "If-None-Match: "+resp.Header.Get("ETag")); again.StatusCode != 304 {
		t.Errorf("known document: %d", again.StatusCode)
	}
	now = web.Catalogue{Version: 2}
	if _, text := e.do("GET", "/openapi.json", "", "If-None-Match: "+resp.Header.Get("ETag")); strings.Contains(text, "/v1/helloworld") || text == "" {
		t.Errorf("still on sale: %s", text)
	}
}

func TestReadyz(t *testing.T) {
	t.Parallel()
	var down error
	e := setup(t, func(c *web.Config) {
		c.Ready.Add("database", func(context.Context) error { return nil })
		c.Ready.Add("gateway", func(context.Context) error { return down })
		c.Ready.Add("clumsy", func(context.Context) error {
			if down != nil {
				panic(down)
			}
			return nil
		})
	})
	answer := func(status int, want map[string]string) {
		t.Helper()
		resp, text := e.do("GET", "/readyz", "")
		var got struct {
			Ready      bool
			Components map[string]string
		}
		if err := json.Unmarshal([]byte(text), &got); err != nil || resp.StatusCode != status || got.Ready != (status == 200) || strings.Contains(text, "secret") {
			t.Fatalf("%d %s", resp.StatusCode, text)
		}
		for name, state := range want {
			if got.Components[name] != state {
				t.Errorf("%s is %q, want %q", name, got.Components[name], state)
			}
		}
	}
	answer(503, map[string]string{"server": "not ready", "database": "ready"})
	e.ready.Start()
	answer(200, map[string]string{"server": "ready", "database": "ready", "gateway": "ready", "clumsy": "ready"})
	down = errors.New("secret reason")
	answer(503, map[string]string{"server": "ready", "database": "ready", "gateway": "not ready", "clumsy": "not ready"})
	down = nil
	e.ready.Stop()
	answer(503, map[string]string{"server": "not ready", "gateway": "ready"})
	if resp, text := e.do("GET", "/healthz", ""); resp.StatusCode != 200 || text != "ok\n" {
		t.Errorf("healthz: %d %q", resp.StatusCode, text)
	}
}

func TestListenSaysWhyNot(t *testing.T) {
	t.Parallel()
	taken := httptest.NewServer(http.NotFoundHandler())
	defer taken.Close()
	address := taken.Listener.Addr().String()
	for in, want := range map[string]string{address: "is in use", "nonsense": "use host:port", "127.0.0.1:" + strconv.Itoa(1<<17): "use host:port"} {
		if _, err := web.Listen(t.Context(), in, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", in, err)
		}
	}
}

func TestLandingLeadsToThePlaygroundOfAShop(t *testing.T) {
	t.Parallel()
	const link = `href="/playground"`
	if _, text := setup(t, nil).do("GET", "/", ""); strings.Contains(text, link) {
		t.Error("there is no shop, and it is shown")
	}
	e := setup(t, func(c *web.Config) {
		c.Functions = append(c.Functions, rpc.Function{Host: "playground", Path: "/", Port: 443, Method: http.MethodGet, Access: rpc.Public})
	})
	if _, text := e.do("GET", "/", ""); !strings.Contains(text, link) {
		t.Error("the shop is not shown")
	}
}
