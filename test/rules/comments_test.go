package rules

import (
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestEveryPackageSaysWhatItOwns(t *testing.T) {
	h := setup(t)
	said := map[string]bool{}
	for _, f := range h.files {
		said[f.folder()] = said[f.folder()] || !f.isTest() && f.Doc != nil
	}
	for folder := range h.packages {
		if !said[folder] {
			t.Errorf("%s has no package comment: say what it owns and who may import it", folder)
		}
	}
}

func TestEveryExportedNameIsExplained(t *testing.T) {
	h := setup(t)
	for _, f := range h.files {
		if f.isTest() || f.isMade() || f.Name.Name == "main" {
			continue
		}
		for _, d := range f.Decls {
			for _, name := range unexplained(d) {
				t.Errorf("%s: %s has no comment: a caller must know what it is without reading its code", h.at(name.Pos()), name.Name)
			}
		}
	}
}

// selfExplained are methods of which the standard library says what they do.
var selfExplained = []string{"Error", "Unwrap", "String", "Read", "Write", "Close", "ServeHTTP", "MarshalJSON", "UnmarshalJSON"}

// unexplained are the exported names of a declaration that have no comment, neither
// their own nor their group's.
func unexplained(d ast.Decl) (names []*ast.Ident) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		standard := d.Recv != nil && slices.Contains(selfExplained, d.Name.Name)
		if d.Doc == nil && d.Name.IsExported() && !standard && (d.Recv == nil || ofExported(d.Recv)) {
			names = append(names, d.Name)
		}
	case *ast.GenDecl:
		if d.Doc != nil || d.Tok == token.IMPORT {
			return nil
		}
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				if s.Doc == nil && s.Comment == nil && s.Name.IsExported() {
					names = append(names, s.Name)
				}
			case *ast.ValueSpec:
				for _, name := range s.Names {
					if s.Doc == nil && s.Comment == nil && name.IsExported() {
						names = append(names, name)
					}
				}
			}
		}
	}
	return names
}

// ofExported says whether a method belongs to an exported type.
func ofExported(receiver *ast.FieldList) bool {
	e := receiver.List[0].Type
	for {
		switch inner := e.(type) {
		case *ast.StarExpr:
			e = inner.X
		case *ast.IndexExpr:
			e = inner.X
		case *ast.IndexListExpr:
			e = inner.X
		case *ast.Ident:
			return inner.IsExported()
		default:
			return false
		}
	}
}

// madeName is how files that are generated end.
var madeName = regexp.MustCompile(`(_gen|_gen_test|\.pb|\.connect)\.go$`)

func TestGeneratedFilesSaySo(t *testing.T) {
	h := setup(t)
	for _, f := range h.files {
		made := madeName.MatchString(f.path) || strings.Contains(f.folder(), "apifakes")
		if made != f.isMade() {
			t.Errorf("%s: what is generated ends in _gen.go, _gen_test.go, .pb.go or .connect.go, or is a fake, and begins with “Code generated … DO NOT EDIT.”; nothing else does", f.path)
		}
	}
}
