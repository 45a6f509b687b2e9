package codegen

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"m3o/internal/codegen/spec"
)

// view is what the templates see of a service.
type view struct {
	*spec.Service
	g       *generator
	Noun    string
	API     string // package name of the contract
	APIPath string
	OnSale  []*spec.Entry

	Document bool // there are OpenAPI documents
	Texts    bool // there are localized strings
}

func (g *generator) view() *view {
	return &view{Service: g.service, g: g, Noun: g.noun(), API: g.api(), APIPath: g.module.importPath(g.apiDir()),
		OnSale: g.onSale(), Document: g.hasDocument(), Texts: g.hasTexts()}
}

// onSale are the functions of the catalogue: those with a price or a quota, or all when none has.
func (g *generator) onSale() (list []*spec.Entry) {
	p := g.service.Publish
	if p == nil {
		return nil
	}
	for _, f := range g.service.Functions {
		_, priced := p.Prices[f.Name()]
		_, free := p.Quotas[f.Name()]
		if priced || free || len(p.Prices)+len(p.Quotas) == 0 {
			list = append(list, f)
		}
	}
	return list
}

// Comment is a text as a Go comment, with an indentation.
func (v *view) Comment(indent, text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(indent+"// "+line, " ")
	}
	return strings.Join(lines, "\n")
}

// Doc is the comment of a handler: its name and its description.
func (v *view) Doc(indent string, e *spec.Entry) string {
	return v.Comment(indent, docText(e.Name(), e.Description))
}

// docText begins with the name, as Go's documentation wants it.
func docText(name, description string) string {
	if strings.HasPrefix(description, name+" ") {
		return description
	}
	if r := []rune(description); len(r) > 1 && unicode.IsUpper(r[0]) && (unicode.IsLower(r[1]) || r[1] == ' ') {
		r[0] = unicode.ToLower(r[0])
		description = string(r)
	}
	return name + ": " + description
}

// Host is the service's host on the bus.
func (v *view) Host() string { return strings.ToLower(v.General.Host) }

// RouteHost is the host of a handler as Go writes it.
func (v *view) RouteHost(e *spec.Entry) string {
	if e.Route.Host == v.Host() {
		return "Host"
	}
	return strconv.Quote(e.Route.Host)
}

// RoutePath is the path of a handler with its arguments named as on the wire.
func (v *view) RoutePath(e *spec.Entry) string {
	segments, n := strings.Split(e.Route.Path, "/"), 0
	for i, segment := range segments {
		if !strings.HasPrefix(segment, "{") {
			continue
		}
		a := e.Route.Args[n]
		if segments[i] = "{" + v.jsonName(a.Name) + "}"; a.Greedy {
			segments[i] = "{" + v.jsonName(a.Name) + "+}"
		}
		n++
	}
	return strings.Join(segments, "/")
}

// safe renames arguments that would hide what generated code uses.
func safe(args ...spec.Arg) []spec.Arg {
	taken := strings.Fields("c t h s b r w in out call send host stop rpc bus context time http io fault problem fmt string ctx err stops source registerer")
	args = slices.Clone(args)
	for i := range args {
		for slices.Contains(taken, args[i].Name) {
			args[i].Name += "Arg"
		}
		taken = append(taken, args[i].Name)
	}
	return args
}

// names are the Go names of arguments in generated bodies: the signature's own where possible.
func names(s spec.Signature) (in, out []spec.Arg) {
	all := safe(slices.Concat(s.In, s.Out)...)
	return all[:len(s.In)], all[len(s.In):]
}

func (v *view) qualify(t spec.Type, pkg string) string {
	if pkg != "" && t.Complex() {
		return t.Prefix + pkg + "." + t.Base
	}
	return t.String()
}

func (v *view) list(args []spec.Arg, pkg string) string {
	var b strings.Builder
	for i, a := range args {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(a.Name + " " + v.qualify(a.Type, pkg))
	}
	return b.String()
}

// signature is (ctx, in…) (out…, err error) with types of package pkg; that of a stream has send.
func (v *view) signature(e *spec.Entry, in, out []spec.Arg, pkg string) string {
	params := "ctx context.Context"
	if len(in) > 0 {
		params += ", " + v.list(in, pkg)
	}
	if e.Stream {
		dot := ""
		if pkg != "" {
			dot = pkg + "."
		}
		return "(" + params + ", send func(" + dot + e.Name() + "Out) error) (err error)"
	}
	results := ""
	if len(out) > 0 {
		results = v.list(out, pkg) + ", "
	}
	return "(" + params + ") (" + results + "err error)"
}

