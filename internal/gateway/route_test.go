package gateway

import (
	"net/http/httptest"
	"strings"
	"testing"

	"m3o/internal/publicapi/publicapiapi"
)

// sold is a catalogue of one API with these endpoints, each as "Name METHOD /pattern",
// and an alias behind it.
func sold(t *testing.T, endpoints ...string) *catalogue {
	t.Helper()
	route := publicapiapi.Route{Name: "pet-shop"}
	for _, text := range endpoints {
		words := strings.Fields(text)
		e := publicapiapi.EndpointRoute{Name: "Shop." + words[0], Path: "/" + words[0]}
		if len(words) > 2 {
			e.Method, e.Pattern, e.Path = words[1], words[2], "/up"+words[2]
		}
		if len(words) > 3 {
			e.Alias = "Shop." + words[3]
		}
		route.Endpoints = append(route.Endpoints, e)
	}
	c, err := newCatalogue(publicapiapi.Catalogue{APIs: []publicapiapi.Route{route}}, func(publicapiapi.Route) target { return missingTarget{} }, &catalogue{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestRoutesByMethodAndPatternThenNameThenAlias(t *testing.T) {
	t.Parallel()
	c := sold(t,
		"ListPets GET /pets Pets", "CreatePet POST /pets", "NewPet GET /pets/new", "ReadPet GET /pets/{id}", "DropPet DELETE /pets/{id}",
		"Toy GET /pets/{id}/toys/{toy}", "NewToy GET /pets/new/toys", "Call", "Slashed GET /slashed/", "Root GET /", "Odd GET /a%20b/{x}",
		"Taken POST /call2 Call", "HeadOnly HEAD /head",
	)
	for _, test := range []struct{ call, want string }{
		{"GET /v1/pet-shop/pets", "ListPets /up/pets"},
		{"POST /v1/petshop/pets", "CreatePet /up/pets"},
		{"GET /v1/PET-SHOP/pets/new", "NewPet /up/pets/new"},
		{"DELETE /v1/pet-shop/pets/new", "DropPet /up/pets/new"},
		{"GET /v1/pet-shop/pets/7", "ReadPet /up/pets/7"},
		{"GET /v1/pet-shop/pets/a%2Fb%3F", "ReadPet /up/pets/a%2Fb%3F"},
		{"GET /v1/pet-shop/pets/7/toys/ball", "Toy /up/pets/7/toys/ball"},
		{"GET /v1/pet-shop/pets/new/toys/ball", "Toy /up/pets/new/toys/ball"},
		{"GET /v1/pet-shop/pets/new/toys", "NewToy /up/pets/new/toys"},
		{"GET /v1/pet-shop/Pets/7", "-"},
		{"GET /v1/pet-shop/pets/", "ListPets /up/pets"}, // by its alias
		{"GET /v1/pet-shop/pets//toys/ball", "-"},
		{"GET /v1/pet-shop/pets/..", "-"},
		{"GET /v1/pet-shop/pets/%2e%2E", "-"},
		{"GET /v1/pet-shop/pets/.", "-"},
		{"GET /v1/pet-shop/pets/%2e/toys/ball", "-"},
		{"PUT /v1/pet-shop/pets/7", "405 DELETE, GET"},
		{"PUT /v1/pet-shop/pets", "405 GET, POST"},
		{"PATCH /v1/pet-shop/pets/new", "405 DELETE, GET"},
		{"POST /v1/pet-shop/listPets", "ListPets /up/pets"},
		{"GET /v1/pet-shop/list-pets", "ListPets /up/pets"},
		{"DELETE /v1/pet-shop/createPet", "405 POST"},
		{"POST /v1/pet-shop/readPet", "-"}, // it has parameters
		{"POST /v1/pet-shop/call", "Call /Call"},
		{"GET /v1/pet-shop/shop/CALL", "Call /Call"},
		{"POST /v1/pet-shop/headOnly", "405 POST"},
		{"GET /v1/pet-shop/slashed/", "Slashed /up/slashed/"},
		{"GET /v1/pet-shop/", "Root /up/"},
		{"GET /v1/pet-shop", "Root /up/"},
		{"GET /v1/pet-shop/a%20b/1", "Odd /up/a%20b/1"},
		{"GET /v1/other/pets", "-"},
		{"GET /v1/", "-"},
	} {
		method, address, _ := strings.Cut(test.call, " ")
		found := c.find(httptest.NewRequest(method, address, nil))
		got := "-"
		switch {
		case found.endpoint != nil:
			got = strings.TrimPrefix(found.endpoint.Name, "Shop.") + " " + found.endpoint.path.fill(found.values)
		case found.allow != "":
			got = "405 " + found.allow
		}
		if got != test.want {
			t.Errorf("%s: %s, want %s", test.call, got, test.want)
		}
	}
}

func TestAPathMayNameItsParametersInAnyOrder(t *testing.T) {
	t.Parallel()
	p := newPath("/x/{b}-{a}/{a}/{c}", "/{a}/{b}")
	if got := p.fill([]string{"1", "2"}); got != "/x/2-1/1/{c}" {
		t.Errorf("got %s", got)
	}
}

func TestFindingAnEndpointAllocatesForParametersOnly(t *testing.T) {
	c := sold(t, "Call", "ReadPet GET /pets/{id}")
	for call, most := range map[string]int{"POST /v1/Pet-Shop/CALL": 0, "GET /v1/pet-shop/pets/7": 1} {
		method, address, _ := strings.Cut(call, " ")
		r := httptest.NewRequest(method, address, nil)
		if n := testing.AllocsPerRun(100, func() { c.find(r) }); int(n) > most {
			t.Errorf("%s: %v allocations", call, n)
		}
	}
}
