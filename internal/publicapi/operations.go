package publicapi

import (
	"regexp"
	"strings"
	"unicode"

	"github.com/getkin/kin-openapi/openapi3"

	"m3o/internal/fault"
	"m3o/internal/publicapi/publicapiapi"
)

// methods are those of the operations on sale. Nobody sells TRACE.
func methods() []string { return []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} }

// longestName is that of an endpoint, in characters.
const longestName = 128

// sellOperations makes an endpoint of each operation, as an HTTP server has them.
// One that cannot be called, or not be told from another, is a fault of the document
// and left out.
func (d *document) sellOperations(api string) {
	taken := places{}
	for _, path := range d.openAPI.Paths.InMatchingOrder() {
		item := d.openAPI.Paths.Value(path)
		for _, method := range methods() {
			operation := item.GetOperation(method)
			if operation == nil {
				continue
			}
			e := endpointOf(path, method, item, operation)
			e.called(api, item, operation)
			err := checkPattern(path)
			if err == nil {
				err = taken.take(e)
			}
			if err != nil {
				d.faults = append(d.faults, err)
				continue
			}
			d.endpoints = append(d.endpoints, e)
		}
	}
	dropAliases(d.endpoints)
}

// called sets the names of the endpoint and where callers have it.
func (e *endpoint) called(api string, item *openapi3.PathItem, operation *openapi3.Operation) {
	e.name = nameOf(api, e.place, operation)
	if e.isM3O(api, operation) {
		return
	}
	e.method, e.pattern = e.place.method, e.path
	if _, first := primary(item); first == operation && !strings.Contains(e.path, "{") {
		if before := nameByPath(api, e.path, operation); named.MatchString(before) && lastOf(before) != lastOf(e.name) {
			e.alias = before
		}
	}
}

// isM3O says whether an operation has M3O's form: a POST of a path that ends with the
// endpoint, whose name the document gives, or which begins with the service. It is
// called by its name.
func (e *endpoint) isM3O(api string, operation *openapi3.Operation) bool {
	given := e.name == saidName(operation) || e.name == operation.OperationID || e.place.isM3O(api)
	return given && e.place.method == "POST" && canonical(lastSegment(e.path)) == lastOf(e.name)
}

// isM3O says whether a place is POST /{service}/{endpoint}, or
// POST /{service}/{Service}/{Endpoint}.
func (p operationPlace) isM3O(api string) bool {
	segments := strings.Split(strings.Trim(canonical(p.path), "/"), "/")
	last := len(segments) - 1
	for _, segment := range segments[:last] {
		if segment != canonical(api) {
			return false
		}
	}
	return p.method == "POST" && (last == 1 || last == 2) && plainSegment.MatchString(segments[last])
}

var plainSegment = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// nameOf is the name of an operation: x-m3o-endpoint, an operationId such as
// "Pets.List" of the API pets, the operationId "list-pets" as Pets.ListPets, else
// method and path as Pets.GetPetsPetId, but POST /pets/list as Pets.List, as in M3O.
func nameOf(api string, at operationPlace, operation *openapi3.Operation) string {
	if said := saidName(operation); said != "" {
		return said
	}
	service, _, _ := strings.Cut(operation.OperationID, ".")
	if named.MatchString(operation.OperationID) && canonical(service) == canonical(api) {
		return operation.OperationID
	}
	if name := camel(operation.OperationID, isNamePart); name != "" {
		return pascal(api) + "." + name
	}
	if at.isM3O(api) {
		return pascal(api) + "." + pascal(lastSegment(at.path))
	}
	return pascal(api) + "." + camel(strings.ToLower(at.method)+" "+at.path, isWordPart)
}

// isNamePart keeps an operationId recognisable; isWordPart leaves plain words.
func isNamePart(r rune) bool { return isWordPart(r) || r == '_' }
func isWordPart(r rune) bool {
	return r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r))
}

// camel joins the words of a text, each with a capital; what is part of no word
// parts them.
func camel(text string, part func(rune) bool) string {
	var b strings.Builder
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return !part(r) }) {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}

// places are where the endpoints of a document are called, each of one endpoint only.
type places map[string]endpoint

// take gives an endpoint its places, or says which other endpoint has one of them.
func (p places) take(e endpoint) error {
	if len(e.name) > longestName {
		return fault.BadField("api.open_api_json", "the endpoint %s has a name of more than %d characters: give it a shorter operationId", e.place, longestName)
	}
	claims := e.claims()
	for _, claim := range claims {
		if other, ok := p[claim]; ok {
			return fault.BadField("api.open_api_json", "%s (%s) and %s (%s) would be called alike: give each an operationId and a path of its own", other.name, other.place, e.name, e.place)
		}
	}
	for _, claim := range claims {
		p[claim] = e
	}
	return nil
}

// claims are the names and patterns that may be of one endpoint only. A POST by name
// is written like a POST of a path with one segment.
func (e *endpoint) claims() []string {
	claims := []string{"name " + lastOf(e.name)}
	if e.pattern != "" {
		claims = append(claims, e.method+" "+positional(e.pattern))
	}
	if e.place.method != "POST" || strings.Contains(e.path, "{") {
		return claims
	}
	claims = append(claims, "called "+lastOf(e.name))
	if only := strings.Trim(e.pattern, "/"); only != "" && !strings.Contains(only, "/") && canonical(only) != lastOf(e.name) {
		claims = append(claims, "called "+canonical(only))
	}
	return claims
}

func (p operationPlace) String() string { return p.method + " " + p.path }

// dropAliases leaves out the aliases that something else is called by.
func dropAliases(endpoints []endpoint) {
	used := map[string]int{}
	for _, e := range endpoints {
		used[lastOf(e.name)]++
		if e.alias != "" {
			used[lastOf(e.alias)]++
		}
	}
	for i := range endpoints {
		if e := &endpoints[i]; e.alias != "" && used[lastOf(e.alias)] > 1 {
			e.alias = ""
		}
	}
}

var (
	literalSegment = regexp.MustCompile(`^([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*$`)
	wholeParameter = regexp.MustCompile(`^\{[^{}/+]+\}$`)
)

// checkPattern says why a path cannot be called through the gateway: one that a
// proxy on the way would read otherwise, or whose parameters are parts of segments.
func checkPattern(path string) error {
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i, segment := range segments {
		switch {
		case strings.ContainsAny(segment, "{}") && !wholeParameter.MatchString(segment):
			return fault.BadField("api.open_api_json", "path %s: a parameter must be a whole segment, as in /pets/{petId}", path)
		case segment == "" && i < len(segments)-1, segment == ".", segment == "..":
			return fault.BadField("api.open_api_json", "path %s: a segment must not be empty, . or ..", path)
		case !strings.Contains(segment, "{") && !literalSegment.MatchString(segment):
			return fault.BadField("api.open_api_json", "path %s: %q must be percent-encoded as in an address, without a query", path, segment)
		}
	}
	return nil
}

// route is the endpoint as the gateway knows it, without what it costs.
func (e *endpoint) route() publicapiapi.EndpointRoute {
	return publicapiapi.EndpointRoute{
		Name: e.name, Alias: e.alias, Method: e.method, Pattern: e.pattern, Path: e.path, Stream: e.stream, Timeout: e.timeout, Schema: e.schema,
	}
}
