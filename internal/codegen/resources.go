package codegen

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// renderResources plans resources/embed_gen.go, which embeds all that the folder holds but Go code, or its removal when
// nothing else is left there.
func (g *generator) renderResources() error {
	dir := filepath.Join(g.dir, "resources")
	path := filepath.Join(dir, "embed_gen.go")
	patterns, _, err := embeddable(dir, "")
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(patterns) == 0 {
		g.out.remove(path)
		return nil
	}
	if err != nil {
		return err
	}
	text := "// Package resources holds the files that " + g.noun() + " brings along. Only " + g.noun() + " imports it.\npackage resources\n\n" +
		"import \"embed\"\n\n// FS is the files of this folder, but its Go code.\n//\n//go:embed " + strings.Join(patterns, " ") + "\nvar FS embed.FS\n"
	g.out.add(path, []byte(header+text))
	return nil
}

// embeddable are the patterns of go:embed for what a folder below dir holds; pure says that it has no Go code, so that
// the folder itself is pattern enough.
func embeddable(dir, below string) (patterns []string, pure bool, err error) {
	entries, err := os.ReadDir(filepath.Join(dir, filepath.FromSlash(below)))
	pure = true
	for _, e := range entries {
		name := strings.TrimPrefix(below+"/"+e.Name(), "/")
		switch {
		case strings.HasPrefix(e.Name(), ".") || strings.HasPrefix(e.Name(), "_"):
			continue // go:embed leaves them out of a folder too
		case e.IsDir():
			inner, innerPure, err := embeddable(dir, name)
			if err != nil {
				return nil, false, err
			}
			if pure = pure && innerPure; innerPure && len(inner) > 0 {
				inner = []string{quoted(name)}
			}
			patterns = append(patterns, inner...)
		case filepath.Ext(name) == ".go" || ignored(e.Name()):
			pure = false
		case strings.ContainsAny(e.Name(), "*<>?`'|\\:\"[]"):
			return nil, false, fmt.Errorf("%s: go:embed takes no file of that name", filepath.Join(dir, name))
		case e.Type().IsRegular():
			patterns = append(patterns, quoted(name))
		}
	}
	slices.Sort(patterns)
	return patterns, pure, err
}

// quoted is a path as a pattern of go:embed.
func quoted(path string) string {
	if strings.ContainsAny(path, " \t") {
		return strconv.Quote(path)
	}
	return path
}
