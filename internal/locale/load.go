package locale

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"go.yaml.in/yaml/v4"
	"golang.org/x/text/language"
)

// File is where among a service's resources its texts are: keys, each with a mapping
// of languages, or default, to texts.
//
//	greeting:
//	  default: Hello
//	  fr: Bonjour
//	  pt-BR: Olá
const File = "strings.yaml"

// byDefault stands in the place of a language for the text of everybody else.
const byDefault = "default"

// Load reads the texts among a service's resources. No resources (nil) and no File are
// no texts. The error tells all that is wrong with the file, each with its line and key.
func Load(resources fs.FS) (*Texts, error) {
	if resources == nil {
		return &Texts{}, nil
	}
	src, err := fs.ReadFile(resources, File)
	if errors.Is(err, fs.ErrNotExist) {
		return &Texts{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the texts: %w", err)
	}
	l := loader{choices: map[string]*choice{}, texts: &Texts{entries: map[string]entry{}}}
	l.file(src)
	if err := errors.Join(l.errs...); err != nil {
		return nil, err
	}
	return l.texts, nil
}

// loader reads a file and gathers what is wrong with it.
type loader struct {
	texts   *Texts
	choices map[string]*choice // by their languages: keys with the same ones share it
	errs    []error
}

func (l *loader) fail(line int, format string, args ...any) {
	l.errs = append(l.errs, fmt.Errorf("%s:%d: %s", File, line, fmt.Sprintf(format, args...)))
}

func (l *loader) file(src []byte) {
	var doc, second yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(src))
	err := decoder.Decode(&doc)
	if errors.Is(err, io.EOF) {
		return
	}
	if err == nil {
		err = decoder.Decode(&second)
	}
	var load *yaml.LoadError
	switch {
	case errors.As(err, &load):
		l.fail(max(load.Mark.Line, 1), "%s", load.Message)
	case err == nil:
		l.fail(second.Line, "the file has more than one document")
	case !errors.Is(err, io.EOF):
		l.fail(1, "%v", err)
	case !isNull(doc.Content[0]):
		l.mapping(doc.Content[0], "", "the file maps keys to texts", l.key)
	}
}

// mapping visits the pairs of a mapping, each name once. Mistakes are of a key, and tell
// what is wanted.
func (l *loader) mapping(n *yaml.Node, key, want string, visit func(name, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		l.fail(n.Line, "%s%s", key, want)
		return
	}
	seen := map[string]bool{}
	for i := 0; i < len(n.Content); i += 2 {
		name, value := follow(n.Content[i]), follow(n.Content[i+1])
		switch {
		case name.Kind != yaml.ScalarNode:
			l.fail(n.Content[i].Line, "%s%s", key, want)
		case seen[name.Value]:
			l.fail(n.Content[i].Line, "%s%s is there twice", key, name.Value)
		default:
			seen[name.Value] = true
			visit(name, value)
		}
	}
}

func (l *loader) key(key, value *yaml.Node) {
	found := translations{fallback: key.Value}
	l.mapping(value, key.Value+": ", "write languages with their texts, or default and the text", func(name, text *yaml.Node) {
		if text.Kind != yaml.ScalarNode || isNull(text) {
			l.fail(text.Line, "%s: %s: it has no text; an empty one is written \"\"", key.Value, name.Value)
			return
		}
		if err := found.add(name.Value, text.Value); err != nil {
			l.fail(name.Line, "%s: %v", key.Value, err)
		}
	})
	l.texts.entries[key.Value] = entry{texts: append([]string{found.fallback}, found.texts...), choice: l.choice(&found)}
}

// choice is the one among the languages of a key.
func (l *loader) choice(found *translations) *choice {
	name := fmt.Sprint(found.tags, found.written)
	if l.choices[name] == nil {
		l.choices[name] = newChoice(found.tags, found.written)
	}
	return l.choices[name]
}

// translations are the texts of a key.
type translations struct {
	tags     []language.Tag
	texts    []string
	fallback string // for who wants none of them
	written  bool   // whether the fallback is a text: the default, or that in en
	chosen   bool   // whether it is the default
}

func (t *translations) add(name, text string) error {
	if name == byDefault {
		t.fallback, t.written, t.chosen = text, true, true
		return nil
	}
	tag, err := language.All.Parse(name)
	if _, known := tag.Base(); err != nil || known != language.Exact {
		return fmt.Errorf("%s is no language; write a tag such as fr or pt-BR, or default", name)
	}
	if slices.Contains(t.tags, tag) {
		return fmt.Errorf("%s is there twice, as %s", name, tag)
	}
	if tag == language.English && !t.chosen {
		t.fallback, t.written = text, true
	}
	t.tags, t.texts = append(t.tags, tag), append(t.texts, text)
	return nil
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// follow resolves an alias; an alias of an alias does not exist in YAML.
func follow(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}
