package codegen

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// directive is a line of a comment that speaks to a tool.
var directive = regexp.MustCompile(`^//([a-z0-9]+:[a-z0-9]|nolint|line |extern |export )`)

// describe puts a changed description above a method, when what stands there is the description of the last run: the
// generator wrote it. What people wrote stays, and so do directives below the description.
func (g *generator) describe(pkg *goPackage, m method, h handler) error {
	want := g.view().Comment("", h.comment)
	if m.decl.Doc == nil || g.memo.docs[h.name] == "" || g.memo.docs[h.name] == printOf(want) {
		return nil
	}
	var lines []string
	for _, c := range m.decl.Doc.List {
		lines = append(lines, c.Text)
	}
	end := len(lines)
	for end > 0 && (lines[end-1] == "//" || directive.MatchString(lines[end-1])) {
		end--
	}
	if printOf(strings.Join(lines[:end], "\n")) != g.memo.docs[h.name] {
		return nil
	}
	src, err := g.out.planned(m.file.path)
	if err != nil {
		return err
	}
	start, name := pkg.fset.Position(m.decl.Doc.Pos()).Offset, pkg.fset.Position(m.decl.Name.End()).Offset
	old := m.file.src[start:name]
	if bytes.Count(src, old) != 1 {
		return fmt.Errorf("%s: the comment of %s could not be found again", g.module.rel(m.file.path), h.name)
	}
	receiver := m.file.src[pkg.fset.Position(m.decl.Pos()).Offset:name]
	text := strings.Join(append([]string{want}, lines[end:]...), "\n") + "\n" + string(receiver)
	g.out.add(m.file.path, bytes.Replace(src, old, []byte(text), 1))
	return nil
}

// docs are the prints of the comments that stubs have, by name.
func (g *generator) docs() map[string]string {
	prints := map[string]string{}
	for _, h := range g.declared() {
		prints[h.name] = printOf(g.view().Comment("", h.comment))
	}
	return prints
}

func printOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:4])
}

// docsLine is the prints of comments as one directive of version_gen.go.
func docsLine(docs map[string]string) string {
	var pairs []string
	for name, print := range docs {
		pairs = append(pairs, name+"="+print)
	}
	slices.Sort(pairs)
	return strings.Join(pairs, " ")
}

func readDocs(line string) map[string]string {
	docs := map[string]string{}
	for _, pair := range strings.Fields(line) {
		name, print, _ := strings.Cut(pair, "=")
		docs[name] = print
	}
	return docs
}
