package rules

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// module is the path of this module, and root where it is, seen from here.
const (
	module = "m3o/"
	root   = "../.."
)

// house is everything that the rules look at.
type house struct {
	fset     *token.FileSet
	files    []*source // every Go file, those of other systems too
	byPath   map[string]*source
	packages map[string]*typed // by folder; without their tests
	services map[string]bool   // folders that hold a service.yaml
}

// source is one Go file.
type source struct {
	*ast.File
	path string // from the root, with slashes
}

// typed is a package that the compiler has accepted, with what its names mean.
type typed struct {
	folder string
	files  []*ast.File
	info   *types.Info
	types  *types.Package
}

func (s *source) folder() string { return path.Dir(s.path) }
func (s *source) isTest() bool   { return strings.HasSuffix(s.path, "_test.go") }
func (s *source) isMade() bool   { return ast.IsGenerated(s.File) }

// isHelper says whether a folder holds help for tests, which only tests import.
func isHelper(folder string) bool {
	switch name := path.Base(folder); {
	case strings.HasPrefix(folder, "test/"):
		return true
	case strings.HasSuffix(name, "apifakes"), strings.HasSuffix(name, "mock"):
		return true
	default:
		return slices.Contains([]string{"apptest", "bustest", "dbtest", "natstest", "rpctest", "asserts"}, name)
	}
}

// load reads the house once for all rules.
var load = sync.OnceValues(func() (*house, error) {
	h := &house{fset: token.NewFileSet(), byPath: map[string]*source{}, packages: map[string]*typed{}, services: map[string]bool{}}
	if err := h.read(); err != nil {
		return nil, err
	}
	return h, h.check()
})

func setup(t *testing.T) *house {
	t.Helper()
	t.Parallel()
	h, err := load()
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// read parses every file of the module. It walks the folders itself, so that the Go
// tool sees what the result depends on and never answers from its cache wrongly.
func (h *house) read() error {
	return filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := filepath.ToSlash(strings.TrimPrefix(file, root+string(filepath.Separator)))
		switch {
		case entry.IsDir() && file != root && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata" || name == "tools"):
			return fs.SkipDir // hidden, no packages, another module
		case entry.Name() == "service.yaml":
			h.services[path.Dir(name)] = true
		case strings.HasSuffix(name, ".go"):
			text, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			parsed, err := parser.ParseFile(h.fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			h.byPath[name] = &source{parsed, name}
			h.files = append(h.files, h.byPath[name])
		}
		return nil
	})
}

// listed is what `go list` says of a package.
type listed struct {
	ImportPath, Export string
	GoFiles            []string
}

// check resolves the names of every package of ours, over what the compiler has
// exported of the packages that they import.
func (h *house) check() error {
	all, err := list()
	if err != nil {
		return err
	}
	exports := map[string]string{}
	for _, p := range all {
		exports[p.ImportPath] = p.Export
	}
	imports := importer.ForCompiler(h.fset, "gc", func(name string) (io.ReadCloser, error) {
		if exports[name] == "" {
			return nil, fmt.Errorf("%s has no export data", name)
		}
		return os.Open(exports[name])
	})
	for _, p := range all {
		folder, ours := strings.CutPrefix(p.ImportPath, module)
		if !ours || len(p.GoFiles) == 0 {
			continue
		}
		one := &typed{folder: folder, info: &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{}}}
		for _, f := range h.files {
			if f.folder() == folder && slices.Contains(p.GoFiles, path.Base(f.path)) {
				one.files = append(one.files, f.File)
			}
		}
		config := types.Config{Importer: imports}
		if one.types, err = config.Check(p.ImportPath, h.fset, one.files, one.info); err != nil {
			return fmt.Errorf("resolve the names of %s: %w", folder, err)
		}
		h.packages[folder] = one
	}
	return nil
}

func list() (all []listed, err error) {
	command := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Export,GoFiles", "./...")
	var problems bytes.Buffer
	command.Dir, command.Stderr = root, &problems
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w: %s", err, problems.String())
	}
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
}

// at is a place as file:line.
func (h *house) at(p token.Pos) string {
	place := h.fset.Position(p)
	return fmt.Sprintf("%s:%d", place.Filename, place.Line)
}

// file is the one that holds a place.
func (h *house) file(p token.Pos) *source { return h.byPath[h.fset.Position(p).Filename] }

// uses visits every name in a hand-written file of ours that means a function or a
// method, with its full name: "time.Now", "(m3o/internal/bus.Bus).Publish". Files
// that only tests see are left out.
func (h *house) uses(visit func(f *source, at token.Pos, function string)) {
	for _, p := range h.packages {
		for name, object := range p.info.Uses {
			function, ok := object.(*types.Func)
			if !ok {
				continue
			}
			if f := h.file(name.Pos()); f != nil && !f.isMade() {
				visit(f, name.Pos(), function.FullName())
			}
		}
	}
}

// exceptions are the places where a rule does not hold, with their reasons.
type exceptions map[string]string

// cover says whether a file, or a folder above it, is an exception, and notes in used which.
func (e exceptions) cover(file string, used map[string]bool) bool {
	for place := range e {
		if file == place || strings.HasSuffix(place, "/") && strings.HasPrefix(file, place) {
			used[place] = true
			return true
		}
	}
	return false
}

// stale fails for exceptions that nothing needs.
func (e exceptions) stale(t *testing.T, used map[string]bool) {
	t.Helper()
	for place := range e {
		if !used[place] {
			t.Errorf("the exception for %s is not needed any more: remove it", place)
		}
	}
}
