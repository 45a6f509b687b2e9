package gateway

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"m3o/internal/publicapi/publicapiapi"
)

// FuzzChecks holds that no body makes looking at it fail, and that a refusal says why.
func FuzzChecks(f *testing.F) {
	c, err := compile(publicapiapi.Checks{Body: `{"type":"object","properties":{"n":{"type":"integer","minimum":1,"multipleOf":3},"t":{"pattern":"^a+$","minLength":2},
		"l":{"items":{"$ref":"#"},"uniqueItems":true},"x":{"oneOf":[{"type":"string"},{"enum":[1,null]}]}},"required":["n"],"unevaluatedProperties":false}`})
	if err != nil {
		f.Fatal(err)
	}
	for _, text := range []string{`{}`, `{"n":1e999}`, `{"n":-0.3e-99,"t":"b"}`, `{"l":[{"n":1},{"n":1}]}`, `[`, `{"x":[{}],"é":"\u0000"}`, `1e1e1`, `"\"1e9999`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var wrong complaints
		wrong.text(c.body, "body", text)
		for _, field := range wrong {
			if field.Name == "" && !strings.Contains(string(text), `""`) || field.Detail == "" {
				t.Errorf("%q: %+v", text, wrong)
			}
		}
	})
}

// FuzzFind holds that what a path has for a parameter is one segment which leads
// nowhere else.
func FuzzFind(f *testing.F) {
	c, err := newCatalogue(publicapiapi.Catalogue{APIs: []publicapiapi.Route{{Name: "a", Endpoints: []publicapiapi.EndpointRoute{
		{Name: "A.One", Method: "GET", Pattern: "/x/{id}", Path: "/x/{id}"}, {Name: "A.Two", Method: "GET", Pattern: "/x/{id}/y/{other}", Path: "/{other}/{id}"},
	}}}}, func(publicapiapi.Route) target { return missingTarget{} }, &catalogue{})
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range []string{"/v1/a/x/1", "/v1/a/x/%2e%2E/y/..", "/v1/a/x/%2F/y/%", "/v1/A//x", "/v1/a/x/%25%32%65"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		u, err := url.ParseRequestURI(path)
		if err != nil {
			return
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.URL = u
		for _, value := range c.find(r).values {
			plain, err := url.PathUnescape(value)
			if err != nil || plain == "" || plain == "." || plain == ".." || strings.Contains(value, "/") {
				t.Errorf("%s: a parameter is %q", path, value)
			}
		}
	})
}
