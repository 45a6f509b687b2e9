package model

import (
	"testing"

	"m3o/test/model/thing/thingapi"
)

// texts are those that something on the way might take for something else.
func texts() []string {
	return []string{
		"", " ", "null", "true", "5", "1e3", "-0", `"q"`, `'`, `{"a":1}`, "[1,2]", "[x", "a&b=c d/e%", "a+b", "%2F", "%zz", "100%", "a;b,c", "a#b?c",
		"\x00", "\r\n", "\t", "<&>", "\u2028", "grüße 🎈", "https://a.test/b?c=d", "{foo}", "{s}", "{id}", "{rest+}",
	}
}

// segments are texts beside those that are special in a path.
func segments() []string {
	return append(texts(), "a b", "a.b", ".", "..", "...", "a/b", "/", "//", "a//b", "../a", "./a", "a/.", `a\b`, "~", ":", "@", "*", "-", "_")
}

// typed shows that whatever a typed client is given arrives, wherever it travels.
func (s suite) typed(t *testing.T) {
	s.check(t, "R01/TypedClientAddsTwoNumbers", func(t *testing.T, p *plane) {
		if sum, err := p.client().Add(t.Context(), 1, 2); sum != 3 || err != nil {
			t.Error(sum, err)
		}
	})
	s.check(t, "R05/TypedClientMixesPathAndBody", func(t *testing.T, p *plane) {
		if all, err := p.client().Mixed(t.Context(), "a/b", "two words", 7); all != "a/b two words 7" || err != nil {
			t.Error(all, err)
		}
	})
	s.check(t, "R14/TypedClientFillsAStructByGET", func(t *testing.T, p *plane) {
		person := thingapi.Person{X: 3, Y: 4, Name: "J&J", Tags: []string{"a", "b"}, Home: &thingapi.Home{Street: "S", Number: 1}}
		if d, err := p.client().Distance(t.Context(), person); d != 5 || err != nil {
			t.Error(d, err)
		}
	})
	s.check(t, "R16/TypedClientKeepsAnyText", func(t *testing.T, p *plane) {
		client := p.client()
		for _, text := range texts() {
			if got, err := client.Say(t.Context(), text); got != text || err != nil {
				t.Errorf("GET: %q arrives as %q, %v", text, got, err)
			}
			if got, err := client.SayBody(t.Context(), text); got != text || err != nil {
				t.Errorf("POST: %q arrives as %q, %v", text, got, err)
			}
			if got, err := client.Echo(t.Context(), text); got != text || err != nil {
				t.Errorf("path: %q arrives as %q, %v", text, got, err)
			}
		}
	})
	s.check(t, "R23/TypedClientSendsAWholeBody", func(t *testing.T, p *plane) {
		client := p.client()
		for _, sent := range [][]int{{1, 2}, {1}, {}, nil} {
			got, err := client.Body(t.Context(), sent, 3)
			if err != nil || len(got) != len(sent) || len(got) > 0 && got[0] != 3*sent[0] {
				t.Errorf("%v becomes %v, %v", sent, got, err)
			}
		}
	})
}

// paths shows which arguments a path has, and that a typed client fills them with anything.
func (s suite) paths(t *testing.T) {
	s.check(t, "R17/TypedClientFillsASegmentWithAnyText", func(t *testing.T, p *plane) {
		client := p.client()
		for _, id := range segments() {
			if got, n, err := client.Place(t.Context(), id, 5); got != id || n != 5 || err != nil {
				t.Errorf("%q arrives as %q, %d, %v", id, got, n, err)
			}
		}
	})
	s.check(t, "R21/TypedClientFillsTheRestWithAnyText", func(t *testing.T, p *plane) {
		client := p.client()
		for _, rest := range segments() {
			if dir, got, err := client.File(t.Context(), "d", rest); dir != "d" || got != rest || err != nil {
				t.Errorf("%q arrives as %q in %q, %v", rest, got, dir, err)
			}
			if one, two, err := client.Unnamed(t.Context(), rest, rest); one != rest || two != rest || err != nil {
				t.Errorf("%q arrives as %q and %q, %v", rest, one, two, err)
			}
		}
	})
	const host = "https://thing.test"
	s.exchanges(t, []exchange{
		{"R17/SpacesAndDots", request{"GET", host + "/p/a%20b.c/q/5", "", ""}, `{"gotID":"a b.c","gotN":5}`},
		{"R17/EmptySegment", request{"GET", host + "/p//q/5", "", ""}, `{"gotID":"","gotN":5}`},
		{"R17/EscapedSlash", request{"GET", host + "/p/a%2Fb/q/5", "", ""}, `{"gotID":"a/b","gotN":5}`},
		{"R18/NegativeNumber", request{"GET", host + "/p/a/q/-5", "", ""}, `{"gotID":"a","gotN":-5}`},
		{"R18/TimeAndDuration", request{"GET", host + "/moments/2026-01-02T03:04:05+01:00/1m30s/AP8=", "", ""}, `{"gotAt":"2026-01-02T03:04:05+01:00","gotSpan":90000000000,"gotRaw":"AP8="}`},
		{"R20/TheRestHasSlashes", request{"GET", host + "/f/d/a/b%20c", "", ""}, `{"gotDir":"d","gotRest":"a/b c"}`},
		{"R20/TheRestMayBeEmpty", request{"GET", host + "/f/d/", "", ""}, `{"gotDir":"d","gotRest":""}`},
		{"R20/TheRestMayEndInASlash", request{"GET", host + "/f/d/a/", "", ""}, `{"gotDir":"d","gotRest":"a/"}`},
		{"R21/TheSegmentBeforeMayBeEmpty", request{"GET", host + "/f//a", "", ""}, `{"gotDir":"","gotRest":"a"}`},
		{"R22/UnnamedArguments", request{"GET", host + "/u/A/x/B/C", "", ""}, `{"one":"A","two":"B/C"}`},
	})
	for name, path := range map[string]string{
		"R20/TheRestIsAtLeastASlash": "/f/d", "R20/ASegmentIsOne": "/p/a/b/q/5", "R22/LiteralSegmentsMatter": "/u/A/y/B", "R20/ATrailingSlashIsAnotherSegment": "/p/a/q/5/",
	} {
		s.check(t, name, func(t *testing.T, p *plane) {
			p.thing()
			if w := p.send(request{"GET", host + path, "", ""}); w.Code != 404 {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
		})
	}
}
