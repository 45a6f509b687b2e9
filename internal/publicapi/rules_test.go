package publicapi_test

import (
	"strings"
	"testing"
	"time"

	"m3o/internal/fault"
	"m3o/internal/publicapi/publicapiapi"
)

// with is the API weather with a change.
func with(change func(*publicapiapi.API)) publicapiapi.API {
	api := weather()
	change(&api)
	return api
}

func TestPublishRefusesAndNamesTheField(t *testing.T) {
	s, h := quick(t)
	type amounts = map[string]publicapiapi.Amount
	for _, c := range []struct {
		field  string
		change func(*publicapiapi.API)
	}{
		{"api.name", func(a *publicapiapi.API) { a.Name = "" }},
		{"api.name", func(a *publicapiapi.API) { a.Name = "api" }},
		{"api.name", func(a *publicapiapi.API) { a.Name = "Weather" }},
		{"api.name", func(a *publicapiapi.API) { a.Name = "9lives" }},
		{"api.name", func(a *publicapiapi.API) { a.Name = strings.Repeat("a", 64) }},
		{"api.display_name", func(a *publicapiapi.API) { a.DisplayName = strings.Repeat("a", 101) }},
		{"api.target", func(a *publicapiapi.API) { a.Target = "" }},
		{"api.target", func(a *publicapiapi.API) { a.Target = "ftp://example.com" }},
		{"api.target", func(a *publicapiapi.API) { a.Target = "https://me:secret@example.com" }},
		{"api.target", func(a *publicapiapi.API) { a.Target = "https://example.com/#part" }},
		{"api.target", func(a *publicapiapi.API) { a.Target = "https://example.com/?a=b" }},
		{"api.target", func(a *publicapiapi.API) { a.Target = "service:" }},
		{"api.target", func(a *publicapiapi.API) { a.Target = "service:no/such" }},
		{"api.target", func(a *publicapiapi.API) { a.Target = "service:balance" }},
		{"api.target", func(a *publicapiapi.API) { a.Target = "http://" }},
		{"api.open_api_json", func(a *publicapiapi.API) { a.OpenAPIJSON = `{` }},
		{"api.open_api_json", func(a *publicapiapi.API) { a.OpenAPIJSON = `{"openapi":"2.0"}` }},
		{"api.open_api_json", func(a *publicapiapi.API) {
			a.OpenAPIJSON = weatherDocument("3.0.3", `"operationId":"weather.forecast",`)
		}},
		{"api.open_api_json", func(a *publicapiapi.API) { a.OpenAPIJSON = weatherDocument("3.0.3", `"parameters":[{}],`) }},
		{"api.open_api_json", func(a *publicapiapi.API) {
			a.OpenAPIJSON = `{"openapi":"3.0.0","info":{"title":"t","version":"1"},"paths":{}}`
		}},
		{"api.open_api_json", func(a *publicapiapi.API) {
			a.OpenAPIJSON = strings.ReplaceAll(weatherDocument("3.0.3", ""), "#/components/schemas/Units", "https://example.com/x.json")
		}},
		{"api.open_api_json", func(a *publicapiapi.API) { a.OpenAPIJSON, a.Pricing, a.Quotas = "", nil, nil }},
		{"api.open_api_json", func(a *publicapiapi.API) { a.Target = "service:helloworld" }},
		{"api.pricing.Weather.Nothing", func(a *publicapiapi.API) { a.Pricing = amounts{"Weather.Nothing": 1} }},
		{"api.pricing.Rain.Forecast", func(a *publicapiapi.API) { a.Pricing = amounts{"Rain.Forecast": 1} }},
		{"api.pricing.Forecast", func(a *publicapiapi.API) { a.Pricing = amounts{"Forecast": -1} }},
		{"api.pricing.forecast", func(a *publicapiapi.API) { a.Pricing = amounts{"Forecast": 1, "forecast": 1} }},
		{"api.pricing", func(a *publicapiapi.API) { a.OpenAPIJSON, a.Pricing = "", amounts{"a.b.c": 1} }},
		{"api.quotas.later", func(a *publicapiapi.API) { a.Quotas = amounts{"later": 1} }},
		{"api.postman_json", func(a *publicapiapi.API) { a.PostmanJSON = `[]` }},
		{"api.examples_json", func(a *publicapiapi.API) { a.ExamplesJSON = `{"now":{}}` }},
		{"api.examples_json.later", func(a *publicapiapi.API) { a.ExamplesJSON = `{"later":[]}` }},
		{"api.examples_json.now[1].request", func(a *publicapiapi.API) {
			a.ExamplesJSON = `{"now":[{"request":{"postcode":"1"}},{"request":{"postcode":1}}]}`
		}},
		{"api.examples_json.forecast[0].request", func(a *publicapiapi.API) { a.ExamplesJSON = `{"forecast":[{"request":{"days":3}}]}` }},
		{"api.examples_json.Weather.Now[0].request", func(a *publicapiapi.API) { a.ExamplesJSON = `{"Weather.Now":[{"request":"now"}]}` }},
	} {
		api := with(c.change)
		wantFault(t, s.Publish(h.admin(), api), fault.Invalid, c.field)
		if t.Failed() {
			t.Fatalf("with %+v", api)
		}
	}
	if apis, err := s.List(t.Context()); err != nil || len(apis) != 0 {
		t.Errorf("on sale are %+v, %v", apis, err)
	}
}

