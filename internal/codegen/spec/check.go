package spec

import (
	"slices"
	"strings"
	"time"
)

// enrich parses what is written inside the fields of an entry and checks the entry by itself.
func (p *parser) enrich(s Section, e *Entry) {
	if e.text == "" {
		if _, ok := e.places["signature"]; ok {
			p.fail(e.place("signature"), wrong(0, "E-MISSING", "signature is empty"))
		}
		return
	}
	signature, mistakes := parseSignature(e.text)
	e.Signature, e.broken = signature, len(mistakes) > 0
	for _, m := range mistakes {
		p.fail(e.place("signature"), m)
	}
	if e.Description == "" && s.Name != "metrics" {
		article := "a "
		if s.Name == "events" {
			article = "an "
		}
		e.Description = e.Name() + " is " + article + strings.TrimSuffix(s.Name, "s") + "."
	}
	p.checkMethod(e)
	if len(mistakes) > 0 {
		return
	}
	p.checkDotted(e)
	switch s.Name {
	case "configs":
		p.checkConfig(e)
	case "functions":
		p.checkMagic(e)
		p.checkStream(e)
		if e.Timeout == 0 {
			e.Timeout = 20 * time.Second
		}
	case "events":
		p.checkMagic(e)
		p.checkEventName(e)
	case "sinks":
		p.checkMagic(e)
		p.checkSink(e)
	case "webs":
		p.noArgs(e, "E-WEB-ARGS")
	case "tickers":
		p.noArgs(e, "E-TICK-ARGS")
		if _, ok := e.places["interval"]; !ok {
			p.fail(e.place(""), wrong(0, "E-TICK-INTERVAL", "interval is missing").or("such as 15m"))
		}
	case "metrics":
		p.checkMetric(e)
	}
}

func (p *parser) checkMethod(e *Entry) {
	if e.Section != "functions" && e.Section != "events" && e.Section != "webs" {
		return
	}
	if e.Method = strings.ToUpper(e.Method); e.Method == "" {
		if e.Method = "ANY"; e.Section == "events" {
			e.Method = "POST"
		}
	}
	if !wordName.MatchString(e.Method) {
		p.fail(e.place("method"), wrong(0, "E-METHOD", "%q is no method", clip(e.Method)).or("one word, such as GET or POST"))
	} else if e.Section == "events" && e.Method == "ANY" {
		p.fail(e.place("method"), wrong(0, "E-EVT-METHOD", "an event is fired with one method, not ANY"))
	}
}

// checkDotted refuses types such as customers.Event everywhere but in sinks of durable topics.
func (p *parser) checkDotted(e *Entry) {
	for _, a := range slices.Concat(e.Signature.In, e.Signature.Out) {
		if strings.HasSuffix(a.Type.Base, ".Event") && (e.Section != "sinks" || e.Topic == "") {
			p.fail(e.place("signature"), dotted(a.Type.Base, max(strings.Index(e.text, a.Type.Base), 0)))
		}
	}
}

func (p *parser) noArgs(e *Entry, class Class) {
	if len(e.Signature.In)+len(e.Signature.Out) > 0 {
		p.fail(e.place("signature"), wrong(0, class, "%s of %s takes no arguments and has no results", e.Name(), e.Section))
	}
}

func (p *parser) checkMagic(e *Entry) {
	at := e.place("signature")
	for _, a := range e.Signature.In {
		if a.Name == ResponseBody || a.Name == StatusCode {
			p.fail(at, wrong(0, "E-MAGIC-DIR", "%s is an output", a.Name))
		}
	}
	if _, ok := Find(e.Signature.Out, RequestBody); ok {
		p.fail(at, wrong(0, "E-MAGIC-DIR", "%s is an input", RequestBody))
	}
	status, hasStatus := Find(e.Signature.Out, StatusCode)
	if hasStatus && status.Type.String() != "int" {
		p.fail(at, wrong(0, "E-MAGIC-STATUS", "%s is of type int", StatusCode))
	}
	others := len(e.Signature.Out) - 1
	if hasStatus {
		others--
	}
	if _, ok := Find(e.Signature.Out, ResponseBody); ok && others > 0 {
		p.fail(at, wrong(0, "E-MAGIC-MIX", "%s is the whole answer: only %s may stand beside it", ResponseBody, StatusCode))
	}
	if _, ok := Find(e.Signature.In, RequestBody); ok && slices.Contains([]string{"GET", "DELETE", "TRACE", "OPTIONS", "HEAD"}, e.Method) {
		p.fail(at, wrong(0, "E-MAGIC-BODY", "a %s request has no body for %s", e.Method, RequestBody))
	}
}

