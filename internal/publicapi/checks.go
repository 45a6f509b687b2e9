package publicapi

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"m3o/internal/fault"
	"m3o/internal/publicapi/publicapiapi"
)

// How much the gateway is to carry for an endpoint, and for an API, in bytes.
const (
	largestCheck  = 256 << 10
	largestChecks = 4 << 20
)

// checksOf are the JSON Schemas of every endpoint's request.
func checksOf(d *document, text string) (map[string]*publicapiapi.Checks, error) {
	raw, err := decoded(text)
	if err != nil {
		return nil, err
	}
	found, total := map[string]*publicapiapi.Checks{}, 0
	for i := range d.endpoints {
		e := &d.endpoints[i]
		checks, err := checksFor(raw, e)
		if err != nil {
			return nil, fault.BadField("api.validate", "the requests of %s cannot be checked: %s", e.name, firstLine(err))
		}
		size := len(checks.Body) + len(checks.Query) + len(checks.Path)
		if total += size; size > largestCheck || total > largestChecks {
			return nil, fault.BadField("api.validate", "the schemas up to %s are too large to check requests by: at most %d bytes an endpoint and %d in all", e.name, largestCheck, largestChecks)
		}
		found[e.name] = checks
	}
	return found, nil
}

func checksFor(raw object, e *endpoint) (c *publicapiapi.Checks, err error) {
	c = &publicapiapi.Checks{}
	item := pointedAt(raw, objectIn(objectIn(raw, "paths"), e.place.path))
	operation := objectIn(item, strings.ToLower(e.place.method))
	body := pointedAt(raw, objectIn(operation, "requestBody"))
	if schema, ok := objectIn(objectIn(body, "content"), "application/json")["schema"]; ok {
		c.Required, _ = body["required"].(bool)
		if c.Body, err = bundled(raw, schema); err != nil {
			return nil, err
		}
	}
	if c.Query, err = parametersCheck(raw, e, item, operation, openapi3.ParameterInQuery); err != nil {
		return nil, err
	}
	c.Path, err = parametersCheck(raw, e, item, operation, openapi3.ParameterInPath)
	return c, err
}

// parametersCheck is the schema of an object with the parameters of one kind, empty
// when there are none.
func parametersCheck(raw object, e *endpoint, item, operation object, in string) (string, error) {
	properties, required := object{}, []any{}
	own, _ := operation["parameters"].([]any)
	shared, _ := item["parameters"].([]any)
	for _, entry := range slices.Concat(own, shared) {
		given, _ := entry.(object)
		p := pointedAt(raw, given)
		name, _ := p["name"].(string)
		if _, twice := properties[name]; twice || p["in"] != in {
			continue
		}
		properties[name] = checkable(raw, p)
		if needed, _ := p["required"].(bool); needed {
			required = append(required, name)
		}
	}
	if len(properties) == 0 {
		return "", nil
	}
	return bundled(raw, object{"type": "object", "properties": properties, "required": required})
}

// checkable is the schema of a parameter as far as its text says what it is: of one
// type, written plainly. Any other takes anything.
func checkable(raw, parameter object) any {
	schema := pointedAt(raw, objectIn(parameter, "schema"))
	style, _ := parameter["style"].(string)
	if style != "" && style != "form" && style != "simple" {
		return true
	}
	switch kind := onlyType(schema["type"]); kind {
	case "string", "integer", "number", "boolean":
		return parameter["schema"]
	case "array":
		if explode, given := parameter["explode"].(bool); parameter["in"] != openapi3.ParameterInQuery || given && !explode {
			return true
		}
		return arrayOf(raw, schema)
	}
	return true
}

// arrayOf is the schema of a list whose members are texts, or anything.
func arrayOf(raw, schema object) object {
	found := object{"type": "array"}
	for _, member := range []string{"minItems", "maxItems", "uniqueItems"} {
		if value, ok := schema[member]; ok {
			found[member] = value
		}
	}
	if items := pointedAt(raw, objectIn(schema, "items")); onlyType(items["type"]) == "string" {
		found["items"] = schema["items"]
	}
	return found
}

// onlyType is the one type of a schema beside null, empty when there is none or more.
func onlyType(value any) string {
	list, ok := value.([]any)
	if !ok {
		list = []any{value}
	}
	var found []string
	for _, one := range list {
		if kind, ok := one.(string); ok && kind != "null" {
			found = append(found, kind)
		}
	}
	if len(found) != 1 {
		return ""
	}
	return found[0]
}

