package publicapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
)

// object is a JSON object.
type object = map[string]any

// gatewayDocument is the document of an API as its callers need it. An HTTP server's
// has the paths, the address and the key of the gateway in place of the server's own.
func (e *entry) gatewayDocument() (json.RawMessage, error) {
	if !isHTTP(e.api.Target) {
		return json.RawMessage(e.api.OpenAPIJSON), nil
	}
	raw, err := decoded(e.api.OpenAPIJSON)
	if err != nil {
		return nil, err
	}
	shown := object{}
	for _, member := range []string{"openapi", "info", "components", "tags", "externalDocs", "jsonSchemaDialect"} {
		if value, ok := raw[member]; ok {
			shown[member] = value
		}
	}
	components := objectIn(shown, "components")
	components["securitySchemes"] = object{"apiKey": object{"type": "http", "scheme": "bearer", "description": "An API key."}}
	shown["components"] = components
	shown["security"] = []any{object{"apiKey": []any{}}}
	shown["servers"] = []any{object{"url": "/v1/" + e.api.Name}}
	shown["paths"] = e.gatewayPaths(raw)
	text, err := json.Marshal(shown)
	if err != nil {
		return nil, fmt.Errorf("write the document of %s: %w", e.api.Name, err)
	}
	return text, nil
}

// gatewayPaths are the operations on sale by their paths below /v1/{service}.
func (e *entry) gatewayPaths(raw object) object {
	paths := object{}
	for i := range e.document.endpoints {
		at := &e.document.endpoints[i]
		item := pointedAt(raw, objectIn(objectIn(raw, "paths"), at.place.path))
		operation := maps.Clone(objectIn(item, strings.ToLower(at.place.method)))
		delete(operation, "servers")
		delete(operation, "security")
		operation["x-m3o-endpoint"], operation["x-m3o-price"] = at.name, int64(e.pricing[at.name])
		method, path := e.route(at).Address(e.api.Name)
		path = strings.TrimPrefix(path, "/v1/"+e.api.Name)
		shown := objectIn(paths, path)
		for _, member := range []string{"summary", "description", "parameters"} {
			if value, ok := item[member]; ok {
				shown[member] = value
			}
		}
		shown[strings.ToLower(method)] = operation
		paths[path] = shown
	}
	return paths
}

// decoded is a document as JSON that keeps its numbers as they are written.
func decoded(text string) (object, error) {
	var raw object
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&raw); err != nil {
		return nil, fmt.Errorf("read an OpenAPI document: %w", err)
	}
	return raw, nil
}

// objectIn is the object that a member is, an empty one when it is none.
func objectIn(in object, member string) object {
	if found, ok := in[member].(object); ok && found != nil {
		return found
	}
	return object{}
}
