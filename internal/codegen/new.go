package codegen

import (
	"bytes"
	"errors"
	"fmt"
	"go/format"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"
)

var serviceName = regexp.MustCompile(`^[a-z][a-z0-9]*(/[a-z][a-z0-9]*)*$`)

// New makes the service internal/NAME with everything in it, generates it, and returns what to do
// next. name may have a folder before it, as in shop/users. A name that is taken is an error, and
// nothing is written then.
func New(root, name string) (next string, err error) {
	m, err := openModule(root)
	if err != nil {
		return "", err
	}
	noun := name[strings.LastIndex(name, "/")+1:]
	if token.IsKeyword(noun) {
		return "", fmt.Errorf("a service cannot be called %q: it is a word of the Go language, which no package may be called", noun)
	}
	if !serviceName.MatchString(name) {
		return "", fmt.Errorf("%q is no name of a service: small letters and digits, such as notes or shop/notes", name)
	}
	if !m.isHouse() {
		return "", fmt.Errorf("the module %s in %s is not m3o: a service lives in a copy of m3o, since it imports what is internal there; run m3o new in that folder", m.path, m.root)
	}
	dir := filepath.Join(m.root, "internal", filepath.FromSlash(name))
	schema := filepath.Join(m.root, "migrations", noun)
	for _, taken := range []string{dir, schema} {
		if _, err := os.Stat(taken); err == nil {
			return "", fmt.Errorf("%s is there already", m.rel(taken))
		}
	}
	data := map[string]string{"Noun": noun, "Title": strings.ToUpper(noun[:1]) + noun[1:], "Path": name, "Host": strings.ReplaceAll(name, "/", "."), "Module": m.path, "Table": noun}
	files := &changes{root: m.root}
	for template, path := range map[string]string{
		"service.yaml.tmpl":    filepath.Join(dir, "service.yaml"),
		"doc.go.tmpl":          filepath.Join(dir, "doc.go"),
		"service.go.tmpl":      filepath.Join(dir, noun+".go"),
		"store.go.tmpl":        filepath.Join(dir, "store.go"),
		"service_test.go.tmpl": filepath.Join(dir, noun+"_test.go"),
		"0001_init.sql.tmpl":   filepath.Join(schema, "0001_init.sql"),
	} {
		text, err := fill("templates/new/"+template, data)
		if err == nil && filepath.Ext(path) == ".go" {
			text, err = format.Source(text) // the order of imports depends on the name
		}
		if err != nil {
			return "", err
		}
		files.add(path, text)
	}
	house := &changes{root: m.root}
	registered, lines, err := register(m, data, house)
	if err != nil {
		return "", err
	}
	if err := files.write(); err != nil {
		return "", fmt.Errorf("new %s: %w", name, err)
	}
	_, err = Generate(Options{Root: root, Dirs: []string{dir}})
	if err == nil {
		err = house.write()
	}
	if err != nil {
		return "", errors.Join(err, os.RemoveAll(dir), os.RemoveAll(schema))
	}
	return whatNext(name, noun, registered, lines), nil
}

// isHouse says whether the module is m3o, by whatever name: it has what a new service imports.
func (m *goModule) isHouse() bool {
	if m.path == "m3o" {
		return true
	}
	_, err := os.Stat(filepath.Join(m.root, "internal", "config"))
	return err == nil
}

// whatNext tells somebody who has just made a service how to go on.
func whatNext(name, noun string, registered bool, lines string) string {
	text := fmt.Sprintf(`internal/%[1]s is there, with a table in migrations/%[2]s.

Next:
  1. go test ./internal/%[1]s
  2. edit internal/%[1]s/service.yaml, then: go run ./cmd/m3o generate internal/%[1]s
  3. write the rules in internal/%[1]s/%[2]s.go and the SQL in internal/%[1]s/store.go
  4. for a fake of its contract, in internal/%[1]s/%[2]sapi/%[2]sapifakes, whenever that has changed: go generate -run counterfeiter ./internal/%[1]s/...
`, name, noun)
	if registered {
		return text + fmt.Sprintf("  5. go run ./cmd/m3o serves it already (internal/app/house.go), and sells it at /v1/%s/hello\n", noun)
	}
	return text + "  5. add it to the house in internal/app/house.go, above what needs it:\n\n\t" + lines
}

// fill executes a template of a file that is made once.
func fill(name string, data any) ([]byte, error) {
	t, err := template.ParseFS(templates, name)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	err = t.Execute(&text, data)
	return text.Bytes(), err
}
