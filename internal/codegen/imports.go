package codegen

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
)

// withImports adds the imports of known packages that a text needs to a file, and touches nothing else of it.
func withImports(src []byte, text string, known map[string]string) ([]byte, error) {
	for _, name := range sortedKeys(known) {
		if !mentions(text, name) {
			continue
		}
		var err error
		if src, err = withImport(src, name, known[name]); err != nil {
			return nil, err
		}
	}
	return src, nil
}

// mentions says whether a text has name as the package of a selector.
func mentions(text, name string) bool {
	for i := 0; ; {
		j := strings.Index(text[i:], name+".")
		if j < 0 {
			return false
		}
		if i += j; i == 0 || !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.", rune(text[i-1])) {
			return true
		}
		i += len(name)
	}
}

// withImport adds one import at its place in the sorted group of its kind.
func withImport(src []byte, name, path string) ([]byte, error) {
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, "", src, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	line := fmt.Sprintf("%q", path)
	if filepath.Base(path) != name {
		line = name + " " + line
	}
	insert := func(at int, text string) []byte { return slices.Concat(src[:at], []byte(text), src[at:]) }
	var last *ast.ImportSpec
	for _, i := range tree.Imports {
		have := strings.Trim(i.Path.Value, `"`)
		if have == path {
			return src, nil
		}
		if ours(have) != ours(path) {
			continue
		}
		if have > path && inBlock(tree, i) {
			return insert(fset.Position(i.Pos()).Offset, line+"\n\t"), nil
		}
		last = i
	}
	switch {
	case last != nil && inBlock(tree, last):
		return insert(fset.Position(last.End()).Offset, "\n\t"+line), nil
	case len(tree.Imports) > 0 && inBlock(tree, tree.Imports[0]) && ours(path):
		end := fset.Position(tree.Imports[len(tree.Imports)-1].End()).Offset
		return insert(end, "\n\n\t"+line), nil
	case len(tree.Imports) > 0 && inBlock(tree, tree.Imports[0]):
		return insert(fset.Position(tree.Imports[0].Pos()).Offset, line+"\n\n\t"), nil
	}
	return insert(fset.Position(tree.Name.End()).Offset, "\n\nimport (\n\t"+line+"\n)"), nil
}

// ours says whether an import path belongs below the standard library's group.
func ours(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return strings.Contains(first, ".") || strings.Contains(path, "/internal/") || strings.Contains(path, "/pkg/")
}

func inBlock(tree *ast.File, i *ast.ImportSpec) bool {
	for _, d := range tree.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Lparen.IsValid() && g.Pos() < i.Pos() && i.Pos() < g.Rparen {
			return true
		}
	}
	return false
}
