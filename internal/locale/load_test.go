package locale

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
)

func TestNoFileIsNoTexts(t *testing.T) {
	t.Parallel()
	for name, resources := range map[string]fs.FS{
		"no resources": nil, "no file": fstest.MapFS{}, "empty": resources(""), "null": resources("---\nnull\n"), "comment": resources("# nothing yet\n"),
	} {
		texts, err := Load(resources)
		if err != nil || texts.Text("fr", "k") != "k" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestATextIsTakenAsItIsWritten(t *testing.T) {
	t.Parallel()
	texts := load(t, "k: &k {default: yes, fr: 007, it: \"\", no: 1e3}\nsame: *k\n5:\n  de: |\n    two\n    lines\n")
	for languages, want := range map[string]string{"": "yes", "fr": "007", "it": "", "no": "1e3"} {
		if got := texts.Text(languages, "same"); got != want {
			t.Errorf("%q: %q, want %q", languages, got, want)
		}
	}
	if got := texts.Text("de", "5"); got != "two\nlines\n" {
		t.Errorf("got %q", got)
	}
}

func TestEveryMistakeIsToldWithItsLineAndKey(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{
		"- a\n":                           "strings.yaml:1: the file maps keys to texts",
		"text\n":                          "strings.yaml:1: the file maps keys to texts",
		"a: {en: A}\n[b]: {en: B}\n":      "strings.yaml:2: the file maps keys to texts",
		"a: {en: A}\nb: B\n":              "strings.yaml:2: b: write languages with their texts, or default and the text",
		"a:\n":                            "strings.yaml:1: a: write languages with their texts, or default and the text",
		"a:\n  en: A\na:\n  en: B\n":      "strings.yaml:3: a is there twice",
		"a:\n  en: A\n  en: B\n":          "strings.yaml:3: a: en is there twice",
		"a:\n  en: A\n  iw: B\n  he: C\n": "strings.yaml:4: a: he is there twice, as he",
		"a:\n  en: A\n  english: B\n":     "strings.yaml:3: a: english is no language; write a tag such as fr or pt-BR, or default",
		"a:\n  Default: B\n":              "strings.yaml:2: a: Default is no language; write a tag such as fr or pt-BR, or default",
		"a:\n  x-own: B\n":                "strings.yaml:2: a: x-own is no language; write a tag such as fr or pt-BR, or default",
		"a:\n  '*': B\n":                  "strings.yaml:2: a: * is no language; write a tag such as fr or pt-BR, or default",
		"a:\n  en:\n":                     "strings.yaml:2: a: en: it has no text; an empty one is written \"\"",
		"a:\n  en: [A]\n":                 "strings.yaml:2: a: en: it has no text; an empty one is written \"\"",
		"a: {en: A}\n---\nb: {en: B}\n":   "strings.yaml:2: the file has more than one document",
	} {
		texts, err := Load(resources(file))
		if texts != nil || err == nil || err.Error() != want {
			t.Errorf("%q:\n got %v\nwant %s", file, err, want)
		}
	}
	_, err := Load(resources("a:\n  english: A\n  en:\nb: B\n"))
	if err == nil || strings.Count(err.Error(), File) != 3 {
		t.Errorf("not all three mistakes: %v", err)
	}
	if _, err := Load(resources("a: {en: A}\nb: {en: 'B}\n")); err == nil || !strings.Contains(err.Error(), File+":") {
		t.Errorf("no YAML: %v", err)
	}
}

func TestAFileThatCannotBeReadIsAnError(t *testing.T) {
	t.Parallel()
	if _, err := Load(fstest.MapFS{File: {Mode: fs.ModeDir}}); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(hello)
	f.Add("a: &a {en: A}\nb: *a\n<<: *a\n")
	f.Add("#\n---\n...")
	f.Fuzz(func(t *testing.T, file string) {
		texts, err := Load(resources(file))
		if (texts == nil) == (err == nil) {
			t.Fatalf("texts %v and error %v", texts, err)
		}
		if texts != nil {
			for key := range texts.entries {
				texts.Text("fr, de;q=0.5, *;q=0.1", key)
			}
		}
	})
}
