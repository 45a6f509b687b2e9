package gateway_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"m3o/internal/db/dbtest"
	"m3o/internal/publicapi/publicapiapi"
)

const (
	petBody = `{"type":"object","required":["name"],"additionalProperties":false,"properties":{
		"name":{"type":"string","maxLength":5},"age":{"type":"integer","minimum":0},"tags":{"type":"array","items":{"$ref":"#/$defs/tag"}},
		"kind":{"anyOf":[{"const":"cat"},{"const":"dog"}]}},"$defs":{"tag":{"type":"object","required":["id"],"properties":{"id":{"type":"integer"}}}}}`
	petQuery = `{"type":"object","properties":{"limit":{"type":"integer","maximum":10},"tag":{"type":"array","maxItems":2}}}`
	petPath  = `{"type":"object","properties":{"id":{"type":"integer"}}}`
)

// sellPets puts PUT /pets/{id} of an HTTP server and /v1/check/pet of a service on
// sale, both with checks, and says how often they were called.
func (s *door) sellPets() (called *int, body *string) {
	called, body = new(int), new(string)
	h := func(w http.ResponseWriter, r *http.Request) {
		*called++
		text, _ := io.ReadAll(r.Body)
		*body = r.Method + " " + r.URL.RequestURI() + " " + string(text)
	}
	s.answer(h)
	up := httptest.NewServer(http.HandlerFunc(h))
	s.t.Cleanup(up.Close)
	schema := publicapiapi.Schema{"id": "integer", "limit": "integer", "tag": "array", "age": "integer", "name": "string"}
	s.publish(publicapiapi.Route{Name: "pets", Target: up.URL + "/base", Endpoints: []publicapiapi.EndpointRoute{{
		Name: "Pets.Put", Method: "PUT", Pattern: "/pets/{id}", Path: "/pets/{id}", Price: 10, Schema: schema,
		Checks: &publicapiapi.Checks{Body: petBody, Required: true, Query: petQuery, Path: petPath},
	}}})
	s.publish(publicapiapi.Route{Name: "check", Target: "service:demo", Endpoints: []publicapiapi.EndpointRoute{{
		Name: "Check.Pet", Path: "/pet", Price: 10, Schema: schema, Checks: &publicapiapi.Checks{Body: petBody},
	}}})
	return called, body
}

func (s *door) request(key, method, path, kind, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(s.t.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+key)
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	return s.do(r)
}

func TestARequestIsHeldToItsChecks(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	s.credit(10)
	key := s.key(nil)
	called, _ := s.sellPets()
	long := `{"name":"` + strings.Repeat("x", 1000) + `"}`
	for _, test := range []struct{ method, path, kind, body, fields string }{
		{"PUT", "/v1/pets/pets/7", "application/json", `{}`, "name"},
		{"PUT", "/v1/pets/pets/7", "", `{"name":"ada","age":-1}`, "age"},
		{"PUT", "/v1/pets/pets/7", "", `{"name":1,"color":"red"}`, "color name"},
		{"PUT", "/v1/pets/pets/7", "", `{"name":"ada","tags":[{"id":1},{},{"id":"x"}]}`, "tags.1.id tags.2.id"},
		{"PUT", "/v1/pets/pets/7", "", `{"name":"ada","kind":"cow"}`, "kind"},
		{"PUT", "/v1/pets/pets/7", "application/merge+json; charset=utf-8", `[]`, "body"},
		{"PUT", "/v1/pets/pets/7", "", `{"name"`, "body"},
		{"PUT", "/v1/pets/pets/7", "", ``, "body"},
		{"PUT", "/v1/pets/pets/7", "", long, "name"},
		{"PUT", "/v1/pets/pets/seven?limit=11&tag=a&tag=b&tag=c", "", `{"name":"ada"}`, "id limit tag"},
		{"PUT", "/v1/pets/pets/7?limit=many", "", `{"name":"ada"}`, "limit"},
		{"PUT", "/v1/pets/pets/7", "", `{"name":"ada","age":1e999999999}`, "body"},
		{"PUT", "/v1/pets/pets/7", "", `{"name":"ada","age":` + strings.Repeat("9", 5000) + `}`, "body"},
		{"PUT", "/v1/pets/pets/7", "", `{"name":"ada","tags":[` + strings.Repeat("1,", 200_000) + `1]}`, "body"},
		{"PUT", "/v1/pets/pets/7", "", `{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"j":1,"k":1}`, "a b c d e f g h i j"},
		{"POST", "/v1/check/pet", "", `{}`, "name"},
		{"GET", "/v1/check/pet?age=-2", "", ``, "age name"},
		{"POST", "/v1/check/pet", "application/x-www-form-urlencoded", `age=x&name=ada`, "age"},
	} {
		w := s.request(key, test.method, test.path, test.kind, test.body)
		var problem struct {
			ID     string
			Errors []struct{ Name, Detail string }
		}
		if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil {
			t.Fatalf("%s: %s", w.Body, err)
		}
		var names []string
		for _, field := range problem.Errors {
			names = append(names, field.Name)
			if field.Detail == "" || len(field.Detail) > 250 {
				t.Errorf("%s: the detail %q", field.Name, field.Detail)
			}
		}
		if got := strings.Join(names, " "); w.Code != 400 || problem.ID != "v1" || got != test.fields {
			t.Errorf("%s %s %.100s: %d %q, want %q; %.300s", test.method, test.path, test.body, w.Code, got, test.fields, w.Body)
		}
	}
	s.wantBalance(10)
	if *called != 0 {
		t.Errorf("the targets were called %d times", *called)
	}
}

