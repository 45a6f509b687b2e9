package publicapi

import (
	"context"
	"encoding/json"
	"net/http"
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

// endpoint is an endpoint of an API on sale.
type endpoint struct {
	name    string // e.g. "Helloworld.Call"
	method  string // that callers use; a service on the bus takes POST only
	path    string // at the target
	summary string
	stream  bool
	timeout time.Duration
	schema  publicapiapi.Schema
	request *openapi3.Schema // nil: anything
}

// document is an OpenAPI document with the endpoints that it describes.
type document struct {
	openAPI   *openapi3.T
	endpoints []endpoint // by name
}

// parse reads a document (OpenAPI 3.0 or 3.1, JSON, no references to elsewhere)
// of the API of that name. What is wrong is fault.Invalid and says where.
func parse(api, text string) (*document, error) {
	if !json.Valid([]byte(text)) {
		return nil, fault.BadField("api.open_api_json", "is not valid JSON")
	}
	loaded, err := openapi3.NewLoader().LoadFromData([]byte(text))
	if err != nil {
		return nil, badDocument(err)
	}
	if version := loaded.OpenAPIMajorMinor(); version != "3.0" && version != "3.1" {
		return nil, fault.BadField("api.open_api_json", "openapi must be 3.0 or 3.1, not %q", loaded.OpenAPI)
	}
	d := &document{openAPI: loaded}
	taken := map[string]string{}
	for _, path := range loaded.Paths.InMatchingOrder() {
		method, operation := operationOf(loaded.Paths.Value(path))
		if operation == nil || strings.Contains(path, "{") {
			continue
		}
		e := endpointOf(api, path, operation)
		e.method = method
		if other, ok := taken[lastOf(e.name)]; ok {
			return nil, fault.BadField("api.open_api_json", "paths %s and %s are both the endpoint %q: give each an operationId like %q", other, path, lastOf(e.name), e.name)
		}
		taken[lastOf(e.name)] = path
		d.endpoints = append(d.endpoints, e)
	}
	slices.SortFunc(d.endpoints, func(a, b endpoint) int { return strings.Compare(a.name, b.name) })
	return d, nil
}

// validate holds the document to its specification. That takes a while, so it is
// done when a document comes in and not when it is loaded again.
func (d *document) validate(ctx context.Context) error {
	if err := d.openAPI.Validate(ctx, openapi3.DisableExamplesValidation()); err != nil {
		return badDocument(err)
	}
	return nil
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

// operationOf is the operation of a path that is on sale: POST if there is one.
func operationOf(item *openapi3.PathItem) (method string, operation *openapi3.Operation) {
	for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		if operation := item.GetOperation(method); operation != nil {
			return method, operation
		}
	}
	return "", nil
}

func endpointOf(api, path string, operation *openapi3.Operation) endpoint {
	e := endpoint{path: path, summary: operation.Summary, stream: streams(operation), timeout: defaultTimeout}
	if e.summary == "" {
		e.summary, _, _ = strings.Cut(operation.Description, "\n")
	}
	if text, _ := operation.Extensions["x-m3o-timeout"].(string); text != "" {
		if d, err := time.ParseDuration(text); err == nil && d > 0 {
			e.timeout = d
		}
	}
	said, _ := operation.Extensions["x-m3o-endpoint"].(string)
	switch {
	case named.MatchString(said):
		e.name = said
	case named.MatchString(operation.OperationID):
		e.name = operation.OperationID
	default:
		e.name = pascal(api) + "." + pascal(path[strings.LastIndexByte(strings.TrimRight(path, "/"), '/')+1:])
	}
	e.request = requestOf(operation)
	e.schema = schemaOf(operation, e.request)
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

// requestOf is the schema of the JSON body of an operation, nil when there is none.
func requestOf(operation *openapi3.Operation) *openapi3.Schema {
	if operation.RequestBody == nil || operation.RequestBody.Value == nil {
		return nil
	}
	media := operation.RequestBody.Value.Content.Get("application/json")
	if media == nil || media.Schema == nil {
		return nil
	}
	return media.Schema.Value
}

// schemaOf is the JSON type of each parameter of the query and each member of the
// body.
func schemaOf(operation *openapi3.Operation, request *openapi3.Schema) publicapiapi.Schema {
	found := publicapiapi.Schema{}
	for _, parameter := range operation.Parameters {
		if p := parameter.Value; p != nil && p.In == openapi3.ParameterInQuery && p.Schema != nil {
			addMember(found, p.Name, p.Schema.Value)
		}
	}
	addMembers(found, request, 0)
	return found
}

// addMembers follows allOf, but not for ever: a schema may contain itself.
func addMembers(found publicapiapi.Schema, schema *openapi3.Schema, depth int) {
	const deepest = 8
	if schema == nil || depth > deepest {
		return
	}
	for _, part := range schema.AllOf {
		addMembers(found, part.Value, depth+1)
	}
	for name, member := range schema.Properties {
		addMember(found, name, member.Value)
	}
}

func addMember(found publicapiapi.Schema, name string, schema *openapi3.Schema) {
	if kind := typeOf(schema); kind != "" {
		found[name] = kind
	}
}

// typeOf is the first type of a schema that is not null, empty when it has none.
func typeOf(schema *openapi3.Schema) string {
	if schema == nil {
		return ""
	}
	for _, kind := range schema.Type.Slice() {
		if kind != "null" {
			return kind
		}
	}
	return ""
}

// find is the endpoint that a name means, written "Service.Endpoint" or "Endpoint".
func (d *document) find(api, name string) (endpoint, bool) {
	service, last, dotted := strings.Cut(name, ".")
	if !dotted {
		service, last = "", name
	}
	for _, e := range d.endpoints {
		own, _, _ := strings.Cut(e.name, ".")
		if lastOf(e.name) == canonical(last) && (!dotted || canonical(service) == canonical(own) || canonical(service) == canonical(api)) {
			return e, true
		}
	}
	return endpoint{}, false
}

// cut shortens a text for a message.
func cut(text string, size int) string {
	if runes := []rune(text); len(runes) > size {
		return string(runes[:size]) + "…"
	}
	return text
}
