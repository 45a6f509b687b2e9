package rpc

import (
	"net/url"
	"strconv"
	"strings"
)

// MatchPath matches a path, escaped as it came, against a pattern of service.yaml:
// {name} takes one segment, {name+} (only last) takes the rest. Unnamed arguments
// are called path1, path2 … by their position among the arguments. What it returns
// is unescaped.
func MatchPath(pattern, path string) (args map[string]string, ok bool) {
	args = map[string]string{}
	for n := 1; ; {
		want, patternRest, more := strings.Cut(strings.TrimPrefix(pattern, "/"), "/")
		name, greedy, isArg := argument(want)
		if isArg {
			if name == "" {
				name = "path" + strconv.Itoa(n)
			}
			n++
		}
		if greedy {
			args[name] = unescape(strings.TrimPrefix(path, "/"))
			return args, strings.HasPrefix(path, "/")
		}
		got, pathRest, pathMore := strings.Cut(strings.TrimPrefix(path, "/"), "/")
		switch {
		case isArg && got == "", !isArg && unescape(got) != want, more != pathMore:
			return nil, false
		case isArg:
			args[name] = unescape(got)
		}
		if !more {
			return args, true
		}
		pattern, path = "/"+patternRest, "/"+pathRest
	}
}

// unescape undoes percent-encoding; what is not well encoded stays as it is.
func unescape(segment string) string {
	if text, err := url.PathUnescape(segment); err == nil {
		return text
	}
	return segment
}

// FillPath puts arguments into a pattern; a missing one leaves its segment empty.
func FillPath(pattern string, args map[string]string) string {
	segments := strings.Split(pattern, "/")
	n := 0
	for i, segment := range segments {
		name, greedy, ok := argument(segment)
		if !ok {
			continue
		}
		if n++; name == "" {
			name = "path" + strconv.Itoa(n)
		}
		value := url.PathEscape(args[name])
		if greedy {
			value = strings.ReplaceAll(value, "%2F", "/")
		}
		segments[i] = value
	}
	return strings.Join(segments, "/")
}

// argument reads a segment such as {name}, {name+}, {} or {+}.
func argument(segment string) (name string, greedy, ok bool) {
	if len(segment) < 2 || segment[0] != '{' || segment[len(segment)-1] != '}' {
		return "", false, false
	}
	name = segment[1 : len(segment)-1]
	return strings.TrimSuffix(name, "+"), strings.HasSuffix(name, "+"), true
}
