package codegen

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"

	"m3o/internal/codegen/spec"
)

// testFunc is a function of a hand-written test file.
type testFunc struct {
	path  string
	pkg   string
	name  string
	types string // of its parameters and results, as typesOf gives them
}

// testFuncs are the functions, not methods, of the hand-written test files of the service.
func (g *generator) testFuncs() (funcs []testFunc, err error) {
	if g.tests != nil {
		return g.tests, nil
	}
	entries, err := os.ReadDir(g.dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.IsDir() || !strings.HasSuffix(e.Name(), "_test.go") || strings.HasSuffix(e.Name(), "_gen_test.go") || ignored(e.Name()) {
			continue
		}
		path := filepath.Join(g.dir, e.Name())
		tree, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if tree == nil {
			return nil, err
		}
		if ast.IsGenerated(tree) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, d := range tree.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv != nil {
				continue
			}
			types, err := g.typesOf(fn.Type)
			if err != nil {
				return nil, err
			}
			funcs = append(funcs, testFunc{path, tree.Name.Name, fn.Name.Name, types})
		}
	}
	g.tests = append([]testFunc{}, funcs...)
	return g.tests, nil
}

// testPrefix is how the tests that the generator makes begin.
func (g *generator) testPrefix() string { return "Test" + spec.Exported(g.noun()) + "_" }
