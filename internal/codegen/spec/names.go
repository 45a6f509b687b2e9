package spec

import (
	"regexp"
	"slices"
	"strings"
)

func isUpper(c byte) bool { return c >= 'A' && c <= 'Z' }
func isLower(c byte) bool { return c >= 'a' && c <= 'z' }

// Kebab turns FooBAR into foo-bar. A hyphen goes before a capital that follows a small letter, and
// before the last capital of a run when a small letter follows it (and is not the end of the name).
func Kebab(name string) string { return split(name, '-') }

// Snake is Kebab with underscores.
func Snake(name string) string { return split(name, '_') }

func split(name string, sep byte) string {
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		if i > 0 && isUpper(name[i]) {
			last := i == len(name)-1
			if isLower(name[i-1]) || isUpper(name[i-1]) && !last && isLower(name[i+1]) {
				b.WriteByte(sep)
			}
		}
		b.WriteByte(name[i])
	}
	return strings.ToLower(b.String())
}

// Member is the name of an argument in JSON.
func (g General) Member(name string) string {
	if g.Wire != "m3o" {
		return name
	}
	if n := len(name); n > 2 && name[n-1] == 's' && isUpper(name[n-2]) && isUpper(name[n-3]) {
		start := n - 1
		for start > 1 && isUpper(name[start-1]) {
			start--
		}
		name = name[:start+1] + strings.ToLower(name[start+1:]) // userIDs: user_ids
	}
	return Snake(name)
}

// Exported is the Go field name of an argument: its first letter, or its whole leading acronym, in
// upper case (idx: Idx, userID: UserID, htmlPage: HTMLPage, url: URL).
func Exported(name string) string {
	end := 0
	for end < len(name) && !isUpper(name[end]) {
		end++
	}
	switch word := name[:end]; word {
	case "http", "https", "url", "json", "xml", "html", "api", "css", "id", "sql":
		return strings.ToUpper(word) + name[end:]
	}
	if name == "" {
		return ""
	}
	return strings.ToUpper(name[:1]) + name[1:]
}

var (
	upperName = regexp.MustCompile(`^[A-Z][a-zA-Z0-9]*$`)
	lowerName = regexp.MustCompile(`^[a-z][a-zA-Z0-9]*$`)
	eventName = regexp.MustCompile(`^On[A-Z][a-zA-Z0-9]*$`)
	hostName  = regexp.MustCompile(`^[a-z0-9_-]+(\.[a-z0-9_-]+)*$`)
	wordName  = regexp.MustCompile(`^[A-Z]+$`)
	aliasName = regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*$`)
	topicName = regexp.MustCompile(`^[a-z][a-z0-9]*$`)
)

func validHost(host string) bool {
	return hostName.MatchString(strings.ToLower(host)) && !isLongHost(host)
}

// isLongHost says whether a host is longer than names may be (RFC 1035, 2.3.4).
func isLongHost(host string) bool {
	return len(host) > 253 || slices.ContainsFunc(strings.Split(host, "."), func(label string) bool { return len(label) > 63 })
}

// badHost is what is wrong with a host that is not valid.
func badHost(class Class, host string) *mistake {
	if isLongHost(host) {
		return wrong(0, class, "the host %q is too long", clip(host)).or("at most 63 characters between two dots, and 253 in all")
	}
	return wrong(0, class, "%q is no host name", clip(host)).or("letters, digits, hyphens and underscores, with single dots between")
}

// IsTopic says whether a text has the form of a durable topic's name.
func IsTopic(text string) bool { return topicName.MatchString(text) }

// nearest is the candidate that differs from word by at most two letters, empty when there is none.
func nearest(word string, candidates []string) string {
	best, bestDistance := "", 3
	for _, c := range candidates {
		if d := distance(strings.ToLower(word), strings.ToLower(c)); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// distance is the Levenshtein distance of two short words.
func distance(a, b string) int {
	if len(a) > 40 || len(b) > 40 {
		return 40
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := diagonal
			if a[i-1] != b[j-1] {
				change++
			}
			diagonal = row[j]
			row[j] = min(change, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
