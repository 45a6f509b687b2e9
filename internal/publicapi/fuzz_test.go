package publicapi

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"m3o/internal/publicapi/publicapiapi"
)

// FuzzDocument holds the reader of documents to never panic and to end soon, whatever
// it is handed.
func FuzzDocument(f *testing.F) {
	for _, text := range fuzzSeeds() {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		began := time.Now()
		yes := true
		s := &Service{log: slog.New(slog.DiscardHandler)}
		api := publicapiapi.API{Name: "pets", Target: "https://pets.example.com", OpenAPIJSON: text, Validate: &yes, Pricing: map[string]publicapiapi.Amount{"*": 1}}
		e, err := s.check(t.Context(), api)
		if err == nil {
			if _, err := e.shown(); err != nil {
				t.Errorf("it cannot be shown: %v", err)
			}
			if _, err := collectionOf(e); err != nil {
				t.Errorf("it has no collection: %v", err)
			}
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%d bytes took %s", len(text), took)
		}
	})
}

func fuzzSeeds() []string {
	const begin = `{"openapi":"3.1.0","info":{"title":"t","version":"1"},`
	const ok = `"responses":{"200":{"description":"d"}}`
	loop := `"components":{"schemas":{"A":{"allOf":[` + strings.TrimSuffix(strings.Repeat(`{"$ref":"#/components/schemas/A"},`, 50), ",") + `]},"B":{"$ref":"#/components/schemas/B"}}},`
	body := func(schema string) string {
		return `"paths":{"/a/{b}":{"parameters":[{"name":"b","in":"path","required":true,"schema":{"type":"string"}}],"post":{"requestBody":{"content":{"application/json":{"schema":` + schema + `}}},` + ok + `}}}}`
	}
	return []string{
		`{}`, `null`, begin + `"paths":{}}`, begin + `"paths":{"/":{"get":{` + ok + `}}}}`, begin + loop + body(`{"$ref":"#/components/schemas/A"}`),
		begin + loop + body(`{"$ref":"#/components/schemas/B"}`), begin + body(`{"$ref":"#/paths"}`), begin + body(`{"$ref":"#"}`), begin + body(`true`),
		begin + body(`{"type":["null","object"],"properties":{"x":null},"required":["x",1],"nullable":true,"exclusiveMinimum":true}`),
		begin + body(`{"items":[{}],"enum":[],"example":{"a":[1e400]}}`), begin + body(`{"$ref":"#/components/schemas/~01%zz"}`),
		strings.Replace(begin, "3.1.0", "3.0.3", 1) + body(`{"type":"string","pattern":"(((((a{1000}){1000}"}`),
		begin + `"paths":{"/a":{"$ref":"#/paths/~1a"},"//":{"get":{}},"/%":{"get":{` + ok + `}},"/{a}{":{"get":{` + ok + `}}}}`,
	}
}
