package codegen

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"m3o/internal/codegen/spec"
)

// renderPorts plans the documents of everything that can be called on the bus, one for
// each port. What answers at every port (0) is in all of them, and alone in that of
// port 0, for the ports that have nothing of their own.
func (g *generator) renderPorts(path string) error {
	all := object{}
	for _, port := range g.ports() {
		d := g.newDocument()
		for _, e := range slices.Concat(g.service.Functions, g.service.Webs) {
			if e.OpenAPI && (e.Route.Port == port || e.Route.Port == 0) {
				d.onBus(e, port)
			}
		}
		all[strconv.Itoa(port)] = d.build()
	}
	text, err := json.MarshalIndent(all, "", " ")
	if err != nil {
		return err
	}
	g.out.add(path, append(text, '\n'))
	return nil
}

// ports are those of the functions and webs that OpenAPI shows.
func (g *generator) ports() (ports []int) {
	for _, e := range slices.Concat(g.service.Functions, g.service.Webs) {
		if e.OpenAPI && !slices.Contains(ports, e.Route.Port) {
			ports = append(ports, e.Route.Port)
		}
	}
	return ports
}

// onBus adds a function or a web at /host:port/path, as the bus sees it.
func (d *document) onBus(e *spec.Entry, port int) {
	op, ifAny := d.busOperation(e), "post"
	if e.Section == "webs" {
		op, ifAny = d.webOperation(e), "get"
	}
	path := strings.TrimSuffix(d.RoutePath(e), "/")
	d.add(fmt.Sprintf("/%s:%d%s", e.Route.Host, port, path), e.Route.Method, ifAny, op)
}

// busOperation describes a function with its own results: any of the 2XX, since a
// result may be the status, and text for what went wrong.
func (d *document) busOperation(e *spec.Entry) object {
	method := e.Route.Method
	if method == "ANY" {
		method = "POST"
	}
	op := d.operation(e, method)
	answer := op["responses"].(object)["200"]
	op["responses"] = object{"2XX": answer, "4XX": d.problem(), "5XX": d.problem()}
	return op
}

// webOperation describes a raw web handler by what its path says.
func (d *document) webOperation(e *spec.Entry) object {
	op := object{"operationId": d.Noun + "." + e.Name(), "summary": summary(e.Description), "description": e.Description,
		"responses": object{"200": described("OK", object{"content": object{mediaType(e.Route.Path): object{}}})}}
	if parameters := d.pathParameters(e); len(parameters) > 0 {
		op["parameters"] = parameters
	}
	return op
}

// mediaType guesses what a web handler answers with from the end of its path.
func mediaType(path string) string {
	dot := strings.LastIndexByte(path, '.')
	kinds := map[string]string{
		".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".json": "application/json", ".xml": "text/xml", ".txt": "text/plain",
		".csv": "text/csv", ".pdf": "application/pdf", ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif", ".svg": "image/svg+xml",
	}
	if dot >= 0 {
		if kind, ok := kinds[strings.ToLower(path[dot:])]; ok {
			return kind
		}
	}
	return "*/*"
}
