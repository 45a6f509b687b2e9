package codegen

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"m3o/internal/codegen/spec"
)

// handler is a method that service.yaml wants *Service to have.
type handler struct {
	name      string
	signature string // with types as the service's package writes them
	results   string // the names of the results, each with a comma behind it
	file      string // where a stub goes
	comment   string
	entry     *spec.Entry
}

const (
	withContext = "(ctx context.Context) (err error)"
	rawWeb      = "(w http.ResponseWriter, r *http.Request) (err error)"
)

// declared are all handlers in the order of service.yaml.
func (g *generator) declared() (list []handler) {
	main := g.noun() + ".go"
	add := func(e *spec.Entry, signature, results, file string) {
		list = append(list, handler{e.Name(), signature, results, file, docText(e.Name(), e.Description), e})
	}
	for _, e := range g.service.Configs {
		if name := "OnChanged" + e.Name(); e.Callback {
			list = append(list, handler{name, withContext, "", main, name + " is called when the value of " + e.Name() + " has changed.", e})
		}
	}
	for _, e := range g.service.Functions {
		signature, results := g.method(e, g.api())
		add(e, signature, results, main)
	}
	for _, e := range g.service.Sinks {
		signature, results := g.method(e, filepath.Base(e.Source)+"api")
		add(e, signature, results, "sinks.go")
	}
	for _, e := range g.service.Webs {
		add(e, rawWeb, "", main)
	}
	for _, e := range g.service.Tickers {
		add(e, withContext, "", main)
	}
	return list
}

// method is the signature of a function or sink in the service's package, and its results. An
// argument may not hide the package fault, with which a stub answers.
func (g *generator) method(e *spec.Entry, pkg string) (signature, results string) {
	in, out := slices.Clone(e.Signature.In), slices.Clone(e.Signature.Out)
	for _, args := range [][]spec.Arg{in, out} {
		for i := range args {
			if args[i].Name == "fault" {
				args[i].Name = "faultArg"
			}
		}
	}
	for _, a := range out {
		if !e.Stream {
			results += a.Name + ", "
		}
	}
	return g.view().signature(e, in, out, pkg), results
}

// handlers appends a stub for each handler that no hand-written file has, corrects the declared line
// of those whose signature changed, and lists those that are no longer declared.
func (g *generator) handlers() error {
	pkg, err := g.module.load(g.dir)
	if err != nil {
		return err
	}
	methods := pkg.methods()
	for _, h := range g.declared() {
		m, ok := methods[h.name]
		if !ok {
			err = g.stub(pkg, h)
		} else if err = g.describe(pkg, m, h); err == nil {
			err = g.correct(pkg, m, h)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

type method struct {
	file *goFile
	decl *ast.FuncDecl
}

// methods are the hand-written methods on Service or *Service.
func (p *goPackage) methods() map[string]method {
	found := map[string]method{}
	for _, f := range p.files {
		if f.generated {
			continue
		}
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && receiver(fn) == "Service" {
				found[fn.Name.Name] = method{f, fn}
			}
		}
	}
	return found
}

// receiver is the type name of a method's receiver.
func receiver(fn *ast.FuncDecl) string {
	if fn.Recv == nil || len(fn.Recv.List) != 1 {
		return ""
	}
	t := fn.Recv.List[0].Type
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	if name, ok := t.(*ast.Ident); ok {
		return name.Name
	}
	return ""
}

// stub appends a method that says it is not there yet.
func (g *generator) stub(pkg *goPackage, h handler) error {
	path := filepath.Join(g.dir, h.file)
	src, err := g.out.planned(path)
	if os.IsNotExist(err) {
		src, err = []byte("package "+pkg.name+"\n"), nil
	}
	if err != nil {
		return err
	}
	recv := "s"
	for _, a := range slices.Concat(h.entry.Signature.In, h.entry.Signature.Out) {
		if a.Name == "s" {
			recv = "svc"
		}
	}
	text := fmt.Sprintf("\n%s\nfunc (%s *Service) %s%s {\n\treturn %sfault.New(fault.Unimplemented, %s)\n}\n",
		g.view().Comment("", h.comment), recv, h.name, h.signature, h.results, g.notYet(h.name))
	src = append(bytes.TrimRight(src, "\n"), '\n')
	src, err = withImports(append(src, text...), h.signature+" fault.New", g.known())
	if err != nil {
		return fmt.Errorf("%s: %w", g.module.rel(path), err)
	}
	g.out.add(path, src)
	g.report.Stubs = append(g.report.Stubs, g.module.rel(path)+": "+h.name)
	return nil
}

// notYet is what a stub says, as Go writes it.
func (g *generator) notYet(name string) string {
	return strconv.Quote(name + " of " + g.noun() + " is not implemented yet")
}

// correct replaces the declared line of a method when its types differ from those of service.yaml.
func (g *generator) correct(pkg *goPackage, m method, h handler) error {
	have, err := g.typesOf(m.decl.Type)
	if err != nil {
		return err
	}
	want, err := parser.ParseExpr("func" + h.signature)
	if err != nil {
		return err
	}
	wanted, err := g.typesOf(want.(*ast.FuncType))
	if err != nil || have == wanted || m.decl.Body == nil {
		return err
	}
	src, err := g.out.planned(m.file.path)
	if err != nil {
		return err
	}
	// Other handlers of the file may have been changed before: find the old line by its text.
	start, end := pkg.fset.Position(m.decl.Name.Pos()).Offset, pkg.fset.Position(m.decl.Body.Lbrace).Offset
	old := m.file.src[start:end]
	if bytes.Count(src, old) != 1 {
		return fmt.Errorf("%s: the declaration of %s could not be found again", g.module.rel(m.file.path), h.name)
	}
	src = bytes.Replace(src, old, []byte(h.name+h.signature+" "), 1)
	if src, err = withImports(src, h.signature, g.known()); err != nil {
		return fmt.Errorf("%s: %w", g.module.rel(m.file.path), err)
	}
	g.out.add(m.file.path, src)
	g.report.Stubs = append(g.report.Stubs, g.module.rel(m.file.path)+": "+h.name)
	return nil
}

// typesOf is the parameter and result types of a function, one for each name, in a form in which
// equal types are equal texts.
func (g *generator) typesOf(fn *ast.FuncType) (string, error) {
	var b bytes.Buffer
	for _, list := range []*ast.FieldList{fn.Params, fn.Results} {
		b.WriteString(";")
		if list == nil {
			continue
		}
		for _, f := range list.List {
			for range max(1, len(f.Names)) {
				if err := format.Node(&b, token.NewFileSet(), f.Type); err != nil {
					return "", err
				}
				b.WriteString(",")
			}
		}
	}
	text := strings.ReplaceAll(b.String(), "interface{}", "any")
	for name, t := range g.aliases {
		text = strings.ReplaceAll(text, t.pkg.name+"."+name, g.api()+"."+name)
	}
	return text, nil
}
