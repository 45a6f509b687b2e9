package graph

import (
	"context"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"

	graphql "github.com/graph-gophers/graphql-go"
	qerrors "github.com/graph-gophers/graphql-go/errors"
)

// direct answers an operation without the library's executor, which reads and checks the document each time, and costs a
// microsecond and five allocations for each field of each row: a page of products would take three times as long. It is
// for queries of the plain kind and for the one mutation that clients send by the thousand; directives, introspection and
// other mutations are the library's. Both answer with the same bytes, and tests hold them to that.
type direct struct {
	roots  []root
	panics panics
}

// root is a field of Query or Mutation.
type root struct {
	key       string
	arguments map[string]any
	call      caller
	value     *writer
}

// caller calls the resolver of a root's field.
type caller func(ctx context.Context, r *resolver, a arguments) (any, error)

// rootField is what can be called, and the type of what it gives.
type rootField struct {
	call caller
	of   reflect.Type
}

func fieldCalling[T any](call func(context.Context, *resolver, arguments) (T, error)) rootField {
	return rootField{
		func(ctx context.Context, r *resolver, a arguments) (any, error) { return call(ctx, r, a) },
		reflect.TypeFor[T](),
	}
}

// queryFields are the fields of Query.
func queryFields() map[string]rootField {
	return map[string]rootField{
		"users": fieldCalling(func(ctx context.Context, r *resolver, a arguments) ([]*user, error) { return r.Users(ctx, a.rows()) }),
		"usersPage": fieldCalling(func(ctx context.Context, r *resolver, a arguments) (userPage, error) {
			return r.UsersPage(ctx, a.rows())
		}),
		"user": fieldCalling(func(ctx context.Context, r *resolver, a arguments) (*user, error) { return r.User(ctx, a.one()) }),
		"products": fieldCalling(func(ctx context.Context, r *resolver, a arguments) ([]*product, error) {
			return r.Products(ctx, a.rows())
		}),
		"productsPage": fieldCalling(func(ctx context.Context, r *resolver, a arguments) (productPage, error) {
			return r.ProductsPage(ctx, a.rows())
		}),
		"product": fieldCalling(func(ctx context.Context, r *resolver, a arguments) (*product, error) { return r.Product(ctx, a.one()) }),
		"orders":  fieldCalling(func(ctx context.Context, r *resolver, a arguments) ([]*order, error) { return r.Orders(ctx, a.rows()) }),
		"ordersPage": fieldCalling(func(ctx context.Context, r *resolver, a arguments) (orderPage, error) {
			return r.OrdersPage(ctx, a.rows())
		}),
		"order": fieldCalling(func(ctx context.Context, r *resolver, a arguments) (*order, error) { return r.Order(ctx, a.one()) }),
	}
}

// arguments are those of a field of Query, with the variables' values.
type arguments map[string]any

func (a arguments) rows() (r rows) {
	if first, ok := a["first"].(float64); ok {
		number := int32(first)
		r.First = &number
	}
	r.After, r.Search = a.text("after"), a.text("search")
	return r
}

func (a arguments) one() one { return one{graphql.ID(valueOf(a.text("id")))} }

func (a arguments) text(name string) *string {
	if text, ok := a[name].(string); ok {
		return &text
	}
	return nil
}

// given are the arguments of a field, with the variables' values.
func given(of map[string]any, variables map[string]any) arguments {
	all := make(arguments, len(of))
	for name, value := range of {
		all[name] = filledIn(value, variables)
	}
	return all
}

// compiler makes direct answers out of operations that are valid.
type compiler struct {
	shape  shape
	inputs inputs
	panics panics
}

// compile is nil for an operation that is the library's.
func (c compiler) compile(d *document, o *operation) *direct {
	if d.directives || isRepeated(o.fields) {
		return nil
	}
	made := &direct{panics: c.panics}
	for _, f := range o.fields {
		field, ok := c.rootField(o, f)
		if !ok {
			return nil
		}
		value := c.writer(f.fields, c.shape[rootOf(o.kind)][f.name].of, field.of)
		if value == nil {
			return nil
		}
		made.roots = append(made.roots, root{f.key, f.arguments, field.call, value})
	}
	return made
}

// rootField is how a field of Query or Mutation is called, if it is called directly. Several mutations follow one another,
// which execute does not do, and the defaults of their variables are not held against the types.
func (c compiler) rootField(o *operation, f *field) (found rootField, ok bool) {
	switch o.kind {
	case kindQuery:
		found, ok = queryFields()[f.name]
		return found, ok && arePlain(f.arguments)
	case kindMutation:
		mutation, ok := mutationFields()[f.name]
		input := typeRef{name: mutation.input, required: true}
		return mutation.rootField, ok && len(o.fields) == 1 && len(o.defaults) == 0 && c.inputs.fits(o, f.arguments["input"], input)
	}
	return found, false
}