func TestAGoodRequestPassesItsChecksUnchanged(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	s.credit(100)
	key := s.key(nil)
	_, got := s.sellPets()
	for _, test := range []struct{ method, path, kind, body, want string }{
		{"PUT", "/v1/pets/pets/7?limit=3&tag=a", "application/json", `{ "name" : "ada" }`, `PUT /base/pets/7?limit=3&tag=a { "name" : "ada" }`},
		{"PUT", "/v1/pets/pets/7", "text/plain", `not JSON`, `PUT /base/pets/7 not JSON`},
		{"GET", "/v1/check/pet?age=2&name=ada", "", ``, `POST /pet {"age":2,"name":"ada"}`},
		{"POST", "/v1/check/pet", "", ``, `POST /pet `},
	} {
		if w := s.request(key, test.method, test.path, test.kind, test.body); w.Code != 200 || *got != test.want {
			t.Errorf("%s %s: %d %s, the target got %s, want %s", test.method, test.path, w.Code, w.Body, *got, test.want)
		}
	}
	s.wantBalance(60)
}

func TestAnInvalidRequestCountsTowardsTheRate(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	s.set(func() { s.tier.Rate = 2 })
	key := s.key(nil)
	s.sellPets()
	want(t, s.request(key, "PUT", "/v1/pets/pets/7", "", `{"name":1}`), 400, "v1", "name: got number, want string")
	want(t, s.request(key, "PUT", "/v1/pets/pets/x", "", `{"name":"ada"}`), 400, "v1", "id: got string, want integer")
	want(t, s.request(key, "PUT", "/v1/pets/pets/7", "", `{}`), 429, "v1.blocked", "Too Many Requests")
}

func TestABodyOverTheLimitIsNotLookedAt(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	key := s.key(nil)
	s.sellPets()
	want(t, s.request(key, "PUT", "/v1/pets/pets/7", "", strings.Repeat(" ", 10<<20+1)), 413, "v1", "The request body is larger than 10485760 bytes")
}

func TestWhatCannotBeCheckedIsNotServed(t *testing.T) {
	t.Parallel()
	s := newDoor(t, dbtest.SQLite(t))
	key := s.key(nil)
	for name, text := range map[string]string{"nojson": "{", "noschema": `{"type":"thing"}`, "outside": `{"$ref":"https://example.com/x.json"}`, "file": `{"$ref":"file:///etc/passwd"}`} {
		s.publish(publicapiapi.Route{Name: name, Target: "service:demo", Endpoints: []publicapiapi.EndpointRoute{{Name: name + ".Call", Path: "/x", Checks: &publicapiapi.Checks{Body: text}}}})
		want(t, s.call(key, "/v1/"+name+"/call", "{}"), 503, "v1", "The service is not available, try again in a moment")
	}
	want(t, s.call(key, "/v1/demo/free", "{}"), 200, "", "")
}

func TestEachMessageOfASocketIsHeldToTheChecks(t *testing.T) {
	t.Parallel()
	p := newPort(t)
	p.credit(100)
	key := p.key(nil)
	_, got := p.sellPets()
	c := p.open(key, "/v1/check/pet")
	c.say(`{}`)
	c.hearsProblem(400, "v1", "name: is missing")
	c.say(`{"name":"ada"}`)
	c.hears("")
	if *got != `POST /pet {"name":"ada"}` {
		t.Errorf("the target got %s", *got)
	}
	p.wantBalance(90)
}
