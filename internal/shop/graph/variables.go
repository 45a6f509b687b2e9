package graph

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/graph-gophers/graphql-go/ast"
	qerrors "github.com/graph-gophers/graphql-go/errors"

	"m3o/internal/fault"
)

// typeRef is the type of a variable, of an argument, or of a field of an input.
type typeRef struct {
	name      string   // empty: it is a list
	list      *typeRef // of these
	required  bool     // it must not be null
	defaulted bool     // a variable that has a default
}

// inputs are the types of what is taken in, by name: the fields of an input type ("PlaceOrder"), the arguments of a field
// ("Query.products") and those of a directive ("@skip").
type inputs map[string]map[string]typeRef

func newInputs(schema *ast.Schema) inputs {
	all := inputs{"Query.__type": {"name": {name: "String", required: true}}}
	for name, t := range schema.Types {
		switch t := t.(type) {
		case *ast.InputObject:
			all[name] = map[string]typeRef{}
			for _, f := range t.Values {
				all[name][f.Name.Name] = refTo(f.Type)
			}
		case *ast.ObjectTypeDefinition:
			for _, f := range t.Fields {
				all[name+"."+f.Name] = argumentTypes(f.Arguments)
			}
		}
	}
	for name, d := range schema.Directives {
		all["@"+name] = argumentTypes(d.Arguments)
	}
	return all
}

// argumentTypes are those of arguments that are given: the library takes no null for one that has a default.
func argumentTypes(arguments ast.ArgumentsDefinition) map[string]typeRef {
	all := map[string]typeRef{}
	for _, a := range arguments {
		t := refTo(a.Type)
		t.required = t.required || a.Default != nil
		all[a.Name.Name] = t
	}
	return all
}

func refTo(t ast.Type) typeRef {
	switch t := t.(type) {
	case *ast.NonNull:
		of := refTo(t.OfType)
		of.required = true
		return of
	case *ast.List:
		of := refTo(t.OfType)
		return typeRef{list: &of}
	}
	return typeRef{name: t.String()}
}

// use is where an operation uses a variable.
type use struct {
	field    string // as the services call it, such as order_products[0].quantity; the first of several
	required string // the same of a place where null may not be; empty: none
}

// surveyor holds what operations write against the types of the schema. The library looks at some of it, such as a list
// for an Int, only when it comes to it: other mutations of the document may have been executed then.
type surveyor struct {
	shape  shape
	inputs inputs
}

// survey notes where an operation uses its variables, and finds what does not fit.
func (s surveyor) survey(o *operation) []misfit {
	o.uses = map[string]use{}
	c := &check{inputs: s.inputs, met: o.note}
	s.fields(c, o.fields, rootOf(o.kind))
	for _, d := range o.directives {
		c.arguments(d.arguments, s.inputs["@"+d.name])
	}
	return c.misfits
}

func (s surveyor) fields(c *check, fields []*field, object string) {
	for _, f := range fields {
		c.arguments(f.arguments, s.inputs[object+"."+f.name])
		s.fields(c, f.fields, s.typeOf(f, object))
	}
}

// typeOf is the type of an object's field, or of the rows of its list.
func (s surveyor) typeOf(f *field, object string) string {
	switch f.name {
	case "__schema":
		return "__Schema"
	case "__type":
		return "__Type"
	}
	return s.shape[object][f.name].of
}

// note remembers that a variable is used.
func (o *operation) note(name variable, path string, t typeRef) {
	u := o.uses[string(name)]
	if u.field == "" {
		u.field = path
	}
	if t.required && u.required == "" {
		u.required = path
	}
	o.uses[string(name)] = u
}

// hold finds what in the variables does not fit: its type, or where it is used, since a variable with a default may be
// given null and used where null may not be. The library, which is not asked for every operation, looks at scalars and
// nulls only when it comes to them: other mutations of the document may have been executed then. Numbers that are ids
// become texts.
func (in inputs) hold(o *operation, variables map[string]any) []*qerrors.QueryError {
	c := check{inputs: in}
	for name, t := range o.declared {
		value, given := variables[name]
		if place := o.uses[name].required; place != "" && value == nil && !t.required && (given || !t.defaulted) {
			c.misfit("$"+name, "is null, and %s must not be", place)
			continue
		}
		c.value("$"+name, value, t)
	}
	if c.misfits != nil {
		return []*qerrors.QueryError{o.refusalOf(c.misfits)}
	}
	if c.numbered {
		for name, t := range o.declared {
			if value, given := variables[name]; given {
				variables[name] = withTextIDs(value, t, in)
			}
		}
	}
	return nil
}

// refusalOf is the error of an operation whose values do not fit, as a fault with these fields is stated.
func (o *operation) refusalOf(misfits []misfit) *qerrors.QueryError {
	slices.SortFunc(misfits, func(a, b misfit) int { return strings.Compare(a.path, b.path) })
	misfits = misfits[:min(len(misfits), mostErrors)]
	fields, texts := make([]fault.Field, len(misfits)), make([]string, len(misfits))
	for i, m := range misfits {
		fields[i], texts[i] = fault.Field{Name: o.fieldAt(m.path), Detail: m.detail}, m.path+": "+m.detail
	}
	e := refusal(codeBadInput, strings.Join(texts, "; "))
	e.Extensions["field"], e.Extensions["fields"] = fields[0].Name, fields
	return e
}

