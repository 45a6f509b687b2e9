package codegen

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"m3o/internal/codegen/spec"
)

// checkRoutes compares where the service listens with the others of its program: those below
// the same folder of the module, as internal or examples.
func (g *generator) checkRoutes() error {
	others, err := g.module.neighbours([]string{g.dir}, g.dir)
	if err != nil {
		return err
	}
	mistakes := spec.Clash(append(others, g.service))
	mistakes = slices.DeleteFunc(mistakes, func(m spec.Error) bool { return m.File != g.service.File })
	if len(mistakes) > 0 {
		return mistakes
	}
	return nil
}

// neighbours are the other services of a folder's program, but some. One that cannot be read says so when it is
// generated itself.
func (m *goModule) neighbours(but []string, dir string) (others []*spec.Service, err error) {
	if m.services == nil {
		if m.services, err = m.serviceDirs(nil); err != nil {
			return nil, err
		}
	}
	for _, other := range m.services {
		if slices.Contains(but, other) || m.program(other) != m.program(dir) {
			continue
		}
		if s, err := m.contract(other); err == nil {
			others = append(others, s)
		}
	}
	return others, nil
}

// program is the folder of the module that a service is below.
func (m *goModule) program(dir string) string {
	first, _, _ := strings.Cut(m.rel(dir), "/")
	return first
}

// checkTogether is what more than one file can say of files: two services at one place, among them and in the programs
// that they belong to, and sinks that do not fit their source. A file may have mistakes of its own.
func checkTogether(services []*spec.Service) (mistakes spec.Errors) {
	mistakes = spec.Clash(services)
	var given []string
	for _, s := range services {
		if dir, err := filepath.Abs(filepath.Dir(s.File)); err == nil {
			given = append(given, dir)
		}
	}
	modules := map[string]*goModule{}
	for _, s := range services {
		dir, err := filepath.Abs(filepath.Dir(s.File))
		if err != nil {
			continue
		}
		m, err := openModule(dir)
		if err != nil {
			continue // outside of a module nobody knows the others
		}
		if modules[m.root] == nil {
			modules[m.root] = m
		}
		g := &generator{module: modules[m.root], dir: dir, service: s}
		mistakes = append(mistakes, g.besides(given)...)
		var found spec.Errors
		if errors.As(g.checkSinks(), &found) {
			mistakes = append(mistakes, found...)
		}
	}
	return mistakes
}

// besides compares where the service listens with the others of its program but some.
func (g *generator) besides(some []string) spec.Errors {
	others, _ := g.module.neighbours(some, g.dir) // one that cannot be read says so when it is generated
	return slices.DeleteFunc(spec.Clash(append(others, g.service)), func(m spec.Error) bool { return m.File != g.service.File })
}