func TestAFaultInTheDocumentSaysWhere(t *testing.T) {
	s, h := quick(t)
	err := s.Publish(h.admin(), with(func(a *publicapiapi.API) {
		a.OpenAPIJSON = strings.Replace(a.OpenAPIJSON, `"type":"integer"`, `"type":"whole"`, 1)
	}))
	wantFault(t, err, fault.Invalid, "api.open_api_json")
	if detail := fault.From(err).Detail; !strings.Contains(detail, "Place") || !strings.Contains(detail, "whole") {
		t.Errorf("it only says %q", detail)
	}
}

func TestExamplesThatFitAreTaken(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"3.0.3", "3.1.0"} {
		t.Run(version, func(t *testing.T) {
			s, h := quick(t)
			examples := `{"forecast":[{"title":"a","request":{"postcode":"12345","days":3,"metric":true}}],"Weather.Now":[{"request":{"postcode":"1"}}]}`
			api := with(func(a *publicapiapi.API) { a.OpenAPIJSON, a.ExamplesJSON = weatherDocument(version, ""), examples })
			h.publish(s, api)
			api.ExamplesJSON = `{"now":[{"request":{"days":1}}]}`
			wantFault(t, s.Publish(h.admin(), api), fault.Invalid, "api.examples_json.now[0].request")
		})
	}
}

// The document as M3O's generator writes it: a path of three parts, a header
// parameter, a response named stream.
func TestAnM3ODocumentIsTaken(t *testing.T) {
	s, h := quick(t)
	document := `{"openapi":"3.0.0","info":{"title":"Mq","version":"1"},"servers":[{"url":"https://api.m3o.com/v1"}],
		"components":{"securitySchemes":{"M3OAPIToken":{"type":"http","scheme":"bearer"}},
			"schemas":{"SubscribeRequest":{"title":"SubscribeRequest","type":"object","properties":{"topic":{"type":"string","example":"events"}}}},
			"responses":{"MicroAPIError":{"description":"Error"}}},
		"paths":{"/mq/Mq/Subscribe":{"post":{"summary":"Mq.Subscribe(SubscribeRequest)","operationId":"Mq.Subscribe","security":[{"M3OAPIToken":[]}],
			"parameters":[{"in":"header","name":"Micro-Namespace","required":true,"schema":{"type":"string","default":"micro"}}],
			"requestBody":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/SubscribeRequest"}}}},
			"responses":{"default":{"$ref":"#/components/responses/MicroAPIError"},"200":{"description":"OK"},"stream":{"description":"A stream"}}}}}}`
	h.publish(s, publicapiapi.API{Name: "mq", OpenAPIJSON: document, Target: "http://localhost:9"})
	e := h.endpoint(s, "mq", "Mq.Subscribe")
	if e.Path != "/mq/Mq/Subscribe" || !e.Stream || e.Schema["topic"] != "string" {
		t.Errorf("endpoint %+v", e)
	}
}

