package publicapi_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"m3o/internal/fault"
	"m3o/internal/publicapi/publicapiapi"
)

// catalogue publishes four APIs: the term "mail" is in the name of one, in an
// endpoint of another, and in the description of a third.
func catalogue(t *testing.T) (publicapiapi.Service, *house) {
	t.Helper()
	s, h := quick(t)
	for _, api := range []publicapiapi.API{
		{Name: "airmail", Category: "logistics", Pricing: map[string]publicapiapi.Amount{"Send": 5}},
		{Name: "contact", Category: "messaging", Pricing: map[string]publicapiapi.Amount{"SendMail": 0}},
		{Name: "alarm", Category: "messaging", Description: "Wakes you by e-Mail", Pricing: map[string]publicapiapi.Amount{"Set": 0}},
		{Name: "zebra", DisplayName: "Mail order zebras", Category: "", Pricing: map[string]publicapiapi.Amount{"Buy": 1}, Quotas: map[string]publicapiapi.Amount{"Buy": 2}},
	} {
		api.Target = "http://localhost:9"
		h.publish(s, api)
	}
	return s, h
}

func names(apis []publicapiapi.Summary) string {
	found := make([]string, len(apis))
	for i, api := range apis {
		found[i] = api.Name
	}
	return strings.Join(found, " ")
}

func TestIndexIsPagedByName(t *testing.T) {
	s, _ := catalogue(t)
	for _, c := range []struct {
		limit, offset int
		want          string
	}{
		{0, 0, "airmail alarm contact zebra"},
		{2, 1, "alarm contact"},
		{1000, 3, "zebra"},
		{2, 9, ""},
	} {
		apis, err := s.ExploreIndex(t.Context(), c.limit, c.offset)
		if err != nil || names(apis) != c.want || apis == nil {
			t.Errorf("limit %d offset %d: %q, %v", c.limit, c.offset, names(apis), err)
		}
	}
	_, err := s.ExploreIndex(t.Context(), 1, -1)
	wantFault(t, err, fault.Invalid, "offset")
	_, err = s.ExploreIndex(t.Context(), -1, 0)
	wantFault(t, err, fault.Invalid, "limit")
	_, err = s.ExploreIndex(t.Context(), 1001, 0)
	wantFault(t, err, fault.Invalid, "limit")
}

func TestSearchRanksNamesThenEndpointsThenDescriptions(t *testing.T) {
	s, _ := catalogue(t)
	for _, c := range []struct {
		term       string
		categories []string
		want       string
	}{
		{"mail", nil, "airmail zebra contact alarm"},
		{" MAIL ", nil, "airmail zebra contact alarm"},
		{"mail", []string{"messaging"}, "contact alarm"},
		{"mail", []string{"Messaging", "logistics"}, "airmail contact alarm"},
		{"", []string{"messaging"}, "alarm contact"},
		{"nothing", nil, ""},
		{"mail", []string{"nothing"}, ""},
		{"%", nil, ""},
	} {
		apis, err := s.ExploreSearch(t.Context(), c.term, c.categories)
		if err != nil || names(apis) != c.want {
			t.Errorf("%q in %v: %q, %v", c.term, c.categories, names(apis), err)
		}
	}
}

func TestExploreAPIShowsTheAPIWithItsDocuments(t *testing.T) {
	s, h := quick(t)
	h.publish(s, weather())
	about, api, err := s.ExploreAPI(t.Context(), "WEATHER")
	if err != nil || about.DisplayName != "Weather" || len(about.Endpoints) != 4 || about.Endpoints[0].Name != "Weather.Forecast" {
		t.Errorf("%+v, %v", about, err)
	}
	if !strings.Contains(api.OpenAPIJSON, `"/weather/{place}"`) || api.Pricing["Weather.Forecast"] != 100 {
		t.Errorf("%+v", api)
	}
	_, _, err = s.ExploreAPI(t.Context(), "nothing")
	wantFault(t, err, fault.NotFound, "")
}

func TestListCategoriesHasEachOnce(t *testing.T) {
	s, _ := catalogue(t)
	got, err := s.ListCategories(t.Context())
	if err != nil || !slices.Equal(got, []string{"logistics", "messaging"}) {
		t.Errorf("%v, %v", got, err)
	}
}

