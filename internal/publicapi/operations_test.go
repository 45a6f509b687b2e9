package publicapi_test

import (
	"strings"
	"testing"

	"m3o/internal/fault"
	"m3o/internal/publicapi/publicapiapi"
)

// pets is an API at an HTTP server whose operations are of every kind; paths are more
// of them.
func pets(paths ...string) publicapiapi.API {
	return publicapiapi.API{Name: "pets", Target: "https://pets.example.com/v2", OpenAPIJSON: petsDocument("3.0.3", paths...)}
}

func petsDocument(version string, paths ...string) string {
	all := append([]string{
		`"/pets":{"get":{"operationId":"list_pets","security":[{"upstream":[]}],"servers":[{"url":"https://inside.example.com/2"}],"parameters":[{"name":"limit","in":"query","schema":{"type":"integer","maximum":100}}],` + ok + `},
			"post":{"operationId":"Pets.Create","requestBody":{"required":true,"content":{"application/json":{"schema":{"$ref":"#/components/schemas/Pet"}}}},` + ok + `}}`,
		`"/pets/{petId}":{"parameters":[{"name":"petId","in":"path","required":true,"schema":{"type":"integer","example":7}}],
			"get":{` + ok + `},"delete":{"operationId":"pets/remove",` + ok + `},"head":{` + ok + `},"trace":{` + ok + `}}`,
		`"/x":{"post":{` + ok + `}}`,
	}, paths...)
	age, nick := `"minimum":0,"exclusiveMinimum":true`, `"type":"string","nullable":true`
	if version >= "3.1" {
		age, nick = `"exclusiveMinimum":0`, `"type":["string","null"]`
	}
	return `{"openapi":"` + version + `","info":{"title":"Pets","version":"1"},"servers":[{"url":"https://inside.example.com"}],
		"security":[{"upstream":[]}],
		"components":{"securitySchemes":{"upstream":{"type":"apiKey","in":"header","name":"X-Key"}},"schemas":{
			"Pet":{"type":"object","required":["id","name"],"properties":{"id":{"type":"integer","readOnly":true},"name":{"type":"string","minLength":1,"example":"Rex"},
				"nick":{` + nick + `},"age":{"type":"integer",` + age + `},"friend":{"$ref":"#/components/schemas/Pet"}}}}},
		"paths":{` + strings.Join(all, ",") + `}}`
}

const ok = `"responses":{"200":{"description":"OK"}}`

func TestEveryOperationOfAnHTTPServerIsAnEndpoint(t *testing.T) {
	s, h := quick(t)
	api := pets()
	api.Pricing = map[string]publicapiapi.Amount{"GET /pets/{id}": 3, "post /X": 100, "list_pets": 4, "*": 50}
	h.publish(s, api)
	route, _ := h.route(s, "pets")
	var got []string
	for _, e := range route.Endpoints {
		got = append(got, strings.Join([]string{e.Name, e.Alias, e.Method, e.Pattern, e.Path, e.Price.String()}, " "))
	}
	want := []string{
		"Pets.Create  POST /pets /pets $0.000050",
		"Pets.GetPetsPetId  GET /pets/{petId} /pets/{petId} $0.000003",
		"Pets.HeadPetsPetId  HEAD /pets/{petId} /pets/{petId} $0.000050",
		"Pets.List_pets  GET /pets /pets $0.000004",
		"Pets.PetsRemove  DELETE /pets/{petId} /pets/{petId} $0.000050",
		"Pets.PostX Pets.X POST /x /x $0.000100",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("endpoints\n%s", strings.Join(got, "\n"))
	}
}

func TestAnEndpointIsOfOneOperationOnly(t *testing.T) {
	s, h := quick(t)
	for name, c := range map[string]struct{ paths, one, other string }{
		"Names":        {`"/y":{"get":{"operationId":"create",` + ok + `}}`, "POST /pets", "GET /y"},
		"DashesInName": {`"/y":{"get":{"operationId":"Pets.CRE-ATE",` + ok + `}}`, "POST /pets", "GET /y"},
		"Patterns":     {`"/pets/{id}":{"get":{"operationId":"one","parameters":[{"name":"id","in":"path","required":true,"schema":{"type":"string"}}],` + ok + `}}`, "/pets/{id}", "/pets/{petId}"},
		"NameAndPath":  {`"/y":{"post":{"operationId":"x",` + ok + `}}`, "POST /x", "POST /y"},
	} {
		err := s.Publish(h.admin(), pets(c.paths))
		wantFault(t, err, fault.Invalid, "api.open_api_json")
		if detail := fault.From(err).Detail; !strings.Contains(detail, c.one) || !strings.Contains(detail, c.other) {
			t.Errorf("%s: it says %q", name, detail)
		}
	}
}

func TestPathsThatCannotBeCalledAreRefused(t *testing.T) {
	s, h := quick(t)
	for _, path := range []string{"/a/{x}.json", "/a/../b", "/a//b", "/a?b=c", "/a b", "/a/./b", "/ä", "/a%2", "/{x}{y}"} {
		var parameters []string
		for _, name := range []string{"x", "y"} {
			if strings.Contains(path, "{"+name+"}") {
				parameters = append(parameters, `{"name":"`+name+`","in":"path","required":true,"schema":{"type":"string"}}`)
			}
		}
		err := s.Publish(h.admin(), pets(`"`+path+`":{"get":{"parameters":[`+strings.Join(parameters, ",")+`],`+ok+`}}`))
		wantFault(t, err, fault.Invalid, "api.open_api_json")
		if t.Failed() {
			t.Fatal(path)
		}
	}
}

