package frame

import (
	"maps"
	"net/url"
	"slices"
	"strings"
)

// encodeBaggage writes baggage as a header of W3C Baggage, sorted by name.
func encodeBaggage(all map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(escape(name) + "=" + escape(all[name]))
	}
	return b.String()
}

// escape percent-encodes whatever could be taken for part of the header.
func escape(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }

// decodeBaggage reads the header; properties behind a semicolon are left out, and so
// is what has no name.
func decodeBaggage(header string) map[string]string {
	all := map[string]string{}
	for member := range strings.SplitSeq(header, ",") {
		member, _, _ = strings.Cut(member, ";")
		name, value, ok := strings.Cut(strings.TrimSpace(member), "=")
		if name = strings.TrimSpace(name); !ok || name == "" {
			continue
		}
		all[unescape(name)] = unescape(strings.TrimSpace(value))
	}
	return all
}

func unescape(text string) string {
	if plain, err := url.PathUnescape(text); err == nil {
		return plain
	}
	return text
}
