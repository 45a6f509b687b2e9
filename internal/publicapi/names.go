package publicapi

import (
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
