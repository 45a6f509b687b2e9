package codegen

import (
	"bytes"
	"cmp"
	"errors"
	"go/ast"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// leaf is a file below the folder of a service.
type leaf struct {
	path string // from the folder, with slashes
	data []byte
}

// readTree reads every file below a service's folder that can matter to it, sorted by path: not data, not what editors
// leave behind, and no other service that lives inside.
func readTree(dir string) (leafs []leaf, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // removed meanwhile
		case err != nil || path == dir:
			return err
		case d.IsDir() && (ignored(d.Name()) || isData(d.Name()) || isForeign(path)):
			return fs.SkipDir
		case !d.Type().IsRegular() || ignored(d.Name()):
			return nil
		}
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		leafs = append(leafs, leaf{filepath.ToSlash(rel), data})
		return err
	})
	return sortLeafs(leafs), err
}

func sortLeafs(leafs []leaf) []leaf {
	slices.SortFunc(leafs, func(a, b leaf) int { return cmp.Compare(a.path, b.path) })
	return leafs
}

// ignored says whether a name is hidden, or a copy that an editor keeps.
func ignored(name string) bool {
	if strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || strings.HasPrefix(name, "#") || strings.HasSuffix(name, "~") {
		return true
	}
	return slices.Contains([]string{".bak", ".orig", ".rej", ".swp", ".swo", ".tmp"}, filepath.Ext(name))
}

func isData(name string) bool { return name == "data" || name == "testdata" }

// isForeign says whether a folder begins something else: another service, or another module.
func isForeign(dir string) bool {
	for _, name := range []string{"service.yaml", "go.mod"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return true
		}
	}
	return false
}

// overlay is a tree as it will be when the changes are written.
func (c *changes) overlay(dir string, leafs []leaf) []leaf {
	leafs = slices.Clone(leafs)
	for _, f := range c.files {
		rel, err := filepath.Rel(dir, f.path)
		if err != nil || strings.HasPrefix(rel, "..") {
			continue
		}
		rel = filepath.ToSlash(rel)
		leafs = slices.DeleteFunc(leafs, func(l leaf) bool { return l.path == rel })
		if f.data != nil {
			leafs = append(leafs, leaf{rel, f.data})
		}
	}
	return sortLeafs(leafs)
}

// written says whether people wrote the file, and not only to test; of Go files, text is what counts of it: what
// follows the package clause.
func (l leaf) written() (text []byte, ok bool) {
	name := filepath.Base(l.path)
	switch {
	case strings.HasSuffix(name, "_test.go"), strings.Contains(name, "_gen."):
		return nil, false
	case !strings.HasSuffix(name, ".go"):
		return unixLines(l.data), true
	}
	text, generated := cutHead(l.data)
	return unixLines(text), !generated
}

// cutHead drops what stands before the package clause of a Go file, and says whether the file is generated.
func cutHead(src []byte) (rest []byte, generated bool) {
	var s scanner.Scanner
	fset := token.NewFileSet()
	s.Init(fset.AddFile("", -1, len(src)), src, func(token.Position, string) {}, scanner.ScanComments)
	for {
		pos, tok, text := s.Scan()
		switch tok {
		case token.COMMENT:
			generated = generated || saysGenerated(pos, text)
		case token.PACKAGE:
			return src[fset.Position(pos).Offset:], generated
		case token.EOF:
			return src, generated
		}
	}
}

func saysGenerated(pos token.Pos, comment string) bool {
	return ast.IsGenerated(&ast.File{Package: pos + token.Pos(len(comment)) + 1, Comments: []*ast.CommentGroup{{List: []*ast.Comment{{Slash: pos, Text: comment}}}}})
}

// unixLines makes a text the same however its lines end; what is no text is left alone.
func unixLines(data []byte) []byte {
	if bytes.IndexByte(data, 0) >= 0 || bytes.IndexByte(data, '\r') < 0 {
		return data
	}
	return bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
}
