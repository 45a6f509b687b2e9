package web_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"m3o/internal/problem"
)

// forged is what a stranger may send to look like one of the house.
var forged = []string{
	"M3O-Call-Depth: 1", "M3O-Clock-Shift: 1h", "M3O-Customer-Id: cus_9", "M3O-Key-Id: key_9", "M3O-Request-Id: mine", "m3o_call_depth: 1",
	"X-Forwarded-For: 127.0.0.1", "X-Forwarded-Host: internal.test", "X-Forwarded-Proto: https", "X-Forwarded-Prefix: /admin",
	"X-Forwarded-Port: 1", "Forwarded: for=127.0.0.1", "X-Real-Ip: 127.0.0.1",
}

func TestRequestsLoseWhatOnlyTheHouseMaySay(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	kept := []string{"Baggage: a=1", "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "Tracestate: a=b", "Accept-Language: fr", "Micro-Namespace: x", "X-Mine: 1"}
	got := e.arrived("POST", "/Sample:443/open", "{}", append(forged, kept...)...)
	for name := range got.Header {
		if strings.HasPrefix(strings.ToLower(name), "m3o") {
			t.Errorf("%s came through", name)
		}
	}
	for _, line := range kept {
		if name, value, _ := strings.Cut(line, ": "); got.Header.Get(name) != value {
			t.Errorf("%s is %q, want %q", name, got.Header.Get(name), value)
		}
	}
	host := strings.TrimPrefix(e.http.URL, "http://")
	for name, want := range map[string]string{
		"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": host, "X-Forwarded-Proto": "http", "X-Forwarded-Prefix": "/Sample:443",
		"X-Forwarded-Port": "", "Forwarded": "", "X-Real-Ip": "",
	} {
		if got.Header.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, got.Header.Get(name), want)
		}
	}
	if got := e.arrived("POST", "/v1/a/b", "{}", forged...); got.Header.Get("M3O-Customer-Id") != "" || got.Header.Get("X-Forwarded-Host") != "" {
		t.Errorf("the gateway was told %v", got.Header)
	}
}

func TestAProxyOfOursIsBelieved(t *testing.T) {
	t.Parallel()
	e := setup(t, proxies("127.0.0.0/8"))
	got := e.arrived("POST", "/sample/open", "{}", "X-Forwarded-For: 6.6.6.6, 1.2.3.4", "X-Forwarded-Host: m3o.example", "X-Forwarded-Proto: https", "X-Forwarded-Prefix: /api", "M3O-Call-Depth: 1")
	for name, want := range map[string]string{
		"X-Forwarded-For": "1.2.3.4", "X-Forwarded-Host": "m3o.example", "X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/api/sample", "M3O-Call-Depth": "",
	} {
		if got.Header.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, got.Header.Get(name), want)
		}
	}
}

// TestNoHeaderMakesAnAnswerTellWhatIsInternal is check R83.
func TestNoHeaderMakesAnAnswerTellWhatIsInternal(t *testing.T) {
	t.Parallel()
	fail := answering("/fail", func(w http.ResponseWriter, r *http.Request) { problem.Write(w, r, errors.New("secret reason")) })
	for name, change := range map[string][]string{"NoProxy": nil, "BehindAProxy": {"127.0.0.0/8"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := setup(t, all(fail, proxies(change...)))
			for _, header := range append([]string{strings.Join(forged, "\n")}, forged...) {
				resp, text := e.do("POST", "/sample/fail", "{}", strings.Split(header, "\n")...)
				if resp.StatusCode != 500 || !strings.Contains(text, `"detail":"internal error"`) || strings.Contains(text, "secret") || strings.Contains(text, ".go") || strings.Contains(text, "trace") {
					t.Errorf("%s: %d %s", header, resp.StatusCode, text)
				}
			}
		})
	}
}

func TestAnswersLoseWhatTheHouseSaysToItself(t *testing.T) {
	t.Parallel()
	e := setup(t, all(
		answering("/begun", func(w http.ResponseWriter, r *http.Request) {
			say(w.Header())
			_, _ = w.Write([]byte(r.Header.Get("X")))
		}),
		also(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { say(w.Header()) }), at("sample", 443, "/empty")),
		also(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			say(w.Header())
			w.Header().Set("Content-Encoding", "br")
			panic("late")
		}), at("sample", 443, "/panic")),
	))
	for path, status := range map[string]int{"/sample/begun": 200, "/sample/empty": 200, "/sample/panic": 500} {
		resp, _ := e.do("POST", path, "{}")
		for name := range resp.Header {
			if strings.HasPrefix(strings.ToLower(name), "m3o") && name != "M3o-Request-Id" && name != "M3o-Price" {
				t.Errorf("%s: %s came out", path, name)
			}
		}
		if ids := resp.Header.Values("M3O-Request-Id"); resp.StatusCode != status || len(ids) != 1 || !strings.HasPrefix(ids[0], "req_") {
			t.Errorf("%s: %d, request id %q", path, resp.StatusCode, ids)
		}
		if resp.Header.Get("Content-Encoding") != "" || resp.Header.Get("M3O-Price") != "7" || resp.Header.Get("X-Mine") != "1" {
			t.Errorf("%s: %v", path, resp.Header)
		}
	}
}

// say is what services may put into an answer.
func say(h http.Header) {
	h.Set("M3O-Call-Depth", "3")
	h.Set("M3O-Queue", "sample")
	h["m3o_from"] = []string{"sample"}
	h.Set("M3O-Request-Id", "forged")
	h.Set("M3O-Price", "7")
	h.Set("X-Mine", "1")
}

func TestAnswersAreNotStoredUnlessTheySaySo(t *testing.T) {
	t.Parallel()
	e := setup(t, answering("/cached", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Cache-Control", "max-age=60") }))
	for path, want := range map[string]string{"/sample/open": "no-store", "/sample/cached": "max-age=60", "/nowhere": "no-store", "/assets/style.css": "public, max-age=3600"} {
		if resp, _ := e.do("GET", path, ""); resp.Header.Get("Cache-Control") != want {
			t.Errorf("%s: %q, want %q", path, resp.Header.Get("Cache-Control"), want)
		}
	}
}