func (p *parser) checkStream(e *Entry) {
	if !e.Stream {
		return
	}
	if _, ok := Find(e.Signature.In, "send"); ok {
		p.fail(e.place("signature"), wrong(0, "E-ARG-RESERVED", "send is added to streams by the generator"))
	}
	_, body := Find(e.Signature.Out, ResponseBody)
	_, status := Find(e.Signature.Out, StatusCode)
	if len(e.Signature.Out) == 0 || body || status {
		p.fail(e.place("stream"), wrong(0, "E-STREAM", "a stream needs results, and none of them magic"))
	}
}

func (p *parser) checkEventName(e *Entry) {
	if !eventName.MatchString(e.Name()) {
		p.fail(e.place("signature"), wrong(0, "E-EVT-NAME", "%s must begin with On and an upper-case letter", e.Name()))
	}
}

// check is what holds between the parts of a file.
func (p *parser) check() {
	p.checkHost()
	p.checkNames()
	p.checkDerived()
	p.checkSources()
	p.checkRoutes()
	p.checkPublish()
}

func (p *parser) checkHost() {
	g := &p.service.General
	host := strings.ToLower(g.Host)
	at, written := p.general["host"]
	if !written {
		at = p.general[""]
	}
	switch {
	case g.Host == "":
		p.fail(at, wrong(0, "E-MISSING", "the host is missing").or("general: {host: name}"))
	case !validHost(g.Host):
		p.fail(at, badHost("E-HOST", g.Host))
	case host == "all" || strings.HasSuffix(host, ".all"):
		p.fail(at, wrong(0, "E-HOST-RESERVED", "the host all means every service"))
	default:
		p.service.host = at
	}
	if g.Description == "" {
		g.Description = "The \"" + g.Host + "\" microservice."
	}
}

func (p *parser) checkNames() {
	seen := map[string]*Entry{}
	for _, e := range p.inOrder() {
		if e.Name() == "" {
			continue
		}
		key := strings.ToLower(e.Name())
		if first, ok := seen[key]; ok {
			p.fail(e.place("signature"), wrong(0, "E-DUP", "the name %s is taken by line %d", e.Name(), first.Line("signature")).or("names are compared without case, over all sections"))
			e.again = true
			continue
		}
		seen[key] = e
	}
}

// inOrder are the entries in the order of the file.
func (p *parser) inOrder() []*Entry {
	all := p.service.Entries()
	slices.SortStableFunc(all, func(a, b *Entry) int {
		if a.Line("") != b.Line("") {
			return a.Line("") - b.Line("")
		}
		return a.place("").col - b.place("").col
	})
	return all
}

func (p *parser) checkDerived() {
	from := map[string]string{}
	for _, e := range p.service.Entries() {
		for _, name := range derived(e) {
			from[strings.ToLower(name)] = e.Name()
		}
	}
	for _, e := range p.service.Entries() {
		if origin, ok := from[strings.ToLower(e.Name())]; ok && e.Name() != "" {
			p.fail(e.place("signature"), wrong(0, "E-SIG-RESERVED", "%s is generated for %s", e.Name(), origin))
		}
		for _, a := range slices.Concat(e.Signature.In, e.Signature.Out) {
			if _, ok := from[strings.ToLower(a.Type.Base)]; ok || slices.Contains(reservedTypes(), a.Type.Base) {
				p.fail(e.place("signature"), wrong(0, "E-SIG-RESERVED", "the type %s has the name of something that is generated", a.Type.Base).or("give the type another name"))
			}
		}
	}
}

// derived are the names of what is generated for an entry.
func derived(e *Entry) []string {
	n := e.Name()
	switch {
	case n == "":
		return nil
	case e.Section == "functions":
		return []string{n + "In", n + "Out", n + "Response", "URLOf" + n}
	case e.Section == "events":
		return []string{n + "In", n + "Out", n + "Response"}
	case e.Section == "webs":
		return []string{"URLOf" + n}
	case e.Section == "configs":
		return []string{"Set" + n, "OnChanged" + n}
	case e.Section == "metrics":
		return []string{"Increment" + n, "Observe" + n}
	}
	return nil
}
