package web_test

import (
	"net/http"
	"strings"
	"testing"

	"m3o/internal/web"
)

func TestEdgeServesFunctionsWhateverTheirSpelling(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	for path, want := range map[string]string{
		"/sample/list-things": "sample/list-things", "/sample/ListThings": "sample/list-things", "/SAMPLE/listthings": "sample/list-things",
		"/signup/User": "signup/user", "/v1/api/keys/generate": "v1/api/keys/generate", "/v1/API/Keys/Generate": "v1/api/keys/generate",
	} {
		got := e.arrived("POST", path, `{"a":1}`, "Authorization: Bearer customer")
		if got.Function+got.Path != want || got.Body != `{"a":1}` || got.Account != "cus_1" {
			t.Errorf("%s arrived as %+v, want %s", path, got, want)
		}
	}
}

func TestEdgeKeepsArgumentsAndQuery(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	if got := e.arrived("GET", "/sample/File/My-Doc.json?x=1&y=a%20b", ""); got.Path != "/file/My-Doc.json" || got.Query != "x=1&y=a%20b" {
		t.Errorf("got %+v", got)
	}
	if got := e.arrived("GET", "/sample/tree/A/b-c/D", ""); got.Path != "/tree/A/b-c/D" {
		t.Errorf("got %+v", got)
	}
}

func TestEdgeLeavesV1ToTheGateway(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	if got := e.arrived("POST", "/v1/helloworld/call", "{}"); got.Function != "gateway" || got.Path != "/v1/helloworld/call" {
		t.Errorf("got %+v", got)
	}
}

func TestEdgeHoldsAccess(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	for _, c := range []struct {
		path, token string
		status      int
		account     string
	}{
		{"/sample/open", "", 200, ""},
		{"/sample/open", "nonsense", 200, ""},
		{"/sample/open", "down", 200, ""},
		{"/sample/open", "customer", 200, "cus_1"},
		{"/sample/list-things", "", 401, ""},
		{"/sample/list-things", "nonsense", 401, ""},
		{"/sample/list-things", "down", 503, ""},
		{"/sample/list-things", "customer", 200, "cus_1"},
		{"/sample/list-things", "admin", 200, "cus_0"},
		{"/sample/rule", "", 401, ""},
		{"/sample/rule", "customer", 403, ""},
		{"/sample/rule", "admin", 200, "cus_0"},
		{"/sample/hidden", "admin", 404, ""},
		{"/sample/other", "admin", 404, ""},
	} {
		resp, text := e.do("POST", c.path, "{}", "Authorization: Bearer "+c.token)
		if resp.StatusCode != c.status || c.account != "" && !strings.Contains(text, `"account":"`+c.account+`"`) {
			t.Errorf("%s as %q: %d %s", c.path, c.token, resp.StatusCode, text)
		}
		if c.status == 401 && (resp.Header.Get("WWW-Authenticate") == "" || !strings.Contains(text, `"id":"sample.`)) {
			t.Errorf("%s: 401 without challenge or id: %s", c.path, text)
		}
	}
}

func TestEdgeAsksForASessionInTheBearerSchemeOnly(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	for header, status := range map[string]int{"bearer customer": 200, "Basic customer": 401, "customer": 401, "Bearer": 401, "Bearer  customer": 200} {
		if resp, text := e.do("POST", "/sample/list-things", "{}", "Authorization: "+header); resp.StatusCode != status {
			t.Errorf("%q: %d %s", header, resp.StatusCode, text)
		}
	}
}

func TestEdgeRefusesMethods(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	for _, c := range []struct{ method, path, allow string }{
		{"GET", "/signup/user", "POST"}, {"POST", "/sample/file/x", "GET, HEAD"}, {"POST", "/docs", "GET, HEAD"}, {"DELETE", "/", "GET, HEAD"},
	} {
		resp, text := e.do(c.method, c.path, "")
		if resp.StatusCode != 405 || resp.Header.Get("Allow") != c.allow || !strings.Contains(text, `"code":405`) {
			t.Errorf("%s %s: %d %s %s", c.method, c.path, resp.StatusCode, resp.Header.Get("Allow"), text)
		}
	}
	if resp, _ := e.do("OPTIONS", "/sample/open", ""); resp.StatusCode != 204 || resp.Header.Get("Allow") != "GET, HEAD, POST" {
		t.Errorf("OPTIONS: %d %s", resp.StatusCode, resp.Header.Get("Allow"))
	}
}

func TestEdgeAnswersHeadWithoutABody(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	for _, path := range []string{"/", "/docs", "/sample/open", "/sample/file/x", "/healthz", "/openapi.json"} {
		if resp, text := e.do("HEAD", path, ""); resp.StatusCode != 200 || text != "" {
			t.Errorf("%s: %d %q", path, resp.StatusCode, text)
		}
	}
}

func TestEdgeKnowsNothingElse(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	for _, path := range []string{"/nowhere", "/sample", "/sample/", "/sample/open/", "/sample//open", "/sample/../sample/open", "/%2e%2e/etc/passwd", "/sample/file/", "/sample/file/a/b", "/hidden/sample"} {
		resp, text := e.do("POST", path, "{}")
		if resp.StatusCode != 404 || resp.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s", path, resp.StatusCode, text)
		}
	}
	resp, text := e.do("GET", "/nowhere/<script>", "", "Accept: text/html,*/*")
	if resp.StatusCode != 404 || !strings.Contains(text, "<!doctype html>") || strings.Contains(text, "<script>alert") || resp.Header.Get("Content-Security-Policy") == "" {
		t.Errorf("a browser is shown %d %s", resp.StatusCode, text)
	}
	if resp, _ := e.do("POST", "/nowhere", "{}", "Accept: text/html"); resp.Header.Get("Content-Type") != "application/problem+json" {
		t.Error("a POST is not a browser's look around")
	}
}

func TestEdgeReachesAHostThatNobodyServes(t *testing.T) {
	t.Parallel()
	e := setup(t, func(c *web.Config) { c.Functions[0].Host = "absent" })
	if resp, text := e.do("POST", "/absent/open", "{}"); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("%d %s", resp.StatusCode, text)
	}
}
