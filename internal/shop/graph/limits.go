package graph

import (
	"strings"

	"github.com/graph-gophers/graphql-go/ast"

	"m3o/internal/page"
)

// The bounds of every operation, beside those that are configured.
const (
	maxText          = 64 << 10 // bytes of a document
	maxSelections    = 1000     // of an operation, those of fragments as often as they are spread
	maxIntrospection = 16       // levels below __schema or __type; GraphiQL asks for 13
	mutationCost     = 500      // each is a transaction, and some hash a password
	orderLines       = 10       // that an order is taken to have
	tooMuch          = 1 << 20  // where costs are not counted any further, so that no sum overflows
)

// expansion puts every fragment of an operation in its place, as far as the selections reach.
type expansion struct {
	fragments  map[string][]selection
	left       int
	directives []directive // of what was met
}

// expand does that for an operation. False: it has too many selections.
func (d *document) expand(o *operation) (ok bool) {
	e := &expansion{fragments: d.fragments, left: maxSelections}
	o.fields = e.fields(nil, o.selections)
	o.directives = e.directives
	return e.left >= 0
}

// fields appends the fields of a selection set to all.
func (e *expansion) fields(all []*field, set []selection) []*field {
	for _, s := range set {
		if e.left--; e.left < 0 {
			return nil
		}
		e.directives = append(e.directives, s.directives...)
		switch {
		case s.field != nil:
			s.field.fields = e.fields(nil, s.field.selections)
			all = append(all, s.field)
		case s.spread != "":
			all = e.fields(all, e.fragments[s.spread])
		default:
			all = e.fields(all, s.selections)
		}
	}
	return all
}

// isIntrospection says whether a field asks about the schema instead of the shop. __typename, which any object answers, does not.
func (f *field) isIntrospection() bool {
	return strings.HasPrefix(f.name, "__") && f.name != "__typename"
}

// introspects says whether an operation does; only its root can.
func (o *operation) introspects() bool {
	for _, f := range o.fields {
		if f.isIntrospection() {
			return true
		}
	}
	return false
}

// isOnly says whether an operation asks for nothing but that field.
func (o *operation) isOnly(name string) bool {
	for _, f := range o.fields {
		if f.name != name {
			return false
		}
	}
	return len(o.fields) > 0
}

// depth is on how many levels there are fields, those below introspection apart.
func depth(fields []*field) (shop, introspection int) {
	for _, f := range fields {
		below, schema := depth(f.fields)
		if f.isIntrospection() {
			introspection = max(introspection, 1+below)
			continue
		}
		shop, introspection = max(shop, 1+below), max(introspection, schema)
	}
	return shop, introspection
}

// shape is what the costs need to know of the schema: the fields of each type.
type shape map[string]map[string]fieldShape

type fieldShape struct {
	of    string // the type of the field, or of the rows of its list
	list  bool
	paged bool // it has the argument first
}

// The types at the root, by kind of operation.
func rootOf(kind string) string {
	switch kind {
	case kindMutation:
		return "Mutation"
	case kindSubscription:
		return "Subscription"
	}
	return "Query"
}

func newShape(schema *ast.Schema) shape {
	all := shape{}
	for name, t := range schema.Types {
		object, ok := t.(*ast.ObjectTypeDefinition)
		if !ok {
			continue
		}
		all[name] = map[string]fieldShape{}
		for _, f := range object.Fields {
			found := fieldShape{paged: f.Arguments.Get("first") != nil}
			found.of, found.list = innermost(f.Type)
			all[name][f.Name] = found
		}
	}
	return all
}

// innermost is the name of a type without its lists, and whether there was one.
func innermost(t ast.Type) (name string, list bool) {
	switch t := t.(type) {
	case *ast.NonNull:
		return innermost(t.OfType)
	case *ast.List:
		name, _ = innermost(t.OfType)
		return name, true
	case ast.NamedType:
		return t.TypeName(), false
	}
	return "", false
}

// cost is what an operation costs at most: each field 1, and what is in a list as often as there may be rows.
func (s shape) cost(o *operation, variables map[string]any) int {
	total := s.costOf(o.fields, rootOf(o.kind), false, variables)
	if o.kind == kindMutation {
		total += mutationCost * len(o.fields)
	}
	return total
}

// costOf is the cost of the fields of an object; inPage: whether the page's rows have been counted already.
func (s shape) costOf(fields []*field, object string, inPage bool, variables map[string]any) int {
	total := 0
	for _, f := range fields {
		known := s[object][f.name]
		rows := 1
		switch {
		case known.paged:
			rows = first(f, variables)
		case known.list && !inPage:
			rows = orderLines
		}
		below := s.costOf(f.fields, known.of, known.paged && !known.list, variables)
		total = min(total+1+rows*below, tooMuch)
	}
	return total
}

// first is how many rows a page may have.
func first(f *field, variables map[string]any) int {
	value := f.arguments["first"]
	if name, ok := value.(variable); ok {
		value = variables[string(name)]
	}
	number, ok := value.(float64)
	if !ok || number == 0 {
		return page.Default
	}
	return int(min(max(number, 1), page.Max))
}
