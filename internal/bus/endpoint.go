package bus

import (
	"fmt"
	"regexp"
	"strings"
)

var (
	hostname   = regexp.MustCompile(`^[a-z0-9_-]+(\.[a-z0-9_-]+)*$`)
	methodName = regexp.MustCompile(`^[A-Z]+$`)
)

// mustBeServable panics when nobody could reach an endpoint: whoever wrote it made a
// mistake that the generator would have shown, so there is no caller to tell.
func mustBeServable(replica string, endpoints []Endpoint) {
	if !hostname.MatchString(strings.ToLower(replica)) {
		panic(fmt.Sprintf("bus: a replica cannot be called %q", replica))
	}
	for _, e := range endpoints {
		if what := e.fault(); what != "" {
			panic(fmt.Sprintf("bus: %s cannot serve %s https://%s:%d%s: %s", replica, e.Method, e.Host, e.Port, e.Path, what))
		}
	}
}

// fault is what is wrong with an endpoint; empty: nothing.
func (e *Endpoint) fault() string {
	switch {
	case !hostname.MatchString(strings.ToLower(e.Host)):
		return "this is no host"
	case e.Port < 0 || e.Port > 65535:
		return "this is no port"
	case !methodName.MatchString(e.Method):
		return "this is no method"
	case e.Handler == nil:
		return "there is no handler"
	}
	return pathFault(e.Path)
}

// pathFault is what is wrong with the path of an endpoint; empty: nothing.
func pathFault(path string) string {
	if !isAbsolute(path) || strings.ContainsAny(path, "?#") {
		return "this is no path"
	}
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		name, greedy, isArg := argument(segment)
		if isArg {
			segment = name
		}
		switch {
		case strings.ContainsAny(segment, "{}"):
			return "an argument's braces span a whole segment"
		case greedy && i < len(segments)-1:
			return "only the last segment can take the rest"
		}
	}
	return ""
}
