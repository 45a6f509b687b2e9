package codegen

import (
	"path/filepath"
	"slices"
	"strings"

	"m3o/internal/codegen/spec"
)

// call is a method of the harness that calls a handler.
type call struct {
	shape
	Kind    string // what the handler is, as a word
	Params  string // (ctx, in…)
	Through string // the field of the harness that has the handler
	Out     string // the type of what it answers
	Item    string // of a stream: the type of a message
	Results string // where the answers go, each with a comma behind it
	Stream  bool
}

// hear is a method of the harness that listens to an event.
type hear struct {
	Name      string
	Signature string
	In        string // the literal of what the event tells
	Results   string
}

// harnessView is what the template of harness_gen_test.go sees.
type harnessView struct {
	*view
	Package string
	Calls   []call
	Hears   []hear
}

// inHarness are the names that the bodies of its methods use.
const inHarness = "h out hear asserts message"

// hasHarness says whether the service has handlers to test, and wants the generator's help with that.
func (g *generator) hasHarness() bool {
	return g.service.General.IntegrationTests && len(g.declared())+len(g.service.Events) > 0
}

// renderHarness plans harness_gen_test.go, or its removal.
func (g *generator) renderHarness() error {
	path := filepath.Join(g.dir, "harness_gen_test.go")
	if !g.hasHarness() {
		g.out.remove(path)
		return nil
	}
	own, err := g.module.load(g.dir)
	if err != nil {
		return err
	}
	data := harnessView{view: g.view(), Package: own.name}
	for _, h := range g.declared() {
		if h.entry.Section != "webs" {
			data.Calls = append(data.Calls, data.call(h))
		}
	}
	for _, e := range g.service.Events {
		data.Hears = append(data.Hears, data.hear(e))
	}
	text, err := render("harness_test.go.tmpl", data, g.testKnown(own.name))
	if err != nil {
		return err
	}
	g.out.add(path, append([]byte(header), text...))
	return nil
}

// testKnown are the packages that tests of the service may use.
func (g *generator) testKnown(pkg string) map[string]string {
	known := g.known()
	known["testing"], known["httptest"] = "testing", "net/http/httptest"
	known["asserts"] = g.module.path + "/internal/rpc/rpctest/asserts"
	known[pkg] = g.module.importPath(g.dir)
	return known
}

// call is how the harness calls a handler: a function through the contract, everything else on the service itself.
func (v harnessView) call(h handler) call {
	e, kind := h.entry, strings.TrimSuffix(h.entry.Section, "s")
	if kind == "config" {
		kind = "callback"
	}
	if kind == "callback" || kind == "ticker" {
		return call{shape: shape{Name: h.name, Args: "ctx"}, Kind: kind, Params: "(ctx context.Context)", Through: "service", Out: "asserts.Nothing"}
	}
	api, through := v.API, "client"
	if e.Section == "sinks" {
		api, through = filepath.Base(e.Source)+"api", "service"
	}
	c := call{shape: v.shape(e, api, inHarness+" "+v.Package), Kind: kind, Through: through, Stream: e.Stream}
	c.Params, _, _ = strings.Cut(c.Signature, ") (")
	c.Params += ")"
	name := e.Name()
	if e.Section == "sinks" {
		name = e.Event
	}
	switch c.Out = api + "." + name + "Out"; {
	case e.Topic != "":
		c.Out = "asserts.Nothing"
	case e.Stream:
		c.Item, c.Out = c.Out, "[]"+c.Out
		c.Params = strings.TrimSuffix(c.Params, ", send func("+c.Item+") error)") + ")"
		c.Args = strings.TrimSuffix(c.Args, ", send")
	default:
		c.Results = v.Results(e)
	}
	return c
}

// hear is how the harness listens to an event.
func (v harnessView) hear(e *spec.Entry) hear {
	all := apart("ctx err "+v.API+" "+inHarness, slices.Concat(e.Signature.In, e.Signature.Out)...)
	in, out := all[:len(e.Signature.In)], all[len(e.Signature.In):]
	fields := make([]string, len(in))
	for i, a := range in {
		fields[i] = spec.Exported(e.Signature.In[i].Name) + ": " + a.Name
	}
	return hear{Name: e.Name(), Signature: v.signature(e, in, out, v.API), In: v.API + "." + e.Name() + "In{" + strings.Join(fields, ", ") + "}", Results: v.Results(e)}
}
