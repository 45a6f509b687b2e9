package spec

import (
	"go/token"
	"slices"
	"strings"
)

// Signature is a parsed signature: Name(in…) (out…).
type Signature struct {
	Name string
	In   []Arg
	Out  []Arg
}

// Arg is one argument or result.
type Arg struct {
	Name string
	Type Type
}

// Type is a type as written, with aliases folded: Prefix is a run of "[]", "*" and "map[string]",
// Base is a Go primitive, any, time.Time, time.Duration, the name of a complex type, or, in sinks of
// durable topics only, a dotted name such as customers.Event.
type Type struct {
	Prefix string
	Base   string
}

// String is the type in Go.
func (t Type) String() string { return t.Prefix + t.Base }

// Complex says whether the base type is declared by hand somewhere.
func (t Type) Complex() bool { return isUpper(t.Base[0]) }

// String is the signature in its canonical form, the way it is written in service.yaml.
func (s Signature) String() string {
	text := s.Name + "(" + list(s.In) + ")"
	if len(s.Out) > 0 {
		text += " (" + list(s.Out) + ")"
	}
	return text
}

func list(args []Arg) string {
	parts := make([]string, len(args))
	for i, a := range args {
		parts[i] = a.Name + " " + a.Type.String()
	}
	return strings.Join(parts, ", ")
}

// The magic arguments of functions, events and sinks.
const (
	RequestBody  = "httpRequestBody"  // an input: the whole request body
	ResponseBody = "httpResponseBody" // an output: its JSON is the whole response body
	StatusCode   = "httpStatusCode"   // an output of type int: the HTTP status
)

// Find is the argument of that name.
func Find(args []Arg, name string) (Arg, bool) {
	i := slices.IndexFunc(args, func(a Arg) bool { return a.Name == name })
	if i < 0 {
		return Arg{}, false
	}
	return args[i], true
}

// ParseSignature reads a signature on its own. The errors have no place in a file.
func ParseSignature(text string) (Signature, error) {
	s, mistakes := parseSignature(text)
	if len(mistakes) == 0 {
		return s, nil
	}
	var errs Errors
	for _, m := range mistakes {
		errs = append(errs, Error{Line: 1, Col: m.at + 1, Class: m.class, Message: m.message, Hint: m.hint})
	}
	return s, errs
}

func parseSignature(text string) (s Signature, mistakes []*mistake) {
	name, rest, open := strings.Cut(text, "(")
	s.Name = strings.TrimSpace(name)
	if m := checkName(s.Name); m != nil {
		mistakes = append(mistakes, m)
	}
	if !open {
		return s, mistakes
	}
	at := len(name) + 1
	groups := make([][]Arg, 0, 2)
	for {
		inner, after, ok := group(rest)
		if !ok {
			return s, append(mistakes, wrong(at-1, "E-SIG", "the parenthesis is not closed"))
		}
		args, ms := parseArgs(inner, at)
		groups, mistakes = append(groups, args), append(mistakes, ms...)
		at += len(inner) + 1
		blank := len(after) - len(strings.TrimLeft(after, " \t\r\n"))
		at, after = at+blank, after[blank:]
		if after == "" {
			break
		}
		if after[0] != '(' || len(groups) == 2 {
			return s, append(mistakes, wrong(at, "E-SIG", "unexpected %q after the signature", clip(after)).or("results go in parentheses, each with a name: Foo(a int) (b int)"))
		}
		at, rest = at+1, after[1:]
	}
	s.In = groups[0]
	if len(groups) > 1 {
		s.Out = groups[1]
	}
	return s, append(mistakes, duplicates(s)...)
}

// group cuts text behind an opening parenthesis at the closing one that matches it.
func group(text string) (inner, after string, ok bool) {
	depth := 1
	for i := range len(text) {
		switch text[i] {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return text[:i], text[i+1:], true
			}
		}
	}
	return "", "", false
}

func checkName(name string) *mistake {
	switch {
	case !upperName.MatchString(name):
		return wrong(0, "E-SIG-NAME", "%q is no name of a handler", clip(name)).or("an upper-case letter, then letters and digits")
	case strings.HasPrefix(name, "Mock"), strings.HasPrefix(name, "Test"):
		return wrong(0, "E-SIG-RESERVED", "names beginning with Mock or Test are reserved")
	case slices.Contains(reservedNames(), name):
		return wrong(0, "E-SIG-RESERVED", "%s is the name of something that is generated", name)
	}
	return nil
}

