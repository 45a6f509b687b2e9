package publicapi_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"m3o/internal/fault"
	"m3o/internal/publicapi/publicapiapi"
)

// validated is an API whose requests are held to its document.
func validated(document string) publicapiapi.API {
	yes := true
	api := pets()
	api.OpenAPIJSON, api.Validate = document, &yes
	return api
}

// takes says whether a schema of the snapshot takes a JSON text.
func takes(t *testing.T, schema, text string) bool {
	t.Helper()
	parsed, err := jsonschema.UnmarshalJSON(strings.NewReader(schema))
	if err != nil {
		t.Fatalf("%s: %v", schema, err)
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("x:y", parsed); err != nil {
		t.Fatal(err)
	}
	compiled, err := compiler.Compile("x:y")
	if err != nil {
		t.Fatalf("%s: %v", schema, err)
	}
	return compiled.Validate(value) == nil
}

func TestRequestsAreCheckedAsTheDocumentSays(t *testing.T) {
	s, h := quick(t)
	h.publish(s, validated(petsDocument("3.0.3")))
	create := h.endpoint(s, "pets", "Pets.Create").Checks
	if create == nil || !create.Required || create.Query != "" || create.Path != "" {
		t.Fatalf("%+v", create)
	}
	for body, want := range map[string]bool{
		`{"name":"Rex"}`: true, `{}`: false, `{"name":""}`: false, `{"name":1}`: false, `{"name":"a","nick":null}`: true, `{"name":"a","age":0}`: false,
		`{"name":"a","age":1,"friend":{"name":"b","friend":{"name":"c"}}}`: true, `{"name":"a","friend":{"name":"b","friend":{}}}`: false, `[]`: false,
	} {
		if takes(t, create.Body, body) != want {
			t.Errorf("%s: want %t by %s", body, want, create.Body)
		}
	}
	list, get := h.endpoint(s, "pets", "Pets.List_pets").Checks, h.endpoint(s, "pets", "Pets.GetPetsPetId").Checks
	if list.Body != "" || !takes(t, list.Query, `{"limit":100}`) || takes(t, list.Query, `{"limit":101}`) || !takes(t, list.Query, `{"else":"x"}`) {
		t.Errorf("list %+v", list)
	}
	if !takes(t, get.Path, `{"petId":7}`) || takes(t, get.Path, `{"petId":"seven"}`) || takes(t, get.Path, `{}`) {
		t.Errorf("get %+v", get)
	}
}

// What the gateway reads from a text may be of another type than a document says, so
// only what is written plainly is checked.
func TestParametersAreCheckedAsFarAsTheirTextSaysWhatTheyAre(t *testing.T) {
	s, h := quick(t)
	parameter := func(name, schema string) string {
		return fmt.Sprintf(`{"name":%q,"in":"query",%s}`, name, schema)
	}
	h.publish(s, validated(petsDocument("3.1.0", `"/q":{"get":{"parameters":[`+strings.Join([]string{
		parameter("ids", `"schema":{"type":"array","items":{"type":"integer"},"maxItems":2}`),
		parameter("tags", `"schema":{"type":"array","items":{"type":"string","maxLength":2}}`),
		parameter("csv", `"explode":false,"schema":{"type":"array","items":{"type":"integer"}}`),
		parameter("deep", `"style":"deepObject","schema":{"type":"object"}`),
		parameter("either", `"schema":{"type":["integer","string"]}`),
		parameter("open", `"schema":{"anyOf":[{"type":"integer"},{"type":"null"}]}`),
		parameter("maybe", `"schema":{"type":["integer","null"]}`),
		parameter("json", `"content":{"application/json":{"schema":{"type":"integer"}}}`),
	}, ",")+`],`+ok+`}}`)))
	query := h.endpoint(s, "pets", "Pets.GetQ").Checks.Query
	for text, want := range map[string]bool{
		`{"ids":["1","2"]}`: true, `{"ids":["1","2","3"]}`: false, `{"tags":["ab"]}`: true, `{"tags":["abc"]}`: false, `{"csv":"1,2"}`: true, `{"deep":"x"}`: true,
		`{"either":"x","open":"5","json":"x"}`: true, `{"maybe":1}`: true, `{"maybe":"x"}`: false,
	} {
		if takes(t, query, text) != want {
			t.Errorf("%s: want %t by %s", text, want, query)
		}
	}
}

// A member may be called like a keyword, and what an example holds is no schema.
func TestSchemasAreTakenWordByWord(t *testing.T) {
	s, h := quick(t)
	h.publish(s, validated(petsDocument("3.1.0", `"/w":{"post":{"requestBody":{"content":{"application/json":{"schema":{
		"type":"object","description":"long","$comment":"no","x-note":{"$ref":"nowhere"},
		"properties":{"$ref":{"type":"string"},"example":{"const":{"$ref":"#/x"}},"properties":{"enum":[{"nullable":true}]},"n":{"$ref":"#/components/schemas/Pet/properties/name","maxLength":3},
			"t":{"prefixItems":[{"type":"integer"}],"items":false},"c":{"if":{"type":"string"},"then":{"minLength":2}}}
		}}}},`+ok+`}}`)))
	body := h.endpoint(s, "pets", "Pets.PostW").Checks.Body
	for text, want := range map[string]bool{
		`{"$ref":"x"}`: true, `{"$ref":1}`: false, `{"example":{"$ref":"#/x"}}`: true, `{"example":{}}`: false, `{"properties":{"nullable":true}}`: true,
		`{"n":"abc"}`: true, `{"n":"abcd"}`: false, `{"n":""}`: false, `{"t":[1]}`: true, `{"t":[1,2]}`: false, `{"c":"a"}`: false, `{"c":1}`: true,
	} {
		if takes(t, body, text) != want {
			t.Errorf("%s: want %t by %s", text, want, body)
		}
	}
	if strings.Contains(body, "long") || strings.Contains(body, "x-note") {
		t.Errorf("it carries what nobody checks: %s", body)
	}
}

func TestWhatCannotBeCheckedIsRefusedWithTheSwitch(t *testing.T) {
	s, h := quick(t)
	var large strings.Builder
	for i := range 12000 {
		fmt.Fprintf(&large, `"member_of_some_length_%d":{"type":"string"},`, i)
	}
	for name, schema := range map[string]string{
		"lookahead":  `{"type":"string","pattern":"^(?!x)"}`,
		"dynamicRef": `{"$dynamicRef":"#x"}`,
		"id":         `{"$id":"https://example.com/x","type":"object"}`,
		"large":      `{"type":"object","properties":{` + large.String() + `"z":{}}}`,
	} {
		document := petsDocument("3.1.0", `"/w":{"post":{"requestBody":{"content":{"application/json":{"schema":`+schema+`}}},`+ok+`}}`)
		wantFault(t, s.Publish(h.admin(), validated(document)), fault.Invalid, "api.validate")
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

// Reading such a chain takes the time of its length, squared at least.
func TestAChainOfReferencesIsBounded(t *testing.T) {
	s, h := quick(t)
	var chain strings.Builder
	for i := range 12000 {
		fmt.Fprintf(&chain, `"A%d":{"$ref":"#/components/schemas/A%d"},`, i, i+1)
	}
	api := pets()
	api.OpenAPIJSON = strings.Replace(petsDocument("3.1.0"), `"schemas":{`, `"schemas":{`+chain.String()+`"A12000":{},`, 1)
	wantFault(t, s.Publish(h.admin(), api), fault.Invalid, "api.open_api_json")
	api.OpenAPIJSON = strings.Replace(petsDocument("3.1.0"), `"schemas":{`, `"schemas":{"A":{"$ref":"#/components/schemas/B"},"B":{"$ref":"#/components/schemas/A"},`, 1)
	wantFault(t, s.Publish(h.admin(), api), fault.Invalid, "api.open_api_json")
}

func TestDocumentsAreBoundedBeforeTheyAreRead(t *testing.T) {
	s, h := quick(t)
	for name, document := range map[string]string{
		"large": petsDocument("3.0.3") + strings.Repeat(" ", 1<<20),
		"deep":  strings.Replace(petsDocument("3.1.0"), `"maximum":100`, `"default":`+strings.Repeat("[", 150)+strings.Repeat("]", 150), 1),
	} {
		api := pets()
		api.OpenAPIJSON = document
		err := s.Publish(h.admin(), api)
		wantFault(t, err, fault.Invalid, "api.open_api_json")
		if detail := fault.From(err).Detail; !strings.Contains(detail, "at most 1048576 bytes") && !strings.Contains(detail, "deeper than 100") {
			t.Errorf("%s: %s", name, detail)
		}
	}
}
