package codegen

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"m3o/internal/codegen/spec"
)

// Options say what to generate.
type Options struct {
	Root  string   // a directory of the module; empty: the current one
	Dirs  []string // directories of services, relative to the current one; none: all of the module
	Check bool     // write nothing, only report
}

// Report says what a run did, or in a check, what it would have done. Paths are relative to the
// module and sorted.
type Report struct {
	Check    bool
	Files    []string // written or removed, or stale in a check
	Removed  []string // those of Files that are not to be there
	Stubs    []string // handlers that were appended or whose signature changed, and types that were found or made, as file: Name
	Orphans  []string // handlers that service.yaml no longer declares; they are left alone
	Warnings spec.Errors
}

// String is one line for each finding, empty when there is nothing to say.
func (r Report) String() string {
	var b strings.Builder
	for _, f := range r.Files {
		verb := "wrote"
		switch {
		case r.Check:
			verb = "stale"
		case slices.Contains(r.Removed, f):
			verb = "removed"
		}
		fmt.Fprintf(&b, "%s %s\n", verb, f)
	}
	for _, s := range r.Stubs {
		fmt.Fprintf(&b, "made %s\n", s)
	}
	for _, o := range r.Orphans {
		fmt.Fprintf(&b, "orphan %s\n", o)
	}
	for _, w := range r.Warnings {
		fmt.Fprintln(&b, w.Error())
	}
	return b.String()
}

// Generate generates services. Nothing is written when anything is wrong, in any of them; the
// error then holds every mistake (spec.Errors when they are mistakes of service.yaml). Running it
// again changes nothing.
func Generate(o Options) (Report, error) {
	report := Report{Check: o.Check}
	m, err := openModule(o.Root)
	if err != nil {
		return report, err
	}
	dirs, err := m.serviceDirs(o.Dirs)
	if err != nil {
		return report, err
	}
	changes := &changes{root: m.root}
	var mistakes spec.Errors
	for _, dir := range dirs {
		err := generateDir(m, dir, changes, &report)
		var found spec.Errors
		switch {
		case errors.As(err, &found):
			mistakes = append(mistakes, found...)
		case err != nil:
			return Report{Check: o.Check}, fmt.Errorf("generate %s: %w", m.rel(dir), err)
		}
	}
	if len(mistakes) > 0 {
		return Report{Check: o.Check, Warnings: report.Warnings}, mistakes
	}
	report.Files, report.Removed = changes.paths()
	slices.Sort(report.Orphans)
	if o.Check {
		return report, nil
	}
	return report, changes.write()
}

// generateDir plans all files of one service, unless nothing has changed since the last run.
func generateDir(m *goModule, dir string, out *changes, report *Report) error {
	if noun := filepath.Base(dir); !token.IsIdentifier(noun) {
		return fmt.Errorf("a package cannot be called %q: name the folder by small letters and digits", noun)
	}
	if begun, err := m.begin(dir, out); err != nil || begun {
		return err
	}
	service, err := m.contract(dir)
	if err != nil {
		return err
	}
	report.Warnings = append(report.Warnings, service.Warnings...)
	clear(m.looked)
	g := &generator{module: m, dir: dir, service: service, report: report, out: out}
	idle, err := g.idle()
	if err != nil {
		return err
	}
	if g.found = g.memo.orphans; !idle {
		g.found = nil
		err = g.run()
	}
	for _, orphan := range g.found {
		report.Orphans = append(report.Orphans, m.rel(dir)+"/"+orphan)
	}
	return err
}

