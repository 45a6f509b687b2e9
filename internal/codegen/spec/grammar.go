package spec

// Section is one section of service.yaml.
type Section struct {
	Name   string
	Help   string
	List   bool // a list of entries, else one mapping
	Fields []Field
}

// Field is one field of a section.
type Field struct {
	Name     string
	Type     string // text, bool, duration, numbers, integers (a mapping) or any (a mapping)
	Help     string
	Values   []string // the only values, compared without case; the first is the default
	Class    Class    // of the error when the value is not among Values
	Required bool
}

// Grammar is all of service.yaml: the parser, its suggestions, the template of a new file and the
// JSON Schema are made from it.
func Grammar() []Section {
	signature := Field{Name: "signature", Type: "text", Required: true, Help: "Go-style signature; a name and a type for each argument"}
	description := Field{Name: "description", Type: "text", Help: "Documentation"}
	method := Field{Name: "method", Type: "text", Help: `"GET", "POST", etc. or "ANY" (default; events: POST)`}
	path := Field{Name: "path", Type: "text", Help: "URL path, relative to the host; defaults to the name in kebab-case. {name} is a path argument, {name+} a greedy one, ... the name"}
	queue := Field{Name: "queue", Type: "text", Values: []string{"default", "none"}, Class: "E-QUEUE", Help: "default: one replica gets each request; none: all of them"}
	openAPI := Field{Name: "openApi", Type: "bool", Help: "Whether it is in the OpenAPI document (defaults to true)"}
	access := Field{Name: "access", Type: "text", Values: []string{"internal", "public", "customer", "admin"}, Class: "E-ACCESS", Help: "Who may reach it from outside at /{host}{path}; internal (default) means nobody"}
	return []Section{
		{Name: "general", Help: "What the service is", Fields: []Field{
			{Name: "host", Type: "text", Required: true, Help: "The hostname of the service"},
			{Name: "description", Type: "text", Help: "A description for people"},
			{Name: "integrationTests", Type: "bool", Help: "Whether to generate integration tests (defaults to true)"},
			{Name: "openApi", Type: "bool", Help: "Whether to generate an OpenAPI document (defaults to true)"},
			{Name: "wire", Type: "text", Values: []string{"plain", "m3o"}, Class: "E-WIRE", Help: "JSON names as written (plain), or snake_case and 64-bit results as strings (m3o)"},
		}},
		{Name: "configs", Help: "Configuration properties: Name() (value type)", List: true, Fields: []Field{
			signature, description,
			{Name: "default", Type: "text", Help: "The default value (defaults to empty)"},
			{Name: "validation", Type: "text", Help: "str REGEXP, bool, int [0,60], float [0.0,1.0), dur (0s,24h], set Red|Green, url, email or json"},
			{Name: "callback", Type: "bool", Help: "Whether OnChanged<Name> is called when the value changes"},
			{Name: "secret", Type: "bool", Help: "Whether the value is shown nowhere"},
		}},
		{Name: "functions", Help: "What others may call", List: true, Fields: []Field{
			signature, description, method, path, queue, openAPI, access,
			{Name: "stream", Type: "bool", Help: "Whether the handler sends its results one by one"},
			{Name: "timeout", Type: "duration", Help: "The time budget of a call (defaults to 20s)"},
		}},
		{Name: "events", Help: "What this service tells whoever listens", List: true, Fields: []Field{signature, description, method, path}},
		{Name: "sinks", Help: "Events of others that this service reacts to", List: true, Fields: []Field{
			signature, description,
			{Name: "event", Type: "text", Help: "The event's name at the source (defaults to the name)"},
			{Name: "source", Type: "text", Help: "The import path of the service that is the source"},
			{Name: "topic", Type: "text", Help: "A durable topic of pkg/events/proto, in place of source"},
			{Name: "forHost", Type: "text", Help: "The host of a source that was given another one"},
			queue,
		}},
		{Name: "webs", Help: "Raw web handlers", List: true, Fields: []Field{signature, description, method, path, queue, openAPI, access}},
		{Name: "tickers", Help: "What happens again and again", List: true, Fields: []Field{
			signature, description,
			{Name: "interval", Type: "duration", Required: true, Help: "The time between two beats, such as 15m"},
			{Name: "replicas", Type: "text", Values: []string{"one", "all"}, Class: "E-TICK-REPLICAS", Help: "one (default): on one replica, under a lease; all: on each"},
		}},
		{Name: "metrics", Help: "Name(measure number, label type, ...)", List: true, Fields: []Field{
			signature, description,
			{Name: "kind", Type: "text", Values: []string{"counter", "gauge", "histogram"}, Class: "E-MET-KIND", Help: "counter (default), gauge or histogram"},
			{Name: "buckets", Type: "numbers", Help: "The bounds of a histogram's buckets"},
			{Name: "alias", Type: "text", Help: "The name in Prometheus (defaults to package and name in snake_case)"},
		}},
		{Name: "publish", Help: "How the service stands in the catalogue", Fields: []Field{
			{Name: "displayName", Type: "text", Help: "The name people read"},
			{Name: "description", Type: "text", Help: "What it does (defaults to the service's description)"},
			{Name: "category", Type: "text", Help: "The shelf it stands on"},
			{Name: "icon", Type: "text", Help: "An emoji or the URL of a picture"},
			{Name: "prices", Type: "integers", Help: "Micro-dollars a call, by function"},
			{Name: "quotas", Type: "integers", Help: "Free calls a month, by function"},
			{Name: "examples", Type: "any", Help: "Example calls, by function"},
		}},
	}
}

func (s Section) field(name string) (Field, bool) {
	for _, f := range s.Fields {
		if f.Name == name {
			return f, true
		}
	}
	return Field{}, false
}

func (s Section) names() (names []string) {
	for _, f := range s.Fields {
		names = append(names, f.Name)
	}
	return names
}

// Schema is the JSON Schema (2020-12) of service.yaml, for completion in editors. It holds what the
// tables hold: signatures, paths and rules are checked by Parse only.
func Schema() map[string]any {
	properties := map[string]any{}
	for _, s := range Grammar() {
		schema := s.schema()
		if s.List {
			schema = map[string]any{"type": []string{"array", "null"}, "items": schema}
		}
		schema["description"] = s.Help
		properties[s.Name] = schema
	}
	return map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "service.yaml", "type": "object",
		"properties": properties, "required": []string{"general"}, "additionalProperties": false,
	}
}

func (s Section) schema() map[string]any {
	properties, required := map[string]any{}, []string{}
	for _, f := range s.Fields {
		properties[f.Name] = f.schema()
		if f.Required {
			required = append(required, f.Name)
		}
	}
	schema := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		schema["required"] = required
	}
	return schema
}

func (f Field) schema() map[string]any {
	schema := map[string]any{"description": f.Help}
	switch f.Type {
	case "text", "duration":
		schema["type"] = []string{"string", "number", "boolean", "null"} // taken as written
	case "bool":
		schema["type"] = "boolean"
	case "numbers":
		schema["type"], schema["items"] = "array", map[string]any{"type": "number"}
	case "integers":
		schema["type"], schema["additionalProperties"] = "object", map[string]any{"type": "integer", "minimum": 0}
	default:
		schema["type"] = "object"
	}
	if len(f.Values) > 0 {
		schema["enum"] = f.Values
		delete(schema, "type")
	}
	return schema
}
