package test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// tricks are texts that have broken other programs.
var tricks = []string{
	"' OR '1'='1", `"; DROP TABLE customers; --`, "../../../../etc/passwd", "..%2f..%2fetc%2fpasswd", "\x00", "a\r\nX-Injected: 1",
	"$1", "%s%n", "{{.}}", "<script>alert(1)</script>", strings.Repeat("x", 100_000), "\u202e\ufeff💥", "-1", "null", "[]",
}

// footprint is what bad input must not change.
type footprint struct{ customers, keys, apis, events, mails, current int64 }

func footprintOf(t *testing.T, boss client, c customer) footprint {
	t.Helper()
	size := func(path, field string) int64 { return int64(len(pages[map[string]any](t, boss, path, field, 1000))) }
	return footprint{
		size("/customers/List", "customers"), int64(len(c.keys(t))), int64(len(do[struct{ APIs []any }](t, boss, "/publicapi/List", struct{}{}).APIs)),
		size("/events/List", "events"), size("/emails/List", "emails"), c.balance(t).Current,
	}
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	sys := start(t, sqlite(t))
	boss := sys.admin(t)
	eve := sys.signUp(t, boss, "eve@example.com")
	k := eve.key(t)
	before := footprintOf(t, boss, eve)
	for name, run := range map[string]func(*testing.T){
		"Bodies":  func(t *testing.T) { badBodies(t, sys, boss, eve, k) },
		"Large":   func(t *testing.T) { largeBodies(t, sys, eve, k) },
		"Paths":   func(t *testing.T) { badPaths(t, sys, boss, k) },
		"Keys":    func(t *testing.T) { badKeys(t, sys, k) },
		"Tricks":  func(t *testing.T) { trickyFields(t, boss, eve) },
		"Lists":   func(t *testing.T) { badLists(t, boss, eve) },
		"Methods": func(t *testing.T) { badMethods(t, sys, boss) },
	} {
		t.Run(name, run)
	}
	if after := footprintOf(t, boss, eve); after != before {
		t.Errorf("bad input has left its marks: before %+v, after %+v", before, after)
	}
	sys.balanced(t)
}

// inPeace wants a full problem of the 4xx kind.
func inPeace(t *testing.T, what string, a answer) {
	t.Helper()
	if a.status < 400 || a.status >= 500 {
		t.Errorf("%.200s: %d %.300s", what, a.status, a.body)
		return
	}
	if a.header.Get("X-Injected") != "" {
		t.Errorf("%s: a header was injected", what)
	}
	if p := refused(t, a, a.status); p.ID == "" {
		t.Logf("↑ %.200s", what)
	}
}

func badBodies(t *testing.T, sys *system, boss client, eve customer, k key) {
	for _, c := range []struct {
		as   client
		path string
	}{
		{sys.client, "/signup/User"}, {sys.client, "/signup/Verify"}, {sys.client, "/customers/Login"}, {eve.client, "/v1/api/keys/generate"},
		{eve.client, "/customers/UpdateName"}, {boss, "/balance/Increment"}, {boss, "/publicapi/Publish"}, {sys.as(k.Key), "/v1/helloworld/call"},
	} {
		for _, body := range []string{"{", "[]", `"text"`, "nul", "{\"a\":}", `{"a":1}{"b":2}`, "\xff\xfe", `{"\ud800":`, strings.Repeat("[", 20_000), "<xml/>"} {
			inPeace(t, fmt.Sprintf("%s %.40q", c.path, body), c.as.request(t, "POST", c.path, body))
		}
	}
	for path, body := range map[string]string{
		"/signup/User": `{"email":7}`, "/signup/Verify": `{"email":"a@example.com","token":["x"],"secret":{}}`, "/customers/Login": `{"email":true,"password":[]}`,
		"/v1/api/keys/generate": `{"scopes":"*","description":"d"}`, "/balance/Increment": `{"customer_id":1,"delta":"five","reference":"r","idempotency_key":"k"}`,
		"/balance/Decrement": `{"delta":1.5}`, "/balance/Transfer": `{"amount":9223372036854775808}`, "/publicapi/Publish": `{"api":"helloworld"}`,
		"/usage/ListRecords": `{"limit":"many"}`, "/usage/Read": `{"detail":"perhaps"}`, "/publicapi/Update": `{"api":{"name":"helloworld","pricing":{"Helloworld.Call":1e3000}}}`,
	} {
		inPeace(t, path+" "+body, boss.request(t, "POST", path, body))
	}
	inPeace(t, "a name that is a number", sys.as(k.Key).request(t, "POST", "/v1/helloworld/call", `{"name":{"first":"x"}}`))
	for _, expires := range []any{"yesterday", "2001-01-01T00:00:00Z", -5} {
		inPeace(t, fmt.Sprint("expires ", expires), eve.post(t, "/v1/api/keys/generate", map[string]any{"scopes": []string{"*"}, "description": "d", "expires": expires}))
	}
	inPeace(t, "negative rate", eve.post(t, "/v1/api/keys/generate", map[string]any{"scopes": []string{"*"}, "description": "d", "rate": -1}))
}

