package web_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"m3o/internal/rpc"
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

func TestEdgeReachesAHostThatNobodyServesAtAPort(t *testing.T) {
	t.Parallel()
	e := setup(t, func(c *web.Config) { c.Functions = append(c.Functions, at("absent", 0, "/any")) })
	if resp, text := e.do("POST", "/absent:555/any", "{}"); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("%d %s", resp.StatusCode, text)
	}
}

// internal functions at host a.test, beside public ones whose arguments fit their paths.
func shadowing() []rpc.Function {
	f := func(port int, method, path string, access rpc.Access) rpc.Function {
		return rpc.Function{Host: "a.test", Name: "F", Port: port, Method: method, Path: path, Access: access}
	}
	return []rpc.Function{
		f(443, rpc.Any, "/file/{name}", rpc.Public), f(443, rpc.Any, "/file/Secret-Doc", rpc.Internal), f(443, "POST", "/file/posted", ""),
		f(443, rpc.Any, "/{path+}", rpc.Public), f(443, rpc.Any, "/deep/{name}/key", rpc.Internal), f(0, rpc.Any, "/deep/{name}/key", rpc.Public),
		f(0, rpc.Any, "/port/{name}", rpc.Public), f(555, rpc.Any, "/port/{name}", rpc.Admin), f(443, "GET", "/head", rpc.Internal), f(443, rpc.Any, "/head", rpc.Public),
		f(443, rpc.Any, "/twice/{a}", rpc.Public), f(443, rpc.Any, "/twice/{b}", rpc.Customer),
	}
}

func TestAPublicFunctionIsNoWayToAnInternalOne(t *testing.T) {
	t.Parallel()
	there, back := shadowing(), shadowing()
	slices.Reverse(back)
	servers := []*edge{setup(t, also(show("a.test"), there...)), setup(t, also(show("a.test"), back...))}
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/a.test/file/open", 200},
		{"GET", "/a.test/file/Secret-Doc", 404},
		{"GET", "/a.test/file/secretdoc", 404},
		{"GET", "/a.test/file/%53ecret-Doc", 404},
		{"OPTIONS", "/a.test/file/secretdoc", 204},
		{"POST", "/a.test/file/posted", 404},
		{"GET", "/a.test/file/posted", 200},
		{"GET", "/a.test/deep/x/key", 404},
		{"GET", "/a.test/deep/x%2Fkey", 200}, // two arguments' worth of slashes: the path of the rest
		{"GET", "/a.test:555/deep/x/key", 200},
		{"GET", "/a.test:444/port/x", 200},
		{"GET", "/a.test:555/port/x", 401},
		{"HEAD", "/a.test/head", 404},
		{"POST", "/a.test/head", 200},
		{"GET", "/a.test/twice/x", 401},
	} {
		for i, e := range servers {
			if resp, text := e.do(c.method, c.path, ""); resp.StatusCode != c.status {
				t.Errorf("%d: %s %s: %d %s", i, c.method, c.path, resp.StatusCode, text)
			}
		}
	}
	if resp, _ := setup(t, also(show("b.test"), rpc.Function{Host: "b.test", Port: 443, Method: "POST", Path: "/x", Access: rpc.Internal})).do("GET", "/b.test/x", ""); resp.StatusCode != 404 || resp.Header.Get("Allow") != "" {
		t.Errorf("an internal function shows itself: %d %v", resp.StatusCode, resp.Header)
	}
}

func TestEdgeKeepsWhatIsEscapedInAnArgument(t *testing.T) {
	t.Parallel()
	escaped := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(seen{Path: r.URL.EscapedPath()})
	})
	e := setup(t, also(escaped, at("a.test", 443, "/p/{id}/q-x/{n}"), at("a.test", 443, "/f/{dir}/{rest+}")))
	for path, want := range map[string]string{
		"/a.test/P/a%2Fb/QX/5":    "/p/a%2Fb/q-x/5",
		"/a.test/p/a%20b/q-x/%3F": "/p/a%20b/q-x/%3F",
		"/a.test/p/%2E%2E/q-x/5":  "/p/%2E%2E/q-x/5",
		"/a.test/f/d/a/b%20c":     "/f/d/a/b%20c",
		"/a.test/f/d/":            "/f/d/",
		"/a.test/f/d/a%2fb//c/":   "/f/d/a%2fb//c/",
	} {
		if got := e.arrived("GET", path, ""); got.Path != want {
			t.Errorf("%s arrived as %s, want %s", path, got.Path, want)
		}
	}
	if resp, text := e.do("GET", "/a.test/f/d", ""); resp.StatusCode != 404 {
		t.Errorf("%d %s", resp.StatusCode, text)
	}
}

// TestTheRootIsServedByTheHostOfThatName is check R37.
func TestTheRootIsServedByTheHostOfThatName(t *testing.T) {
	t.Parallel()
	home := at("root", 443, "/")
	home.Method = http.MethodGet
	e := setup(t, also(show("home"), home))
	for _, path := range []string{"/", "/root", "/root/", "/root:443"} {
		if got := e.arrived("GET", path+"?x=1", ""); got.Function+got.Path != "home/" || got.Query != "x=1" {
			t.Errorf("%s arrived as %+v", path, got)
		}
	}
	if got := e.arrived("GET", "/", ""); got.Header.Get("X-Forwarded-Prefix") != "" {
		t.Errorf("the root is below %q", got.Header.Get("X-Forwarded-Prefix"))
	}
	if resp, text := e.do("POST", "/", ""); resp.StatusCode != 405 || resp.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d %s", resp.StatusCode, text)
	}
	for _, path := range []string{"/nowhere", "/root/nowhere", "/root:444", "/index.html"} {
		if resp, text := e.do("GET", path, ""); resp.StatusCode != 404 {
			t.Errorf("%s: %d %s", path, resp.StatusCode, text)
		}
	}
	if resp, _ := e.do("GET", "/docs", ""); resp.StatusCode != 200 {
		t.Errorf("our other pages: %d", resp.StatusCode)
	}
}

func TestTheLandingPageIsThereWithoutARootForEverybody(t *testing.T) {
	t.Parallel()
	home := at("root", 443, "/")
	home.Access = rpc.Internal
	for name, e := range map[string]*edge{"NoRoot": setup(t, nil), "InternalRoot": setup(t, also(show("home"), home))} {
		if resp, text := e.do("GET", "/", ""); resp.StatusCode != 200 || !strings.Contains(text, "<!doctype html>") {
			t.Errorf("%s: %d %s", name, resp.StatusCode, text)
		}
		if resp, _ := e.do("GET", "/root", ""); resp.StatusCode != 404 {
			t.Errorf("%s: /root is %d", name, resp.StatusCode)
		}
	}
	home.Access = rpc.Customer
	if resp, _ := setup(t, also(show("home"), home)).do("GET", "/", ""); resp.StatusCode != 401 {
		t.Errorf("a root for customers: %d", resp.StatusCode)
	}
}

func TestADefaultIconIsThere(t *testing.T) {
	t.Parallel()
	if resp, text := setup(t, nil).do("GET", "/favicon.ico", ""); resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "image/svg+xml" || !strings.Contains(text, "<svg") {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
}
