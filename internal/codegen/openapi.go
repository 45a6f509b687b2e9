package codegen

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"

	"m3o/internal/codegen/spec"
)

// object is a JSON object; encoding/json writes its members sorted, so that output is stable.
type object = map[string]any

// renderOpenAPI plans the documents of the contract.
func (g *generator) renderOpenAPI() error {
	v := g.view()
	open, ports := filepath.Join(g.apiDir(), "openapi_gen.json"), filepath.Join(g.apiDir(), "ports_gen.json")
	sale := filepath.Join(g.apiDir(), "published_gen.json")
	if !v.Document {
		g.out.remove(open)
		g.out.remove(ports)
	} else {
		if err := g.document(open, func(d *document) { d.reachable(v); d.published(v) }); err != nil {
			return err
		}
		if err := g.renderPorts(ports); err != nil {
			return err
		}
	}
	if len(v.OnSale) == 0 {
		g.out.remove(sale)
		return nil
	}
	return g.document(sale, func(d *document) { d.published(v) })
}

func (g *generator) newDocument() *document {
	return &document{view: g.view(), paths: object{}, schemas: &schemas{module: g.module, components: object{}}}
}

func (g *generator) document(path string, fill func(*document)) error {
	d := g.newDocument()
	fill(d)
	text, err := json.MarshalIndent(d.build(), "", "  ")
	if err != nil {
		return err
	}
	g.out.add(path, append(text, '\n'))
	return nil
}

// document is an OpenAPI 3.1 document in the making.
type document struct {
	*view
	paths    object
	schemas  *schemas
	security object
}

// reachable adds the functions and webs that can be called from outside, each at /{host}{path}.
func (d *document) reachable(v *view) {
	for _, e := range v.Functions {
		if e.Access != "internal" && e.OpenAPI {
			op := d.operation(e, e.Route.Method)
			op["tags"] = []string{v.Noun}
			d.secure(op, e.Access)
			d.add(d.openPath(e), e.Route.Method, "post", op)
		}
	}
	for _, e := range v.Webs {
		if e.Access != "internal" && e.OpenAPI {
			op := object{"operationId": v.Noun + "." + e.Name(), "tags": []string{v.Noun}, "summary": summary(e.Description), "description": e.Description,
				"responses": object{"200": object{"description": "OK"}, "default": d.problem()}}
			if parameters := d.pathParameters(e); len(parameters) > 0 {
				op["parameters"] = parameters
			}
			d.secure(op, e.Access)
			d.add(d.openPath(e), e.Route.Method, "get", op)
		}
	}
}

// published adds the functions on sale, each at /v1/{service}/{endpoint}.
func (d *document) published(v *view) {
	for _, e := range v.OnSale {
		op := d.operation(e, "POST")
		tag := v.Publish.DisplayName
		if tag == "" {
			tag = v.Noun
		}
		endpoint := strings.ToUpper(v.Noun[:1]) + v.Noun[1:] + "." + e.Name()
		op["operationId"] = "v1." + endpoint
		op["tags"] = []string{tag}
		op["x-m3o-endpoint"] = endpoint
		if price, ok := v.Publish.Prices[e.Name()]; ok {
			op["x-m3o-price"] = price
		}
		d.need("apiKey", "An API key.")
		op["security"] = []object{{"apiKey": []string{}}}
		d.add("/v1/"+v.Noun+"/"+e.Name(), "POST", "post", op)
	}
}

func (d *document) add(path, method, ifAny string, op object) {
	if method = strings.ToLower(method); method == "any" {
		method = ifAny
	}
	item, ok := d.paths[path].(object)
	if !ok {
		item = object{}
		d.paths[path] = item
	}
	item[method] = op
}

// openPath is the path as OpenAPI writes it, which knows no greedy arguments.
func (d *document) openPath(e *spec.Entry) string {
	return "/" + e.Route.Host + strings.ReplaceAll(d.RoutePath(e), "+}", "}")
}

func (d *document) secure(op object, access string) {
	if access == "public" {
		op["security"] = []object{}
		return
	}
	d.need("session", "The access token of a customer who has logged in.")
	op["security"] = []object{{"session": []string{}}}
	op["x-m3o-access"] = access
}

func (d *document) need(scheme, description string) {
	if d.security == nil {
		d.security = object{}
	}
	d.security[scheme] = object{"type": "http", "scheme": "bearer", "description": description}
}