// Declared is the signature with the names of service.yaml, for interfaces.
func (v *view) Declared(e *spec.Entry) string {
	return v.signature(e, e.Signature.In, e.Signature.Out, "")
}

// Safe is the signature for generated bodies.
func (v *view) Safe(e *spec.Entry) string {
	in, out := names(e.Signature)
	return v.signature(e, in, out, "")
}

// Zeros is the results by name, each with a comma behind it, for bodies that return zero values.
func (v *view) Zeros(e *spec.Entry) string {
	if e.Stream {
		return ""
	}
	_, out := names(e.Signature)
	text := ""
	for _, a := range out {
		text += a.Name + ", "
	}
	return text
}

// Fill is the literal of the argument struct from the arguments.
func (v *view) Fill(e *spec.Entry) string {
	in, _ := names(e.Signature)
	parts := make([]string, len(in))
	for i, a := range in {
		parts[i] = spec.Exported(e.Signature.In[i].Name) + ": " + a.Name
	}
	return e.Name() + "In{" + strings.Join(parts, ", ") + "}"
}

// Spread is the arguments of a call from the fields of in.
func (v *view) Spread(e *spec.Entry) string {
	text := ""
	for _, a := range e.Signature.In {
		text += ", in." + spec.Exported(a.Name)
	}
	return text
}

// Results is the fields of out, each with a comma behind it.
func (v *view) Results(e *spec.Entry) string {
	text := ""
	for _, a := range e.Signature.Out {
		text += "out." + spec.Exported(a.Name) + ", "
	}
	return text
}

// Params is the parameters of a multicast call, for generated bodies.
func (v *view) Params(e *spec.Entry) string {
	in, _ := names(e.Signature)
	params := "ctx context.Context"
	if len(in) > 0 {
		params += ", " + v.list(in, "")
	}
	return "(" + params + ")"
}

// Queue is the queue of a handler as a field of its rpc.Function; events have none.
func (v *view) Queue(e *spec.Entry) string {
	if e.Section == "events" || e.Queue == "none" {
		return ""
	}
	return " Queue: Host,"
}

// Callbacks are the configs whose change the service wants to know.
func (v *view) Callbacks() (list []*spec.Entry) {
	for _, e := range v.Configs {
		if e.Callback {
			list = append(list, e)
		}
	}
	return list
}

// Fields are the fields of an argument struct. Results of the m3o wire quote 64-bit integers.
func (v *view) Fields(e *spec.Entry, args []spec.Arg, results bool) string {
	var b strings.Builder
	for _, a := range args {
		fmt.Fprintf(&b, "\t%s %s `%s`\n", spec.Exported(a.Name), a.Type, v.tag(e, a, results))
	}
	return b.String()
}

func (v *view) tag(e *spec.Entry, a spec.Arg, result bool) string {
	switch a.Name {
	case spec.RequestBody, spec.ResponseBody:
		return `json:"` + a.Name + `" rpc:"body"` // named, so that a stored answer keeps it
	case spec.StatusCode:
		return `json:"-" rpc:"status"`
	}
	quoted := ""
	if result && v.quoted(a.Type) {
		quoted = ",string"
	}
	return `json:"` + v.jsonName(a.Name) + quoted + `"`
}

// quoted says whether a result is a 64-bit integer that the m3o wire writes as a text.
func (v *view) quoted(t spec.Type) bool { return v.General.Wire == "m3o" && v.g.is64(t) }

func (v *view) jsonName(name string) string { return v.General.Member(name) }

// Method is the Go expression of a method.
func (v *view) Method(method string) string {
	switch method {
	case "ANY":
		return "rpc.Any"
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodConnect:
		return "http.Method" + method[:1] + strings.ToLower(method[1:])
	}
	return strconv.Quote(method)
}

// Access is the Go expression of who may call.
func (v *view) Access(access string) string {
	if access == "" {
		access = "internal"
	}
	return "rpc." + strings.ToUpper(access[:1]) + access[1:]
}

// Span is the Go expression of a duration.
func (v *view) Span(d time.Duration) string {
	if d == 0 {
		d = 20 * time.Second
	}
	for _, unit := range []struct {
		name string
		size time.Duration
	}{{"time.Hour", time.Hour}, {"time.Minute", time.Minute}, {"time.Second", time.Second}, {"time.Millisecond", time.Millisecond}, {"time.Microsecond", time.Microsecond}} {
		switch {
		case d == unit.size:
			return unit.name
		case d%unit.size == 0:
			return fmt.Sprintf("%d * %s", d/unit.size, unit.name)
		}
	}
	return fmt.Sprintf("%d", int64(d))
}
