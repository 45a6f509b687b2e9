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
	mistakes, _ := codegen.Validate([]string{path("a"), path("b"), path("c"), path("a")})
	if len(mistakes) != 2 || mistakes[0].Class != "E-ROUTE-DUP" || mistakes[1].Class != "E-SINK-MATCH" {
		t.Fatalf("got %v", mistakes)
	}
	if mistakes[1].File != path("c") || mistakes[1].Line != 3 {
		t.Errorf("the place is %s:%d", mistakes[1].File, mistakes[1].Line)
	}
	if mistakes, _ := codegen.Validate([]string{path("a"), path("a")}); len(mistakes) > 0 {
		t.Errorf("a file against itself: %v", mistakes)
	}
}

func TestASinkOfATopicThatNobodyPublishesIsRefused(t *testing.T) {
	t.Parallel()
	root := thing(t, "general: {host: thing}\nsinks:\n  - signature: \"OnNothing(event *nope.Event)\"\n    topic: nope\n")
	write(t, root, map[string]string{"go.mod": "module example.com/mine\n", "pkg/events/proto/parcels/parcels.go": "package parcels\n"})
	dir := filepath.Join(root, "internal/thing")
	const want = "service.yaml:4:12: E-SINK-TOPIC: there is no package example.com/mine/pkg/events/proto/nope for the topic (one of customers, parcels)"
	mistakes, _ := codegen.Validate([]string{filepath.Join(dir, "service.yaml")})
	if !strings.HasSuffix(mistakes.Error(), want) || len(mistakes) != 1 {
		t.Errorf("validate: %v", mistakes)
	}
	before := snapshot(t, root)
	if _, err := codegen.Generate(codegen.Options{Root: root, Dirs: []string{dir}}); err == nil || !strings.HasSuffix(err.Error(), want) || len(snapshot(t, root)) != len(before) {
		t.Errorf("generate: %v", err)
	}
	write(t, root, map[string]string{"internal/thing/service.yaml": "general: {host: thing}\nsinks: [{signature: \"OnParcels(event *parcels.Event)\", topic: parcels}]\n"})
	generate(t, root)
}

func TestValidateTellsOfTheOthersBesideAFilesOwnMistakes(t *testing.T) {
	t.Parallel()
	root := module(t, map[string]string{
		"internal/here/service.yaml": here,
		"internal/b/service.yaml": "general: {host: b.test}\nwebs:\n  - signature: Page()\n    path: //a.test/foo\n    access: public\n  - signature: Wrong(\nsinks:\n" +
			"  - signature: OnDone(id int)\n    source: m3o/internal/source\n  - signature: OnX()\n    source: m3o/internal/source\n  - signature: OnY()\n    source: m3o/internal/nowhere\ntickers: [7]\n",
		"internal/c/service.yaml": "general: {host: A.test}\n",
	})
	paths := []string{filepath.Join(root, "internal/b/service.yaml"), filepath.Join(root, "internal/c/service.yaml")}
	mistakes, _ := codegen.Validate(paths)
	var got []string
	for _, m := range mistakes {
		got = append(got, filepath.Base(filepath.Dir(m.File))+" "+string(m.Class))
	}
	if want := "b E-ROUTE-DUP, b E-SIG, b E-SINK-MATCH, b E-SINK-EVENT, b E-SINK-SOURCE, b E-TYPE, c E-HOST-DUP"; strings.Join(got, ", ") != want {
		t.Errorf("got\n%v", mistakes)
	}
}