func TestPricesNameAnOperationInManyWays(t *testing.T) {
	s, h := quick(t)
	for key, endpoint := range map[string]string{
		"Pets.Create": "Pets.Create", "create": "Pets.Create", "POST /pets": "Pets.Create", "Pets.X": "Pets.PostX",
		"get /PETS/{anything}": "Pets.GetPetsPetId", "DELETE /pets/{petId}": "Pets.PetsRemove", "PETS.list_Pets": "Pets.List_pets", "x": "Pets.PostX",
	} {
		api := pets()
		api.Pricing = map[string]publicapiapi.Amount{key: 9}
		h.publish(s, api)
		if e := h.endpoint(s, "pets", endpoint); e.Price != 9 {
			t.Errorf("%s is not the price of %s: %+v", key, endpoint, e)
		}
	}
	api := pets()
	api.Pricing = map[string]publicapiapi.Amount{"create": 1, "POST /pets": 2}
	wantFault(t, s.Publish(h.admin(), api), fault.Invalid, "api.pricing.create")
	api.Pricing = map[string]publicapiapi.Amount{"PUT /pets": 2}
	wantFault(t, s.Publish(h.admin(), api), fault.Invalid, "api.pricing.PUT /pets")
}

func TestDocumentsShowTheOperationsAsCallersHaveThem(t *testing.T) {
	s, h := quick(t)
	api := pets()
	api.Pricing = map[string]publicapiapi.Amount{"*": 5}
	h.publish(s, api)
	document, err := s.OpenAPI(t.Context(), "pets")
	text := encoded(t, document)
	if err != nil || !strings.Contains(text, `"/pets/{petId}"`) || !strings.Contains(text, `"x-m3o-endpoint":"Pets.PostX"`) {
		t.Errorf("the document %s, %v", text, err)
	}
	for _, hidden := range []string{"inside.example.com", "X-Key", "upstream", "trace"} {
		if strings.Contains(text, hidden) {
			t.Errorf("the document shows %s", hidden)
		}
	}
	about, shown, err := s.ExploreAPI(t.Context(), "pets")
	if err != nil || about.Endpoints[1] != (publicapiapi.Endpoint{Name: "Pets.GetPetsPetId", Method: "GET", Path: "/v1/pets/pets/{petId}", Price: 5}) {
		t.Errorf("%+v, %v", about, err)
	}
	if shown.OpenAPIJSON != text {
		t.Errorf("explore shows another document: %s", shown.OpenAPIJSON)
	}
	made, err := s.Postman(t.Context(), "pets")
	text = encoded(t, made)
	for _, part := range []string{`"method":"DELETE"`, `{{baseUrl}}/v1/pets/pets/:petId`, `"key":"petId","value":"7"`, `\"name\": \"Rex\"`} {
		if err != nil || !strings.Contains(text, part) {
			t.Errorf("the collection has no %s: %s, %v", part, text, err)
		}
	}
}

func TestAdminsGetTheDocumentAsItWasPublished(t *testing.T) {
	s, h := quick(t)
	h.publish(s, pets())
	if api, err := s.Get(h.admin(), "pets", ""); err != nil || api.OpenAPIJSON != pets().OpenAPIJSON {
		t.Errorf("%s, %v", api.OpenAPIJSON, err)
	}
	if api, err := s.Get(h.customer(), "pets", ""); err != nil || strings.Contains(api.OpenAPIJSON, "inside.example.com") {
		t.Errorf("%s, %v", api.OpenAPIJSON, err)
	}
}

// A row of before has nothing of what is new, and may hold what would be refused now.
func TestWhatWasPublishedBeforeStaysOnSale(t *testing.T) {
	each(t, func(t *testing.T, s publicapiapi.Service, h *house) {
		document := petsDocument("3.0.3", `"/y":{"get":{"operationId":"Pets.X2",`+ok+`}}`, `"/z":{"get":{"operationId":"x2",`+ok+`}}`, `"/a/{b}.json":{"get":{`+ok+`}}`)
		for _, change := range []string{
			`INSERT INTO publicapi (id, name, display_name, description, category, icon, owner_id, open_api, postman, examples,
				pricing, quotas, target, declared, digest, revision, created_at, updated_at)
			VALUES ('api_1', 'pets', 'Pets', '', '', '', 'cus_1', '` + document + `', '', '', '{"x":5}', '{}', 'http://127.0.0.1:9', FALSE, '', 7, 1, 1)`,
			`UPDATE publicapi_version SET version = 7`,
		} {
			if _, err := h.db.Exec(t.Context(), change); err != nil {
				t.Fatal(err)
			}
		}
		route, on := h.route(s, "pets")
		if e := h.endpoint(s, "pets", "Pets.PostX"); !on || e.Price != 5 || e.Alias != "Pets.X" || len(route.Endpoints) != 7 || route.Broken != "" {
			t.Errorf("on sale %t: %+v", on, route)
		}
		if api, err := s.Get(h.admin(), "pets", ""); err != nil || api.Validate != nil || api.Metering != nil || api.Credentials != nil || api.Timeouts != nil {
			t.Errorf("%+v, %v", api, err)
		}
	})
}

func TestAnEndpointsAddressIsWhereCallersHaveIt(t *testing.T) {
	t.Parallel()
	for want, e := range map[string]publicapiapi.EndpointRoute{
		"POST /v1/hello/call":        {Name: "Hello.Call"},
		"GET /v1/hello/pets/{petId}": {Name: "Hello.GetPets", Method: "GET", Pattern: "/pets/{petId}"},
		"POST /v1/hello/withoutADot": {Name: "WithoutADot"},
		"DELETE /v1/hello/":          {Name: "Hello.Delete", Method: "DELETE", Pattern: "/"},
	} {
		if method, path := e.Address("hello"); method+" "+path != want {
			t.Errorf("got %s %s, want %s", method, path, want)
		}
	}
}