func TestAnAPIWithoutADocumentHasTheEndpointsThatItsPricesName(t *testing.T) {
	s, h := quick(t)
	h.publish(s, publicapiapi.API{
		Name: "my-echo", Target: "http://localhost:9/base",
		Pricing: map[string]publicapiapi.Amount{"Echo.SayItAgain": 5, "shout": 6},
		Quotas:  map[string]publicapiapi.Amount{"say-it-again": 7, "Whisper": 8},
	})
	again, shout, whisper := h.endpoint(s, "my-echo", "Echo.SayItAgain"), h.endpoint(s, "my-echo", "MyEcho.Shout"), h.endpoint(s, "my-echo", "MyEcho.Whisper")
	if again.Path != "/say-it-again" || again.Price != 5 || again.Quota != 7 {
		t.Errorf("%+v", again)
	}
	if shout.Path != "/shout" || shout.Price != 6 || whisper.Path != "/whisper" || whisper.Quota != 8 {
		t.Errorf("%+v %+v", shout, whisper)
	}
	if document, err := s.OpenAPI(t.Context(), "my-echo"); err != nil || document == nil {
		t.Errorf("its document: %v, %v", document, err)
	}
}

func TestAServiceOnTheBusHasItsFunctionsAtTheirNames(t *testing.T) {
	s, h := quick(t)
	h.publish(s, with(func(a *publicapiapi.API) { a.Target = "service:weather.elsewhere" }))
	if e := h.endpoint(s, "weather", "Weather.Forecast"); e.Path != "/forecast" {
		t.Errorf("%+v", e)
	}
}

func TestACompiledInServiceNeedsNoTargetAndNoDocument(t *testing.T) {
	s, h := quick(t)
	h.publish(s, publicapiapi.API{Name: "helloworld", Pricing: map[string]publicapiapi.Amount{"call": 3}})
	h.publish(s, publicapiapi.API{Name: "greeter", Target: "service:helloworld"})
	if e := h.endpoint(s, "helloworld", "Helloworld.Call"); e.Path != "/call" || e.Price != 3 {
		t.Errorf("%+v", e)
	}
	if e := h.endpoint(s, "greeter", "Helloworld.Stream"); e.Path != "/stream" || !e.Stream || e.Price != 0 {
		t.Errorf("%+v", e)
	}
}

func TestAnEndpointMaySayHowLongItTakes(t *testing.T) {
	s, h := quick(t)
	h.publish(s, with(func(a *publicapiapi.API) { a.OpenAPIJSON = weatherDocument("3.1.0", `"x-m3o-timeout":"45s",`) }))
	if e := h.endpoint(s, "weather", "Weather.Now"); e.Timeout != 45*time.Second {
		t.Errorf("%+v", e)
	}
}

func TestStreamsAreKnownByTheirAnswer(t *testing.T) {
	s, h := quick(t)
	for _, kind := range []string{"application/x-ndjson", "text/event-stream; charset=utf-8", "application/json"} {
		document := `{"openapi":"3.1.0","info":{"title":"t","version":"1"},"paths":{"/x/go":{"post":{"responses":{"200":{"description":"d","content":{"` + kind + `":{}}}}}}}}`
		h.publish(s, publicapiapi.API{Name: "x", Target: "http://localhost:9", OpenAPIJSON: document})
		if e := h.endpoint(s, "x", "X.Go"); e.Path != "/x/go" || e.Stream != (kind != "application/json") {
			t.Errorf("%s: %+v", kind, e)
		}
	}
}