func largeBodies(t *testing.T, sys *system, eve customer, k key) {
	for path, token := range map[string]string{"/v1/helloworld/call": k.Key, "/customers/UpdateName": eve.token, "/customers/Login": ""} {
		begun := time.Now()
		refused(t, raw(t, sys, path, token, "Content-Length: 1073741824\r\n", func(io.Writer) {}), 413)
		refused(t, raw(t, sys, path, token, "Transfer-Encoding: chunked\r\n", func(w io.Writer) {
			chunk := fmt.Sprintf("%x\r\n%s\r\n", 1<<16, strings.Repeat(" ", 1<<16))
			for range 11 << 4 {
				if _, err := io.WriteString(w, chunk); err != nil {
					return // refused already
				}
			}
			_, _ = io.WriteString(w, "0\r\n\r\n")
		}), 413)
		if took := time.Since(begun); took > 10*time.Second {
			t.Errorf("%s: two large bodies took %v", path, took)
		}
	}
}

// raw makes a request by hand, reading the answer while the body is still being sent.
func raw(t *testing.T, sys *system, path, token, header string, send func(io.Writer)) answer {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(sys.base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	_, _ = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n%s\r\n", path, token, header)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		send(conn)
	}()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%s %q: %v", path, header, err)
	}
	text, _ := io.ReadAll(resp.Body)
	_ = conn.Close()
	<-sent
	return answer{resp.StatusCode, resp.Header, text}
}

func badPaths(t *testing.T, sys *system, boss client, k key) {
	for _, path := range []string{
		"/nope/nothing", "/customers/Nope", "/customers", "/customers/", "/customers/Read/more", "/v1/", "/v1/helloworld", "/v1/helloworld/",
		"/customers/Authenticate", "/customers/Provision", "/balance/Lease", "/balance/CloseLeases", "/usage/Record", "/keys/Lookup", "/emails/Send",
		"/publicapi/Declare", "/publicapi/Snapshot", "/billing/TierOf", "/helloworld/Call", "/gateway/Tidy",
		"/publicapi/openapi/..%2f..%2fetc%2fpasswd", "/publicapi/openapi/%27%20OR%201=1", "/%2e%2e/%2e%2e/etc/passwd", "/v1/..%2fcustomers/list",
		"/v1/helloworld/call%00", "/problems/nope", "/docs/../metrics/x",
	} {
		if a := boss.request(t, "POST", path, "{}"); a.status != 401 || !strings.HasPrefix(path, "/v1/") {
			if a.status != 404 && a.status != 405 {
				t.Errorf("POST %s: %d %.200s", path, a.status, a.body)
			}
			inPeace(t, path, a)
		}
		if a := sys.as(k.Key).request(t, "POST", path, "{}"); strings.HasPrefix(path, "/v1/") && a.status != 404 {
			t.Errorf("POST %s with a key: %d %.200s", path, a.status, a.body)
		}
	}
	for i, trick := range tricks {
		if strings.ContainsAny(trick, "\x00\r") || len(trick) > 1000 {
			continue
		}
		escaped := strings.NewReplacer("%", "%25", "/", "%2F", " ", "%20", "?", "%3F", "\"", "%22", "<", "%3C", ">", "%3E", "{", "%7B", "}", "%7D").Replace(trick)
		for _, path := range []string{"/v1/" + escaped + "/call", "/v1/helloworld/" + escaped, "/publicapi/openapi/" + escaped} {
			a := sys.as(k.Key).request(t, "GET", path, "")
			if a.status != 404 && a.status != 400 {
				t.Errorf("trick %d in %s: %d %.200s", i, path, a.status, a.body)
			}
			inPeace(t, path, a)
		}
	}
}

