package bus_test

import (
	"maps"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"m3o/internal/bus"
)

type args = map[string]string

func TestMatchPath(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		pattern, path string
		want          args // nil: no match
	}{
		{"/a/b", "/a/b", args{}},
		{"/a/b", "/a/c", nil},
		{"/a/b", "/a/B", nil},
		{"/a/b", "/a/b/", nil},
		{"/a/b/", "/a/b", nil},
		{"/a/b/", "/a/b/", args{}},
		{"/a/b", "/a%2Fb", nil},
		{"/a/b", "a/b", nil},
		{"/a b", "/a%20b", args{}},
		{"/a%20b", "/a%20b", args{}},
		{"/a.b", "/a%2eb", args{}},
		{"/", "", args{}},
		{"", "/", args{}},
		{"/", "//", nil},
		{"/", "/a", nil},
		{"/a/{x}", "/a/1", args{"x": "1"}},
		{"/a/{x}", "/a/", args{"x": ""}},
		{"/a/{x}", "/a", nil},
		{"/a/{x}", "/a/1/2", nil},
		{"/a/{x}", "/a/1%2F2", args{"x": "1/2"}},
		{"/a/{x}", "/a/%zz", args{"x": "%zz"}},
		{"/{x}", "", args{"x": ""}},
		{"/p/{id}/q/{n}", "/p/a%20b/q/5", args{"id": "a b", "n": "5"}},
		{"/p/{id}/q/{n}", "/p//q/5", args{"id": "", "n": "5"}},
		{"/p/{id}/q/{n}", "/p/%2E%2E/q/5", args{"id": "..", "n": "5"}},
		{"/p/{id}/q/{n}", "/p/1/Q/5", nil},
		{"/f/{dir}/{rest+}", "/f/d/a/b%20c", args{"dir": "d", "rest": "a/b c"}},
		{"/f/{dir}/{rest+}", "/f/d/", args{"dir": "d", "rest": ""}},
		{"/f/{dir}/{rest+}", "/f/d", nil},
		{"/f/{dir}/{rest+}", "/f//", args{"dir": "", "rest": ""}},
		{"/u/{}/x/{+}", "/u/A/x/B/C", args{"path1": "A", "path2": "B/C"}},
		{"/u/{}/{id}/{}", "/u/A/B/C", args{"path1": "A", "id": "B", "path3": "C"}},
		{"/d/{file+}", "/e/x", nil},
		{"/{all+}", "/", args{"all": ""}},
		{"/{all+}", "/x//y/", args{"all": "x//y/"}},
	} {
		got, ok := bus.MatchPath(test.pattern, test.path)
		if ok != (test.want != nil) || ok && !maps.Equal(got, test.want) {
			t.Errorf("%s on %s: %v %t, want %v", test.pattern, test.path, got, ok, test.want)
		}
		if bus.FitsPath(test.pattern, test.path) != ok {
			t.Errorf("%s on %s: FitsPath says %t", test.pattern, test.path, !ok)
		}
	}
}

func TestFillPath(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		pattern string
		args    args
		want    string
	}{
		{"/a", nil, "/a"},
		{"/p/{id}/q/{n}", args{"id": "a b", "n": "5"}, "/p/a%20b/q/5"},
		{"/p/{id}/q/{n}", args{"id": "a.b", "n": "5"}, "/p/a.b/q/5"},
		{"/p/{id}/q/{n}", args{"n": "5"}, "/p//q/5"},
		{"/{id}", args{"id": ".."}, "/%2E%2E"},
		{"/{id}", args{"id": "a/b"}, "/a%2Fb"},
		{"/{rest+}", args{"rest": "a/../b c/"}, "/a/%2E%2E/b%20c/"},
		{"/u/{}/x/{+}", args{"path1": "A", "path2": "B/C"}, "/u/A/x/B/C"},
		{"/100%/{x}", args{"x": "%2F"}, "/100%25/%252F"},
	} {
		if got := bus.FillPath(test.pattern, test.args); got != test.want {
			t.Errorf("%s filled with %v is %s, want %s", test.pattern, test.args, got, test.want)
		}
	}
}

func TestArgumentsSurviveTheWayThroughAURL(t *testing.T) {
	t.Parallel()
	nasty := rapid.SampledFrom([]string{"", ".", "..", "/", "//", "a/b", "/a", "a/", "a/../b", "%", "%2F", "%zz", "a b", "a+b", "?x#y", "ü", "\x00\xff", "a;b,c:d@e"})
	text := rapid.OneOf(nasty, rapid.String())
	segments := rapid.SliceOf(rapid.SampledFrom([]string{"a", "B-c", "v1.0", "a b", "%", "x,y", ""}))
	rapid.Check(t, func(t *rapid.T) {
		want, path := args{}, []string{""}
		for _, name := range []string{"", "id", "n", "", "last"} {
			path = append(path, segments.Draw(t, "segments")...)
			switch value := text.Draw(t, "value"); {
			case name == "last" && rapid.Bool().Draw(t, "greedy"):
				want[name], path = value, append(path, "{last+}")
			case name == "":
				want[[]string{"path1", "path4"}[len(want)/3]], path = value, append(path, "{}")
			default:
				want[name], path = value, append(path, "{"+name+"}")
			}
		}
		pattern := strings.Join(path, "/")
		filled := bus.FillPath(pattern, want)
		u, err := url.Parse("https://host" + filled)
		if err != nil {
			t.Fatal(err)
		}
		for _, way := range []string{filled, u.EscapedPath()} {
			if got, ok := bus.MatchPath(pattern, way); !ok || !maps.Equal(got, want) {
				t.Fatalf("%s on %s: %q %t, want %q", pattern, way, got, ok, want)
			}
		}
	})
}

func TestMatchingAPathWithoutArgumentsAllocatesNothing(t *testing.T) {
	n := testing.AllocsPerRun(100, func() {
		if _, ok := bus.MatchPath("/v1/things/list", "/v1/things/list"); !ok {
			t.Fatal("no match")
		}
		if !bus.FitsPath("/v1/{}/{name}/{rest+}", "/v1/things/a/b/c") {
			t.Fatal("no match")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzMatchPath(f *testing.F) {
	for _, seed := range []string{"/a/{x}", "/{}/{+}", "//", "", "/%", "{", "/{x+}/y"} {
		f.Add(seed, "/a/b%2F/c")
	}
	f.Fuzz(func(t *testing.T, pattern, path string) {
		found, ok := bus.MatchPath(pattern, path)
		if ok != bus.FitsPath(pattern, path) {
			t.Errorf("MatchPath says %t, FitsPath does not", ok)
		}
		if !ok {
			return
		}
		if again, ok := bus.MatchPath(pattern, bus.FillPath(pattern, found)); !ok || len(again) != len(found) {
			t.Errorf("%q filled with %q does not match it", pattern, found)
		}
	})
}