// operation describes a function without its place.
func (d *document) operation(e *spec.Entry, method string) object {
	op := object{"operationId": d.Noun + "." + e.Name(), "summary": summary(e.Description), "description": e.Description}
	_, wholeBody := spec.Find(e.Signature.In, spec.RequestBody)
	bodiless := slices.Contains([]string{"GET", "HEAD", "DELETE", "OPTIONS", "TRACE"}, method)
	parameters := d.pathParameters(e)
	var inBody []spec.Arg
	for _, a := range e.Signature.In {
		switch {
		case a.Name == spec.RequestBody:
			op["requestBody"] = body("application/json", d.schemas.of(a.Type, d.own()))
		case isPathArg(e, a.Name) && method == e.Route.Method:
		case wholeBody || bodiless:
			parameters = append(parameters, d.queryParameter(a))
		default:
			inBody = append(inBody, a)
		}
	}
	if !wholeBody && !bodiless {
		op["requestBody"] = body("application/json", d.component(e.Name()+"In", inBody, false))
	}
	if len(parameters) > 0 && method == e.Route.Method {
		op["parameters"] = parameters
	}
	op["responses"] = object{"200": d.answer(e), "default": d.problem()}
	return op
}

func isPathArg(e *spec.Entry, name string) bool {
	return slices.ContainsFunc(e.Route.Args, func(p spec.PathArg) bool { return p.Name == name })
}

func (d *document) pathParameters(e *spec.Entry) (list []object) {
	for _, p := range e.Route.Args {
		schema := object{"type": "string"}
		if a, ok := spec.Find(e.Signature.In, p.Name); ok {
			schema = d.schemas.of(a.Type, d.own())
		}
		list = append(list, object{"name": d.jsonName(p.Name), "in": "path", "required": true, "schema": schema})
	}
	return list
}

func (d *document) queryParameter(a spec.Arg) object {
	p := object{"name": d.jsonName(a.Name), "in": "query", "schema": d.schemas.of(a.Type, d.own())}
	if a.Type.Complex() || strings.Contains(a.Type.Prefix, "map") {
		p["style"], p["explode"] = "deepObject", true
	}
	return p
}

func (d *document) answer(e *spec.Entry) object {
	if a, ok := spec.Find(e.Signature.Out, spec.ResponseBody); ok {
		return described("OK", body("application/json", d.schemas.of(a.Type, d.own())))
	}
	kind, text := "application/json", "OK"
	if e.Stream {
		kind, text = "application/x-ndjson", "A stream of JSON objects, one a line."
	}
	var args []spec.Arg
	for _, a := range e.Signature.Out {
		if a.Name != spec.StatusCode {
			args = append(args, a)
		}
	}
	return described(text, body(kind, d.component(e.Name()+"Out", args, true)))
}

func described(text string, content object) object {
	content["description"] = text
	return content
}

func body(kind string, schema object) object {
	return object{"content": object{kind: object{"schema": schema}}}
}

// component puts an argument struct among the schemas and returns a reference to it.
func (d *document) component(name string, args []spec.Arg, result bool) object {
	properties := object{}
	for _, a := range args {
		s := d.schemas.of(a.Type, d.own())
		switch {
		case !d.g.is64(a.Type):
		case result && d.quoted(a.Type):
			s = object{"type": "string", "format": "int64"}
		case !result:
			s = object{"type": []string{"integer", "string"}, "format": "int64"}
		}
		properties[d.jsonName(a.Name)] = s
	}
	schema := object{"type": "object", "properties": properties}
	if result && len(args) > 0 {
		schema["required"] = sortedKeys(properties)
	}
	key := d.Noun + "." + name
	d.schemas.components[key] = schema
	return object{"$ref": "#/components/schemas/" + key}
}

// own finds a complex type of the contract by its name.
func (d *document) own() func(string) *goType {
	return func(name string) *goType { return d.g.types[name] }
}

// problem is the answer of everything that fails.
func (d *document) problem() object {
	d.schemas.components["Problem"] = object{
		"type": "object", "description": "A problem as in RFC 9457.",
		"properties": object{
			"type": object{"type": "string"}, "title": object{"type": "string"}, "status": object{"type": "integer"},
			"detail": object{"type": "string"}, "instance": object{"type": "string"}, "id": object{"type": "string"}, "code": object{"type": "integer"},
		},
		"required": []string{"code", "detail", "id", "status", "title", "type"},
	}
	return described("What went wrong.", body("application/problem+json", object{"$ref": "#/components/schemas/Problem"}))
}

func (d *document) build() object {
	components := object{"schemas": d.schemas.components}
	if d.security != nil {
		components["securitySchemes"] = d.security
	}
	return object{
		"openapi":    "3.1.0",
		"info":       object{"title": d.Noun, "description": d.General.Description, "version": "1"},
		"paths":      d.paths,
		"components": components,
	}
}

// summary is the first sentence of a description.
func summary(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if first, _, ok := strings.Cut(text, ". "); ok {
		text = first
	}
	return strings.TrimSuffix(text, ".")
}
