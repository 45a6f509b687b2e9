package spec

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Route is where a handler listens. Port 0 means any port. Path is "/" for the root, which is
// also reached without a path.
type Route struct {
	Method string // "ANY" or an HTTP method
	Host   string
	Port   int
	Path   string
	Args   []PathArg
}

// PathArg is an argument in a path; a greedy one takes the rest of the path.
type PathArg struct {
	Name   string
	Greedy bool
}

// String is METHOD host:port/path.
func (r Route) String() string {
	return r.Method + " " + r.Host + ":" + strconv.Itoa(r.Port) + r.Path
}

// resolve reads the path of a handler relative to its service's host.
func resolve(host, name, path string, defaultPort int) (r Route, mistakes []*mistake) {
	if i := strings.IndexAny(path, "`?#\\ \t\r\n"); i >= 0 && !strings.ContainsAny(path[:i], "{") {
		return r, []*mistake{wrong(i, "E-PATH", "%q may not be in a path", path[i:i+1])}
	}
	if path == "" {
		path = "/..."
	}
	path = strings.Replace(path, "...", Kebab(name), 1)
	authority, rest, m := splitURL(host, path)
	if m != nil {
		return r, []*mistake{m}
	}
	r.Host, r.Port, m = splitPort(authority, defaultPort, strings.HasPrefix(path, "http://"))
	if m != nil {
		return r, []*mistake{m}
	}
	r.Path = "/" + strings.TrimPrefix(rest, "/")
	r.Args, mistakes = pathArgs(r.Path)
	return r, mistakes
}

// splitURL returns host[:port] and the path of one of the written forms.
func splitURL(host, path string) (authority, rest string, m *mistake) {
	switch scheme, after, ok := strings.Cut(path, "://"); {
	case strings.HasPrefix(path, ":"):
		authority = host + path
	case strings.HasPrefix(path, "//"):
		authority = path[2:]
	case ok && !strings.Contains(scheme, "/"):
		if scheme != "http" && scheme != "https" {
			return "", "", wrong(0, "E-PATH", "the scheme %q is neither http nor https", clip(scheme))
		}
		authority = after
	default:
		return host, path, nil
	}
	if i := strings.IndexByte(authority, '/'); i >= 0 {
		return authority[:i], authority[i:], nil
	}
	return authority, "", nil
}

func splitPort(authority string, port int, plain bool) (string, int, *mistake) {
	host, text, given := strings.Cut(authority, ":")
	if !validHost(host) {
		return "", 0, badHost("E-PATH", host)
	}
	if plain && port == 443 {
		port = 80
	}
	if given {
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return "", 0, wrong(0, "E-PATH", "%q is no port", clip(text)).or("a number from 0 (any) to 65535")
		}
		port = int(n)
	}
	return strings.ToLower(host), port, nil
}

func pathArgs(path string) (args []PathArg, mistakes []*mistake) {
	segments := strings.Split(path[1:], "/")
	for i, s := range segments {
		if m := oddSegment(s, i == len(segments)-1); m != nil {
			mistakes = append(mistakes, m)
			continue
		}
		if !strings.ContainsAny(s, "{}") {
			if strings.ContainsAny(s, "`?#\\ \t\r\n") {
				mistakes = append(mistakes, wrong(0, "E-PATH", "the segment %q has a character that may not be in a path", clip(s)))
			}
			continue
		}
		name, m := segmentName(s)
		if m != nil {
			mistakes = append(mistakes, m)
			continue
		}
		name, greedy := strings.CutSuffix(name, "+")
		if name == "" {
			name = "path" + strconv.Itoa(len(args)+1)
		}
		switch {
		case !lowerName.MatchString(name):
			mistakes = append(mistakes, wrong(0, "E-PATH-NAME", "%q is no name of a path argument", clip(name)).or("a lower-case letter, then letters and digits"))
		case greedy && i < len(segments)-1:
			mistakes = append(mistakes, wrong(0, "E-PATH-GREEDY", "only the last segment may be greedy, {%s+} is not", name))
		case slices.ContainsFunc(args, func(a PathArg) bool { return a.Name == name }):
			mistakes = append(mistakes, wrong(0, "E-PATH-DUP", "the path argument %s occurs twice", name))
		}
		args = append(args, PathArg{Name: name, Greedy: greedy})
	}
	return args, mistakes
}

// oddSegment refuses what clients and servers clean away on the way: dots that climb, and nothing between two slashes.
func oddSegment(s string, last bool) *mistake {
	switch plain := unescape(s); {
	case plain == "." || plain == "..":
		return wrong(0, "E-PATH", "%q may not be a segment of a path", clip(s)).or("clients resolve dots before they ask: write the path as it will be asked for")
	case plain == "" && !last:
		return wrong(0, "E-PATH", "a segment of the path is empty").or("one slash between two segments")
	}
	return nil
}

// segmentName is what stands between the braces of a segment.
func segmentName(s string) (string, *mistake) {
	if strings.Count(s, "{") != 1 || strings.Count(s, "}") != 1 || strings.Index(s, "{") > strings.Index(s, "}") {
		return "", wrong(0, "E-PATH-SHAPE", "the braces in the segment %q do not match", clip(s))
	}
	if s[0] != '{' || s[len(s)-1] != '}' {
		return "", wrong(0, "E-PATH-SPAN", "the braces must span the whole segment %q", clip(s))
	}
	return s[1 : len(s)-1], nil
}

// overlaps says whether some request goes to both routes.
func (r Route) overlaps(o Route) bool {
	if r.Host != o.Host || r.Port != o.Port && r.Port != 0 && o.Port != 0 || r.Method != o.Method && r.Method != "ANY" && o.Method != "ANY" {
		return false
	}
	a, b := strings.Split(r.Path, "/"), strings.Split(o.Path, "/")
	for i := 0; i < len(a) && i < len(b); i++ {
		if strings.HasSuffix(a[i], "+}") || strings.HasSuffix(b[i], "+}") {
			return true
		}
		if a[i] != b[i] && !strings.HasPrefix(a[i], "{") && !strings.HasPrefix(b[i], "{") {
			return false
		}
	}
	return len(a) == len(b)
}

// collides says whether, at the edge, some request could go to both routes although they are written differently: hosts
// and paths are compared there without dashes and case.
func (r Route) collides(o Route) bool {
	ports := r.Port == o.Port || r.Port == 0 || o.Port == 0
	methods := r.Method == o.Method || r.Method == "ANY" || o.Method == "ANY"
	return ports && methods && r.edge() == o.edge()
}

// edge is equal for routes that are one place at the edge, but for port and method.
func (r Route) edge() string {
	segments := strings.Split(r.samePath(), "/")
	for i, s := range segments {
		segments[i] = strings.ToLower(strings.ReplaceAll(unescape(s), "-", ""))
	}
	return strings.ReplaceAll(r.Host, "-", "") + strings.Join(segments, "/")
}

func unescape(text string) string {
	if plain, err := url.PathUnescape(text); err == nil {
		return plain
	}
	return text
}

// same is equal for routes that take exactly the same requests.
func (r Route) same() string {
	r.Path = r.samePath()
	return r.String()
}

// samePath is the path without the names of its arguments.
func (r Route) samePath() string {
	segments := strings.Split(r.Path, "/")
	for i, s := range segments {
		switch {
		case strings.HasSuffix(s, "+}"):
			segments[i] = "{+}"
		case strings.HasPrefix(s, "{"):
			segments[i] = "{}"
		}
	}
	return strings.Join(segments, "/")
}
