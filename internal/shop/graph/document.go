package graph

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"text/scanner"

	"m3o/internal/fault"
)

// document is a GraphQL document as far as the limits need to know it: which fields its operations ask for. It is read
// by the same scanner and the same grammar as the library that executes it, so that both see the same fields.
type document struct {
	operations []*operation
	fragments  map[string][]selection
	directives bool // somewhere, such as @skip
}

// operation is a query, a mutation or a subscription.
type operation struct {
	kind       string // query, mutation or subscription
	name       string
	declared   map[string]typeRef // its variables
	defaults   map[string]any     // of its variables
	selections []selection
	fields     []*field // the same with every fragment in its place, once expand has made them
	direct     *direct  // how to answer it without the library's executor; nil: not possible
}

// selection is one of field, spread and selections.
type selection struct {
	field      *field
	spread     string      // the name of a fragment
	selections []selection // of an inline fragment
}

type field struct {
	name       string
	key        string // in the answer: its alias, or its name
	arguments  map[string]any
	selections []selection
	fields     []*field // the same with every fragment in its place
}

// variable is the value of an argument that a variable gives.
type variable string

// unread is the value of a string that is written in a way which only the library reads.
type unread struct{}

// maxNesting is how deep brackets of any kind may be nested.
const maxNesting = 100

// errNotRead says that a text is no document, or nested too deep.
var errNotRead = errors.New("this is no GraphQL document")

// readDocument reads a document. Its error says nothing about the mistake: the library's does.
func readDocument(text string) (doc *document, err error) {
	r := &reader{document: document{fragments: map[string][]selection{}}}
	r.scanner.Init(strings.NewReader(text))
	r.scanner.Mode = scanner.ScanIdents | scanner.ScanInts | scanner.ScanFloats | scanner.ScanStrings
	r.scanner.Error = func(*scanner.Scanner, string) {} // the library refuses such a text
	defer func() {
		switch reason := recover().(type) {
		case nil:
		case failure:
			doc, err = nil, errNotRead
		default:
			panic(reason)
		}
	}()
	r.advance()
	for r.next != scanner.EOF {
		r.definition()
	}
	return &r.document, nil
}

// reader reads a document token by token. What is not as the grammar wants it ends in fail.
type reader struct {
	document
	scanner scanner.Scanner
	next    rune // the kind of the token that is read next
	nesting int
}

// failure is what fail panics with, so that the grammar's functions need not return errors.
type failure struct{}

func (r *reader) fail() { panic(failure{}) }

// advance goes to the next token. Commas and comments are none.
func (r *reader) advance() {
	for {
		switch r.next = r.scanner.Scan(); r.next {
		case ',':
		case '#':
			for c := r.scanner.Next(); c != '\r' && c != '\n' && c != scanner.EOF; {
				c = r.scanner.Next()
			}
		default:
			return
		}
	}
}

func (r *reader) take(token rune) {
	if r.next != token {
		r.fail()
	}
	r.advance()
}

func (r *reader) takes(token rune) bool {
	if r.next != token {
		return false
	}
	r.advance()
	return true
}

func (r *reader) ident() string {
	name := r.scanner.TokenText()
	r.take(scanner.Ident)
	return name
}

// within reads what is between two brackets, item by item.
func (r *reader) within(open, end rune, item func()) {
	r.take(open)
	if r.nesting++; r.nesting > maxNesting {
		r.fail()
	}
	for r.next != end {
		item()
	}
	r.nesting--
	r.advance()
}

// definition reads an operation or a fragment.
func (r *reader) definition() {
	r.description()
	if r.next == '{' {
		r.operations = append(r.operations, &operation{kind: kindQuery, selections: r.selectionSet()})
		return
	}
	switch kind := r.ident(); kind {
	case kindQuery, kindMutation, kindSubscription:
		r.operations = append(r.operations, r.operation(kind))
	case "fragment":
		name := r.ident()
		r.ident() // on
		r.ident()
		r.directives()
		r.fragments[name] = r.selectionSet()
	default:
		r.fail()
	}
}

// The kinds of operations.
const (
	kindQuery        = "query"
	kindMutation     = "mutation"
	kindSubscription = "subscription"
)

func (r *reader) operation(kind string) *operation {
	o := &operation{kind: kind, declared: map[string]typeRef{}, defaults: map[string]any{}}
	if r.next == scanner.Ident {
		o.name = r.ident()
	}
	if r.next == '(' {
		r.within('(', ')', func() { r.declaration(o) })
	}
	r.directives()
	o.selections = r.selectionSet()
	return o
}