func TestAnEmptyCatalogueHasEmptyLists(t *testing.T) {
	each(t, func(t *testing.T, s publicapiapi.Service, h *house) {
		categories, err := s.ListCategories(t.Context())
		if err != nil || categories == nil || len(categories) != 0 {
			t.Errorf("categories %#v, %v", categories, err)
		}
		apis, err := s.ExploreIndex(t.Context(), 0, 0)
		if err != nil || apis == nil || len(apis) != 0 {
			t.Errorf("index %#v, %v", apis, err)
		}
		c, err := s.Snapshot(t.Context())
		if err != nil || c.APIs == nil || len(c.APIs) != 0 {
			t.Errorf("snapshot %#v, %v", c, err)
		}
	})
}

func TestPricingHasEveryEndpoint(t *testing.T) {
	s, h := quick(t)
	h.publish(s, weather())
	prices, err := s.Pricing(t.Context())
	want := map[string]publicapiapi.Amount{"Weather.Forecast": 100, "Weather.Now": 0, "Weather.GetWeatherNow": 0, "Weather.PostWeatherPlace": 0}
	if err != nil || len(prices) != 1 || !same(t, prices[0].Pricing, want) || prices[0].Quotas["Weather.Now"] != 20 || prices[0].ID == "" {
		t.Errorf("%+v, %v", prices, err)
	}
}

// What the caller does with an answer must not reach the catalogue in memory.
func TestAnswersAreTheCallersOwn(t *testing.T) {
	s, h := quick(t)
	h.publish(s, weather())
	api, err := s.Get(h.admin(), "weather", "")
	if err != nil {
		t.Fatal(err)
	}
	api.Pricing["Weather.Forecast"] = 0
	prices, err := s.Pricing(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	prices[0].Quotas["Weather.Now"] = 0
	if e := h.endpoint(s, "weather", "Weather.Forecast"); e.Price != 100 {
		t.Errorf("the price has become %d", e.Price)
	}
	if again, err := s.Get(h.admin(), "weather", ""); err != nil || again.Pricing["Weather.Forecast"] != 100 || again.Quotas["Weather.Now"] != 20 {
		t.Errorf("%+v, %v", again, err)
	}
}

func TestDownloads(t *testing.T) {
	each(t, func(t *testing.T, s publicapiapi.Service, h *house) {
		api := weather()
		api.ExamplesJSON = `{"forecast":[{"request":{"postcode":"12345"}}]}`
		h.publish(s, api)
		document, err := s.OpenAPI(t.Context(), "weather")
		if text := encoded(t, document); err != nil || !strings.Contains(text, `"/now":{"post"`) || !strings.Contains(text, `"servers":[{"url":"/v1/weather"}]`) {
			t.Errorf("document %s, %v", text, err)
		}
		made, err := s.Postman(t.Context(), "weather")
		if err != nil {
			t.Fatal(err)
		}
		text := encoded(t, made)
		for _, part := range []string{
			"https://schema.getpostman.com/json/collection/v2.1.0/collection.json", "{{baseUrl}}/v1/weather/weather/Weather/forecast-of", "{{baseUrl}}/v1/weather/now", "{{baseUrl}}/v1/weather/weather/:place",
			`\"postcode\": \"12345\"`, `\"days\": 0`, `{{apiKey}}`,
		} {
			if !strings.Contains(text, part) {
				t.Errorf("the collection has no %s: %s", part, text)
			}
		}
		api.PostmanJSON = `{"info":{"name":"by hand"}}`
		h.publish(s, api)
		if own, err := s.Postman(t.Context(), "Weather"); err != nil || !sameJSON(t, own, api.PostmanJSON) {
			t.Errorf("collection %v, %v", own, err)
		}
		_, err = s.OpenAPI(t.Context(), "nothing")
		wantFault(t, err, fault.NotFound, "")
		_, err = s.Postman(t.Context(), "nothing")
		wantFault(t, err, fault.NotFound, "")
	})
}

func encoded(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// sameJSON compares regardless of white space and order.
func sameJSON(t *testing.T, v any, text string) bool {
	t.Helper()
	var a, b any
	if err := json.Unmarshal([]byte(encoded(t, v)), &a); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(text), &b); err != nil {
		t.Fatal(err)
	}
	return same(t, a, b)
}