func badKeys(t *testing.T, sys *system, k key) {
	flipped := []byte(k.Key)
	flipped[20] ^= 1
	for _, bad := range append([]string{
		k.Key[:len(k.Key)-1], k.Key + "x", k.Key[4:], "m3o_", string(flipped), strings.ToUpper(k.Key), strings.Replace(k.Key, "m3o_", "sk_", 1),
		k.Key + " " + k.Key, "m3o_at_" + k.Key[4:], k.ID, "m3o_" + strings.Repeat("0", 36), strings.Repeat("m3o_", 1000), "é" + k.Key, "Bearer " + k.Key,
	}, tricks...) {
		if strings.ContainsAny(bad, "\x00\r") || len(bad) > 8000 {
			continue // no HTTP header can hold it
		}
		a := sys.as(bad).request(t, "POST", "/v1/helloworld/call", "{}")
		if a.status != 401 {
			t.Errorf("%.60q: %d", bad, a.status)
		}
		refusedAs(t, a, 401, "v1", "Unauthorized")
		refused(t, sys.as(bad).request(t, "POST", "/customers/Inspect", "{}"), 401)
	}
}

func trickyFields(t *testing.T, boss client, eve customer) {
	for i, trick := range tricks {
		for path, fields := range map[string][]string{
			"/signup/User": {"email"}, "/signup/Verify": {"email", "token"}, "/signup/ResetPassword": {"email", "token"},
			"/customers/Login": {"refresh_token"}, "/customers/Ban": {"id", "email"}, "/customers/Read": {"id", "email"}, "/v1/api/keys/revoke": {"id"},
			"/v1/BlockKey": {"user_id", "key_id"}, "/publicapi/Get": {"name"}, "/publicapi/Remove": {"name"},
			"/publicapi/explore/API": {"name"}, "/events/Replay": {"id"}, "/billing/SubscribeTier": {"id", "customer_id"},
		} {
			for _, field := range fields {
				in := map[string]any{"password": "a-long-secret-3", "secret": "a-long-secret-3", field: trick}
				a := boss.post(t, path, in)
				if strings.HasPrefix(path, "/v1/api") {
					a = eve.post(t, path, in)
				}
				if a.status == 429 {
					continue // throttled
				}
				inPeace(t, fmt.Sprintf("trick %d in %s %s", i, path, field), a)
			}
		}
		inPeace(t, fmt.Sprintf("scope trick %d", i), eve.post(t, "/v1/api/keys/generate", map[string]any{"scopes": []string{trick}, "description": "d"}))
		inPeace(t, fmt.Sprintf("customer trick %d", i), boss.post(t, "/balance/Increment", moved(trick, 5, "r", fmt.Sprint("trick", i), true)))
	}
}

func badLists(t *testing.T, boss client, eve customer) {
	for _, path := range []string{"/usage/ListRecords", "/balance/ListEntries", "/balance/ListAdjustments", "/customers/List", "/emails/List", "/events/List", "/events/DeadLetters"} {
		c := boss
		if strings.HasPrefix(path, "/usage") || strings.HasPrefix(path, "/balance") {
			c = eve.client
		}
		for _, bad := range []map[string]any{{"limit": 1001}, {"limit": -1}, {"limit": 1 << 40}, {"cursor": "garbage"}, {"cursor": "AAAA"}, {"cursor": strings.Repeat("A", 5000)}, {"cursor": "' OR 1=1"}} {
			a := c.post(t, path, bad)
			if a.status != 400 {
				t.Errorf("%s %.60v: %d %.200s", path, bad, a.status, a.body)
				continue
			}
			refused(t, a, 400)
		}
		if a := c.post(t, path, map[string]any{"limit": 1000}); a.status != 200 {
			t.Errorf("%s with the largest limit: %d", path, a.status)
		}
	}
}

func badMethods(t *testing.T, sys *system, boss client) {
	for _, path := range []string{"/signup/User", "/customers/Login", "/balance/Increment", "/publicapi/Remove", "/customers/Ban"} {
		for _, method := range []string{"GET", "DELETE", "PUT"} {
			a := boss.request(t, method, path, "")
			if a.status != 405 && a.status != 404 {
				t.Errorf("%s %s: %d %.200s", method, path, a.status, a.body)
			}
			inPeace(t, method+" "+path, a)
		}
	}
	if a := sys.request(t, "GET", "/signup/User?email=a%40example.com", ""); a.status == 200 {
		t.Error("a GET signs up")
	}
}
