package publicapi

import (
	"regexp"
	"strings"
	"unicode"
)

// lastOf is the comparable part after the dot: what callers write.
func lastOf(name string) string {
	if _, last, ok := strings.Cut(name, "."); ok {
		name = last
	}
	return canonical(name)
}

// canonical makes names comparable, as the gateway does: case and dashes do not matter.
func canonical(name string) string { return strings.ToLower(strings.ReplaceAll(name, "-", "")) }

// positional is a path with its parameters by position instead of by name.
func positional(path string) string { return parameter.ReplaceAllString(path, "{}") }

var parameter = regexp.MustCompile(`\{[^{}/]*\}`)

// index makes the endpoints found by what publishers call them: "Pets.ListPets" and
// "ListPets", the same with what they were called before, and "GET /pets/{petId}".
// What an endpoint is called now comes first.
func (d *document) index(api string) {
	d.keys = map[string]int{}
	for i, e := range d.endpoints {
		d.know(i, api, e.name)
	}
	for i, e := range d.endpoints {
		d.know(i, api, e.alias)
		for _, method := range []string{e.place.method, e.method} {
			d.know(i, "", keyOf(method+" "+e.place.path))
		}
	}
}

// know has the endpoint be found by a name, also with the API's name before the dot.
func (d *document) know(i int, api, name string) {
	own, _, dotted := strings.Cut(name, ".")
	keys := []string{keyOf(name)}
	if dotted && api != "" {
		keys = []string{lastOf(name), canonical(own) + "." + lastOf(name), canonical(api) + "." + lastOf(name)}
	}
	for _, key := range keys {
		if _, taken := d.keys[key]; !taken && name != "" {
			d.keys[key] = i
		}
	}
}

// find is the endpoint that a publisher's name for it means.
func (d *document) find(name string) (*endpoint, bool) {
	i, ok := d.keys[keyOf(name)]
	if !ok {
		return nil, false
	}
	return &d.endpoints[i], true
}

// keyOf makes a publisher's name for an endpoint comparable: a method with a path, or
// a name.
func keyOf(name string) string {
	if method, path, ok := strings.Cut(strings.TrimSpace(name), " "); ok {
		return strings.ToLower(method + " " + positional(strings.TrimSpace(path)))
	}
	return canonical(name)
}

// pascal writes a name without dashes, each word with a capital.
func pascal(name string) string {
	var b strings.Builder
	for word := range strings.SplitSeq(name, "-") {
		for i, r := range word {
			if i == 0 {
				r = unicode.ToUpper(r)
			}
			b.WriteRune(r)
		}
	}
	return b.String()
}

// kebab writes a name in lower case with dashes between its words: a run of
// capitals is one word, as in "open-api-json".
func kebab(name string) string {
	runes := []rune(name)
	var b strings.Builder
	for i, r := range runes {
		if unicode.IsUpper(r) && i > 0 && runes[i-1] != '-' {
			afterLower := !unicode.IsUpper(runes[i-1])
			beforeLower := i+1 < len(runes) && unicode.IsLower(runes[i+1])
			if afterLower || beforeLower {
				b.WriteByte('-')
			}
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