func TestASchemaThatContainsItselfIsTaken(t *testing.T) {
	s, h := quick(t)
	document := `{"openapi":"3.1.0","info":{"title":"t","version":"1"},
		"components":{"schemas":{"Node":{"type":["null","object"],"properties":{"next":{"$ref":"#/components/schemas/Node"},"any":{}}}}},
		"paths":{"/go":{"post":{"requestBody":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/Node"}}}},"responses":{"200":{"description":"d"}}}}}}`
	h.publish(s, publicapiapi.API{Name: "tree", Target: "http://localhost:9", OpenAPIJSON: document})
	if e := h.endpoint(s, "tree", "Tree.PostGo"); !same(t, e.Schema, publicapiapi.Schema{"next": "object"}) {
		t.Errorf("%+v", e)
	}
}

func TestAnOperationWithoutABodyTakesItsQuery(t *testing.T) {
	s, h := quick(t)
	document := `{"openapi":"3.0.0","info":{"title":"t","version":"1"},"paths":{"/v2/look_up-place":{"get":{
		"parameters":[{"name":"postcode","in":"query","schema":{"type":"string"}},{"name":"days","in":"query","schema":{"type":"integer"}},{"name":"X-Unit","in":"header","schema":{"type":"string"}}],
		"responses":{"200":{"description":"d"}}}}}}`
	h.publish(s, publicapiapi.API{Name: "place", Target: "http://localhost:9", OpenAPIJSON: document})
	e := h.endpoint(s, "place", "Place.GetV2LookUpPlace")
	if e.Path != "/v2/look_up-place" || !same(t, e.Schema, publicapiapi.Schema{"postcode": "string", "days": "integer"}) {
		t.Errorf("%+v", e)
	}
	made, err := s.Postman(t.Context(), "place")
	if text := encoded(t, made); err != nil || !strings.Contains(text, `"method":"GET"`) {
		t.Errorf("%s, %v", text, err)
	}
}

func TestOddDocumentsAreRefused(t *testing.T) {
	s, h := quick(t)
	const info = `"info":{"title":"t","version":"1"}`
	for _, document := range []string{
		`null`, `[]`, `1`, `{}`, `{"openapi":3}`, `{"openapi":"3.1.0"}`, `{"openapi":"3.1.0",` + info + `}`,
		`{"openapi":"3.1.0",` + info + `,"paths":null}`,
		`{"openapi":"3.1.0",` + info + `,"paths":{"go":{"post":{}}}}`,
		`{"openapi":"3.0.0",` + info + `,"paths":{"/go":null}}`,
		`{"openapi":"3.0.0",` + info + `,"paths":{"/go":{"post":null}}}`,
		`{"openapi":"3.0.0",` + info + `,"paths":{"/go":{"post":{}}}}`,
		`{"openapi":"3.0.0",` + info + `,"paths":{"/go":{"post":{"requestBody":{"$ref":"#/components/requestBodies/None"},"responses":{"200":{"description":"d"}}}}}}`,
		`{"openapi":"3.0.0",` + info + `,"paths":{"/go":{"post":{"responses":{"200":{"description":"d"}},"requestBody":{"content":{"application/json":{"schema":{"$ref":"file:///etc/passwd"}}}}}}}}`,
		`{"openapi":"3.2.0",` + info + `,"paths":{"/go":{"post":{"responses":{"200":{"description":"d"}}}}}}`,
	} {
		err := s.Publish(h.admin(), publicapiapi.API{Name: "odd", Target: "http://localhost:9", OpenAPIJSON: document})
		wantFault(t, err, fault.Invalid, "api.open_api_json")
		if t.Failed() {
			t.Fatal(document)
		}
	}
}
