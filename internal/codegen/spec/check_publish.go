package spec

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// checkPublish wants the keys of prices, quotas and examples to be functions, whatever their case, and the examples to be
// calls of them. The keys of prices and quotas become the functions' names; M3O's examples keep theirs.
func (p *parser) checkPublish() {
	pub := p.service.Publish
	if pub == nil {
		return
	}
	for _, key := range sortedKeys(pub.Examples) {
		if f := p.onSale("examples", key); f != nil && !f.broken {
			p.checkExamples(f, p.examples[key])
		}
	}
	pub.Prices = named(p, "prices", pub.Prices)
	pub.Quotas = named(p, "quotas", pub.Quotas)
	if pub.Description == "" {
		pub.Description = p.service.General.Description
	}
}

// named is a table of publish by the names of functions.
func named[V any](p *parser, field string, table map[string]V) map[string]V {
	if table == nil {
		return nil
	}
	all := map[string]V{}
	for _, key := range sortedKeys(table) {
		f := p.onSale(field, key)
		if f == nil {
			continue
		}
		if _, twice := all[f.Name()]; twice {
			p.fail(p.publish[field+"."+key], wrong(0, "E-PUBLISH", "%s: %s is there twice", field, f.Name()).or("upper and lower case do not matter: keep one"))
		}
		all[f.Name()] = table[key]
	}
	return all
}

// onSale is the function that a key of publish names; nil, and a mistake, when there is none.
func (p *parser) onSale(field, key string) *Entry {
	var names []string
	for _, f := range p.service.Functions {
		if strings.EqualFold(f.Name(), key) {
			return f
		}
		names = append(names, f.Name())
	}
	m := wrong(0, "E-PUBLISH", "%s: there is no function %s", field, clip(key))
	if near := nearest(key, names); near != "" {
		m.hint = "did you mean " + near + "?"
	} else if len(names) > 0 {
		m.hint = "one of " + strings.Join(names, ", ")
	}
	p.fail(p.publish[field+"."+key], m)
	return nil
}

// checkExamples holds the examples of a function to what publicapi wants of them when the house starts, and more: a
// request may have no member that the function does not know. What is inside of complex types is not known here.
func (p *parser) checkExamples(f *Entry, list *yaml.Node) {
	if list.Kind != yaml.SequenceNode {
		p.fail(placeOf(list), wrong(0, "E-PUBLISH", "the examples of %s must be a list, not %s", f.Name(), kindOf(list)).or("begin each example with a dash"))
		return
	}
	for _, item := range list.Content {
		if item = follow(item); item.Kind != yaml.MappingNode {
			p.fail(placeOf(item), wrong(0, "E-PUBLISH", "an example must be a mapping, not %s", kindOf(item)).or("such as title: …, request: {…}"))
			continue
		}
		for i := 0; i+1 < len(item.Content); i += 2 {
			switch key, value := follow(item.Content[i]), follow(item.Content[i+1]); key.Value {
			case "title":
				p.checkValue("title", Type{Base: "string"}, value)
			case "request":
				p.checkRequest(f, value)
			}
		}
	}
}

// checkRequest compares the request of an example with the arguments of its function.
func (p *parser) checkRequest(f *Entry, request *yaml.Node) {
	if request.Kind != yaml.MappingNode {
		p.fail(placeOf(request), wrong(0, "E-PUBLISH", "the request of an example must be a mapping, not %s", kindOf(request)).or("an argument and its value each, as in "+f.Signature.String()))
		return
	}
	if _, whole := Find(f.Signature.In, RequestBody); whole {
		return // it is of a complex type
	}
	names := make([]string, len(f.Signature.In))
	for i, a := range f.Signature.In {
		names[i] = p.service.General.Member(a.Name)
	}
	for i := 0; i+1 < len(request.Content); i += 2 {
		key, value := follow(request.Content[i]), follow(request.Content[i+1])
		at := slices.Index(names, key.Value)
		if at >= 0 {
			p.checkValue(key.Value, f.Signature.In[at].Type, value)
			continue
		}
		m := wrong(0, "E-PUBLISH", "%s has no argument %s", f.Name(), clip(key.Value))
		m.hint = "it has " + strings.Join(names, ", ")
		if near := nearest(key.Value, names); near != "" && len(key.Value) > 2 {
			m.hint = "did you mean " + near + "?"
		} else if len(names) == 0 {
			m.hint = "it has none"
		}
		p.fail(placeOf(key), m)
	}
}

// checkValue compares a value of an example with a type, as far as the type is known here.
func (p *parser) checkValue(name string, t Type, n *yaml.Node) {
	n = follow(n)
	t.Prefix = strings.TrimLeft(t.Prefix, "*")
	inner, list := strings.CutPrefix(t.Prefix, "[]")
	if list && !(inner == "" && (t.Base == "byte" || t.Base == "uint8")) {
		if n.Kind != yaml.SequenceNode {
			p.unfit(name, "a list", n)
			return
		}
		for _, item := range n.Content {
			p.checkValue(name, Type{Prefix: inner, Base: t.Base}, item)
		}
		return
	}
	if inner, ok := strings.CutPrefix(t.Prefix, "map[string]"); ok {
		if n.Kind != yaml.MappingNode {
			p.unfit(name, "a mapping", n)
			return
		}
		for i := 1; i < len(n.Content); i += 2 {
			p.checkValue(name, Type{Prefix: inner, Base: t.Base}, n.Content[i])
		}
		return
	}
	if t.Complex() || t.Base == "any" {
		return
	}
	if want := unlike(t, n); want != "" {
		p.unfit(name, want, n)
	}
}

func (p *parser) unfit(name, want string, n *yaml.Node) {
	have := kindOf(n)
	if have == "a number" {
		have = clip(n.Value)
	}
	p.fail(placeOf(n), wrong(0, "E-PUBLISH", "%s must be %s, not %s", clip(name), want, have))
}

// unlike is what a value of a primitive type should be, empty when it is that.
func unlike(t Type, n *yaml.Node) string {
	var v any
	if n.Kind == yaml.ScalarNode {
		v, _ = scalar(n)
	}
	text, isText := v.(string)
	number, isNumber := v.(json.Number)
	f, err := number.Float64()
	isNumber = isNumber && err == nil
	switch {
	case t.Prefix == "[]":
		return unless(isText, "a text in base64")
	case t.Base == "string":
		return unless(isText, "a text")
	case t.Base == "bool":
		_, ok := v.(bool)
		return unless(ok, "true or false")
	case t.Base == "time.Time":
		_, err := time.Parse(time.RFC3339, text)
		return unless(isText && err == nil, "a time such as 2006-01-02T15:04:05Z")
	case IsFloat(t.Base):
		return unless(isNumber, "a number")
	case isText && (t.Base == "int64" || t.Base == "uint64"):
		return "" // these may be texts on the wire
	case t.Base == "time.Duration":
		return unless(isNumber && f == math.Trunc(f), "a whole number of nanoseconds")
	}
	return unless(isNumber && f == math.Trunc(f), "a whole number")
}

func unless(ok bool, want string) string {
	if ok {
		return ""
	}
	return want
}
