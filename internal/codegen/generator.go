package codegen

import (
	"errors"
	"fmt"
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"m3o/internal/codegen/spec"
)

// generator plans the files of one service.
type generator struct {
	module  *goModule
	dir     string
	service *spec.Service
	report  *Report
	out     *changes
	types   map[string]*goType // complex types of the contract by name; nil: to be made by hand
	aliases map[string]*goType // those of other packages
	memo    memo               // of the last run
	found   []string           // orphans, as file: Name
	tests   []testFunc         // set by testFuncs
}

// noun is the service's name: its folder, its package, its table prefix.
func (g *generator) noun() string { return filepath.Base(g.dir) }

func (g *generator) api() string    { return g.noun() + "api" }
func (g *generator) apiDir() string { return filepath.Join(g.dir, g.api()) }

// hasDocument says whether the service has something for OpenAPI, and wants it there.
func (g *generator) hasDocument() bool {
	return g.service.General.OpenAPI && len(g.service.Functions)+len(g.service.Webs) > 0
}

// hasTexts says whether the service has localized strings.
func (g *generator) hasTexts() bool {
	_, err := os.Stat(filepath.Join(g.dir, "resources", "strings.yaml"))
	return err == nil
}

// checkSinks compares sinks of multicast events with the events that their sources declare, and sinks of durable topics
// with the topics that there are.
func (g *generator) checkSinks() error {
	var mistakes spec.Errors
	for _, sink := range g.service.Sinks {
		dir, ours := g.module.dirOf(sink.Source)
		if sink.Topic != "" {
			if m := g.checkTopic(sink); m != nil {
				mistakes = append(mistakes, *m)
			}
			continue
		}
		if !ours || sink.Broken() {
			continue
		}
		m, err := g.checkSink(sink, dir)
		var broken spec.Errors
		switch {
		case errors.As(err, &broken):
			mistakes = append(mistakes, broken...) // those of the source
		case err != nil:
			return err
		case m != nil:
			mistakes = append(mistakes, *m)
		}
	}
	if len(mistakes) > 0 {
		return mistakes
	}
	return nil
}

