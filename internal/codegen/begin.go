package codegen

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"m3o/internal/codegen/spec"
)

// begin says whether the folder holds a service that has not begun: no service.yaml beside a package clause, or an
// empty one. The template of service.yaml is planned then, and that is all.
func (m *goModule) begin(dir string, out *changes) (bool, error) {
	path := filepath.Join(dir, "service.yaml")
	src, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := m.onlyNamed(dir); err != nil {
			return false, err
		}
	case err != nil:
		return false, err
	case len(bytes.TrimSpace(src)) > 0:
		return false, nil
	}
	out.add(path, []byte(contractTemplate()))
	return true, nil
}

// onlyNamed fails unless the folder has a package clause and no other Go code.
func (m *goModule) onlyNamed(dir string) error {
	p, err := m.load(dir)
	if err != nil {
		return err
	}
	if len(p.files) == 0 {
		return fmt.Errorf("%s has neither a service.yaml nor a doc.go to begin one beside", m.rel(dir))
	}
	for _, f := range p.files {
		if len(f.ast.Decls) > 0 {
			return fmt.Errorf("%s has no service.yaml, and more Go code than a doc.go: it is no service", m.rel(dir))
		}
	}
	return nil
}

// contractTemplate is a service.yaml with every section and every field, explained.
func contractTemplate() string {
	var b strings.Builder
	b.WriteString("# What this service is and does. Fill in the host, write down the rest, leave out what you do not need, and run\n" +
		"# m3o generate again. m3o schema prints the JSON Schema of this file, for editors.\n")
	for _, s := range spec.Grammar() {
		fmt.Fprintf(&b, "\n# %s.\n", s.Help)
		switch {
		case s.Name == "general":
			b.WriteString("general:\n")
		case !s.List: // one that is there, if only by its name, counts
			fmt.Fprintf(&b, "# %s:\n", s.Name)
		default:
			fmt.Fprintf(&b, "%s:\n", s.Name)
		}
		for i, f := range s.Fields {
			fmt.Fprintf(&b, "%s  # %s\n", templateField(s, f, i), f.Help)
		}
	}
	return b.String()
}

// templateField is the line of a field, as a comment unless it must be filled in.
func templateField(s spec.Section, f spec.Field, i int) string {
	switch {
	case s.List && i == 0:
		return "  # - " + f.Name + ":"
	case s.List:
		return "  #   " + f.Name + ":"
	case f.Required:
		return "  " + f.Name + ":"
	case s.Name == "general":
		return "  # " + f.Name + ":"
	}
	return "#   " + f.Name + ":"
}