// isRepeated says whether two fields of one object have the same key, so that what they ask for must be merged.
func isRepeated(fields []*field) bool {
	seen := make(map[string]bool, len(fields))
	for _, f := range fields {
		if seen[f.key] {
			return true
		}
		seen[f.key] = true
	}
	return false
}

// arePlain says whether the arguments of a field can be read as the library reads them: a literal ID may be a number.
func arePlain(of map[string]any) bool {
	for name, value := range of {
		switch value.(type) {
		case nil, string, variable:
		case float64:
			if name != "first" {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// writer writes what of a value is asked for. One of scalars does not need the place.
type writer struct {
	write  func(a *writing, v reflect.Value, at *place)
	scalar bool
}

func scalarWriter(write func(a *writing, v reflect.Value)) *writer {
	return &writer{func(a *writing, v reflect.Value, _ *place) { write(a, v) }, true}
}

// writer is for a Go type and the type of the schema that it stands for; nil: it is the library's.
func (c compiler) writer(fields []*field, object string, t reflect.Type) *writer {
	if t == reflect.TypeFor[graphql.Time]() {
		return scalarWriter(func(a *writing, v reflect.Value) { a.time(v.Interface().(graphql.Time)) })
	}
	switch t.Kind() {
	case reflect.String:
		return scalarWriter(func(a *writing, v reflect.Value) { a.text(v.String()) })
	case reflect.Int32:
		return scalarWriter(func(a *writing, v reflect.Value) { a.out = strconv.AppendInt(a.out, v.Int(), 10) })
	case reflect.Slice:
		return listWriter(c.writer(fields, object, t.Elem()))
	case reflect.Pointer:
		return optionalWriter(c.writer(fields, object, t.Elem()))
	case reflect.Struct:
		return c.objectWriter(fields, object, t)
	}
	return nil
}

func listWriter(of *writer) *writer {
	if of == nil {
		return nil
	}
	return &writer{write: func(a *writing, v reflect.Value, at *place) {
		a.out = append(a.out, '[')
		item := &place{above: at} // the same for all: what fails copies its path at once
		for i := range v.Len() {
			if i > 0 {
				a.out = append(a.out, ',')
			}
			item.index = i
			of.write(a, v.Index(i), item)
		}
		a.out = append(a.out, ']')
	}}
}

func optionalWriter(of *writer) *writer {
	if of == nil {
		return nil
	}
	return &writer{write: func(a *writing, v reflect.Value, at *place) {
		if v.IsNil() {
			a.null()
			return
		}
		of.write(a, v.Elem(), at)
	}}
}

// member is a field of an object.
type member struct {
	key    string
	quoted string // the key as JSON, with its colon
	index  int    // in the struct; -1: it is a method
	method int    // of the pointer to it
	fixed  string // the JSON of __typename
	value  *writer
}

func (c compiler) objectWriter(fields []*field, object string, t reflect.Type) *writer {
	if isRepeated(fields) {
		return nil
	}
	members := make([]member, len(fields))
	for i, f := range fields {
		m := &members[i]
		m.key, m.quoted, m.index = f.key, `"`+f.key+`":`, -1
		below := c.shape[object][f.name].of
		switch inStruct, method := fieldNamed(t, f.name), methodNamed(t, f.name); {
		case f.name == "__typename":
			m.fixed = `"` + object + `"`
			continue
		case inStruct >= 0:
			m.index, m.value = inStruct, c.writer(f.fields, below, t.Field(inStruct).Type)
		case method >= 0:
			m.method, m.value = method, c.writer(f.fields, below, reflect.PointerTo(t).Method(method).Type.Out(0))
		}
		if m.value == nil {
			return nil
		}
	}
	return &writer{write: func(a *writing, v reflect.Value, at *place) { a.object(members, v, at) }}
}

// fieldNamed is the index of a struct's field by its name in the schema, as the library compares them; -1: none.
func fieldNamed(t reflect.Type, name string) int {
	for i := range t.NumField() {
		if f := t.Field(i); f.IsExported() && strings.EqualFold(f.Name, strings.ReplaceAll(name, "_", "")) {
			return i
		}
	}
	return -1
}

// methodNamed is that of a method func(context.Context) (T, error) of a pointer to t.
func methodNamed(t reflect.Type, name string) int {
	pointer := reflect.PointerTo(t)
	for i := range pointer.NumMethod() {
		if m := pointer.Method(i); strings.EqualFold(m.Name, name) && m.Type.NumIn() == 2 && m.Type.NumOut() == 2 {
			return i
		}
	}
	return -1
}

// writing is an answer, or the part of one root, while it is written.
type writing struct {
	ctx    context.Context
	out    []byte
	errors []*qerrors.QueryError
}

// place is where in an answer something stands.
type place struct {
	above *place
	key   string // of an object; empty: it is in a list
	index int
}

func (p *place) path() []any {
	if p == nil {
		return nil
	}
	if p.key == "" {
		return append(p.above.path(), p.index)
	}
	return append(p.above.path(), p.key)
}

func (a *writing) null() { a.out = append(a.out, "null"...) }

// object writes the members of a struct.
func (a *writing) object(members []member, v reflect.Value, at *place) {
	a.out = append(a.out, '{')
	for i := range members {
		m := &members[i]
		if i > 0 {
			a.out = append(a.out, ',')
		}
		a.out = append(a.out, m.quoted...)
		switch {
		case m.value == nil:
			a.out = append(a.out, m.fixed...)
		case m.index >= 0 && m.value.scalar:
			m.value.write(a, v.Field(m.index), nil)
		case m.index >= 0:
			m.value.write(a, v.Field(m.index), &place{above: at, key: m.key})
		default:
			a.call(m, v.Addr(), &place{above: at, key: m.key})
		}
	}
	a.out = append(a.out, '}')
}

// call writes what a method gives. Its type is nullable, so an error is null and stays where it is.
func (a *writing) call(m *member, receiver reflect.Value, at *place) {
	found := receiver.Method(m.method).Call([]reflect.Value{reflect.ValueOf(a.ctx)})
	if err, _ := found[1].Interface().(error); err != nil {
		a.fail(err, at)
		a.null()
		return
	}
	m.value.write(a, found[0], at)
}

func (a *writing) fail(err error, at *place) {
	a.errors = append(a.errors, &qerrors.QueryError{Message: err.Error(), Path: at.path(), ResolverError: err})
}

// text writes a string as encoding/json does.
func (a *writing) text(text string) {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, err := json.Marshal(text)
			if err != nil { // a string can always be written
				quoted = []byte(`""`)
			}
			a.out = append(a.out, quoted...)
			return
		}
	}
	a.out = append(a.out, '"')
	a.out = append(a.out, text...)
	a.out = append(a.out, '"')
}

func (a *writing) time(t graphql.Time) {
	a.out = append(a.out, '"')
	a.out = t.AppendFormat(a.out, time.RFC3339Nano)
	a.out = append(a.out, '"')
}

// execute answers the operation. Its fields are called at the same time, and all must succeed: none is nullable.
func (d *direct) execute(ctx context.Context, r *resolver, variables map[string]any) *graphql.Response {
	parts := make([]writing, len(d.roots))
	if len(d.roots) == 1 {
		d.run(ctx, 0, r, variables, &parts[0])
	} else {
		var all sync.WaitGroup
		for i := range d.roots {
			all.Go(func() { d.run(ctx, i, r, variables, &parts[i]) })
		}
		all.Wait()
	}
	return d.join(parts)
}

// run writes the value of a root; without one, when it has failed.
func (d *direct) run(ctx context.Context, i int, r *resolver, variables map[string]any, part *writing) {
	field := &d.roots[i]
	at := &place{key: field.key}
	defer func() {
		if reason := recover(); reason != nil {
			d.panics.LogPanic(ctx, reason)
			failed := d.panics.MakePanicError(ctx, reason)
			failed.Path = at.path()
			part.out, part.errors = nil, []*qerrors.QueryError{failed}
		}
	}()
	part.ctx, part.out = ctx, make([]byte, 0, 4096)
	found, err := field.call(ctx, r, given(field.arguments, variables))
	if err != nil {
		part.fail(err, at)
		part.out = nil
		return
	}
	field.value.write(part, reflect.ValueOf(found), at)
}

func (d *direct) join(parts []writing) *graphql.Response {
	made, whole := &graphql.Response{}, true
	size := 2
	for i := range parts {
		made.Errors = append(made.Errors, parts[i].errors...)
		whole = whole && parts[i].out != nil
		size += len(parts[i].out) + len(d.roots[i].key) + 4
	}
	if !whole {
		made.Data = json.RawMessage("null")
		return made
	}
	out := append(make([]byte, 0, size), '{')
	for i := range parts {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(append(out, '"'), d.roots[i].key...), '"', ':')
		out = append(out, parts[i].out...)
	}
	made.Data = append(out, '}')
	return made
}
