package bus

import (
	"net/url"
	"strconv"
	"strings"
)

// MatchPath matches a path, escaped as it came, against a pattern: {name} takes one
// segment, which may be empty, and {name+} (only last) the rest, with its slashes.
// {} and {+} are called path1, path2 … by their position among the arguments. The
// arguments are unescaped; args is nil when the pattern has none. No path and / are
// the same, otherwise a trailing slash makes another path; case matters.
func MatchPath(pattern, path string) (args map[string]string, ok bool) {
	ok = walk(pattern, path, func(name, value string) {
		if args == nil {
			args = map[string]string{}
		}
		args[name] = unescape(value)
	})
	if !ok {
		return nil, false
	}
	return args, true
}

// FitsPath says whether MatchPath would match. It allocates nothing.
func FitsPath(pattern, path string) bool { return walk(pattern, path, nil) }

// FillPath puts arguments into a pattern; a missing one is empty. What it returns is
// escaped: a URL may have it as its path, and MatchPath finds the same arguments in it.
func FillPath(pattern string, args map[string]string) string {
	segments := strings.Split(pattern, "/")
	n := 0
	for i, segment := range segments {
		name, greedy, ok := argument(segment)
		if !ok {
			segments[i] = canonicalSegment(segment)
			continue
		}
		n++
		value := args[nameAt(name, n)]
		if greedy {
			segments[i] = escapeRest(value)
		} else {
			segments[i] = escape(value)
		}
	}
	return strings.Join(segments, "/")
}

// walk goes along pattern and path together and shows each argument to found, which
// may be nil, before it is known whether all of the path matches.
func walk(pattern, path string, found func(name, value string)) bool {
	want, got := strings.TrimPrefix(pattern, "/"), strings.TrimPrefix(path, "/")
	if !isAbsolute(pattern) || !isAbsolute(path) {
		return false
	}
	for n := 1; ; {
		segment, wantRest, wantMore := strings.Cut(want, "/")
		name, greedy, isArg := argument(segment)
		part, gotRest, gotMore := strings.Cut(got, "/")
		if greedy {
			part, gotMore = got, false
		}
		if wantMore != gotMore || !isArg && !sameText(segment, part) {
			return false
		}
		if isArg {
			if found != nil {
				found(nameAt(name, n), part)
			}
			n++
		}
		if !wantMore {
			return true
		}
		want, got = wantRest, gotRest
	}
}

// isAbsolute says whether a path begins where paths begin; no path is the root.
func isAbsolute(path string) bool { return path == "" || path[0] == '/' }

// argument reads a segment such as {name}, {name+}, {} or {+}.
func argument(segment string) (name string, greedy, ok bool) {
	if len(segment) < 2 || segment[0] != '{' || segment[len(segment)-1] != '}' {
		return "", false, false
	}
	name, greedy = strings.CutSuffix(segment[1:len(segment)-1], "+")
	return name, greedy, true
}

// nameAt is what an argument is called that is the path's n-th.
func nameAt(name string, n int) string {
	if name == "" {
		return "path" + strconv.Itoa(n)
	}
	return name
}

// sameText compares two segments as what they say, however they are escaped.
func sameText(a, b string) bool { return a == b || unescape(a) == unescape(b) }

// unescape undoes percent-encoding; what is not well encoded stays as it is.
func unescape(segment string) string {
	if text, err := url.PathUnescape(segment); err == nil {
		return text
	}
	return segment
}

// escape makes a text one segment. Dots alone would mean this folder and the one
// above to whoever cleans the path.
func escape(text string) string {
	if text == "." || text == ".." {
		return strings.ReplaceAll(text, ".", "%2E")
	}
	return url.PathEscape(text)
}

// escapeRest makes a text the rest of a path: its slashes stay.
func escapeRest(text string) string {
	segments := strings.Split(text, "/")
	for i, segment := range segments {
		segments[i] = escape(segment)
	}
	return strings.Join(segments, "/")
}

// canonical is a path or a pattern with every literal segment escaped in one way, so
// that two which say the same are the same text. It rarely needs to allocate.
func canonical(path string) string {
	if path == "" {
		return "/"
	}
	if !strings.ContainsFunc(path, isUnusual) {
		return path
	}
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		if _, _, isArg := argument(segment); !isArg {
			segments[i] = canonicalSegment(segment)
		}
	}
	return strings.Join(segments, "/")
}

func canonicalSegment(segment string) string { return url.PathEscape(unescape(segment)) }

// isUnusual says of a character that it could be written in another way.
func isUnusual(c rune) bool {
	return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("/-_.~$&+=:@", c)
}