// bundle makes a schema of a document stand for itself: what it refers to comes along
// below $defs, once, so that one may contain itself.
type bundle struct {
	raw     object
	names   map[string]string // of $defs by reference
	used    map[string]bool   // names
	defs    object
	waiting []string // references whose schemas are not in defs yet
}

// bundled is a schema of the document as JSON Schema (2020-12), compact: what only
// people read is left out.
func bundled(raw object, schema any) (string, error) {
	b := &bundle{raw: raw, names: map[string]string{}, used: map[string]bool{}, defs: object{}}
	root, err := b.schema(schema)
	if err != nil {
		return "", err
	}
	for len(b.waiting) > 0 {
		ref := b.waiting[0]
		b.waiting = b.waiting[1:]
		target, err := pointer(raw, ref)
		if err != nil {
			return "", err
		}
		if b.defs[b.names[ref]], err = b.schema(target); err != nil {
			return "", err
		}
	}
	if len(b.defs) > 0 {
		if _, plain := root.(object); !plain {
			root = object{}
		}
		root.(object)["$defs"] = b.defs
	}
	text, err := json.Marshal(root)
	return string(text), err
}

// holds says what the keywords of a schema hold that are kept. Of the rest, some only
// describe, and some would make the schema mean another outside of its document.
func holds(keyword string) kind {
	switch keyword {
	case "not", "if", "then", "else", "contains", "additionalProperties", "propertyNames", "unevaluatedItems", "unevaluatedProperties", "items":
		return aSchema
	case "allOf", "anyOf", "oneOf", "prefixItems":
		return schemas
	case "properties", "patternProperties", "dependentSchemas":
		return schemasByName
	case "type", "enum", "const", "format", "pattern", "multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength",
		"minItems", "maxItems", "uniqueItems", "minContains", "maxContains", "minProperties", "maxProperties", "required", "dependentRequired":
		return data
	case "$id", "$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef":
		return elsewhere
	}
	return nothing
}

type kind int

const (
	nothing kind = iota
	data
	aSchema
	schemas
	schemasByName
	elsewhere
)

func (b *bundle) schema(value any) (any, error) {
	from, ok := value.(object)
	if !ok {
		if _, boolean := value.(bool); boolean {
			return value, nil
		}
		return nil, fmt.Errorf("a schema must be an object or a boolean")
	}
	into := object{}
	if ref, ok := from["$ref"].(string); ok {
		name, err := b.refer(ref)
		if err != nil {
			return nil, err
		}
		into["$ref"] = "#/$defs/" + name
		if b.is30() {
			return into, nil // 3.0 ignores what stands beside a reference
		}
	}
	for keyword, value := range from {
		if err := b.keyword(into, keyword, value); err != nil {
			return nil, err
		}
	}
	b.translate(from, into)
	if nullable, _ := from["nullable"].(bool); nullable && b.is30() {
		return object{"anyOf": []any{into, object{"type": "null"}}}, nil
	}
	return into, nil
}

func (b *bundle) is30() bool {
	version, _ := b.raw["openapi"].(string)
	return strings.HasPrefix(version, "3.0")
}

// keyword copies a keyword that is kept.
func (b *bundle) keyword(into object, keyword string, value any) (err error) {
	switch holds(keyword) {
	case data:
		into[keyword] = value
	case aSchema:
		into[keyword], err = b.schema(value)
	case schemas:
		list, _ := value.([]any)
		found := make([]any, len(list))
		for i := range list {
			if found[i], err = b.schema(list[i]); err != nil {
				return err
			}
		}
		into[keyword] = found
	case schemasByName:
		found, given := object{}, objectIn(object{"": value}, "")
		for name := range given {
			if found[name], err = b.schema(given[name]); err != nil {
				return err
			}
		}
		into[keyword] = found
	case elsewhere:
		return fmt.Errorf("%s is not supported", keyword)
	}
	return err
}

