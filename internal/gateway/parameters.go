package gateway

import (
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"m3o/internal/publicapi/publicapiapi"
)

// How many elements a name such as tags[7] may ask for, and how deep a name such as
// p[x][y] may lead.
const (
	maxIndex = 1000
	maxDepth = 32
)

// parameters become the members of a JSON object.
type parameters struct {
	schema  publicapiapi.Schema
	members map[string]any // json.RawMessage, or map[string]any and []any of such
}

// addValues adds texts by name, in the order of their names: of two that do not go
// together, such as p and p.x, the same one always wins.
func (p *parameters) addValues(values url.Values) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		list := values[name]
		p.add(name, func(kind string) json.RawMessage { return typed(list, kind) })
	}
}

// addBytes adds base64 texts by name, which are texts whatever they look like.
func (p *parameters) addBytes(values url.Values) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		list := values[name]
		p.add(name, func(kind string) json.RawMessage {
			if kind == "array" {
				return quote(list)
			}
			return quote(list[len(list)-1])
		})
	}
}

// add sets what a name stands for. Where the schema says object or array, names such
// as p.x, p[x][y], tags[] and tags[0] lead into it, as in a query of our own services.
// A name that leads nowhere is a member as it stands.
func (p *parameters) add(name string, value func(kind string) json.RawMessage) {
	if _, known := p.schema[name]; !known && strings.ContainsAny(name, ".[") {
		if p.addWithin(name, value) {
			return
		}
	}
	p.members[name] = value(p.schema[name])
}

func (p *parameters) addWithin(name string, value func(kind string) json.RawMessage) bool {
	path := memberPath(name)
	if len(path) == 0 || len(path) > maxDepth {
		return false
	}
	kind, leaf := p.schema[path[0]], anything
	switch {
	case kind != "object" && kind != "array":
		return false
	case strings.HasSuffix(name, "[]"):
		leaf = "array"
	case kind == "array" && len(path) == 2:
		leaf = "string" // an element, as in tags=a&tags=b
	}
	changed, ok := place(p.members[path[0]], path[1:], value(leaf), kind == "array")
	if ok {
		p.members[path[0]] = changed
	}
	return ok
}

// memberPath splits p.x and p[x][y] into names.
func memberPath(name string) []string {
	name = strings.ReplaceAll(name, "]", "")
	return strings.FieldsFunc(name, func(c rune) bool { return c == '.' || c == '[' })
}

// place puts a value where a path leads to within what is there. It is false when
// something else is in the way.
func place(within any, path []string, value json.RawMessage, isList bool) (changed any, ok bool) {
	switch {
	case len(path) == 0:
		return value, true
	case isList:
		return placeElement(within, path, value)
	}
	object, ok := within.(map[string]any)
	if within == nil {
		object, ok = map[string]any{}, true
	}
	if !ok {
		return nil, false
	}
	member, ok := place(object[path[0]], path[1:], value, false)
	if ok {
		object[path[0]] = member
	}
	return object, ok
}

func placeElement(within any, path []string, value json.RawMessage) (changed any, ok bool) {
	list, ok := within.([]any)
	i, err := strconv.Atoi(path[0])
	if !ok && within != nil || err != nil || i < 0 || i >= maxIndex {
		return nil, false
	}
	for len(list) <= i {
		list = append(list, nil)
	}
	element, ok := place(list[i], path[1:], value, false)
	if ok {
		list[i] = element
	}
	return list, ok
}

// anything is the type of what the schema does not know: a member of a member.
const anything = "anything"

// typed is a parameter as JSON of the schema's type. Without one, or where the text
// does not fit it, it stays a string, for the endpoint to refuse. Anything is what it
// looks like, as in M3O.
func typed(list []string, kind string) json.RawMessage {
	text := list[len(list)-1]
	trimmed := strings.TrimSpace(text)
	switch {
	case kind == "array" && len(list) == 1 && fits(trimmed, kind):
		return json.RawMessage(trimmed)
	case kind == "array":
		return quote(list)
	case fits(trimmed, kind):
		return json.RawMessage(trimmed)
	}
	return quote(text)
}

// fits says whether a text is JSON of a type that is not string.
func fits(text, kind string) bool {
	if text == "" {
		return false
	}
	isNumber := text[0] == '-' || text[0] >= '0' && text[0] <= '9'
	ok := false
	switch kind {
	case "integer", "number":
		ok = isNumber
	case "boolean":
		ok = text == "true" || text == "false"
	case "object":
		ok = text[0] == '{'
	case "array":
		ok = text[0] == '['
	case anything:
		ok = text[0] != '"'
	}
	return ok && json.Valid([]byte(text))
}

func quote(v any) json.RawMessage {
	text, err := json.Marshal(v)
	if err != nil { // texts and lists of texts always can be
		return json.RawMessage("null")
	}
	return text
}
