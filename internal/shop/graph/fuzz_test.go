package graph

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	graphql "github.com/graph-gophers/graphql-go"
)

// examples are good documents, for fuzzing to start from.
func examples(f *testing.F) (texts []string) {
	f.Helper()
	for _, pattern := range []string{"examples/*.graphql", "testdata/*.graphql"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			texts = append(texts, string(text))
		}
	}
	return texts
}

func FuzzDecodeRequest(f *testing.F) {
	f.Add("POST", "application/json", "", `{"query":"{products{id}}","variables":{"a":[1]},"operationName":null}`)
	f.Add("POST", "application/json;charset=utf-8", "", `[{}]`)
	f.Add("GET", "", "query={products{id}}&variables={\"a\":1}", "")
	f.Fuzz(func(t *testing.T, method, kind, query, body string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
		r.Method, r.URL.RawQuery = method, query
		r.Header.Set("Content-Type", kind)
		asked, a := decode(httptest.NewRecorder(), r, 1000)
		if a.status == 0 && asked.Query == "" {
			t.Error("a request without a query was taken")
		}
		if a.status != 0 && (a.status < 400 || a.status > 499 || a.code() != codeBadInput) {
			t.Errorf("%d %s", a.status, a.code())
		}
	})
}

func FuzzDecodeMessage(f *testing.F) {
	for _, text := range []string{
		`{"type":"connection_init","payload":{"Authorization":"Bearer x"}}`, `{"type":"subscribe","id":"1","payload":{"query":"{a}"}}`,
		`{"type":"complete","id":"1"}`, `{"type":"ping"}`, `{"type":"pong","payload":null}`, `{}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := decodeMessage(text)
		if err != nil {
			return
		}
		if m.Type == messageSubscribe && (m.ID == "" || m.operation.Query == "") {
			t.Errorf("%q begins %+v", text, m)
		}
		if again, err := json.Marshal(m); err != nil || !json.Valid(again) {
			t.Errorf("%q cannot be written: %v", text, err)
		}
	})
}

// FuzzReadDocument holds our reader to the library's: what the library takes it takes, or refuses for its nesting, and it
// sees no fewer selections.
func FuzzReadDocument(f *testing.F) {
	for _, text := range append(examples(f),
		"{a(b:\"\"\"x\"\"\"){c}}", "query($a:[Int!]!=[1,-2.5]){a(b:{c:$a,d:null,e:E})@x(y:true){...on B{c}...D}} fragment D on B{c}", "\ufeff{a #\r b}", `{a(b:"\u{1F600}\"")}`,
	) {
		f.Add(text)
	}
	parsed, err := graphql.ParseSchema(schemaText, nil, graphql.UseStringDescriptions())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4096 {
			return
		}
		doc, err := readDocument(text)
		if err != nil {
			return // it is refused whatever the library says
		}
		if parsed.Validate(text) != nil {
			return
		}
		for _, o := range doc.operations {
			doc.expand(o)
			shape := newShape(parsed.AST())
			if shape.cost(o, nil) < len(o.fields) {
				t.Errorf("%q costs less than it asks for", text)
			}
			if root := shape[rootOf(o.kind)]; !known(o.fields, root, shape) {
				t.Errorf("%q: our reader sees fields that the schema does not have", text)
			}
		}
	})
}

// known says whether fields are those of an object, as the library says that they are.
func known(fields []*field, object map[string]fieldShape, s shape) bool {
	for _, f := range fields {
		if strings.HasPrefix(f.name, "__") {
			continue
		}
		found, ok := object[f.name]
		if !ok || !known(f.fields, s[found.of], s) {
			return false
		}
	}
	return true
}