// declaration reads a variable's declaration and keeps its default.
func (r *reader) declaration(o *operation) {
	r.description()
	r.take('$')
	name := r.ident()
	r.take(':')
	o.declared[name] = r.typeRef()
	if r.takes('=') {
		value := r.value()
		if _, ok := value.(unread); !ok {
			o.defaults[name] = value
		}
	}
	r.directives()
}

func (r *reader) typeRef() (t typeRef) {
	if r.next == '[' {
		r.within('[', ']', func() {
			of := r.typeRef()
			t.list = &of
		})
	} else {
		t.name = r.ident()
	}
	t.required = r.takes('!')
	return t
}

func (r *reader) description() {
	if r.next == scanner.String {
		r.text()
	}
}

func (r *reader) directives() {
	for r.takes('@') {
		r.document.directives = true
		r.ident()
		r.arguments()
	}
}

func (r *reader) arguments() map[string]any {
	if r.next != '(' {
		return nil
	}
	all := map[string]any{}
	r.within('(', ')', func() {
		name := r.ident()
		r.take(':')
		all[name] = r.value()
		r.directives()
	})
	return all
}

func (r *reader) selectionSet() (all []selection) {
	r.within('{', '}', func() { all = append(all, r.selection()) })
	return all
}

func (r *reader) selection() selection {
	if r.next == '.' {
		return r.spread()
	}
	f := &field{name: r.ident()}
	f.key = f.name
	if r.takes(':') {
		f.name = r.ident()
	}
	f.arguments = r.arguments()
	r.directives()
	if r.next == '{' {
		f.selections = r.selectionSet()
	}
	return selection{field: f}
}

func (r *reader) spread() selection {
	r.take('.')
	r.take('.')
	r.take('.')
	if r.next == scanner.Ident {
		name := r.ident()
		if name != "on" {
			r.directives()
			return selection{spread: name}
		}
		r.ident()
	}
	r.directives()
	return selection{selections: r.selectionSet()}
}

// value reads a literal as JSON would give it, a variable as variable.
func (r *reader) value() any {
	switch r.next {
	case '$':
		r.advance()
		return variable(r.ident())
	case '[':
		list := []any{}
		r.within('[', ']', func() { list = append(list, r.value()) })
		return list
	case '{':
		object := map[string]any{}
		r.within('{', '}', func() {
			name := r.ident()
			r.take(':')
			object[name] = r.value()
		})
		return object
	case scanner.String:
		return r.text()
	case scanner.Ident:
		return word(r.ident())
	}
	return r.number()
}

// word is a name that stands for a value: true, false, null or a member of an enum.
func word(name string) any {
	switch name {
	case "null":
		return nil
	case "true", "false":
		return name == "true"
	}
	return name
}

// text reads a string: what JSON would read alike, else unread.
func (r *reader) text() (value any) {
	var text string
	value = unread{}
	switch {
	case r.scanner.Peek() == '"':
		r.block()
	case json.Unmarshal([]byte(r.scanner.TokenText()), &text) == nil:
		value = text
	}
	r.advance()
	return value
}

// block passes over a block string, whose first two quotes the scanner took for an empty text.
func (r *reader) block() {
	r.scanner.Next()
	for quotes := 0; quotes < 3; {
		switch r.scanner.Next() {
		case '"':
			quotes++
		case scanner.EOF:
			r.fail()
		default:
			quotes = 0
		}
	}
}

func (r *reader) number() any {
	sign := ""
	if r.takes('-') {
		sign = "-"
	}
	text := sign + r.scanner.TokenText()
	switch r.next {
	case scanner.Int, scanner.Float:
		r.advance()
	default:
		r.fail()
	}
	number, err := strconv.ParseFloat(text, 64)
	if err != nil {
		r.fail()
	}
	return number
}

// operation is the one that a request names, or the only one there is.
func (d *document) operation(name string) (*operation, error) {
	var found *operation
	for _, o := range d.operations {
		if name == "" && len(d.operations) > 1 {
			return nil, fault.BadField("operationName", "the document has %d operations: name one", len(d.operations))
		}
		if name == "" || o.name == name {
			found = o
		}
	}
	if found == nil {
		return nil, fault.BadField("operationName", "the document has no operation %q", name)
	}
	return found, nil
}
