package web_test

import (
	"bytes"
	"crypto/rand"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"m3o/internal/web"
)

func TestEveryAnswerCarriesANewRequestID(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	ids := map[string]bool{}
	for _, path := range []string{"/", "/nowhere", "/sample/open", "/sample/rule", "/v1/a/b", "/healthz", "/docs"} {
		resp, text := e.do("GET", path, "", "M3O-Request-Id: mine")
		requestID := resp.Header.Get("M3O-Request-Id")
		if !strings.HasPrefix(requestID, "req_") || ids[requestID] {
			t.Errorf("%s: request id %q", path, requestID)
		}
		ids[requestID] = true
		if resp.StatusCode >= 400 && !strings.Contains(text, `"instance":"`+requestID+`"`) {
			t.Errorf("%s: the problem does not name its request: %s", path, text)
		}
	}
}

func TestAccessLogHasALineARequestAndNoSecrets(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	resp, _ := e.do("POST", "/sample/ListThings?token=hush", `{"password":"hush"}`, "Authorization: Bearer customer")
	line := e.lines("request", 1)[0]
	for name, want := range map[string]any{
		"method": "POST", "route": "/sample/list-things", "status": 200.0, "customer": "cus_1", "request": resp.Header.Get("M3O-Request-Id"),
	} {
		if line[name] != want {
			t.Errorf("%s is %v, want %v", name, line[name], want)
		}
	}
	if text := e.log.String(); strings.Contains(text, "hush") || strings.Contains(text, "Bearer") {
		t.Errorf("the log tells secrets: %s", text)
	}
}

func TestPanicIsAProblemAndLoggedOnceWithItsStack(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	resp, text := e.do("POST", "/sample/open", "panic")
	if resp.StatusCode != 500 || strings.Contains(text, "secret") || !strings.Contains(text, "internal error") {
		t.Errorf("%d %s", resp.StatusCode, text)
	}
	e.lines("request", 1)
	if line := e.lines("panic", 1); len(line) != 1 || !strings.Contains(line[0]["stack"].(string), "web_test") {
		t.Errorf("logged %v", line)
	}
	if strings.Contains(e.log.String(), `"msg":"internal error"`) {
		t.Error("logged twice")
	}
}

func TestPanicAfterTheAnswerHasBegunBreaksTheConnection(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	resp, err := e.http.Client().Post(e.http.URL+"/sample/open", "application/json", strings.NewReader("panic late"))
	if err != nil {
		return // cut before the first byte went out
	}
	defer func() { _ = resp.Body.Close() }()
	if text, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("the caller takes %q for a whole answer", text)
	}
}

func TestClientIsThePeerUnlessATrustedProxySaysMore(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*web.Config)
		header []string
		want   string
	}{
		"NoProxy":         {nil, []string{"X-Forwarded-For: 1.2.3.4"}, "127.0.0.1"},
		"Proxy":           {proxies("127.0.0.0/8"), []string{"X-Forwarded-For: 1.2.3.4"}, "1.2.3.4"},
		"ForgedHop":       {proxies("127.0.0.0/8"), []string{"X-Forwarded-For: 6.6.6.6, 1.2.3.4"}, "1.2.3.4"},
		"TwoProxies":      {proxies("127.0.0.0/8", "10.0.0.0/8"), []string{"X-Forwarded-For: 1.2.3.4, 10.1.1.1"}, "1.2.3.4"},
		"TwoHeaders":      {proxies("127.0.0.0/8"), []string{"X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 1.2.3.4"}, "1.2.3.4"},
		"Nonsense":        {proxies("127.0.0.0/8"), []string{"X-Forwarded-For: 1.2.3.4, nonsense"}, "127.0.0.1"},
		"NoHeader":        {proxies("127.0.0.0/8"), nil, "127.0.0.1"},
		"IPv6":            {proxies("127.0.0.0/8"), []string{"X-Forwarded-For: 2001:db8::1"}, "2001:db8::1"},
		"UntrustedPeer":   {proxies("10.0.0.0/8"), []string{"X-Forwarded-For: 1.2.3.4"}, "127.0.0.1"},
		"OnlyProxiesSeen": {proxies("127.0.0.0/8", "10.0.0.0/8"), []string{"X-Forwarded-For: 10.1.1.1"}, "10.1.1.1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := setup(t, c.change).arrived("POST", "/sample/open", "{}", c.header...); got.Client != c.want {
				t.Errorf("client is %q, want %q", got.Client, c.want)
			}
		})
	}
}

// TestBodyLimit is check R85 for what comes in.
func TestBodyLimit(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	t.Run("TakesTheLimit", func(t *testing.T) {
		for _, chunked := range []bool{false, true} {
			if resp := e.upload(1000, chunked); resp.StatusCode != 200 {
				t.Errorf("chunked %v: %d", chunked, resp.StatusCode)
			}
		}
	})
	t.Run("RefusesOneMore", func(t *testing.T) {
		for _, chunked := range []bool{false, true} {
			if resp := e.upload(1001, chunked); resp.StatusCode != 413 {
				t.Errorf("chunked %v: %d", chunked, resp.StatusCode)
			}
		}
	})
	t.Run("RefusesAStatedLengthUnread", func(t *testing.T) {
		body := &counter{Reader: rand.Reader}
		r, err := http.NewRequestWithContext(t.Context(), "POST", e.http.URL+"/v1/a/b", body)
		if err != nil {
			t.Fatal(err)
		}
		r.ContentLength = 1 << 30
		if resp, text := e.send(r); resp.StatusCode != 413 || !strings.Contains(text, "1000 bytes") || body.n.Load() > 64<<20 {
			t.Errorf("%d %s after %d bytes", resp.StatusCode, text, body.n.Load())
		}
	})
}

type counter struct {
	io.Reader
	n atomic.Int64 // the client may still be reading when the answer is there
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n.Add(int64(n))
	return n, err
}

func (e *edge) upload(size int, chunked bool) *http.Response {
	e.t.Helper()
	var body io.Reader = bytes.NewReader(bytes.Repeat([]byte("x"), size))
	if chunked {
		body = io.MultiReader(body)
	}
	r, err := http.NewRequestWithContext(e.t.Context(), "POST", e.http.URL+"/sample/open", body)
	if err != nil {
		e.t.Fatal(err)
	}
	resp, _ := e.send(r)
	return resp
}

func TestMetricsCountByClassAndStatus(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	e.do("POST", "/v1/a/b", "{}")
	e.do("POST", "/sample/rule", "{}")
	e.do("GET", "/nowhere", "")
	e.lines("request", 3)
	_, text := e.do("GET", "/metrics", "")
	for _, want := range []string{
		`m3o_http_requests_total{class="gateway",status="200"} 1`, `m3o_http_requests_total{class="function",status="401"} 1`,
		`m3o_http_requests_total{class="none",status="404"} 1`, `m3o_http_request_seconds_count{class="gateway"} 1`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
}

func TestAccessLogCanBeSampledButNotWhereSomethingFailed(t *testing.T) {
	t.Parallel()
	e := setup(t, func(c *web.Config) { c.LogEvery = 10 })
	for range 20 {
		e.do("GET", "/docs", "")
		e.do("GET", "/billing", "")
		e.do("GET", "/nowhere", "")
	}
	e.lines("request", 24)
	count := func(part string) int { return strings.Count(e.log.String(), part) }
	if got := count(`"status":200`); got != 4 {
		t.Errorf("%d of 40 requests that succeeded are in the log, want every tenth", got)
	}
	if got := count(`"status":404`); got != 20 {
		t.Errorf("%d of 20 requests that failed are in the log", got)
	}
}
