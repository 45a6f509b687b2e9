package gateway

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"m3o/internal/fault"
	"m3o/internal/publicapi/publicapiapi"
)

// checks are what a request of an endpoint must be. A nil schema takes anything.
type checks struct {
	body, query, path *jsonschema.Schema
	required          bool // there must be a body
}

// compile makes the checks of their schemas.
func compile(c publicapiapi.Checks) (*checks, error) {
	made := &checks{required: c.Required}
	var faults [3]error
	made.body, faults[0] = compileSchema(c.Body)
	made.query, faults[1] = compileSchema(c.Query)
	made.path, faults[2] = compileSchema(c.Path)
	return made, errors.Join(faults[:]...)
}

// compileSchema compiles a schema, which may refer to nothing outside itself.
func compileSchema(text string) (*jsonschema.Schema, error) {
	if text == "" {
		return nil, nil
	}
	const name = "checks:request"
	schema, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("read a schema: %w", err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.UseLoader(jsonschema.SchemeURLLoader{})
	if err := c.AddResource(name, schema); err != nil {
		return nil, fmt.Errorf("read a schema: %w", err)
	}
	return c.Compile(name)
}

// check holds a request to its endpoint's checks: the parameters of the path and of
// the query, typed by the endpoint's schema as they are for services, and a JSON body,
// which is read for that. A body that says it is something else is the target's to
// judge. The first faults are named.
func (s *Service) check(w http.ResponseWriter, r *http.Request, a *admission) error {
	e, c := a.endpoint, a.endpoint.checks
	if err := s.bound(w, r, a); err != nil {
		return err
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "The query is not well formed").WithID("v1")
	}
	var wrong complaints
	wrong.values(c.path, e.path.named(a.values), e.Schema)
	wrong.values(c.query, query, e.Schema)
	if e.takesJSON() {
		if err := asJSON(r, e.Schema); err != nil {
			return unread(err)
		}
	}
	body, err := readBody(r)
	if err != nil {
		return unread(err)
	}
	switch {
	case len(body) > 0 && isJSON(r.Header.Get("Content-Type")):
		wrong.text(c.body, "body", body)
	case len(body) == 0 && c.required:
		wrong.add("body", "is missing")
	}
	return wrong.fault()
}

// named are the values of a path's parameters.
func (p *path) named(values []string) url.Values {
	all := url.Values{}
	for i, value := range values {
		if plain, err := url.PathUnescape(value); err == nil {
			all.Set(p.names[i], plain)
		}
	}
	return all
}

// readBody reads the body, and leaves it there for the target.
func readBody(r *http.Request) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	body, err := io.ReadAll(r.Body)
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return body, err
}

// unread is the fault of a body that could not be read.
func unread(err error) error {
	var known *fault.Error
	if errors.As(err, &known) {
		return err
	}
	return fault.Wrap(fault.Invalid, err, "The request body could not be read").WithID("v1")
}

// isJSON says whether a body is to be taken for JSON by its Content-Type; without one
// it is, as everywhere in the house.
func isJSON(written string) bool {
	media, _, _ := strings.Cut(strings.ToLower(written), ";")
	media = strings.TrimSpace(media)
	return media == "" || media == "application/json" || strings.HasSuffix(media, "+json")
}

// complaints are what is wrong with a request.
type complaints []fault.Field

func (c *complaints) add(name, format string, args ...any) {
	*c = append(*c, fault.Field{Name: name, Detail: fmt.Sprintf(format, args...)})
}

// maxComplaints is how many of them a caller is told.
const maxComplaints = 10

// fault is the answer to the request, nil when nothing is wrong with it. It is the
// same each time, whatever was found first.
func (c complaints) fault() error {
	if len(c) == 0 {
		return nil
	}
	slices.SortFunc(c, func(a, b fault.Field) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Detail, b.Detail))
	})
	c = slices.Compact(c)
	f := fault.New(fault.Invalid, "%s: %s", c[0].Name, c[0].Detail).WithID("v1")
	f.Fields = c[:min(len(c), maxComplaints)]
	return f
}

// values complains of parameters that a schema does not take.
func (c *complaints) values(schema *jsonschema.Schema, values url.Values, types publicapiapi.Schema) {
	if schema == nil {
		return
	}
	p := parameters{schema: types, members: map[string]any{}}
	p.addValues(values)
	c.text(schema, "query", quote(p.members))
}

// text complains of JSON that a schema does not take. A fault of the whole has that
// name.
func (c *complaints) text(schema *jsonschema.Schema, name string, text []byte) {
	if schema == nil {
		return
	}
	if why := tooMuch(text); why != "" {
		c.add(name, "%s", why)
		return
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		c.add(name, "is not valid JSON")
		return
	}
	var wrong *jsonschema.ValidationError
	if errors.As(schema.Validate(value), &wrong) {
		c.find(name, wrong)
	}
}

// find complains of every place that is wrong by itself. Of alternatives that all fail
// nobody knows which one was meant.
func (c *complaints) find(whole string, wrong *jsonschema.ValidationError) {
	at := wrong.InstanceLocation
	switch k := wrong.ErrorKind.(type) {
	case *kind.Required:
		for _, name := range k.Missing {
			c.add(nameOf(whole, append(slices.Clip(at), name)), "is missing")
		}
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			c.add(nameOf(whole, append(slices.Clip(at), name)), "is not known")
		}
	case *kind.FalseSchema:
		c.add(nameOf(whole, at), "is not known")
	case *kind.AnyOf, *kind.OneOf:
		c.add(nameOf(whole, at), "is none of what it may be")
	default:
		for _, cause := range wrong.Causes {
			c.find(whole, cause)
		}
		if len(wrong.Causes) == 0 {
			c.add(nameOf(whole, at), "%s", cut(wrong.BasicOutput().Error.String()))
		}
	}
}

// nameOf is a place as callers write it, e.g. "pet.tags.0".
func nameOf(whole string, at []string) string {
	if len(at) == 0 {
		return whole
	}
	return cut(strings.Join(at, "."))
}

// cut shortens a text that may hold what the caller has sent.
func cut(text string) string {
	const most = 200
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// What a body may hold to be looked at: every value that is wrong becomes a complaint,
// and numbers are compared exactly.
const (
	maxValues = 100_000
	maxDigits = 1000
	maxPower  = 3 // digits of an exponent
)

// tooMuch says what makes a JSON text too much work to look at, empty when nothing.
func tooMuch(text []byte) string {
	values, digits, power, quoted, escaped := 1, 0, false, false, false
	for _, b := range text {
		switch {
		case escaped:
			escaped = false
		case quoted:
			quoted, escaped = b != '"', b == '\\'
		case '0' <= b && b <= '9':
			if digits++; digits > maxDigits || power && digits > maxPower {
				return "holds a number that is too long"
			}
		case b == 'e', b == 'E':
			digits, power = 0, true
		case b == '+', b == '-', b == '.':
		default:
			quoted, digits, power = b == '"', 0, false
			if b == ',' || b == '[' || b == '{' {
				values++
			}
		}
	}
	if values > maxValues {
		return fmt.Sprintf("holds more than %d values", maxValues)
	}
	return ""
}