// reservedNames are methods that every service has, or will have.
func reservedNames() []string {
	return []string{"Register", "Tickers", "Published", "OnStartup", "OnShutdown", "Request",
		"Replica", "Host", "Configured", "Text", "Documents", "ForHost", "Mocked"}
}

// reservedTypes are declarations of every contract, which no complex type may be called.
func reservedTypes() []string {
	return []string{"Host", "Service", "Functions", "Routes", "Client", "NewClient", "Unassigned", "Webs", "WebRoutes",
		"MulticastClient", "NewMulticastClient", "MulticastTrigger", "NewMulticastTrigger", "Hook", "NewHook", "Documents", "OpenAPI", "Published", "PublishedOpenAPI"}
}

func parseArgs(inner string, at int) (args []Arg, mistakes []*mistake) {
	if strings.TrimSpace(inner) == "" {
		return nil, nil
	}
	for _, part := range splitArgs(inner) {
		start := at + len(part) - len(strings.TrimLeft(part, " \t\r\n"))
		arg, ms := parseArg(strings.TrimSpace(part), start)
		mistakes = append(mistakes, ms...)
		if len(ms) == 0 {
			args = append(args, arg)
		}
		at += len(part) + 1
	}
	return args, mistakes
}

// splitArgs splits at the commas outside of parentheses.
func splitArgs(text string) (parts []string) {
	depth, start := 0, 0
	for i := range len(text) {
		switch text[i] {
		case '(':
			depth++
		case ')':
			depth--
		case ',':
			if depth == 0 {
				parts = append(parts, text[start:i])
				start = i + 1
			}
		}
	}
	return append(parts, text[start:])
}

func parseArg(text string, at int) (Arg, []*mistake) {
	end := strings.IndexAny(text, " \t\r\n")
	if end < 0 {
		return Arg{}, []*mistake{wrong(at, "E-ARG", "%q is not a name and a type", clip(text)).or("each argument has a name and a type of its own, such as id string")}
	}
	name, rest := text[:end], text[end:]
	typeText := strings.TrimLeft(rest, " \t\r\n")
	typeAt := at + len(text) - len(typeText)
	var mistakes []*mistake
	if !strings.ContainsAny(rest[:len(rest)-len(typeText)], " \n") {
		mistakes = append(mistakes, wrong(at, "E-ARG", "a blank goes between %s and its type", clip(name)))
	}
	if m := checkArgName(name, at); m != nil {
		mistakes = append(mistakes, m)
	}
	t, m := parseType(typeText, typeAt)
	if m != nil {
		mistakes = append(mistakes, m)
	}
	return Arg{Name: name, Type: t}, mistakes
}

func checkArgName(name string, at int) *mistake {
	switch {
	case name == "ctx":
		return wrong(at, "E-ARG-CTX", "ctx is added by the generator")
	case name == "err":
		return wrong(at, "E-ARG-ERR", "err is added by the generator")
	case name == "testingT":
		return wrong(at, "E-ARG-RESERVED", "%s may not be the name of an argument: generated tests use it", name).or("give it another name")
	case token.IsKeyword(name):
		return wrong(at, "E-ARG-RESERVED", "%s may not be the name of an argument: it is a word of the Go language", name).or("give it another name, such as " + name + "Of")
	case !lowerName.MatchString(name):
		return wrong(at, "E-ARG-NAME", "%q is no name of an argument", clip(name)).or("a lower-case letter, then letters and digits")
	}
	return nil
}

func duplicates(s Signature) (mistakes []*mistake) {
	seen := map[string]bool{}
	for _, a := range slices.Concat(s.In, s.Out) {
		if seen[a.Name] {
			mistakes = append(mistakes, wrong(0, "E-ARG-DUP", "the name %s occurs twice", a.Name).or("inputs and outputs share one name space"))
		}
		seen[a.Name] = true
	}
	return mistakes
}

// clip shortens a text that is shown in a message.
func clip(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return s
}
