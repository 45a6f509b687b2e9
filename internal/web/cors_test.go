package web_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"m3o/internal/web"
)

func TestCORS(t *testing.T) {
	t.Parallel()
	preflight := []string{"Origin: https://app.example", "Access-Control-Request-Method: POST"}
	t.Run("NobodyByDefault", func(t *testing.T) {
		t.Parallel()
		e := setup(t, nil)
		resp, _ := e.do("OPTIONS", "/sample/open", "", preflight...)
		if got := resp.Header.Get("Access-Control-Allow-Origin"); got != "" {
			t.Errorf("allows %q", got)
		}
	})
	t.Run("ListedOrigin", func(t *testing.T) {
		t.Parallel()
		e := setup(t, func(c *web.Config) { c.Origins = []string{"https://app.example"} })
		resp, _ := e.do("OPTIONS", "/v1/a/b", "", preflight...)
		if resp.StatusCode != 204 || resp.Header.Get("Access-Control-Allow-Origin") != "https://app.example" ||
			!strings.Contains(resp.Header.Get("Access-Control-Allow-Headers"), "Authorization") {
			t.Errorf("preflight: %d %v", resp.StatusCode, resp.Header)
		}
		resp, _ = e.do("POST", "/sample/open", "{}", preflight[0])
		if resp.Header.Get("Access-Control-Allow-Origin") == "" || !strings.Contains(resp.Header.Get("Access-Control-Expose-Headers"), "M3O-Price") {
			t.Errorf("answer: %v", resp.Header)
		}
		resp, _ = e.do("POST", "/sample/open", "{}", "Origin: https://evil.example")
		if resp.Header.Get("Access-Control-Allow-Origin") != "" || resp.Header.Get("Vary") != "Origin" {
			t.Errorf("another origin: %v", resp.Header)
		}
	})
}

// TestCORSRefusesPagesThatAreNotListed is check R82.
func TestCORSRefusesPagesThatAreNotListed(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	count := func(http.ResponseWriter, *http.Request) { calls.Add(1) }
	e := setup(t, all(answering("/counted", count), func(c *web.Config) { c.Origins = []string{"https://app.example", "https://other.example"} }))
	for _, method := range []string{"GET", "POST", "OPTIONS"} {
		for _, origin := range []string{"https://evil.example", "https://app.example.evil", "http://app.example", "null"} {
			resp, text := e.do(method, "/sample/counted", "", "Origin: "+origin, "Access-Control-Request-Method: POST")
			if resp.StatusCode != 403 || resp.Header.Get("Access-Control-Allow-Origin") != "" || !strings.Contains(text, `"code":403`) {
				t.Errorf("%s from %s: %d %v %s", method, origin, resp.StatusCode, resp.Header, text)
			}
		}
	}
	if resp, _ := e.do("OPTIONS", "/sample/counted", "", "Origin: https://app.example"); resp.StatusCode != 204 || resp.Header.Get("Access-Control-Allow-Origin") != "https://app.example" {
		t.Errorf("OPTIONS of a listed page: %d %v", resp.StatusCode, resp.Header)
	}
	if calls.Load() != 0 {
		t.Fatalf("the service was called %d times", calls.Load())
	}
	if resp, _ := e.do("POST", "/sample/counted", "", "Origin: https://other.example"); resp.StatusCode != 200 || resp.Header.Get("Access-Control-Allow-Origin") != "https://other.example" || calls.Load() != 1 {
		t.Errorf("a listed page: %d %v", resp.StatusCode, resp.Header)
	}
}

// TestCORSLetsOurOwnPagesCall is R82 for the pages that we serve ourselves.
func TestCORSLetsOurOwnPagesCall(t *testing.T) {
	t.Parallel()
	e := setup(t, func(c *web.Config) { c.Origins = []string{"https://app.example"} })
	for _, origin := range []string{e.http.URL, strings.Replace(e.http.URL, "http:", "https:", 1)} {
		if resp, text := e.do("POST", "/sample/open", "{}", "Origin: "+origin); resp.StatusCode != 200 {
			t.Errorf("%s: %d %s", origin, resp.StatusCode, text)
		}
	}
	if resp, _ := e.do("POST", "/sample/open", "{}"); resp.StatusCode != 200 || resp.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("no page at all: %d %v", resp.StatusCode, resp.Header)
	}
}

// TestCORSGivesCredentialsToListedNamesOnly is R82 for credentials.
func TestCORSGivesCredentialsToListedNamesOnly(t *testing.T) {
	t.Parallel()
	e := setup(t, func(c *web.Config) { c.Origins = []string{"*", "https://app.example"} })
	for origin, credentials := range map[string]string{"https://app.example": "true", "https://any.example": ""} {
		for _, method := range []string{"POST", "OPTIONS"} {
			resp, _ := e.do(method, "/sample/open", "{}", "Origin: "+origin, "Access-Control-Request-Method: POST")
			if resp.Header.Get("Access-Control-Allow-Origin") != origin || resp.Header.Get("Access-Control-Allow-Credentials") != credentials {
				t.Errorf("%s from %s: %v", method, origin, resp.Header)
			}
		}
	}
}

func TestCORSRefusesNobodyWhileNothingIsListed(t *testing.T) {
	t.Parallel()
	e := setup(t, nil)
	if resp, text := e.do("POST", "/sample/open", "{}", "Origin: https://evil.example"); resp.StatusCode != 200 || resp.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%d %v %s", resp.StatusCode, resp.Header, text)
	}
}
