package codegen

import (
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
)

// register plans that the house has a service that New makes: in internal/app/house.go it is built and added before
// publicapi, which asks the services above it what is on sale. What comes out does not have it when the house is built
// in another way than this knows; then lines says what to write by hand.
func register(m *goModule, data map[string]string, out *changes) (done bool, lines string, err error) {
	path := filepath.Join(m.root, "internal", "app", "house.go")
	src := readOrNothing(path)
	place, name := findPlace(src, data["Noun"])
	data["Package"] = name
	text, err := fill("templates/new/house.go.tmpl", data)
	if err != nil || place < 0 {
		return false, string(text), err
	}
	src = slices.Concat(src[:place], text, []byte("\n\t"), src[place:])
	for _, i := range [][2]string{{name, data["Path"]}, {data["Noun"] + "api", data["Path"] + "/" + data["Noun"] + "api"}} {
		if src, err = withImport(src, i[0], m.path+"/internal/"+i[1]); err != nil {
			return false, "", fmt.Errorf("%s: %w", m.rel(path), err)
		}
	}
	if src, err = format.Source(src); err != nil {
		return false, "", fmt.Errorf("%s: %w", m.rel(path), err)
	}
	out.add(path, src)
	return true, string(text), nil
}

// findPlace is where publicapi is built, -1 when that is not found, and a name for a package that hides nothing.
func findPlace(src []byte, noun string) (offset int, name string) {
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, "", src, 0)
	if err != nil {
		return -1, noun
	}
	offset, name = -1, noun
	adds := false
	ast.Inspect(tree, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Ident:
			if n.Name == noun {
				name = noun + "service"
			}
		case *ast.AssignStmt:
			if calls(n, "publicapi", "New") {
				offset = fset.Position(n.Pos()).Offset
			}
		case *ast.FuncDecl:
			adds = adds || n.Name.Name == "add" && receiver(n) == "house"
		}
		return true
	})
	if !adds {
		offset = -1
	}
	return offset, name
}

// calls says whether a statement assigns what pkg.function returns.
func calls(s *ast.AssignStmt, pkg, function string) bool {
	call, ok := s.Rhs[0].(*ast.CallExpr)
	if !ok {
		return false
	}
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, ok := f.X.(*ast.Ident)
	return ok && x.Name == pkg && f.Sel.Name == function
}
