package graph

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/scanner"
	"unicode"
	"unicode/utf8"

	qerrors "github.com/graph-gophers/graphql-go/errors"

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
	fields     []*field       // the same with every fragment in its place, once expand has made them
	directives []directive    // of all of them
	uses       map[string]use // of its variables, once they are surveyed
	direct     *direct        // how to answer it without the library's executor; nil: not possible
}

// directive is one such as @skip, with its arguments.
type directive struct {
	name      string
	arguments map[string]any
}

// selection is one of field, spread and selections.
type selection struct {
	directives []directive
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

// mistake is what the library would let pass, or not name.
type mistake struct {
	text string
	at   qerrors.Location
}

func (m *mistake) Error() string { return m.text }

// readDocument reads a document. Its error is a mistake, or says nothing about it: the library's does.
func readDocument(text string) (doc *document, err error) {
	if i := strings.IndexFunc(text, isControl); i >= 0 {
		return nil, &mistake{fmt.Sprintf("syntax error: the control character U+%04X may not be in a document", text[i]), locationOf(text, i)}
	}
	r := &reader{document: document{fragments: map[string][]selection{}}}
	r.scanner.Init(strings.NewReader(text))
	r.scanner.Mode = scanner.ScanIdents | scanner.ScanInts | scanner.ScanFloats | scanner.ScanStrings
	r.scanner.Error = func(*scanner.Scanner, string) {} // the library refuses such a text
	defer func() {
		switch reason := recover().(type) {
		case nil:
		case failure:
			doc, err = nil, reason.err
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

// isControl says whether a character may not be in a document (GraphQL, section 2.1.1).
func isControl(c rune) bool { return c < ' ' && c != '\t' && c != '\n' && c != '\r' }

// locationOf is the line and column of a byte of a text, both from 1.
func locationOf(text string, i int) qerrors.Location {
	before := text[:i]
	return qerrors.Location{Line: 1 + strings.Count(before, "\n"), Column: 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])}
}

// reader reads a document token by token. What is not as the grammar wants it ends in fail.
type reader struct {
	document
	scanner scanner.Scanner
	next    rune // the kind of the token that is read next
	nesting int
}

// failure is what fail and refuse panic with, so that the grammar's functions need not return errors.
type failure struct{ err error }

func (r *reader) fail() { panic(failure{errNotRead}) }

// refuse is fail for a mistake that begins at a place.
func (r *reader) refuse(at scanner.Position, format string, args ...any) {
	panic(failure{&mistake{"syntax error: " + fmt.Sprintf(format, args...), qerrors.Location{Line: at.Line, Column: at.Column}}})
}

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
	t := r.typeRef()
	if r.takes('=') {
		t.defaulted = true
		if value := r.value(); !hasUnread(value) {
			o.defaults[name] = value
		}
	}
	o.declared[name] = t
	r.directives()
}

// hasUnread says whether a literal holds a string that only the library reads.
func hasUnread(value any) bool {
	switch value := value.(type) {
	case unread:
		return true
	case []any:
		return slices.ContainsFunc(value, hasUnread)
	case map[string]any:
		for _, of := range value {
			if hasUnread(of) {
				return true
			}
		}
	}
	return false
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

func (r *reader) directives() (all []directive) {
	for r.takes('@') {
		r.document.directives = true
		name := r.ident()
		all = append(all, directive{name, r.arguments()})
	}
	return all
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
	directives := r.directives()
	if r.next == '{' {
		f.selections = r.selectionSet()
	}
	return selection{directives: directives, field: f}
}

func (r *reader) spread() selection {
	r.take('.')
	r.take('.')
	r.take('.')
	if r.next == scanner.Ident {
		name := r.ident()
		if name != "on" {
			return selection{directives: r.directives(), spread: name}
		}
		r.ident()
	}
	directives := r.directives()
	return selection{directives: directives, selections: r.selectionSet()}
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

// number reads a number as GraphQL writes it, which is as JSON does. The scanner reads what Go has.
func (r *reader) number() any {
	at, sign := r.scanner.Position, ""
	if r.takes('-') {
		sign = "-"
	}
	if r.next != scanner.Int && r.next != scanner.Float {
		r.fail()
	}
	text := sign + r.scanner.TokenText()
	if after := r.scanner.Peek(); after == '.' || after == '_' || after >= '0' && after <= '9' || unicode.IsLetter(after) {
		r.refuse(at, "%.60s%c is no number: something must stand between it and what follows", text, after)
	}
	if r.scanner.Offset != at.Offset+len(sign) || !json.Valid([]byte(text)) {
		r.refuse(at, "%.60s is no number of GraphQL: write it in decimal, without leading zeros, with digits on both sides of a point", strings.TrimSpace(text))
	}
	r.advance()
	number, err := strconv.ParseFloat(text, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) { // one out of range is infinite, and fits no type
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
		return nil, fault.BadField("operationName", "the document has no operation %.60q", name)
	}
	return found, nil
}
