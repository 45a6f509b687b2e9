package publicapi

import (
	"context"
	"encoding/json"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"m3o/internal/fault"
	"m3o/internal/publicapi/publicapiapi"
)

// defaultTimeout is the time budget of an endpoint that does not say.
const defaultTimeout = 10 * time.Second

// endpoint is an endpoint of an API on sale. The first members are as in
// publicapiapi.EndpointRoute.
type endpoint struct {
	name    string
	alias   string
	method  string
	pattern string
	path    string
	stream  bool
	timeout time.Duration
	schema  publicapiapi.Schema

	summary   string
	request   *openapi3.Schema // of a JSON body; nil: anything
	place     operationPlace
	parameter []*openapi3.Parameter
}

// operationPlace is where the document describes an endpoint.
type operationPlace struct{ method, path string }

// document is an OpenAPI document with the endpoints that it describes.
type document struct {
	openAPI   *openapi3.T
	endpoints []endpoint // by name
	faults    []error    // of the operations that are not on sale because of them
	keys      map[string]int
}

// The form of a document is looked at before it is read, since reading goes as deep
// as the document does.
const (
	largestDocument = 1 << 20
	deepestDocument = 100
)

// parse reads a document (OpenAPI 3.0 or 3.1, JSON, no references to elsewhere)
// of the API of that name. What is wrong is fault.Invalid and says where. With
// operations each operation is an endpoint, else each path without parameters.
func parse(api, text string, operations bool) (*document, error) {
	loaded, err := load(text)
	if err != nil {
		return nil, err
	}
	d := &document{openAPI: loaded}
	if operations {
		d.sellOperations(api)
	} else if err := d.sellPaths(api); err != nil {
		return nil, err
	}
	slices.SortFunc(d.endpoints, func(a, b endpoint) int { return strings.Compare(a.name, b.name) })
	d.index(api)
	return d, nil
}

func load(text string) (*openapi3.T, error) {
	if !json.Valid([]byte(text)) {
		return nil, fault.BadField("api.open_api_json", "is not valid JSON")
	}
	if tooDeep(text) {
		return nil, fault.BadField("api.open_api_json", "must not be nested deeper than %d", deepestDocument)
	}
	if raw, err := decoded(text); err != nil {
		return nil, fault.BadField("api.open_api_json", "is not a JSON object")
	} else if ref := endless(raw, raw); ref != "" {
		return nil, fault.BadField("api.open_api_json", "the reference %s leads to another one, and so on: at most %d times", cut(ref, 100), longestChain)
	}
	loaded, err := openapi3.NewLoader().LoadFromData([]byte(text))
	if err != nil {
		return nil, badDocument(err)
	}
	if version := loaded.OpenAPIMajorMinor(); version != "3.0" && version != "3.1" {
		return nil, fault.BadField("api.open_api_json", "openapi must be 3.0 or 3.1, not %q", loaded.OpenAPI)
	}
	return loaded, nil
}

// tooDeep says whether valid JSON is nested deeper than documents may be.
func tooDeep(text string) bool {
	depth, tokens := 0, json.NewDecoder(strings.NewReader(text))
	for {
		token, err := tokens.Token()
		if err != nil {
			return err != io.EOF //nolint:errorlint // the decoder gives the very error
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			if depth++; depth > deepestDocument {
				return true
			}
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
	}
}

// sellPaths makes an endpoint of each path without parameters, as a service on the
// bus has them.
func (d *document) sellPaths(api string) error {
	taken := map[string]string{}
	for _, path := range d.openAPI.Paths.InMatchingOrder() {
		item := d.openAPI.Paths.Value(path)
		method, operation := primary(item)
		if operation == nil || strings.Contains(path, "{") {
			continue
		}
		e := endpointOf(path, method, item, operation)
		e.name = nameByPath(api, path, operation)
		if other, ok := taken[lastOf(e.name)]; ok {
			return fault.BadField("api.open_api_json", "paths %s and %s are both the endpoint %q: give each an operationId like %q", other, path, lastOf(e.name), e.name)
		}
		taken[lastOf(e.name)] = path
		d.endpoints = append(d.endpoints, e)
	}
	return nil
}

// validate holds the document to its specification. That takes a while, so it is
// done when a document comes in and not when it is loaded again.
func (d *document) validate(ctx context.Context) error {
	if err := d.openAPI.Validate(ctx, openapi3.DisableExamplesValidation(), openapi3.DisableSchemaPatternValidation()); err != nil {
		return badDocument(err)
	}
	return d.faultBefore(nil)
}

// badDocument shows the caller, who is an admin, what the parser says.
func badDocument(err error) error {
	return fault.BadField("api.open_api_json", "%s", firstLine(err))
}

// firstLine is what a parser says without its quotation of the text; it names the place.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return cut(line, 500)
}

// named is the form of an operationId or x-m3o-endpoint that names an endpoint.
var named = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]*\.[A-Za-z][A-Za-z0-9_-]*$`)

// primary is the operation by which a path was on sale when a path was one endpoint:
// POST if there is one.
func primary(item *openapi3.PathItem) (method string, operation *openapi3.Operation) {
	for _, method := range []string{"POST", "GET", "PUT", "PATCH", "DELETE"} {
		if operation := item.GetOperation(method); operation != nil {
			return method, operation
		}
	}
	return "", nil
}

// nameByPath is the name of the endpoint that a path was, and that a service on the
// bus has there.
func nameByPath(api, path string, operation *openapi3.Operation) string {
	if said := saidName(operation); said != "" {
		return said
	}
	if named.MatchString(operation.OperationID) {
		return operation.OperationID
	}
	return pascal(api) + "." + pascal(lastSegment(path))
}

// saidName is the name that a document made for m3o gives an operation.
func saidName(operation *openapi3.Operation) string {
	said, _ := operation.Extensions["x-m3o-endpoint"].(string)
	if !named.MatchString(said) {
		return ""
	}
	return said
}

func lastSegment(path string) string {
	return path[strings.LastIndexByte(strings.TrimRight(path, "/"), '/')+1:]
}

// endpointOf is the endpoint of an operation, without its name.
func endpointOf(path, method string, item *openapi3.PathItem, operation *openapi3.Operation) endpoint {
	e := endpoint{path: path, place: operationPlace{method, path}, summary: operation.Summary, stream: streams(operation), timeout: defaultTimeout}
	if e.summary == "" {
		e.summary, _, _ = strings.Cut(operation.Description, "\n")
	}
	if text, _ := operation.Extensions["x-m3o-timeout"].(string); text != "" {
		if d, err := time.ParseDuration(text); err == nil && d > 0 {
			e.timeout = d
		}
	}
	e.request = requestOf(operation)
	e.parameter = parametersOf(item, operation)
	e.schema = schemaOf(e.parameter, e.request)
	return e
}

// streams says whether an operation answers with a stream: lines of JSON, server-sent
// events, or M3O's response named "stream".
func streams(operation *openapi3.Operation) bool {
	for name, response := range operation.Responses.Map() {
		if name == "stream" {
			return true
		}
		if !strings.HasPrefix(name, "2") || response.Value == nil {
			continue
		}
		for kind := range response.Value.Content {
			kind, _, _ = strings.Cut(strings.ToLower(kind), ";")
			if slices.Contains([]string{"application/x-ndjson", "application/jsonl", "text/event-stream"}, strings.TrimSpace(kind)) {
				return true
			}
		}
	}
	return false
}

// cut shortens a text for a message.
func cut(text string, size int) string {
	if runes := []rune(text); len(runes) > size {
		return string(runes[:size]) + "…"
	}
	return text
}
