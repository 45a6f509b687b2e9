package spec

import (
	"regexp"
	"strings"
)

var dottedName = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9]*\.[a-zA-Z][a-zA-Z0-9]*$`)

// parseType reads { "[]" | "*" | "map[string]" } base.
func parseType(text string, at int) (t Type, m *mistake) {
	base := text
	for {
		switch {
		case strings.HasPrefix(base, "[]"):
			base = base[2:]
		case strings.HasPrefix(base, "*"):
			base = base[1:]
		case strings.HasPrefix(base, "map["):
			key, _, ok := strings.Cut(base[4:], "]")
			if ok && key != "string" {
				return t, wrong(at, "E-TYPE-MAPKEY", "the keys of a map are strings, not %s", clip(key))
			}
			if !ok {
				return t, badForm(text, at)
			}
			base = base[len("map[string]"):]
		default:
			t.Prefix = text[:len(text)-len(base)]
			t.Base, m = parseBase(base, at)
			return t, m
		}
	}
}

func badForm(text string, at int) *mistake {
	return wrong(at, "E-TYPE-FORM", "%q is no type of an argument", clip(text)).or("a primitive or a complex type, with [], * or map[string] before it")
}

func parseBase(base string, at int) (string, *mistake) {
	if folded := fold(base); folded != "" {
		return folded, nil
	}
	switch {
	case base == "error":
		return "", wrong(at, "E-ARG-ERR", "the error is added by the generator")
	case base == "context.Context":
		return "", wrong(at, "E-ARG-CTX", "the context is added by the generator")
	case upperName.MatchString(base):
		return base, nil
	case topicType.MatchString(base):
		return base, nil // refused by the sections other than sinks, see checkDotted
	case dottedName.MatchString(base):
		return "", dotted(base, at)
	case lowerName.MatchString(base) && !isForm(base):
		return "", wrong(at, "E-TYPE-PRIM", "unknown primitive type %s", clip(base)).or("complex types begin with an upper-case letter")
	}
	return "", badForm(base, at)
}

func dotted(base string, at int) *mistake {
	return wrong(at, "E-TYPE-DOT", "the type %s of another package cannot be used", clip(base)).or("declare a type in the api package")
}

// topicType is the event message of a durable topic, as in *customers.Event.
var topicType = regexp.MustCompile(`^[a-z][a-z0-9]*\.Event$`)

func isForm(word string) bool {
	return word == "chan" || word == "func" || word == "interface" || word == "struct" || word == "map"
}

// fold is the Go type of a primitive, empty when the word is none. Widths are kept.
func fold(word string) string {
	switch word {
	case "int", "int8", "int16", "int32", "int64", "uint", "uint8", "uint16", "uint32", "uint64", "float32", "float64", "bool", "string", "byte", "any":
		return word
	case "integer":
		return "int"
	case "float", "double":
		return "float64"
	case "boolean", "Boolean":
		return "bool"
	case "Time", "time", "time.Time":
		return "time.Time"
	case "Duration", "duration", "time.Duration":
		return "time.Duration"
	}
	return ""
}

// IsInt says whether a folded type is an integer of any width.
func IsInt(base string) bool {
	return strings.HasPrefix(base, "int") || strings.HasPrefix(base, "uint")
}

// IsFloat says whether a folded type is a floating point number.
func IsFloat(base string) bool { return base == "float32" || base == "float64" }
