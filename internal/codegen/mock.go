package codegen

import (
	"path/filepath"
	"slices"
	"strings"

	"m3o/internal/codegen/spec"
)

// shape is a handler as another package than its own writes it.
type shape struct {
	Name      string
	Signature string // (ctx, in…) (out…, err error), or that of a raw web handler
	Args      string // of a call: ctx and the inputs
	Zeros     string // the results but the error, each with a comma behind it
}

// renderMock plans the mock of the contract; a service that cannot be called has none.
func (g *generator) renderMock() error {
	name := g.noun() + "mock"
	path := filepath.Join(g.apiDir(), name, "mock_gen.go")
	if len(g.service.Functions)+len(g.service.Webs) == 0 {
		g.out.remove(path)
		return nil
	}
	data := struct {
		*view
		Package  string
		Handlers []shape
	}{g.view(), name, nil}
	for _, e := range g.service.Functions {
		data.Handlers = append(data.Handlers, data.shape(e, g.api(), "m handler notMocked"))
	}
	for _, e := range g.service.Webs {
		data.Handlers = append(data.Handlers, shape{Name: e.Name(), Signature: rawWeb, Args: "w, r"})
	}
	known := g.known()
	known["atomic"] = "sync/atomic"
	text, err := render("mock.go.tmpl", data, known)
	if err != nil {
		return err
	}
	g.out.add(path, append([]byte(header), text...))
	return nil
}

// shape is a function or a sink with types of package api and names that differ from those that the body around it uses.
func (v *view) shape(e *spec.Entry, api, taken string) shape {
	all := apart("ctx err send fault "+api+" "+taken, slices.Concat(e.Signature.In, e.Signature.Out)...)
	in, out := all[:len(e.Signature.In)], all[len(e.Signature.In):]
	s := shape{Name: e.Name(), Signature: v.signature(e, in, out, api), Args: "ctx"}
	for _, a := range in {
		s.Args += ", " + a.Name
	}
	if e.Stream {
		s.Args += ", send"
		return s
	}
	for _, a := range out {
		s.Zeros += a.Name + ", "
	}
	return s
}

// apart renames arguments that have the name of something else.
func apart(taken string, args ...spec.Arg) []spec.Arg {
	names := strings.Fields(taken)
	args = slices.Clone(args)
	for i := range args {
		for slices.Contains(names, args[i].Name) {
			args[i].Name += "Arg"
		}
		names = append(names, args[i].Name)
	}
	return args
}
