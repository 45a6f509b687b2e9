package codegen_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"
)

// documents are what a contract's ports say.
func documents(t *testing.T, contract string) map[string]*openapi3.T {
	t.Helper()
	root := thing(t, contract)
	generate(t, root)
	var raw map[string]json.RawMessage
	if err := json.Unmarshal([]byte(read(t, root, "internal/thing/thingapi/ports_gen.json")), &raw); err != nil {
		t.Fatal(err)
	}
	all := map[string]*openapi3.T{}
	for port, text := range raw {
		doc, err := openapi3.NewLoader().LoadFromData(text)
		if err != nil {
			t.Fatal(err)
		}
		greedy := slices.ContainsFunc(doc.Paths.InMatchingOrder(), func(path string) bool { return strings.Contains(path, "+}") }) // OpenAPI has no such thing
		if err := doc.Validate(t.Context()); err != nil && !greedy {
			t.Errorf("port %s: %v", port, err)
		}
		all[port] = doc
	}
	return all
}

func TestG55_EachPortHasItsDocument(t *testing.T) {
	t.Parallel()
	all := documents(t, `general: {host: a.test}
functions: [{signature: F(a int), path: ":444/..."}, {signature: G(a int)}, {signature: H(), path: ":0/...", openApi: true}, {signature: Hidden(), openApi: false}]`)
	got := map[string][]string{}
	for port, doc := range all {
		got[port] = slices.Sorted(slices.Values(doc.Paths.InMatchingOrder()))
	}
	want := map[string][]string{"0": {"/a.test:0/h"}, "443": {"/a.test:443/g", "/a.test:443/h"}, "444": {"/a.test:444/f", "/a.test:444/h"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestG56_ABodilessFunctionTakesItsInputsFromTheQuery(t *testing.T) {
	t.Parallel()
	doc := documents(t, "general: {host: a.test}\nfunctions: [{signature: \"F(p Thing, n int) (q Thing)\", method: GET}]")["443"]
	op := doc.Paths.Find("/a.test:443/f").Get
	p, n := op.Parameters.GetByInAndName("query", "p"), op.Parameters.GetByInAndName("query", "n")
	if op.RequestBody != nil || p == nil || p.Style != "deepObject" || n == nil {
		t.Errorf("parameters %+v, body %v", op.Parameters, op.RequestBody)
	}
	answer := op.Responses.Value("2XX")
	if answer == nil || answer.Value.Content["application/json"].Schema.Value.Properties["q"] == nil {
		t.Error("the answer does not tell of q")
	}
}

func TestG58_AWebsArgumentsAreNamedInItsPath(t *testing.T) {
	t.Parallel()
	doc := documents(t, "general: {host: a.test}\nwebs: [{signature: Page(), path: \"/x/{}/{rest+}\"}]")["443"]
	item := doc.Paths.Find("/a.test:443/x/{path1}/{rest+}")
	if item == nil || item.Get == nil || len(item.Get.Parameters) != 2 {
		t.Fatalf("paths %v", doc.Paths.InMatchingOrder())
	}
	for _, p := range item.Get.Parameters {
		if p.Value.In != "path" || !p.Value.Required {
			t.Errorf("parameter %+v", p.Value)
		}
	}
}

func TestG46_AnAliasGoesWithTheLastFunctionThatUsedIt(t *testing.T) {
	t.Parallel()
	root := thing(t, "general: {host: a.test}\nfunctions: [{signature: F(price Micros)}, {signature: G()}]")
	generate(t, root)
	aliases := filepath.Join(root, "internal/thing/thingapi/imports_gen.go")
	if _, err := os.Stat(aliases); err != nil {
		t.Fatal(err)
	}
	write(t, root, map[string]string{"internal/thing/service.yaml": "general: {host: a.test}\nfunctions: [{signature: G()}]"})
	generate(t, root)
	if _, err := os.Stat(aliases); !os.IsNotExist(err) {
		t.Errorf("the alias is still there: %v", err)
	}
}
