package codegen

import (
	"bytes"
	"go/ast"
	"path/filepath"
	"slices"
	"strings"

	"m3o/internal/codegen/spec"
)

// orphans lists what the contract asked for once, does not ask for now, and is still there: handlers, their tests, and
// types that nothing uses. What it finds is remembered in version_gen.go, so that the next run finds it again.
func (g *generator) orphans() error {
	pkg, err := g.module.load(g.dir)
	if err != nil {
		return err
	}
	api, err := g.module.load(g.apiDir())
	if err != nil {
		return err
	}
	once := append(interfaceMethods(pkg, "handlers"), append(interfaceMethods(api, "Service"), interfaceMethods(api, "Webs")...)...)
	used := argumentTypes(api)
	for _, name := range used {
		if event, ok := strings.CutSuffix(name, "In"); ok {
			once = append(once, event)
		}
	}
	for _, orphan := range g.memo.orphans {
		_, name, _ := strings.Cut(orphan, ": ")
		if t, ok := strings.CutPrefix(name, "type "); ok {
			used = append(used, t)
		} else {
			once = append(once, strings.TrimPrefix(name, g.testPrefix()))
		}
	}
	gone := g.orphanedMethods(pkg, once)
	if err := g.orphanedTests(once); err != nil {
		return err
	}
	g.orphanedTypes(pkg, api, used, gone)
	slices.Sort(g.found)
	g.found = slices.Compact(g.found)
	return nil
}

func (g *generator) orphan(path, name string) {
	if rel, err := filepath.Rel(g.dir, path); err == nil {
		path = rel
	}
	g.found = append(g.found, filepath.ToSlash(path)+": "+name)
}

// isDeclared says whether the contract has a handler or an event of a name.
func (g *generator) isDeclared(name string) bool {
	return slices.ContainsFunc(g.declared(), func(h handler) bool { return h.name == name }) ||
		slices.ContainsFunc(g.service.Events, func(e *spec.Entry) bool { return e.Name() == name })
}

// orphanedMethods lists hand-written methods that were handlers once, or that are stubs still.
func (g *generator) orphanedMethods(pkg *goPackage, once []string) (gone []*ast.FuncDecl) {
	for name, m := range pkg.methods() {
		if !g.isDeclared(name) && (slices.Contains(once, name) || g.isStub(pkg, m)) {
			g.orphan(m.file.path, name)
			gone = append(gone, m.decl)
		}
	}
	return gone
}

func (g *generator) isStub(pkg *goPackage, m method) bool {
	text := m.file.src[pkg.fset.Position(m.decl.Pos()).Offset:pkg.fset.Position(m.decl.End()).Offset]
	return bytes.Contains(text, []byte("fault.New(fault.Unimplemented, "+g.notYet(m.decl.Name.Name)+")"))
}

// orphanedTests lists skeleton tests of what is no longer declared.
func (g *generator) orphanedTests(once []string) error {
	tests, err := g.testFuncs()
	if err != nil {
		return err
	}
	for _, test := range tests {
		name, ok := strings.CutPrefix(test.name, g.testPrefix())
		if ok && slices.Contains(once, name) && !g.isDeclared(name) {
			g.orphan(test.path, test.name)
		}
	}
	return nil
}

// orphanedTypes lists types that were arguments once and that nothing of the service speaks of now, but what is an
// orphan itself.
func (g *generator) orphanedTypes(pkg, api *goPackage, once []string, gone []*ast.FuncDecl) {
	mentioned := mentionedTypes(api, nil)
	for name := range mentionedTypes(pkg, gone) {
		mentioned[name] = true
	}
	for _, name := range once {
		t := api.types[name]
		if t != nil && g.types[name] == nil && !mentioned[name] {
			g.orphan(t.file.path, "type "+name)
		}
	}
}

// mentionedTypes are the names that the hand-written files of a package speak of, but where they declare them.
func mentionedTypes(p *goPackage, except []*ast.FuncDecl) map[string]bool {
	names := map[string]bool{}
	for _, f := range p.files {
		if f.generated {
			continue
		}
		declared := map[*ast.Ident]bool{f.ast.Name: true}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				return !slices.Contains(except, n)
			case *ast.TypeSpec:
				declared[n.Name] = true
			case *ast.Ident:
				names[n.Name] = names[n.Name] || !declared[n]
			}
			return true
		})
	}
	return names
}

// argumentTypes are the names of the generated structs of a contract as it is on disk, and of their fields' types.
func argumentTypes(api *goPackage) (names []string) {
	for _, f := range api.files {
		if !f.generated {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			t, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			fields, ok := t.Type.(*ast.StructType)
			if !ok {
				return false
			}
			names = append(names, t.Name.Name)
			for _, field := range fields.Fields.List {
				ast.Inspect(field.Type, func(n ast.Node) bool {
					if name, ok := n.(*ast.Ident); ok {
						names = append(names, name.Name)
					}
					return true
				})
			}
			return false
		})
	}
	return names
}

// interfaceMethods are the methods of a generated interface as it is on disk.
func interfaceMethods(p *goPackage, name string) (names []string) {
	for _, f := range p.files {
		if !f.generated {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			t, ok := n.(*ast.TypeSpec)
			if !ok || t.Name.Name != name {
				return true
			}
			if i, ok := t.Type.(*ast.InterfaceType); ok {
				for _, m := range i.Methods.List {
					for _, n := range m.Names {
						names = append(names, n.Name)
					}
				}
			}
			return false
		})
	}
	return names
}
