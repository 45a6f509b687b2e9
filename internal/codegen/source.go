package codegen

import (
	"bytes"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// goPackage is what the generator knows about the Go files of a directory, tests excluded.
type goPackage struct {
	dir   string
	path  string // import path
	name  string
	fset  *token.FileSet
	files []*goFile
	types map[string]*goType // hand-written, by name
}

type goFile struct {
	path      string
	src       []byte
	ast       *ast.File
	generated bool
}

type goType struct {
	pkg  *goPackage
	file *goFile
	spec *ast.TypeSpec
	doc  string
}

// load is read for what becomes part of the generated code: the run is remembered to depend on it.
func (m *goModule) load(dir string) (*goPackage, error) {
	m.looked[dir] = true
	return m.read(dir)
}

// read parses the Go files of a directory; a directory that does not exist is an empty package.
func (m *goModule) read(dir string) (*goPackage, error) {
	if p, ok := m.cache[dir]; ok {
		return p, nil
	}
	p := &goPackage{dir: dir, path: m.importPath(dir), name: filepath.Base(dir), fset: token.NewFileSet(), types: map[string]*goType{}}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range entries {
		if !isGo(e) {
			continue
		}
		if err := p.parse(filepath.Join(dir, e.Name())); err != nil {
			return nil, err
		}
	}
	m.cache[dir] = p
	return p, nil
}

// parse adds a file, if it is still there. A file with a syntax error gives what could be read of it: the Go compiler
// says the rest, and a broken generated file must not stop the generator.
func (p *goPackage) parse(path string) error {
	src, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return p.parseText(path, src)
}

func (p *goPackage) parseText(path string, src []byte) error {
	tree, err := parser.ParseFile(p.fset, path, src, parser.ParseComments|parser.SkipObjectResolution)
	if tree == nil {
		return err
	}
	f := &goFile{path: path, src: src, ast: tree, generated: ast.IsGenerated(tree) || strings.HasSuffix(path, "_gen.go")}
	if err != nil && !f.generated {
		return err
	}
	p.files = append(p.files, f)
	if tree.Name != nil && err == nil {
		p.name = tree.Name.Name
	}
	if !f.generated {
		p.addTypes(f)
	}
	return nil
}

func (p *goPackage) addTypes(f *goFile) {
	for _, decl := range f.ast.Decls {
		group, ok := decl.(*ast.GenDecl)
		if !ok || group.Tok != token.TYPE {
			continue
		}
		for _, s := range group.Specs {
			t := s.(*ast.TypeSpec)
			doc := t.Doc.Text()
			if doc == "" && len(group.Specs) == 1 {
				doc = group.Doc.Text()
			}
			p.types[t.Name.Name] = &goType{pkg: p, file: f, spec: t, doc: strings.TrimSpace(doc)}
		}
	}
}

// declaring are the packages that declare a type and that the contract of the service in dir may take it from: those that
// import nothing of the module but fault, and contracts of other services. Those of another program are none of them: what
// tests and examples declare is theirs.
func (m *goModule) declaring(name, dir string) (found []*goPackage, err error) {
	folders, err := m.folders()
	if err != nil {
		return nil, err
	}
	for _, f := range folders {
		if !m.shares(f.dir, dir) || !slices.ContainsFunc(f.texts, func(text []byte) bool { return bytes.Contains(text, []byte(name)) }) {
			continue
		}
		p, err := m.read(f.dir)
		switch {
		case err != nil:
			m.broken = append(m.broken, err)
		case p.types[name] != nil && p.name != "main" && (strings.HasSuffix(p.name, "api") || p.isLeaf(m)):
			found = append(found, p)
		}
	}
	return found, nil
}

// shares says whether the service in dir may take types from a folder: one of its own program, of internal, or of a
// part of the module that holds no services.
func (m *goModule) shares(folder, dir string) bool {
	program := m.program(folder)
	return program == m.program(dir) || program == "internal" || !m.programs[program]
}

// folders are the directories of the module that have Go files and are no services.
func (m *goModule) folders() ([]folder, error) {
	if m.texts != nil {
		return m.texts, nil
	}
	m.texts, m.programs = []folder{}, map[string]bool{}
	err := m.walk(func(dir string, entries []fs.DirEntry) error {
		f := folder{dir: dir}
		for _, e := range entries {
			if e.Name() == "service.yaml" {
				m.programs[m.program(dir)] = true
				return nil // a service itself; its …api is below
			}
			if isGo(e) {
				f.texts = append(f.texts, readOrNothing(filepath.Join(dir, e.Name())))
			}
		}
		if len(f.texts) > 0 {
			m.texts = append(m.texts, f)
		}
		return nil
	})
	return m.texts, err
}

func (p *goPackage) isLeaf(m *goModule) bool {
	for _, f := range p.files {
		for _, i := range f.ast.Imports {
			path := strings.Trim(i.Path.Value, `"`)
			if strings.HasPrefix(path, m.path+"/") && path != m.path+"/internal/fault" {
				return false
			}
		}
	}
	return len(p.files) > 0
}

// isGo says whether a file is Go code that is no test.
func isGo(e fs.DirEntry) bool {
	return !e.IsDir() && strings.HasSuffix(e.Name(), ".go") && !strings.HasSuffix(e.Name(), "_test.go")
}