// translate makes JSON Schema of what OpenAPI 3.0 writes otherwise, and leaves out
// that a request needs what only answers have.
func (b *bundle) translate(from, into object) {
	for exclusive, limit := range map[string]string{"exclusiveMinimum": "minimum", "exclusiveMaximum": "maximum"} {
		flag, isFlag := into[exclusive].(bool)
		if !isFlag {
			continue
		}
		delete(into, exclusive)
		if value, ok := into[limit]; ok && flag {
			into[exclusive] = value
			delete(into, limit)
		}
	}
	required, ok := into["required"].([]any)
	if !ok {
		return
	}
	members, needed := objectIn(from, "properties"), []any{}
	for _, name := range required {
		text, _ := name.(string)
		member := pointedAt(b.raw, objectIn(members, text))
		if readOnly, _ := member["readOnly"].(bool); !readOnly {
			needed = append(needed, name)
		}
	}
	into["required"] = needed
}

// refer is the name of a referenced schema below $defs.
func (b *bundle) refer(ref string) (string, error) {
	if name, known := b.names[ref]; known {
		return name, nil
	}
	if ref != "#" && !strings.HasPrefix(ref, "#/") {
		return "", fmt.Errorf("the reference %s is not supported", cut(ref, 100))
	}
	base := camel(ref[strings.LastIndexByte(ref, '/')+1:], isNamePart)
	name := base
	for n := 2; b.used[name]; n++ {
		name = base + "_" + strconv.Itoa(n)
	}
	b.used[name] = true
	b.names[ref] = name
	b.waiting = append(b.waiting, ref)
	return name, nil
}

// pointer is what a reference within the document points at (RFC 6901).
func pointer(raw object, ref string) (any, error) {
	path, err := url.PathUnescape(strings.TrimPrefix(ref, "#"))
	if err != nil {
		return nil, fmt.Errorf("the reference %s is not well formed", cut(ref, 100))
	}
	var at any = raw
	for i, token := range strings.Split(path, "/") {
		if i == 0 {
			continue
		}
		token = strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
		switch in := at.(type) {
		case object:
			at = in[token]
		case []any:
			n, err := strconv.Atoi(token)
			if err != nil || n < 0 || n >= len(in) {
				return nil, fmt.Errorf("the reference %s points at nothing", cut(ref, 100))
			}
			at = in[n]
		default:
			return nil, fmt.Errorf("the reference %s points at nothing", cut(ref, 100))
		}
	}
	return at, nil
}

// longestChain is how often a reference may lead to another one: each costs the time
// of all before it.
const longestChain = 20

// endless is a reference of the document that leads to others too often, empty when
// there is none.
func endless(raw object, at any) (ref string) {
	switch node := at.(type) {
	case []any:
		for _, member := range node {
			if ref := endless(raw, member); ref != "" {
				return ref
			}
		}
	case object:
		ref, _ := node["$ref"].(string)
		if end := pointedAt(raw, node); ref != "" && end == nil {
			return ref
		}
		for _, member := range node {
			if ref := endless(raw, member); ref != "" {
				return ref
			}
		}
	}
	return ""
}

// pointedAt follows an object that only refers. It is empty when that leads nowhere,
// nil when it leads too far.
func pointedAt(raw, given object) object {
	for range longestChain {
		ref, ok := given["$ref"].(string)
		if !ok {
			return given
		}
		target, err := pointer(raw, ref)
		if err != nil {
			return object{}
		}
		if given, ok = target.(object); !ok {
			return object{}
		}
	}
	return nil
}

// checkChecks sees that the schemas can be used as they are.
func (e *entry) checkChecks() error {
	for i := range e.document.endpoints {
		at := &e.document.endpoints[i]
		c := e.checks[at.name]
		if c == nil {
			continue
		}
		for _, text := range []string{c.Body, c.Query, c.Path} {
			if err := compiles(text); err != nil {
				return fault.BadField("api.validate", "the requests of %s cannot be checked: %s", at.name, cut(strings.ReplaceAll(err.Error(), "\n", " "), 500))
			}
		}
	}
	return nil
}

// nowhere loads no schema.
type nowhere struct{}

// Load refuses.
func (nowhere) Load(address string) (any, error) {
	return nil, fmt.Errorf("%s is elsewhere", cut(address, 100))
}

func compiles(text string) error {
	if text == "" {
		return nil
	}
	schema, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return err
	}
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(nowhere{})
	if err := compiler.AddResource("m3o:request", schema); err != nil {
		return err
	}
	_, err = compiler.Compile("m3o:request")
	return err
}
