package publicapi

import (
	"github.com/getkin/kin-openapi/openapi3"

	"m3o/internal/publicapi/publicapiapi"
)

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

// parametersOf are the parameters of an operation: its own, and those of its path
// that it does not describe otherwise.
func parametersOf(item *openapi3.PathItem, operation *openapi3.Operation) (found []*openapi3.Parameter) {
	for _, parameter := range operation.Parameters {
		if parameter.Value != nil {
			found = append(found, parameter.Value)
		}
	}
	for _, parameter := range item.Parameters {
		if p := parameter.Value; p != nil && operation.Parameters.GetByInAndName(p.In, p.Name) == nil {
			found = append(found, p)
		}
	}
	return found
}

// schemaOf is the JSON type of each parameter of the path and the query, and of each
// member of the body.
func schemaOf(parameters []*openapi3.Parameter, request *openapi3.Schema) publicapiapi.Schema {
	found := publicapiapi.Schema{}
	for _, in := range []string{openapi3.ParameterInPath, openapi3.ParameterInQuery} {
		for _, p := range parameters {
			if p.In == in && p.Schema != nil {
				addMember(found, p.Name, p.Schema.Value)
			}
		}
	}
	for name, member := range membersOf(request) {
		addMember(found, name, member)
	}
	return found
}

// membersOf are the members of an object, those of allOf too.
func membersOf(schema *openapi3.Schema) map[string]*openapi3.Schema {
	found := map[string]*openapi3.Schema{}
	addMembers(found, schema, map[*openapi3.Schema]bool{})
	return found
}

// addMembers looks at each schema once, since one may contain itself.
func addMembers(found map[string]*openapi3.Schema, schema *openapi3.Schema, seen map[*openapi3.Schema]bool) {
	if schema == nil || seen[schema] {
		return
	}
	seen[schema] = true
	for _, part := range schema.AllOf {
		if part != nil {
			addMembers(found, part.Value, seen)
		}
	}
	for name, member := range schema.Properties {
		if member != nil {
			found[name] = member.Value
		}
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

// sample is a value that an endpoint might be sent: what the schema has as example
// or default, else empty values.
func sample(schema *openapi3.Schema, depth int) any {
	const deepest = 4
	switch {
	case schema == nil || depth > deepest:
		return map[string]any{}
	case schema.Example != nil:
		return schema.Example
	case len(schema.Examples) > 0:
		return schema.Examples[0]
	case schema.Default != nil:
		return schema.Default
	case len(schema.Enum) > 0:
		return schema.Enum[0]
	}
	kind, members := typeOf(schema), membersOf(schema)
	if kind != "object" && len(members) == 0 {
		return emptyOf(kind)
	}
	object := map[string]any{}
	for name, member := range members {
		if depth < deepest && (member == nil || !member.ReadOnly) {
			object[name] = sample(member, depth+1)
		}
	}
	return object
}

func emptyOf(kind string) any {
	switch kind {
	case "integer", "number":
		return 0
	case "boolean":
		return false
	case "array":
		return []any{}
	case "object":
		return map[string]any{}
	}
	return ""
}
