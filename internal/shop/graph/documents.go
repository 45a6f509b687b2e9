package graph

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	graphql "github.com/graph-gophers/graphql-go"
	qerrors "github.com/graph-gophers/graphql-go/errors"
)

// The bounds of the documents that are remembered: two generations of so many, none longer than that.
const (
	keptDocuments = 500
	keptText      = 16 << 10 // bytes
)

// documents reads documents and holds them against the schema and those limits that are the same for every caller. It
// remembers good ones: clients send few different ones, with other variables.
type documents struct {
	schema  *graphql.Schema
	survey  func(*operation) []misfit
	compile func(*document, *operation) *direct

	mu         sync.Mutex
	young, old map[string]*document
}

func newDocuments(schema *graphql.Schema, survey func(*operation) []misfit, compile func(*document, *operation) *direct) *documents {
	return &documents{schema: schema, survey: survey, compile: compile, young: map[string]*document{}}
}

// get is the document of a request. It must not be changed. Whether the variables fit it is not looked at.
func (d *documents) get(r *request) (*document, []*qerrors.QueryError) {
	text := r.Query
	if found := d.kept(text); found != nil {
		return found, nil
	}
	read, errs := d.read(text)
	if errs == nil && len(text) <= keptText {
		d.keep(text, read)
	}
	return read, errs
}

func (d *documents) read(text string) (*document, []*qerrors.QueryError) {
	if len(text) > maxText {
		return nil, refused("the document has %d bytes, and %d is the most", len(text), maxText)
	}
	read, err := readDocument(text)
	if found := new(mistake); errors.As(err, &found) {
		e := refusal(codeParseFailed, found.text)
		e.Locations = []qerrors.Location{found.at}
		return nil, []*qerrors.QueryError{e}
	}
	errs := d.check(text)
	if err != nil && errs == nil {
		errs = []*qerrors.QueryError{refusal(codeParseFailed, fmt.Sprintf("the document cannot be read, or is nested more than %d deep", maxNesting))}
	}
	if err != nil || slices.ContainsFunc(errs, func(e *qerrors.QueryError) bool { return !isOfValue(e) }) {
		return nil, errs
	}
	for _, o := range read.operations {
		if !read.expand(o) {
			return nil, refused("the operation has more than %d selections: ask for less at a time", maxSelections)
		}
		if misfits := d.survey(o); misfits != nil {
			return nil, located(o.refusalOf(misfits), errs)
		}
		o.direct = d.compile(read, o)
	}
	return read, errs
}

// check is what the library finds wrong in a document. The variables are not there yet.
func (d *documents) check(text string) (errs []*qerrors.QueryError) {
	for _, e := range d.schema.Validate(text) {
		if isOfVariable(e) {
			continue
		}
		if len(e.Locations) > 0 && e.Locations[0].Line == 0 { // the scanner did not say where
			e.Locations = nil
		}
		e.Extensions = map[string]any{"code": codeOf(e)}
		errs = append(errs, e)
	}
	return errs
}

// located is an error at the place where the library has found the same, if it has.
func located(e *qerrors.QueryError, same []*qerrors.QueryError) []*qerrors.QueryError {
	if len(same) == 1 {
		e.Locations = same[0].Locations
	}
	return []*qerrors.QueryError{e}
}

// refused is the error of a document that breaks a limit.
func refused(format string, args ...any) []*qerrors.QueryError {
	return []*qerrors.QueryError{refusal(codeInvalid, fmt.Sprintf(format, args...))}
}

func (d *documents) kept(text string) *document {
	d.mu.Lock()
	defer d.mu.Unlock()
	if found := d.young[text]; found != nil {
		return found
	}
	found := d.old[text]
	if found != nil {
		d.add(text, found)
	}
	return found
}

func (d *documents) keep(text string, read *document) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.add(text, read)
}

// add puts a document among the young. When they are many they become the old, and those are forgotten that nobody has
// asked for since.
func (d *documents) add(text string, read *document) {
	if len(d.young) >= keptDocuments {
		d.old, d.young = d.young, make(map[string]*document, keptDocuments)
	}
	d.young[text] = read
}
