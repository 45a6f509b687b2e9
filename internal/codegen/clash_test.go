package codegen_test

import (
	"path/filepath"
	"strings"
	"testing"

	"m3o/internal/codegen"
)

const here, there = "general: {host: a.test}\nfunctions: [{signature: Foo()}]\n", "general: {host: b.test}\nwebs:\n  - signature: Page()\n    path: //a.test/foo\n"

func TestTwoServicesOfAProgramAtOnePlaceAreRefused(t *testing.T) {
	t.Parallel()
	root := module(t, map[string]string{"internal/here/service.yaml": here, "internal/here/doc.go": "package here\n",
		"internal/shop/there/service.yaml": there, "internal/shop/there/doc.go": "package there\n", "examples/there/service.yaml": there, "examples/there/doc.go": "package there\n"})
	before := snapshot(t, root)
	_, err := codegen.Generate(codegen.Options{Root: root, Dirs: []string{filepath.Join(root, "internal/shop/there")}})
	const want = "internal/shop/there/service.yaml:4:11: E-ROUTE-DUP: Page listens at ANY a.test:443/foo, as Foo does at internal/here/service.yaml:2"
	if err == nil || !strings.HasPrefix(err.Error(), want) || len(snapshot(t, root)) != len(before) {
		t.Fatalf("got %v", err)
	}
	if _, err := codegen.Generate(codegen.Options{Root: root, Dirs: []string{filepath.Join(root, "examples/there")}}); err != nil {
		t.Errorf("another program may listen there: %v", err)
	}
}

func TestValidateComparesFilesWithEachOther(t *testing.T) {
	t.Parallel()
	root := module(t, map[string]string{
		"a/service.yaml":               here,
		"b/service.yaml":               there,
		"internal/source/service.yaml": "general: {host: source.test}\nevents: [{signature: OnDone(id string)}]\n",
		"c/service.yaml":               "general: {host: c.test}\nsinks:\n  - signature: OnDone(id int)\n    source: m3o/internal/source\n  - signature: OnX()\n    source: example.com/other\n",
	})
	path := func(dir string) string { return filepath.Join(root, dir, "service.yaml") }
	mistakes, _, err := codegen.Validate([]string{path("a"), path("b"), path("c"), path("a")})
	if err != nil || len(mistakes) != 2 || mistakes[0].Class != "E-ROUTE-DUP" || mistakes[1].Class != "E-SINK-MATCH" {
		t.Fatalf("got %v, %v", mistakes, err)
	}
	if mistakes[1].File != path("c") || mistakes[1].Line != 3 {
		t.Errorf("the place is %s:%d", mistakes[1].File, mistakes[1].Line)
	}
	if mistakes, _, err := codegen.Validate([]string{path("a"), path("a")}); err != nil || len(mistakes) > 0 {
		t.Errorf("a file against itself: %v, %v", mistakes, err)
	}
}
