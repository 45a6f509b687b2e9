package codegen

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"m3o/internal/codegen/spec"
)

// goModule is the Go module around the services.
type goModule struct {
	root     string // absolute directory of go.mod
	path     string // import path
	cache    map[string]*goPackage
	looked   map[string]bool // folders whose packages were loaded since it was last cleared
	texts    []folder        // set by folders
	programs map[string]bool // set by folders: top folders that hold services
	who      string          // set by identity

	services  []string                 // all folders of services; set by neighbours
	contracts map[string]*spec.Service // those that have been read without a mistake
	broken    []error                  // packages that might have a type and could not be read
}

// folder is a directory of the module with the texts of its Go files, tests excluded.
type folder struct {
	dir   string
	texts [][]byte
}

// identity names the generator, so that another one does not trust what this one made.
func (m *goModule) identity() (_ string, err error) {
	if m.who == "" {
		m.who, err = identity()
	}
	return m.who, err
}

var moduleLine = regexp.MustCompile(`(?m)^module\s+(\S+)`)

// openModule finds the go.mod at or above a directory.
func openModule(dir string) (*goModule, error) {
	start, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		src, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil {
			found := moduleLine.FindSubmatch(src)
			if found == nil {
				return nil, fmt.Errorf("%s: no module line", filepath.Join(dir, "go.mod"))
			}
			return &goModule{root: dir, path: strings.Trim(string(found[1]), `"`), cache: map[string]*goPackage{}, contracts: map[string]*spec.Service{}, looked: map[string]bool{}}, nil
		}
		if dir == filepath.Dir(dir) {
			return nil, fmt.Errorf("no go.mod in %s or above it", start)
		}
	}
}

func (m *goModule) rel(path string) string {
	if rel, err := filepath.Rel(m.root, path); err == nil {
		return filepath.ToSlash(rel)
	}
	return path
}

// importPath is the path by which the module's code imports a directory.
func (m *goModule) importPath(dir string) string {
	if rel := m.rel(dir); rel != "." {
		return m.path + "/" + rel
	}
	return m.path
}

// dirOf is the directory of an import path, false when it is not in the module.
func (m *goModule) dirOf(importPath string) (string, bool) {
	rel, ok := strings.CutPrefix(importPath, m.path+"/")
	return filepath.Join(m.root, filepath.FromSlash(rel)), ok
}

// serviceDirs are the given directories, or all of the module that have a service.yaml.
func (m *goModule) serviceDirs(given []string) (dirs []string, err error) {
	for _, dir := range given {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return nil, err
		}
		dirs = append(dirs, abs)
	}
	if len(given) > 0 {
		return dirs, nil
	}
	err = m.walk(func(dir string, entries []fs.DirEntry) error {
		if slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == "service.yaml" }) {
			dirs = append(dirs, dir)
		}
		return nil
	})
	return dirs, err
}

// walk visits the directories that belong to the module, as the go command sees them.
func (m *goModule) walk(visit func(dir string, entries []fs.DirEntry) error) error {
	return filepath.WalkDir(m.root, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed meanwhile
		}
		if err != nil || !d.IsDir() {
			return err
		}
		if name := d.Name(); path != m.root && (name[0] == '.' || name[0] == '_' || name == "testdata" || name == "vendor" || name == "node_modules") {
			return fs.SkipDir
		}
		entries, err := os.ReadDir(path)
		if err != nil {
			return err
		}
		if path != m.root && slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == "go.mod" }) {
			return fs.SkipDir
		}
		return visit(path, entries)
	})
}

// packagesIn are the folders of a folder of the module that have Go files.
func (m *goModule) packagesIn(folder string) (names []string) {
	dir := filepath.Join(m.root, filepath.FromSlash(folder))
	found, err := filepath.Glob(filepath.Join(dir, "*", "*.go"))
	if err != nil {
		return nil
	}
	for _, file := range found {
		if !strings.HasSuffix(file, "_test.go") {
			names = append(names, filepath.Base(filepath.Dir(file)))
		}
	}
	return slices.Compact(names)
}

// contract reads the service.yaml of a directory.
func (m *goModule) contract(dir string) (*spec.Service, error) {
	if s, ok := m.contracts[dir]; ok {
		return s, nil
	}
	path := filepath.Join(dir, "service.yaml")
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	s, err := spec.Parse(m.rel(path), src)
	if err == nil {
		m.contracts[dir] = s
	}
	return s, err
}
