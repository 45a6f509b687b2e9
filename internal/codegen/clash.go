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
	others, err := g.module.neighbours(g.dir)
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

// neighbours are the other services of a program. One that cannot be read says so when it is
// generated itself.
func (m *goModule) neighbours(dir string) (others []*spec.Service, err error) {
	if m.services == nil {
		if m.services, err = m.serviceDirs(nil); err != nil {
			return nil, err
		}
	}
	for _, other := range m.services {
		if other == dir || m.program(other) != m.program(dir) {
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

// checkTogether is what more than one file can say of files that are right on their own: two
// services at one place, and sinks that do not fit their source.
func checkTogether(services []*spec.Service) (mistakes spec.Errors) {
	mistakes = spec.Clash(services)
	for _, s := range services {
		if len(s.Sinks) == 0 {
			continue
		}
		m, err := openModule(filepath.Dir(s.File))
		if err != nil {
			continue // outside of a module nobody knows the sources
		}
		g := &generator{module: m, dir: filepath.Dir(s.File), service: s}
		var found spec.Errors
		if errors.As(g.checkSinks(), &found) {
			mistakes = append(mistakes, found...)
		}
	}
	return mistakes
}
