package spec

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// Parse reads a service.yaml. file is only named in errors. The error, if any, is of type Errors
// and holds every mistake of the file in the order of the file.
func Parse(file string, src []byte) (*Service, error) {
	service, mistakes := Read(file, src)
	if len(mistakes) > 0 {
		return nil, mistakes
	}
	return service, nil
}

// Read is Parse that returns with the mistakes what could be read all the same, for the checks that need more than one
// file. An entry may be without a name or a route then.
func Read(file string, src []byte) (*Service, Errors) {
	p := &parser{service: &Service{File: file, General: General{IntegrationTests: true, OpenAPI: true}}}
	if root := p.load(src); root != nil {
		p.root(root)
	}
	p.errs.Sort()
	p.service.Warnings.Sort()
	return p.service, p.errs
}

type parser struct {
	service *Service
	errs    Errors
	general map[string]place
	publish map[string]place // also of the keys, as prices.Call

	examples map[string]*yaml.Node // by function
}

func (p *parser) fail(at place, m *mistake) {
	line, col := at.shift(m.at)
	p.errs = append(p.errs, Error{File: p.service.File, Line: line, Col: col, Class: m.class, Message: m.message, Hint: m.hint})
}

func (p *parser) load(src []byte) *yaml.Node {
	decoder := yaml.NewDecoder(bytes.NewReader(src))
	var doc, second yaml.Node
	err := decoder.Decode(&doc)
	if err == nil {
		if err = decoder.Decode(&second); errors.Is(err, io.EOF) {
			return doc.Content[0]
		} else if err == nil {
			p.fail(placeOf(&second), wrong(0, "E-YAML", "the file has more than one document"))
			return nil
		}
	}
	if errors.Is(err, io.EOF) {
		p.fail(place{line: 1, col: 1}, wrong(0, "E-MISSING", "the file is empty").or("general with a host is required"))
		return nil
	}
	at := place{line: 1, col: 1}
	message := err.Error()
	var load *yaml.LoadError
	if errors.As(err, &load) {
		at, message = place{line: max(load.Mark.Line, 1), col: max(load.Mark.Column, 1)}, load.Message
	}
	if load == nil || load.Mark.Line == 0 {
		if bad, what := unreadable(src); what != "" {
			at, message = bad, what
		}
	}
	m := wrong(0, "E-YAML", "%s", message)
	if tabbed(src, at) {
		m.hint = "indent with blanks: YAML takes no tabs there"
	}
	p.fail(at, m)
	return nil
}

// unreadable is the first place of a text where YAML can have nothing, and what is there.
func unreadable(src []byte) (at place, what string) {
	at = place{line: 1, col: 1}
	for len(src) > 0 {
		r, size := utf8.DecodeRune(src)
		switch {
		case r == utf8.RuneError && size == 1:
			return at, fmt.Sprintf("the byte 0x%02x is no UTF-8", src[0])
		case unicode.IsControl(r) && !strings.ContainsRune("\t\r\n\u0085", r):
			return at, fmt.Sprintf("the control character %U may not be in YAML", r)
		case r == '\n':
			at = place{line: at.line + 1}
		}
		at.col, src = at.col+1, src[size:]
	}
	return at, ""
}

// tabbed says whether there is a tab at a place or in the blanks that its line begins with.
func tabbed(src []byte, at place) bool {
	lines := bytes.Split(src, []byte("\n"))
	if at.line > len(lines) {
		return false
	}
	line := lines[at.line-1]
	blanks := line[:len(line)-len(bytes.TrimLeft(line, " \t"))]
	return bytes.IndexByte(blanks, '\t') >= 0 || at.col <= len(line) && line[at.col-1] == '\t'
}

func (p *parser) root(root *yaml.Node) {
	p.general = map[string]place{"": placeOf(root)}
	grammar := Grammar()
	var names []string
	for _, s := range grammar {
		names = append(names, s.Name)
	}
	if root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null" {
		p.fail(placeOf(root), wrong(0, "E-MISSING", "the file is empty").or("general with a host is required"))
		return
	}
	if root.Kind != yaml.MappingNode {
		p.fail(placeOf(root), wrong(0, "E-TYPE", "the file must be a mapping, not %s", kindOf(root)))
		return
	}
	p.mapping(root, "the file", func(key, value *yaml.Node) {
		i := slices.Index(names, key.Value)
		if i < 0 {
			p.unknown(key, "section", names)
			return
		}
		p.section(grammar[i], key, value)
	})
	p.check()
}