func (g *generator) run() error {
	for _, step := range []func() error{
		g.checkSinks, g.checkRoutes, g.resolveTypes, g.renderAPI, g.renderOpenAPI, g.renderService, g.renderResources,
		g.base, g.handlers, g.renderMock, g.renderHarness, g.skeletons, g.orphans, g.renderVersion,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// Validate reads service.yaml files and returns every mistake and warning in them, file by file, in the order of each
// file: what is wrong with it alone, between the files, with the other services of its program, and with the sources
// of its sinks. A file that cannot be read is a mistake, too.
func Validate(paths []string) (mistakes, warnings spec.Errors) {
	var services []*spec.Service
	for _, path := range paths {
		src, err := os.ReadFile(path)
		if err != nil {
			mistakes = append(mistakes, unread(path, err))
			continue
		}
		service, found := spec.Read(path, src)
		mistakes = append(mistakes, found...)
		if len(found) == 0 {
			warnings = append(warnings, service.Warnings...)
		}
		services = append(services, service)
	}
	return inOrder(paths, append(mistakes, checkTogether(services)...)), warnings
}

// unread is the mistake of a file that could not be read.
func unread(path string, err error) spec.Error {
	var cause *fs.PathError
	if errors.As(err, &cause) {
		err = cause.Err
	}
	return spec.Error{File: path, Line: 1, Col: 1, Class: "E-FILE", Message: err.Error()}
}

// inOrder sorts mistakes by their files, and those of a file as they stand there, each once. Those of files that nobody
// asked for are left out.
func inOrder(paths []string, mistakes spec.Errors) (sorted spec.Errors) {
	for i, path := range paths {
		if slices.Contains(paths[:i], path) {
			continue
		}
		var of spec.Errors
		for _, m := range mistakes {
			if m.File == path && !slices.Contains(of, m) {
				of = append(of, m)
			}
		}
		of.Sort()
		sorted = append(sorted, of...)
	}
	return sorted
}

// Schema is the JSON Schema of service.yaml as text, for editors.
func Schema() ([]byte, error) {
	text, err := json.MarshalIndent(spec.Schema(), "", "  ")
	return append(text, '\n'), err
}

// changes collects files and writes them together.
type changes struct {
	root  string
	files []file
}

type file struct {
	path string // absolute
	data []byte // nil: to be removed
}

// add plans a file, unless it has this content already, and says whether it did.
func (c *changes) add(path string, data []byte) bool {
	if old, err := os.ReadFile(path); err == nil && string(old) == string(data) {
		return false
	}
	for i := range c.files {
		if c.files[i].path == path {
			c.files[i].data = data
			return true
		}
	}
	c.files = append(c.files, file{path, data})
	return true
}

// remove plans the removal of a generated file, if it is there.
func (c *changes) remove(path string) {
	if _, err := os.Stat(path); err == nil {
		c.files = append(c.files, file{path, nil})
	}
}

// planned is the content that a file will have.
func (c *changes) planned(path string) ([]byte, error) {
	for _, f := range slices.Backward(c.files) {
		if f.path == path {
			return f.data, nil
		}
	}
	return os.ReadFile(path)
}

// paths are the files to be written or removed, and those to be removed, from the module.
func (c *changes) paths() (all, removed []string) {
	for _, f := range c.files {
		rel, err := filepath.Rel(c.root, f.path)
		if err != nil {
			rel = f.path
		}
		all = append(all, filepath.ToSlash(rel))
		if f.data == nil {
			removed = append(removed, filepath.ToSlash(rel))
		}
	}
	slices.Sort(all)
	return slices.Compact(all), removed
}

// write puts every file beside its place first and renames them when all are there, so that a full
// disk or a missing right leaves everything as it was.
func (c *changes) write() (err error) {
	temps := make([]string, len(c.files))
	defer func() {
		for _, temp := range temps {
			if temp != "" {
				err = errors.Join(err, os.Remove(temp))
			}
		}
	}()
	for i, f := range c.files {
		if f.data == nil {
			continue
		}
		if temps[i], err = writeTemp(f); err != nil {
			return err
		}
	}
	for i, f := range c.files {
		if f.data == nil {
			err = os.Remove(f.path)
			_ = os.Remove(filepath.Dir(f.path)) // when it was the last one there
		} else if err = os.Rename(temps[i], f.path); err == nil {
			temps[i] = ""
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func writeTemp(f file) (path string, err error) {
	dir := filepath.Dir(f.path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	temp, err := os.CreateTemp(dir, ".m3o-*")
	if err != nil {
		return "", err
	}
	_, err = temp.Write(f.data)
	return temp.Name(), errors.Join(err, temp.Chmod(0o644), temp.Close())
}
