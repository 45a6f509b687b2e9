package codegen

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"go/ast"
	"go/token"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Version names the state of a service: the first 12 hex digits of the SHA-256 of its service.yaml and of all that
// people wrote below its folder. Tests and what is generated do not count, nor does what stands before the package
// clause of a Go file, nor how lines end.
func Version(dir string) (string, error) {
	leafs, err := readTree(dir)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", dir, err)
	}
	return versionOf(leafs), nil
}

// CheckVersion fails, with what to run, when a service was changed after its code was generated. It is for the test
// that is generated with each service: dir is the service's folder, version what version_gen.go says.
func CheckVersion(dir, version string) error {
	now, err := Version(dir)
	if err != nil || now == version {
		return err
	}
	m, err := openModule(dir)
	if err != nil {
		return err
	}
	path, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	return fmt.Errorf("%[1]s has changed since its code was generated: run m3o generate %[1]s (its version is %[2]s, not %[3]s)", m.rel(path), now, version)
}

func versionOf(leafs []leaf) string {
	sum := sha256.New()
	for _, l := range leafs {
		if text, ok := l.written(); ok {
			note(sum, l.path, text)
		}
	}
	return hex.EncodeToString(sum.Sum(nil))[:12]
}

// note adds a named text to a hash, so that no other names and texts give the same.
func note(sum hash.Hash, name string, text []byte) {
	fmt.Fprintf(sum, "%d %d %s\n", len(name), len(text), name)
	sum.Write(text)
}

// sources is the generator itself: with other code or templates it may make other files.
//
//go:embed *.go spec/*.go templates
var sources embed.FS

// identity names the state of the generator.
func identity() (string, error) {
	sum := sha256.New()
	err := fs.WalkDir(sources, ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path == "templates/new":
			return fs.SkipDir
		case d.IsDir() || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		text, err := sources.ReadFile(path)
		note(sum, path, unixLines(text))
		return err
	})
	return hex.EncodeToString(sum.Sum(nil)), err
}

// memo is what version_gen.go remembers of the run that made it.
type memo struct {
	made    string            // the print of everything that the run has read and written
	reads   []string          // folders, from the module, of other packages that it looked at for their types
	types   []string          // types of other packages, as Name=import/path
	orphans []string          // what the contract once asked for and nobody has removed, as file: Name
	docs    map[string]string // prints of the comments of handlers, by name
}

const memoMark = "//m3o:"

// readMemo reads the directives of version_gen.go; of a file that is not there it is empty.
func readMemo(src []byte) (m memo) {
	for line := range strings.Lines(string(src)) {
		directive, ok := strings.CutPrefix(strings.TrimSpace(line), memoMark)
		if !ok {
			continue
		}
		switch word, rest, _ := strings.Cut(directive, " "); word {
		case "made":
			m.made = rest
		case "reads":
			m.reads = append(m.reads, rest)
		case "type":
			m.types = append(m.types, rest)
		case "orphan":
			m.orphans = append(m.orphans, rest)
		case "docs":
			m.docs = readDocs(rest)
		}
	}
	return m
}

func (m memo) String() string {
	var b strings.Builder
	for _, list := range []struct {
		word  string
		items []string
	}{{"reads", m.reads}, {"type", m.types}, {"orphan", m.orphans}} {
		for _, item := range list.items {
			fmt.Fprintf(&b, "%s%s %s\n", memoMark, list.word, item)
		}
	}
	if len(m.docs) > 0 {
		fmt.Fprintf(&b, "%sdocs %s\n", memoMark, docsLine(m.docs))
	}
	return b.String()
}

// madeLine is the line that a print stands in; the print is of the file without it.
func madeLine(print string) string { return memoMark + "made " + print + "\n" }

func withoutMade(src []byte) []byte {
	start := bytes.Index(src, []byte(memoMark+"made "))
	if start < 0 {
		return src
	}
	end := bytes.IndexByte(src[start:], '\n')
	if end < 0 {
		return src[:start]
	}
	return slices.Concat(src[:start], src[start+end+1:])
}

const versionFile = "version_gen.go"

// idle says whether a run would change nothing, without one: all that it would read and write is what it was.
func (g *generator) idle() (bool, error) {
	g.memo = readMemo(readOrNothing(filepath.Join(g.dir, versionFile)))
	if g.memo.made == "" {
		return false, nil
	}
	leafs, err := readTree(g.dir)
	if err != nil {
		return false, err
	}
	print, err := g.print(leafs, g.memo)
	return print == g.memo.made, err
}

