package bustest

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"m3o/internal/bus"
	"m3o/internal/fault"
)

// routes is which endpoint of a host a request reaches.
func (s suite) routes(t *testing.T) {
	t.Parallel()
	s.story(t, "PreferTheVeryPathThenWhatSaysMore", func(_ *testing.T, b *fixture) {
		b.places("443 GET /{all+}", "443 GET /a/{x}", "443 GET /a/b", "443 GET /{x}/b", "443 GET /a/{x}/{rest+}",
			"443 GET /a/{x}/c", "443 GET /é/{x}", "443 GET /")
		b.wantRoutes(map[string]string{
			"https://one.test/a/b":      "443 GET /a/b",
			"https://one.test/a/%62":    "443 GET /a/b",
			"https://one.test/a/c":      "443 GET /a/{x}",
			"https://one.test/a/":       "443 GET /a/{x}",
			"https://one.test/a/b%2Fc":  "443 GET /a/{x}",
			"https://one.test/a/b/c":    "443 GET /a/{x}/c",
			"https://one.test/a/b/":     "443 GET /a/{x}/{rest+}",
			"https://one.test/a/b/d/e":  "443 GET /a/{x}/{rest+}",
			"https://one.test/c/b":      "443 GET /{x}/b",
			"https://one.test/A/b":      "443 GET /{x}/b",
			"https://one.test/a":        "443 GET /{all+}",
			"https://one.test/c/d":      "443 GET /{all+}",
			"https://one.test/%C3%A9/1": "443 GET /é/{x}",
			"https://one.test/":         "443 GET /",
			"https://one.test":          "443 GET /",
		})
	})
	s.story(t, "PreferThePathToTheMethodAndThatToThePort", func(_ *testing.T, b *fixture) {
		b.places("443 ANY /a", "443 POST /a", "0 GET /a", "0 ANY /{x}", "443 GET /{x}", "0 GET /b", "443 GET /b")
		b.wantRoutes(map[string]string{
			"https://one.test/a":     "0 GET /a",
			"https://one.test/b":     "443 GET /b",
			"https://one.test/c":     "443 GET /{x}",
			"https://one.test:444/b": "0 GET /b",
			"https://one.test:444/c": "0 ANY /{x}",
		})
		for method, want := range map[string]string{"POST": "443 POST /a", "DELETE": "443 ANY /a"} {
			if _, got := b.send(b.t.Context(), method, "https://one.test/a", ""); got != want {
				b.t.Errorf("%s /a reached %q, want %q", method, got, want)
			}
		}
	})
	s.story(t, "GoByThePortOfTheURL", func(_ *testing.T, b *fixture) {
		b.places("443 ANY /", "80 ANY /", "417 ANY /", "0 ANY /any")
		b.wantRoutes(map[string]string{
			"https://one.test/":         "443 ANY /",
			"https://one.test:443/":     "443 ANY /",
			"http://one.test/":          "80 ANY /",
			"https://one.test:417/":     "417 ANY /",
			"http://one.test:417/":      "417 ANY /",
			"https://one.test/any":      "0 ANY /any",
			"https://one.test:9999/any": "0 ANY /any",
			"https://r1.one.test:417/":  "417 ANY /",
		})
		b.wantFault(http.MethodGet, "https://one.test:444/", fault.NotFound, "one.test")
	})
	s.story(t, "AnswerHEADWhereTheyAnswerGET", func(t *testing.T, b *fixture) {
		b.places("443 GET /got", "443 ANY /any", "443 POST /posted", "443 GET /both", "443 HEAD /both")
		for path, want := range map[string]string{"/got": "443 GET /got", "/any": "443 ANY /any", "/both": "443 HEAD /both"} {
			w, r := exchange(t.Context(), http.MethodHead, "https://one.test"+path, "")
			if b.Handler("one.test").ServeHTTP(w, r); w.Header().Get("X-Place") != want {
				t.Errorf("HEAD %s reached %q, want %q", path, w.Header().Get("X-Place"), want)
			}
		}
		b.wantFault(http.MethodHead, "https://one.test/posted", fault.NotFound)
		b.wantText("https://one.test/both", "443 GET /both")
	})
	s.story(t, "ThatAHostDoesNotHaveAreNotFound", func(_ *testing.T, b *fixture) {
		b.places("443 GET /a", "443 GET /a/b/", "443 POST /f/{dir}/{rest+}")
		for _, path := range []string{"/nope", "/A", "/a/", "/a/b", "/a%2Fb/", "/", "", "/f/d/x"} {
			b.wantFault(http.MethodGet, "https://one.test"+path, fault.NotFound, "one.test", strings.ReplaceAll(path, "%2F", "/"))
		}
		b.wantFault(http.MethodPost, "https://one.test/a", fault.NotFound, "one.test", "/a")
		b.wantFault(http.MethodPost, "https://one.test/f/d", fault.NotFound, "one.test", "/f/d")
		b.wantFault(http.MethodGet, "https://one.test:417/a", fault.NotFound, "one.test", "/a")
	})
	s.story(t, "WhereOnlyEventsAreHeardServeNobody", func(_ *testing.T, b *fixture) {
		b.places("417 POST /on-a")
		b.wantFault(http.MethodPost, "https://one.test/a", fault.Unavailable, "one.test")
	})
	s.story(t, "OfWhoOnlyListensDoNotServeTheHost", func(_ *testing.T, b *fixture) {
		b.serve("r1", sink("a", text("a")))
		b.wantFault(http.MethodGet, "https://source.test/", fault.Unavailable, "source.test")
		b.serve("r2", at("source.test", text("source")))
		b.wantFault(http.MethodGet, "https://source.test/nope", fault.NotFound, "source.test", "/nope")
	})
	s.story(t, "HandTheArgumentsOfAPathToTheHandler", func(t *testing.T, b *fixture) {
		const pattern = "/p/{id}/q/{rest+}"
		b.serve("r1", bus.Endpoint{Host: "one.test", Port: 443, Method: http.MethodGet, Path: pattern,
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				args, _ := bus.MatchPath(pattern, r.URL.EscapedPath())
				_, _ = io.WriteString(w, args["id"]+"|"+args["rest"])
			})})
		for _, id := range []string{"a b", "a.b", "..", ".", "", "a/b", "%2F", "ü?#"} {
			path := bus.FillPath(pattern, map[string]string{"id": id, "rest": "x/" + id})
			b.wantText("https://one.test"+path, id+"|x/"+id)
		}
	})
	s.story(t, "OfOneShapeAreOnePlace", func(t *testing.T, b *fixture) {
		for replica, path := range map[string]string{"r1": "/a/{id}", "r2": "/a/{}"} {
			e := at("one.test", text(replica))
			e.Path = path
			b.serve(replica, e)
		}
		wantShared(t, b.spread(100, b.asked("https://one.test/a/7")), 100, "200 r1", "200 r2")
		if n := len(gather(b, b.cast(t.Context(), http.MethodGet, "https://one.test/a/7", ""))); n != 1 {
			t.Errorf("%d replies of one queue, want 1", n)
		}
	})
}

// places serves endpoints of one.test written as "port method path", each of which
// answers with that text.
func (b *fixture) places(written ...string) {
	b.t.Helper()
	var endpoints []bus.Endpoint
	for _, text := range written {
		part := strings.Fields(text)
		port, err := strconv.Atoi(part[0])
		if err != nil {
			b.t.Fatal(err)
		}
		endpoints = append(endpoints, bus.Endpoint{Host: "one.test", Port: port, Method: part[1], Path: part[2], Queue: "one.test",
			Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("X-Place", text)
				_, _ = io.WriteString(w, text)
			})})
	}
	b.serve("r1", endpoints...)
}

// wantRoutes checks which place each URL reaches.
func (b *fixture) wantRoutes(want map[string]string) {
	b.t.Helper()
	for url, place := range want {
		b.wantText(url, place)
	}
}