func (g *generator) checkSink(sink *spec.Entry, dir string) (*spec.Error, error) {
	fail := func(field string, class spec.Class, hint, format string, args ...any) *spec.Error {
		m := sink.Mistake(g.service.File, field, class, fmt.Sprintf(format, args...), hint)
		return &m
	}
	if _, err := os.Stat(filepath.Join(dir, "service.yaml")); err != nil {
		return fail("source", "E-SINK-SOURCE", "", "there is no service.yaml in %s", g.module.rel(dir)), nil
	}
	source, err := g.module.contract(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, event := range source.Events {
		names = append(names, event.Name())
		if event.Name() != sink.Event {
			continue
		}
		want, have := event.Signature, sink.Signature
		have.Name = want.Name
		if want.String() != have.String() {
			return fail("signature", "E-SINK-MATCH", "", "%s is not the event's signature %s at %s:%d", sink.Signature, want, source.File, event.Line("signature")), nil
		}
		return nil, nil
	}
	return fail("event", "E-SINK-EVENT", "its events: "+strings.Join(names, ", "), "%s has no event %s", sink.Source, sink.Event), nil
}

// checkTopic wants the module to have the package of a durable topic, which the generated code imports.
func (g *generator) checkTopic(sink *spec.Entry) *spec.Error {
	const home = "pkg/events/proto"
	topics := g.module.packagesIn(home)
	if slices.Contains(topics, sink.Topic) || !spec.IsTopic(sink.Topic) {
		return nil
	}
	hint := "there are none yet"
	if len(topics) > 0 {
		hint = "one of " + strings.Join(topics, ", ")
	}
	m := sink.Mistake(g.service.File, "topic", "E-SINK-TOPIC", fmt.Sprintf("there is no package %s/%s/%s for the topic", g.module.path, home, sink.Topic), hint)
	return &m
}

// resolveTypes finds the complex types of the contract: in the contract's own package, else in the
// one package that it may take them from (see declaring), else as a new empty struct in types.go.
func (g *generator) resolveTypes() error {
	own, err := g.module.load(g.apiDir())
	if err != nil {
		return err
	}
	g.types, g.aliases = map[string]*goType{}, map[string]*goType{}
	var missing []string
	var mistakes spec.Errors
	for _, entry := range slices.Concat(g.service.Functions, g.service.Events) {
		for _, a := range slices.Concat(entry.Signature.In, entry.Signature.Out) {
			name := a.Type.Base
			if _, done := g.types[name]; done || !a.Type.Complex() {
				continue
			}
			if g.types[name] = own.types[name]; g.types[name] != nil {
				continue
			}
			found, err := g.elsewhere(name)
			switch {
			case err != nil:
				return err
			case len(found) > 1:
				mistakes = append(mistakes, entry.Mistake(g.service.File, "signature", "E-TYPE-TWICE",
					fmt.Sprintf("the type %s is in %s and in %s", name, found[0].pkg.path, found[1].pkg.path), "declare an alias in "+g.api()+"/types.go"))
			case len(found) == 1:
				g.types[name], g.aliases[name] = found[0], found[0]
				g.module.looked[found[0].pkg.dir] = true
			default:
				missing = append(missing, name)
			}
		}
	}
	if len(mistakes) > 0 {
		return mistakes
	}
	return g.makeTypes(missing)
}

func (g *generator) elsewhere(name string) (found []*goType, err error) {
	packages, err := g.module.declaring(name, g.dir)
	if err != nil {
		return nil, err
	}
	for _, p := range packages {
		if t := p.types[name]; p.dir != g.apiDir() && !isAlias(t) {
			found = append(found, t)
		}
	}
	if len(found) == 0 && len(g.module.broken) > 0 {
		return nil, fmt.Errorf("look for the type %s: %w", name, g.module.broken[0])
	}
	return found, nil
}

// reads are the folders of other packages whose types became part of the generated code.
func (g *generator) reads() (dirs []string) {
	for dir := range g.module.looked {
		if dir != g.dir && dir != g.apiDir() {
			dirs = append(dirs, g.module.rel(dir))
		}
	}
	slices.Sort(dirs)
	return dirs
}

// foreignTypes are the types of other packages, as Name=import/path.
func (g *generator) foreignTypes() (list []string) {
	for _, name := range sortedKeys(g.aliases) {
		list = append(list, name+"="+g.aliases[name].pkg.path)
	}
	return list
}

func isAlias(t *goType) bool { return t.spec.Assign.IsValid() }

// makeTypes appends an empty struct for each type that is nowhere yet.
func (g *generator) makeTypes(names []string) error {
	if len(names) == 0 {
		return nil
	}
	path := filepath.Join(g.apiDir(), "types.go")
	src, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		src, err = []byte("package "+g.api()+"\n"), nil
	}
	if err != nil {
		return err
	}
	for _, name := range names {
		src = fmt.Appendf(src, "\n// %s is a type of the contract of %s.\ntype %s struct{}\n", name, g.noun(), name)
		g.report.Stubs = append(g.report.Stubs, g.module.rel(path)+": type "+name)
	}
	g.out.add(path, src)
	made := &goPackage{dir: g.apiDir(), name: g.api(), fset: token.NewFileSet(), types: map[string]*goType{}}
	if err := made.parseText(path, src); err != nil {
		return err
	}
	for _, name := range names {
		g.types[name] = made.types[name]
	}
	return nil
}

// is64 says whether the type is written as a 64-bit integer.
func (g *generator) is64(t spec.Type) bool {
	if t.Prefix != "" {
		return false
	}
	if found := g.types[t.Base]; found != nil {
		return found.is64(&schemas{module: g.module}, 0)
	}
	return t.Base == "int64" || t.Base == "uint64"
}

// is64 says whether a declared type is made of a 64-bit integer, through any number of types.
func (t *goType) is64(s *schemas, depth int) bool {
	var next *goType
	switch e := t.spec.Type.(type) {
	case *ast.Ident:
		if e.Name == "int64" || e.Name == "uint64" {
			return true
		}
		next = s.lookup(t, "", e.Name)
	case *ast.SelectorExpr:
		if x, ok := e.X.(*ast.Ident); ok {
			next = s.lookup(t, x.Name, e.Sel.Name)
		}
	}
	return next != nil && depth < 8 && next.is64(s, depth+1)
}
