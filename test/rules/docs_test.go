package rules

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// documents are what people read, by their path from the root.
func documents(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md"} {
		files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pattern)))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			texts[filepath.ToSlash(strings.TrimPrefix(file, root+string(filepath.Separator)))] = string(text)
		}
	}
	if texts["docs/architecture.md"] == "" {
		t.Fatal("there is no docs/architecture.md")
	}
	return texts
}

var (
	link = regexp.MustCompile(`\]\(([^)#: ]+)(?:#[^)]*)?\)`)
	code = regexp.MustCompile("`((?:cmd|internal|migrations|pkg|test|tools|docs|\\.ci)/[\\w./-]*\\w)`")
)

func TestDocumentsNameWhatIsThere(t *testing.T) {
	t.Parallel()
	for name, text := range documents(t) {
		for _, found := range link.FindAllStringSubmatch(text, -1) {
			exists(t, name, path.Join(path.Dir(name), found[1]))
		}
		for _, found := range code.FindAllStringSubmatch(text, -1) {
			exists(t, name, found[1])
		}
	}
}

// exists fails when a document names a path that is not there.
func exists(t *testing.T, document, named string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(named))); err != nil {
		t.Errorf("%s names %s, which is not there: a document that is wrong once is not believed again", document, named)
	}
}

// decision is the form of a decision's file; dependencies.md is the one that is a table.
var decision = regexp.MustCompile(`^docs/decisions/(\d{4})-[a-z0-9-]+\.md$`)

func TestDecisionsHaveTheirForm(t *testing.T) {
	t.Parallel()
	var numbers []string
	texts := documents(t)
	for name, text := range texts {
		found := decision.FindStringSubmatch(name)
		if found == nil {
			if strings.HasPrefix(name, "docs/decisions/") && name != "docs/decisions/dependencies.md" {
				t.Errorf("%s: a decision is called NNNN-title.md, so that they stand in the order in which they were made", name)
			}
			continue
		}
		if slices.Contains(numbers, found[1]) {
			t.Errorf("%s: there are two decisions %s", name, found[1])
		}
		numbers = append(numbers, found[1])
		for _, part := range []string{"## Context", "## Decision", "## Consequences"} {
			if !strings.Contains(text, part+"\n") {
				t.Errorf("%s has no %q: whoever wants to change it must see what it rested on and what it costs", name, part)
			}
		}
		if !strings.Contains(texts["docs/architecture.md"], "decisions/"+path.Base(name)) {
			t.Errorf("docs/architecture.md does not lead to %s", name)
		}
	}
}
