package codegen

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// base plans the type Service with what makes it, where nobody has written one.
func (g *generator) base() error {
	pkg, err := g.module.load(g.dir)
	if err != nil || pkg.types["Service"] != nil {
		return err
	}
	text, err := render("base.go.tmpl", serviceView{view: g.view(), Package: pkg.name}, g.known())
	if err != nil {
		return err
	}
	path, err := g.untaken(g.noun()+".go", "service.go", g.noun()+"_service.go")
	if err != nil {
		return err
	}
	if g.out.add(path, text) {
		g.report.Stubs = append(g.report.Stubs, g.module.rel(path)+": Service")
	}
	return nil
}

// untaken is the first of some files of the service that is not there yet.
func (g *generator) untaken(names ...string) (path string, err error) {
	for _, name := range names {
		path := filepath.Join(g.dir, name)
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s has no type Service, and the files are taken that it could go to: %s", g.module.rel(g.dir), strings.Join(names, ", "))
}
