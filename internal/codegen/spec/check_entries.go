package spec

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"m3o/internal/config/rule"
)

func (p *parser) checkConfig(e *Entry) {
	at := e.place("signature")
	if len(e.Signature.In) > 0 {
		p.fail(at, wrong(0, "E-CFG-ARGS", "a config takes no arguments"))
	}
	if len(e.Signature.Out) != 1 {
		p.fail(at, wrong(0, "E-CFG-RET", "a config has exactly one result").or("such as Limit() (n int)"))
		return
	}
	t := e.Signature.Out[0].Type.String()
	kind := configKind(t)
	if kind == "" {
		p.fail(at, wrong(0, "E-CFG-TYPE", "a config cannot be of type %s", t).or("one of string, bool, int, float64, time.Duration"))
		return
	}
	r, err := rule.Parse(e.Validation)
	if err != nil {
		p.fail(e.place("validation"), wrong(0, "E-CFG-RULE", "%v", err))
		return
	}
	if e.Validation = r.String(); r.String() != "" && !suits(r.Kind(), kind) {
		p.fail(e.place("validation"), wrong(0, "E-CFG-RULE", "a rule of type %s does not suit a config of type %s", r.Kind(), t))
		return
	}
	if e.Default != "" {
		p.checkDefault(e, t, kind, r)
	}
}

// configKind is the kind of rule that fits a Go type, empty when no config may have the type.
func configKind(t string) rule.Kind {
	switch {
	case t == "string":
		return rule.Text
	case t == "bool":
		return rule.Bool
	case t == "time.Duration":
		return rule.Duration
	case IsInt(t):
		return rule.Int
	case IsFloat(t):
		return rule.Float
	}
	return ""
}

// suits says whether values that satisfy a rule are values of the type: rules about the form of a
// text are for texts only.
func suits(r, config rule.Kind) bool {
	switch r {
	case rule.Set, rule.URL, rule.Email, rule.JSON:
		return config == rule.Text
	}
	return r == config
}

func (p *parser) checkDefault(e *Entry, t string, kind rule.Kind, r *rule.Rule) {
	bare, err := rule.Parse(string(kind))
	if err == nil {
		err = bare.Check(e.Default)
	}
	if err == nil && e.Validation != "" {
		err = r.Check(e.Default)
	}
	if err == nil && !fits(e.Default, t) {
		err = strconv.ErrRange
	}
	if err != nil {
		p.fail(e.place("default"), wrong(0, "E-CFG-DEFAULT", "the default of %s %v", e.Name(), err))
	}
}

// fits says whether a text that is an integer fits the width of its type.
func fits(text, t string) bool {
	if !IsInt(t) {
		return true
	}
	bits, err := strconv.Atoi(strings.TrimLeft(t, "uint"))
	if err != nil {
		bits = 64
	}
	if strings.HasPrefix(t, "u") {
		_, err = strconv.ParseUint(strings.TrimPrefix(text, "+"), 10, bits)
	} else {
		_, err = strconv.ParseInt(text, 10, bits)
	}
	return err == nil
}

func (p *parser) checkSink(e *Entry) {
	p.checkEventName(e)
	if e.Topic != "" {
		p.checkTopic(e)
		return
	}
	if e.Event == "" {
		e.Event = e.Name()
	} else if !eventName.MatchString(e.Event) {
		p.fail(e.place("event"), wrong(0, "E-SINK-EVENT", "%q is no name of an event", clip(e.Event)).or("On and an upper-case letter"))
	}
	if e.ForHost != "" && !validHost(e.ForHost) {
		p.fail(e.place("forHost"), badHost("E-SINK-HOST", e.ForHost))
	}
	if e.Source == "" {
		p.fail(e.place("source"), wrong(0, "E-SINK-SOURCE", "the source is missing").or("the import path of a service, or topic"))
	} else if !validImport(e.Source) {
		p.fail(e.place("source"), wrong(0, "E-SINK-SOURCE", "%q is no import path", clip(e.Source)).or("such as m3o/internal/customers, without a scheme"))
	}
}

func (p *parser) checkTopic(e *Entry) {
	for _, field := range []string{"source", "event", "forHost"} {
		if _, ok := e.places[field]; ok {
			p.fail(e.place(field), wrong(0, "E-SINK-TOPIC", "a sink of a durable topic has no %s", field))
		}
	}
	if e.Queue == "none" {
		p.fail(e.place("queue"), wrong(0, "E-QUEUE", "each event of a durable topic goes to one replica"))
	}
	if !topicName.MatchString(e.Topic) {
		p.fail(e.place("topic"), wrong(0, "E-SINK-TOPIC", "%q is no topic", clip(e.Topic)).or("lower-case letters and digits"))
		return
	}
	in := e.Signature.In
	if len(in) != 1 || len(e.Signature.Out) != 0 || in[0].Type.String() != "*"+e.Topic+".Event" {
		p.fail(e.place("signature"), wrong(0, "E-SINK-MATCH", "the sink of a durable topic is written %s(event *%s.Event)", e.Name(), e.Topic))
	}
}

var importPath = regexp.MustCompile(`^[a-zA-Z0-9_~+-][a-zA-Z0-9._~+-]*(/[a-zA-Z0-9_~+-][a-zA-Z0-9._~+-]*)*$`)

// validImport accepts what Go accepts as import path of a package in some module.
func validImport(path string) bool {
	return importPath.MatchString(path) && !strings.HasPrefix(path, "-") && !strings.Contains(path, "./") && !strings.HasSuffix(path, ".")
}