// fieldAt is what the services call a place: for one in a variable, where that is used.
func (o *operation) fieldAt(path string) string {
	inVariable, ok := strings.CutPrefix(path, "$")
	if !ok {
		return path
	}
	end := strings.IndexAny(inVariable+".", ".[")
	field, rest := o.uses[inVariable[:end]].field, inVariable[end:]
	if name, ok := strings.CutPrefix(rest, "."); ok {
		return below(field, name)
	}
	return field + rest
}

// inputArgument is the argument of each mutation: what is in it is named without it, as the services do.
const inputArgument = "input"

// below is the place of a field of what is at a path.
func below(path, name string) string {
	if path == inputArgument {
		return name
	}
	return path + "." + name
}

// misfit is a value that does not fit its type.
type misfit struct {
	path   string // such as order_products[0].quantity, or $variable[0].quantity
	detail string
}

// check finds misfits.
type check struct {
	inputs   inputs
	met      func(name variable, path string, t typeRef) // is told of each variable in a literal
	misfits  []misfit
	numbered bool // there are ids that are numbers
}

func (c *check) misfit(path, format string, args ...any) {
	c.misfits = append(c.misfits, misfit{path, fmt.Sprintf(format, args...)})
}

// arguments checks those that are given. Those that are not are the library's.
func (c *check) arguments(given map[string]any, types map[string]typeRef) {
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if t, known := types[name]; known {
			c.value(name, given[name], t)
		}
	}
}

// value checks a literal, or what JSON gives for a variable.
func (c *check) value(path string, value any, t typeRef) {
	switch value := value.(type) {
	case variable:
		c.met(value, path, t)
	case nil:
		if t.required {
			c.misfit(path, "is required, and must not be null")
		}
	case []any:
		if t.list == nil {
			c.misfit(path, "is a list, and must be none")
			return
		}
		for i, item := range value {
			c.value(path+"["+strconv.Itoa(i)+"]", item, *t.list)
		}
	default:
		c.one(path, value, t)
	}
}

// one checks what is no list.
func (c *check) one(path string, value any, t typeRef) {
	if t.list != nil { // one is as good as a list of one
		c.value(path, value, *t.list)
		return
	}
	if fields, ok := c.inputs[t.name]; ok {
		c.object(path, value, t.name, fields)
		return
	}
	if number, ok := value.(float64); ok && t.name == "ID" && isWholeID(number) {
		c.numbered = true
		return
	}
	if detail := misfitOf(value, t.name); detail != "" {
		c.misfit(path, "%s", detail)
	}
}

func (c *check) object(path string, value any, name string, fields map[string]typeRef) {
	object, ok := value.(map[string]any)
	if !ok {
		c.misfit(path, "is no object: it must be a %s", name)
		return
	}
	for field := range object {
		if _, ok := fields[field]; !ok {
			c.misfit(below(path, fmt.Sprintf("%.60s", field)), "is no field of %s", name)
		}
	}
	for field, of := range fields {
		c.value(below(path, field), object[field], of)
	}
}

// isWholeID says whether a number in JSON may be an id: a whole one that is surely the one that was written.
func isWholeID(number float64) bool {
	return number == math.Trunc(number) && math.Abs(number) < 1<<53
}

// withTextIDs is a value that fits, its ids as texts where they are numbers (GraphQL, section 3.5.5).
func withTextIDs(value any, t typeRef, in inputs) any {
	switch value := value.(type) {
	case []any:
		return each(value, func(item any) any { return withTextIDs(item, *t.list, in) })
	case map[string]any:
		object := make(map[string]any, len(value))
		for name, of := range value {
			object[name] = withTextIDs(of, in[t.innermost()][name], in)
		}
		return object
	case float64:
		if t.innermost() == "ID" {
			return written(value)
		}
	}
	return value
}

// innermost is the name of a type without its lists.
func (t typeRef) innermost() string {
	for t.list != nil {
		t = *t.list
	}
	return t.name
}

// misfitOf says what is wrong with a scalar, as a document or JSON gives it; empty: nothing.
func misfitOf(value any, scalar string) (detail string) {
	switch value := value.(type) {
	case string, unread:
		if scalar == "String" || scalar == "ID" {
			return ""
		}
	case bool:
		if scalar == "Boolean" {
			return ""
		}
	case float64:
		if scalar == "Int" && value == math.Trunc(value) && value >= math.MinInt32 && value <= math.MaxInt32 {
			return ""
		}
		return fmt.Sprintf("%s is no %s%s", written(value), scalar, hintAt(scalar))
	}
	return "is no " + scalar + hintAt(scalar)
}

// written is a number as one writes it.
func written(number float64) string {
	if math.Abs(number) < 1e21 {
		return strconv.FormatFloat(number, 'f', -1, 64)
	}
	return strconv.FormatFloat(number, 'g', -1, 64)
}

func hintAt(scalar string) string {
	switch scalar {
	case "Int":
		return fmt.Sprintf(", a whole number up to %d", math.MaxInt32)
	case "ID":
		return ", a text"
	}
	return ""
}
