package graph

import (
	"testing"

	graphql "github.com/graph-gophers/graphql-go"

	"github.com/google/go-cmp/cmp"
)

// count is how many selections a set comes to, fragments as often as they are spread: as the library counts.
func count(d *document, set []selection) (n int) {
	for _, s := range set {
		n++
		switch {
		case s.field != nil:
			n += count(d, s.field.selections)
		case s.spread != "":
			n += count(d, d.fragments[s.spread])
		default:
			n += count(d, s.selections)
		}
	}
	return n
}

type nobody struct{}

func (*nobody) Products(struct {
	First         *int32
	After, Search *string
}) []*product {
	return nil
}

// TestTheReaderSeesWhatTheLibraryExecutes lets the library say how many selections it sees: as many as we do it takes,
// one fewer is too few.
func TestTheReaderSeesWhatTheLibraryExecutes(t *testing.T) {
	t.Parallel()
	const schema = `type Query { products(first: Int, after: String, search: String): [Product!]! }
		type Product { id: ID! name: String! }`
	for name, text := range map[string]string{
		"Plain":           `{products{id name}}`,
		"Aliases":         `{a:products{x:id y:name} b:products{id}}`,
		"Arguments":       `query Q($n:Int=2){products(first:$n,search:"}{\"")@include(if:true){id @skip(if:false)}}`,
		"BlockStrings":    `{products(search:"""}{ "" \" # { """){id name}}`,
		"Fragments":       `{...a ...a ...on Query{products{...b}}} fragment a on Query{products{...b ...b}} fragment b on Product{id name}`,
		"Comments":        "{products{id #name}\r name #id\n}}",
		"Commas":          `{,products,{,id,name,},}`,
		"Descriptions":    `"what it does" query Q {products{id}}`,
		"Escapes":         `{products(search:"\u{1F600}\uD83D\uDE00\n}"){id}}`,
		"ManyOperations":  `query A{products{id}} query B{a:products{id} b:products{id}}`,
		"NumbersAndWords": `{products(first:-1,after:null){__typename id}}`,
		"BOM":             "\ufeff{products{id}}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			doc, err := readDocument(text)
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range doc.operations {
				n := count(doc, o.selections)
				takes := func(most int) bool {
					s := graphql.MustParseSchema(schema, &nobody{}, graphql.UseStringDescriptions(), graphql.UseFieldResolvers(), graphql.MaxSelections(most))
					return s.Exec(t.Context(), text, o.name, map[string]any{"s": nil}).Errors == nil
				}
				if !takes(n) || takes(n-1) {
					t.Errorf("we see %d selections, the library does not", n)
				}
			}
		})
	}
}

func TestDefaultsAreReadAsJSONWouldGiveThem(t *testing.T) {
	t.Parallel()
	doc, err := readDocument(`query($a:Int=1,$b:Float=-2.5,$c:String="x\ty",$d:[Boolean]=[true,false],$e:E=RED,$f:In={a:{b:null}},$g:Int){a}`)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"a": 1.0, "b": -2.5, "c": "x\ty", "d": []any{true, false}, "e": "RED", "f": map[string]any{"a": map[string]any{"b": nil}}}
	if diff := cmp.Diff(want, doc.operations[0].defaults); diff != "" {
		t.Error(diff)
	}
	given := doc.operations[0].with(map[string]any{"a": nil, "g": 3.0})
	if given["a"] != nil || given["b"] != -2.5 || given["g"] != 3.0 {
		t.Errorf("with variables: %v", given)
	}
}

func TestDocumentsAreRememberedAndForgotten(t *testing.T) {
	t.Parallel()
	d := newDocuments(graphql.MustParseSchema(schemaText, nil, graphql.UseStringDescriptions()), func(*operation) []misfit { return nil }, func(*document, *operation) *direct { return nil })
	asked := func(i int) *document {
		t.Helper()
		found, errs := d.get(&request{Query: "query Q" + string(rune('a'+i/1000)) + string(rune('a'+i/100%10)) + string(rune('a'+i/10%10)) + string(rune('a'+i%10)) + "{products{id}}"})
		if errs != nil {
			t.Fatal(errs)
		}
		return found
	}
	first, second := asked(0), asked(1)
	for i := range 2 * keptDocuments {
		asked(i + 2)
		if asked(0) != first {
			t.Fatalf("what is asked for is forgotten after %d others", i)
		}
	}
	if asked(1) == second {
		t.Error("what nobody asks for is kept")
	}
	if n := len(d.young) + len(d.old); n > 2*keptDocuments {
		t.Errorf("%d are kept", n)
	}
}