// checkSources refuses two sinks on one event: the second would replace the first.
func (p *parser) checkSources() {
	seen := map[string]*Entry{}
	for _, e := range p.service.Sinks {
		key := strings.ToLower(e.Source + "\x00" + e.ForHost + "\x00" + e.Event + "\x00" + e.Topic)
		if e.Source == "" && e.Topic == "" {
			continue
		}
		if first, ok := seen[key]; ok {
			p.fail(e.place("signature"), wrong(0, "E-DUP", "%s listens to the same as %s", e.Name(), first.Name()))
			continue
		}
		seen[key] = e
	}
}

func (p *parser) checkMetric(e *Entry) {
	at := e.place("signature")
	if len(e.Signature.Out) > 0 {
		p.fail(at, wrong(0, "E-MET-RET", "a metric has no results"))
	}
	if len(e.Signature.In) == 0 {
		p.fail(at, wrong(0, "E-MET-ARGS", "a metric needs a measure").or("such as Likes(n int, post string)"))
		return
	}
	if measure := e.Signature.In[0].Type.String(); !IsInt(measure) && !IsFloat(measure) && measure != "time.Duration" {
		p.fail(at, wrong(0, "E-MET-TYPE", "a measure cannot be of type %s", measure).or("a number or time.Duration"))
	}
	for _, label := range e.Signature.In[1:] {
		t := label.Type
		if t.Prefix != "" || t.Complex() || t.Base == "any" {
			p.fail(at, wrong(0, "E-MET-TYPE", "the label %s cannot be of type %s", label.Name, t).or("a primitive type"))
		}
		if slices.Contains([]string{"service", "ver", "id"}, Snake(label.Name)) {
			p.fail(at, wrong(0, "E-MET-ARGS", "every metric has a label %s already", Snake(label.Name)).or("give it another name"))
		}
	}
	if e.Alias != "" && !aliasName.MatchString(e.Alias) {
		p.fail(e.place("alias"), wrong(0, "E-MET-ALIAS", "%q is no name of a metric", clip(e.Alias)).or("letters, digits, underscores and colons"))
	}
	p.checkBuckets(e)
}

func (p *parser) checkBuckets(e *Entry) {
	slices.Sort(e.Buckets)
	switch {
	case e.Kind != "histogram" && len(e.Buckets) > 0:
		p.fail(e.place("buckets"), wrong(0, "E-MET-BUCKETS", "a %s has no buckets", e.Kind).or("kind: histogram"))
	case e.Kind == "histogram" && len(e.Buckets) == 0:
		p.fail(e.place("buckets"), wrong(0, "E-MET-BUCKETS", "a histogram needs buckets").or("buckets: [0.1, 1, 10]"))
	case len(slices.Compact(slices.Clone(e.Buckets))) < len(e.Buckets):
		p.fail(e.place("buckets"), wrong(0, "E-MET-BUCKETS", "a bucket occurs twice"))
	}
}

func (p *parser) checkRoutes() {
	var done []*Entry
	for _, e := range p.inOrder() {
		if e.Name() == "" || e.again || e.Section != "functions" && e.Section != "webs" && e.Section != "events" {
			continue
		}
		if !p.route(e) {
			continue
		}
		for _, other := range done {
			p.compareRoutes(e, other)
		}
		done = append(done, e)
	}
}

// route resolves the path of an entry and says whether it is good.
func (p *parser) route(e *Entry) bool {
	port := 443
	if e.Section == "events" {
		port = 417
	}
	if !validHost(p.service.General.Host) {
		return false
	}
	route, mistakes := resolve(p.service.General.Host, e.Name(), e.Path, port)
	route.Method = e.Method
	if e.Section == "events" && len(mistakes) == 0 && route.Port == 0 {
		mistakes = append(mistakes, wrong(0, "E-EVT-PORT", "an event is fired at one port, not at any"))
	}
	if e.Section != "webs" {
		for _, a := range route.Args {
			if _, ok := Find(e.Signature.In, a.Name); (!ok || a.Name == RequestBody) && lowerName.MatchString(a.Name) {
				mistakes = append(mistakes, wrong(0, "E-PATH-UNBOUND", "no input is called %s", a.Name).or("each path argument is an input of the same name"))
			}
		}
	}
	for _, m := range mistakes {
		p.fail(e.place("path"), m)
	}
	if len(mistakes) > 0 {
		return false
	}
	e.Route = route
	return true
}

func (p *parser) compareRoutes(e, other *Entry) {
	at := e.place("path")
	if e.Route.same() == other.Route.same() {
		p.fail(at, wrong(0, "E-ROUTE-DUP", "%s and %s both listen at %s", other.Name(), e.Name(), e.Route))
		return
	}
	if fromOutside(e, other) && e.Route.collides(other.Route) && e.Route.samePath() != other.Route.samePath() {
		p.fail(at, wrong(0, "E-ROUTE-DUP", "%s listens at %s, and %s at %s: they are one place from outside, where dashes and case do not matter",
			other.Name(), other.Route, e.Name(), e.Route).or("give one of them another path"))
		return
	}
	if e.Route.overlaps(other.Route) {
		line, col := at.shift(0)
		p.service.Warnings = append(p.service.Warnings, Error{File: p.service.File, Line: line, Col: col, Class: "W-ROUTE-OVERLAP",
			Message: "some requests match both " + other.Route.String() + " and " + e.Route.String(), Hint: "the more specific one gets them"})
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
