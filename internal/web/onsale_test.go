package web_test

import (
	"context"
	"encoding/json"
	"testing"

	"m3o/internal/web"
)

func TestTheReferenceShowsEndpointsWherePatternsPutThem(t *testing.T) {
	t.Parallel()
	pets := web.API{
		Name: "pets", Document: []byte(`{"openapi":"3.1.0","info":{"title":"Pets","version":"1"},"paths":{
			"/pets/{petId}":{"get":{"responses":{"200":{"description":"OK"}}}},
			"/secret/{x}":{"get":{"responses":{"200":{"description":"OK"}}}}}}`),
		Endpoints: []web.Endpoint{{Name: "Pets.GetPet", Method: "GET", Path: "/v1/pets/pets/{petId}", Price: 10}},
	}
	e := setup(t, func(c *web.Config) {
		c.Catalogue = func(context.Context) (web.Catalogue, error) {
			return web.Catalogue{Version: 1, APIs: []web.API{pets}}, nil
		}
	})
	_, text := e.do("GET", "/openapi.json", "")
	var doc struct{ Paths map[string]map[string]any }
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Paths["/v1/pets/pets/{petId}"]["get"] == nil {
		t.Errorf("the endpoint is not in the reference: %v", doc.Paths)
	}
	for path := range doc.Paths {
		if path == "/secret/{x}" || path == "/v1/pets/secret/{x}" {
			t.Errorf("%s is not on sale", path)
		}
	}
}