// mapping visits the members of a mapping; a key that occurs twice is an error.
func (p *parser) mapping(n *yaml.Node, what string, visit func(key, value *yaml.Node)) {
	if n = follow(n); n.Kind != yaml.MappingNode {
		p.fail(placeOf(n), wrong(0, "E-TYPE", "%s must be a mapping, not %s", what, kindOf(n)))
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := follow(n.Content[i])
		switch {
		case key.Kind != yaml.ScalarNode:
			p.fail(placeOf(key), wrong(0, "E-TYPE", "a key must be a text, not %s", kindOf(key)))
		case seen[key.Value]:
			p.fail(placeOf(key), wrong(0, "E-YAML", "the key %s occurs twice", clip(key.Value)))
		default:
			seen[key.Value] = true
			visit(key, follow(n.Content[i+1]))
		}
	}
}

func (p *parser) unknown(key *yaml.Node, what string, known []string) {
	m := wrong(0, "E-FIELD", "unknown %s %q", what, clip(key.Value))
	if near := nearest(key.Value, known); near != "" {
		m.hint = "did you mean " + near + "?"
	} else {
		m.hint = "one of " + strings.Join(known, ", ")
	}
	p.fail(placeOf(key), m)
}

func (p *parser) section(s Section, key, value *yaml.Node) {
	empty := value.Kind == yaml.ScalarNode && value.ShortTag() == "!!null"
	switch {
	case s.Name == "general":
		if p.general[""] = placeOf(key); !empty {
			p.fields(s, value, p.service.General.slot, p.general)
		}
		if value.Kind == yaml.MappingNode || empty {
			return
		}
		p.general["host"] = placeOf(value)
		p.service.General.Host = "unknown" // the type was reported: that is enough
	case s.Name == "publish":
		if p.service.Publish = (&Publish{}); !empty {
			p.publish, p.examples = map[string]place{}, map[string]*yaml.Node{}
			p.fields(s, value, p.service.Publish.slot, p.publish)
		}
	case empty:
	case value.Kind != yaml.SequenceNode:
		p.fail(placeOf(value), wrong(0, "E-TYPE", "%s must be a list, not %s", s.Name, kindOf(value)).or("begin each entry with a dash"))
	default:
		for _, item := range value.Content {
			p.entry(s, follow(item))
		}
	}
}

func (p *parser) entry(s Section, item *yaml.Node) {
	e := &Entry{Section: s.Name, OpenAPI: true, places: map[string]place{"": placeOf(item)}}
	if item.Kind == yaml.ScalarNode && item.ShortTag() == "!!null" {
		p.fail(placeOf(item), wrong(0, "E-MISSING", "the entry is empty").or("signature is required"))
		return
	}
	slots := e.slots()
	p.fields(s, item, func(field string) any { return slots[field] }, e.places)
	if item.Kind != yaml.MappingNode {
		return
	}
	for _, f := range s.Fields {
		if _, ok := e.places[f.Name]; f.Required && !ok && f.Name != "interval" {
			p.fail(placeOf(item), wrong(0, "E-MISSING", "%s is missing", f.Name))
		}
	}
	p.enrich(s, e)
	list := p.service.list(s.Name)
	*list = append(*list, e)
}

// fields reads a mapping by the table of its section. places gets where each value is.
func (p *parser) fields(s Section, n *yaml.Node, slot func(string) any, places map[string]place) {
	for _, f := range s.Fields {
		if text, ok := slot(f.Name).(*string); ok && len(f.Values) > 0 {
			*text = f.Values[0]
		}
	}
	what := s.Name
	if s.List {
		what = "an entry of " + s.Name
	}
	p.mapping(n, what, func(key, value *yaml.Node) {
		f, ok := s.field(key.Value)
		if !ok {
			p.unknown(key, "field of "+s.Name, s.names())
			return
		}
		places[f.Name] = placeOf(value)

		if m := p.value(f, value, slot(f.Name)); m != nil {
			p.fail(placeOf(value), m)
		}
	})
}

func placeOf(n *yaml.Node) place {
	at := place{line: max(n.Line, 1), col: max(n.Column, 1)}
	if n.Kind == yaml.ScalarNode && n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) == 0 && !strings.Contains(n.Value, "\n") {
		at.inline = true
		if n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 {
			at.col++
		}
	}
	return at
}

// follow resolves an alias; an alias of an alias does not exist in YAML.
func follow(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!bool":
		return "true or false"
	case "!!int", "!!float":
		return "a number"
	case "!!null":
		return "empty"
	}
	return "a text"
}

func parseSpan(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q is no duration", clip(text))
	}
	return d, nil
}