// print is a hash of all that a run depends on and of all that it made.
func (g *generator) print(leafs []leaf, m memo) (string, error) {
	sum := sha256.New()
	who, err := g.module.identity()
	if err != nil {
		return "", err
	}
	note(sum, g.module.importPath(g.dir), []byte(who))
	for _, l := range leafs {
		if text, ok := l.relevant(); ok {
			note(sum, l.path, text)
		}
	}
	for _, sink := range g.service.Sinks {
		if dir, ours := g.module.dirOf(sink.Source); ours && sink.Topic == "" {
			note(sum, sink.Source, readOrNothing(filepath.Join(dir, "service.yaml")))
		}
	}
	for _, dir := range m.reads {
		if err := g.module.noteTypes(sum, dir); err != nil {
			return "", err
		}
	}
	for _, t := range m.types {
		name, _, _ := strings.Cut(t, "=")
		found, err := g.elsewhere(name)
		if err != nil {
			return "", err
		}
		for _, f := range found {
			note(sum, name, []byte(f.pkg.path))
		}
	}
	return hex.EncodeToString(sum.Sum(nil))[:32], nil
}

// relevant is what a run can see of a file: of one that it made all, of tests what they are called, of the rest what
// counts for the version.
func (l leaf) relevant() (text []byte, ok bool) {
	name := filepath.Base(l.path)
	switch {
	case l.path == versionFile:
		return withoutMade(unixLines(l.data)), true
	case strings.Contains(name, "_gen.") || strings.HasSuffix(name, "_gen_test.go"):
		return unixLines(l.data), true
	case strings.HasSuffix(name, "_test.go"):
		return declarations(unixLines(l.data)), true
	}
	return l.written()
}

// declarations are the lines of a Go file that begin a package or a function.
func declarations(src []byte) (lines []byte) {
	for line := range bytes.Lines(src) {
		if bytes.HasPrefix(line, []byte("func ")) || bytes.HasPrefix(line, []byte("package ")) {
			lines = append(lines, line...)
		}
	}
	return lines
}

// noteTypes adds the types that are declared in a folder, and what its files import.
func (m *goModule) noteTypes(sum hash.Hash, dir string) error {
	p, err := m.read(filepath.Join(m.root, filepath.FromSlash(dir)))
	if err != nil {
		return err
	}
	for _, f := range p.files {
		if f.generated && filepath.Base(f.path) != "imports_gen.go" {
			continue
		}
		for _, d := range f.ast.Decls {
			if group, ok := d.(*ast.GenDecl); ok && (group.Tok == token.TYPE || group.Tok == token.IMPORT) {
				note(sum, dir+"/"+filepath.Base(f.path), unixLines(p.text(f, group)))
			}
		}
	}
	return nil
}

// text is a declaration as it stands in its file, with its comment.
func (p *goPackage) text(f *goFile, d *ast.GenDecl) []byte {
	start, end := d.Pos(), d.End()
	if d.Doc != nil {
		start = d.Doc.Pos()
	}
	from, to := p.fset.Position(start).Offset, p.fset.Position(end).Offset
	if line := bytes.IndexByte(f.src[to:], '\n'); line >= 0 {
		to += line // a comment behind it
	}
	return f.src[from:to]
}

// readOrNothing reads a file whose absence is a state like any other.
func readOrNothing(path string) []byte {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	return data
}

// renderVersion plans version_gen.go and its test, after everything else.
func (g *generator) renderVersion() error {
	own, err := g.module.load(g.dir)
	if err != nil {
		return err
	}
	if err := g.renderVersionTest(own.name); err != nil {
		return err
	}
	leafs, err := readTree(g.dir)
	if err != nil {
		return err
	}
	leafs = g.out.overlay(g.dir, leafs)
	m := memo{reads: g.reads(), types: g.foreignTypes(), orphans: g.found, docs: g.docs()}
	text := fmt.Sprintf("%spackage %s\n\n// Version names the state of the service when this was generated: another body of a function is another version.\nconst Version = %q\n\n",
		header, own.name, versionOf(leafs))
	text += m.String()
	leafs = slices.DeleteFunc(leafs, func(l leaf) bool { return l.path == versionFile })
	print, err := g.print(sortLeafs(append(leafs, leaf{versionFile, []byte(text)})), m)
	if err != nil {
		return err
	}
	g.out.add(filepath.Join(g.dir, versionFile), []byte(text+madeLine(print)))
	return nil
}

// renderVersionTest plans the test that fails while the service and its generated code do not belong together.
func (g *generator) renderVersionTest(pkg string) error {
	text, err := render("version_test.go.tmpl", map[string]string{"Package": pkg}, map[string]string{
		"testing": "testing", "codegen": g.module.path + "/internal/codegen", pkg: g.module.importPath(g.dir),
	})
	if err != nil {
		return err
	}
	g.out.add(filepath.Join(g.dir, "version_gen_test.go"), append([]byte(header), text...))
	return nil
}
