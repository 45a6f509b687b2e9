package web_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"m3o/internal/rpc"
	"m3o/internal/web"
)

// at is a public function at a place of the bus.
func at(host string, port int, path string) rpc.Function {
	return rpc.Function{Host: host, Name: "At", Port: port, Path: path, Method: rpc.Any, Access: rpc.Public}
}

// TestEdgeReachesTheBusPortThatThePathNames is check R79.
func TestEdgeReachesTheBusPortThatThePathNames(t *testing.T) {
	t.Parallel()
	e := setup(t, also(show("a.test"), at("a.test", 443, "/add"), at("a.test", 0, "/any"), at("a.test", 888, "/ping"), at("a.test", 555, "/file/{name}")))
	for path, want := range map[string]string{
		"/a.test/add": "a.test/add", "/a.test:443/add": "a.test/add", "/A.TEST:443/Add": "a.test/add", "/sample:444/other": "sample:444/other",
		"/a.test/any": "a.test/any", "/a.test:555/any": "a.test:555/any", "/a.test:65535/any": "a.test:65535/any", "/a.test:555/file/x": "a.test:555/file/x",
	} {
		if got := e.arrived("GET", path+"?x=1&y=2", ""); got.Host+got.Path != want || got.Query != "x=1&y=2" {
			t.Errorf("%s arrived as %+v, want %s", path, got, want)
		}
	}
	for _, path := range []string{
		"/a.test:888/ping", "/a.test:888/any", "/a.test:0888/any", "/a.test:417/any", "/a.test:444/add", "/a.test:/add", "/a.test:0/any", "/a.test:-1/any",
		"/a.test:65536/any", "/a.test:x/any", "/a.test:443:443/add", "/:443/add", "/sample/other", "/a.test/file/x", "/a.test%00/add",
	} {
		if resp, text := e.do("GET", path, ""); resp.StatusCode != 404 {
			t.Errorf("%s: %d %s", path, resp.StatusCode, text)
		}
	}
}

// listeners are an edge at two ports, of which only the first reaches every bus port.
func listeners(t *testing.T) (open, narrow *httptest.Server) {
	t.Helper()
	open, narrow = httptest.NewUnstartedServer(nil), httptest.NewUnstartedServer(nil)
	rules := []string{portOf(open) + ":*->*", portOf(narrow) + ":*->443"}
	_, h := unstarted(t, all(also(show("a.test"), at("a.test", 443, "/add"), at("a.test", 555, "/add")), func(c *web.Config) {
		var err error
		if c.Ports, err = web.ParsePorts(rules); err != nil {
			t.Fatal(err)
		}
	}))
	for _, s := range []*httptest.Server{open, narrow} {
		s.Config.Handler = h
		s.Start()
		t.Cleanup(s.Close)
	}
	return open, narrow
}

func portOf(s *httptest.Server) string { return strconv.Itoa(s.Listener.Addr().(*net.TCPAddr).Port) }

// TestPortRulesSayWhatServes is check R80.
func TestPortRulesSayWhatServes(t *testing.T) {
	t.Parallel()
	open, narrow := listeners(t)
	for _, c := range []struct {
		server     *httptest.Server
		path, want string
	}{
		{open, "/a.test:555/add", "a.test:555"},
		{open, "/a.test/add", "a.test"},
		{narrow, "/a.test:555/add", "a.test"},
		{narrow, "/a.test/add", "a.test"},
	} {
		e := &edge{t: t, http: c.server}
		if got := e.arrived("GET", c.path, ""); got.Host != c.want {
			t.Errorf("%s arrived at %s, want %s", c.path, got.Host, c.want)
		}
	}
	for _, server := range []*httptest.Server{open, narrow} {
		if resp, _ := (&edge{t: t, http: server}).do("GET", "/a.test:888/add", ""); resp.StatusCode != 404 {
			t.Errorf("the control port is reached: %d", resp.StatusCode)
		}
	}
}

// TestTheMostSpecificPortRuleCounts is R80 for rules that several fit.
func TestTheMostSpecificPortRuleCounts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rules []string
		asked int
		want  string // empty: nothing
	}{
		"NoRules":              {nil, 555, "a.test:555"},
		"Exact":                {[]string{"*:*->1", "X:*->2", "*:555->3", "X:555->4"}, 555, "a.test:4"},
		"AskedBeforeExternal":  {[]string{"*:*->1", "X:*->2", "*:555->3", "Y:555->4"}, 555, "a.test:3"},
		"ExternalBeforeAny":    {[]string{"*:*->1", "X:*->2", "*:556->3"}, 555, "a.test:2"},
		"Any":                  {[]string{"*:*->1", "Y:*->2"}, 555, "a.test:1"},
		"WhatWasAskedFor":      {[]string{" X : 555 -> * "}, 555, "a.test:555"},
		"NothingFits":          {[]string{"X:443->443"}, 555, ""},
		"NothingFitsTheUsual":  {[]string{"X:555->555"}, 443, ""},
		"AnotherPortForTheUse": {[]string{"X:443->8443"}, 443, "a.test:8443"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewUnstartedServer(nil)
			for i := range c.rules {
				c.rules[i] = strings.NewReplacer("X", portOf(server), "Y", "9").Replace(c.rules[i])
			}
			_, h := unstarted(t, all(also(show("a.test"), at("a.test", 0, "/any")), func(config *web.Config) {
				var err error
				if config.Ports, err = web.ParsePorts(c.rules); err != nil {
					t.Fatal(err)
				}
			}))
			server.Config.Handler = h
			server.Start()
			defer server.Close()
			e := &edge{t: t, http: server}
			path := "/a.test:" + strconv.Itoa(c.asked) + "/any"
			if c.want == "" {
				if resp, text := e.do("GET", path, ""); resp.StatusCode != http.StatusNotFound {
					t.Errorf("%d %s", resp.StatusCode, text)
				}
			} else if got := e.arrived("GET", path, ""); got.Host != c.want {
				t.Errorf("arrived at %s, want %s", got.Host, c.want)
			}
		})
	}
}

func TestPortRulesAreRefusedWithASentence(t *testing.T) {
	t.Parallel()
	for rule, want := range map[string]string{
		"":             "is no port rule: write external:asked->served",
		"80:443":       "is no port rule",
		"80->443":      "is no port rule",
		"80:*->x":      "is no port rule",
		"0:*->*":       "is no port rule",
		"80:65536->*":  "is no port rule",
		"80:443->-443": "is no port rule",
		"*:*->888":     "controls the services",
		"*:888->*":     "controls the services",
		"*:*->443":     "another rule for the same ports",
	} {
		if _, err := web.ParsePorts([]string{"*:*->*", rule}); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), strconv.Quote(rule)) {
			t.Errorf("%q: %v", rule, err)
		}
	}
}
