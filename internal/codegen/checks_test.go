package codegen_test

import (
	"errors"
	"fmt"
	"go/format"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"m3o/internal/codegen"
)

// The numbers are those of the acceptance checks of the service model.

// files are the files of a module with their content only.
func files(t *testing.T, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for path, text := range snapshot(t, root) {
		_, text, _ = strings.Cut(text, "\n")
		all[strings.TrimPrefix(filepath.ToSlash(path), filepath.ToSlash(root)+"/")] = text
	}
	return all
}

// changed are the files that are not what they were, the version's own left out.
func changed(before, after map[string]string) (paths []string) {
	for path := range maps.Keys(after) {
		if before[path] != after[path] && !strings.Contains(path, "/version_gen") {
			paths = append(paths, path)
		}
	}
	for path := range maps.Keys(before) {
		if _, ok := after[path]; !ok {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths
}

// begun is a module whose service thing is a contract and a package clause.
func begun(t *testing.T, contract string) string {
	t.Helper()
	root := t.TempDir()
	write(t, root, map[string]string{"go.mod": "module m3o\n\ngo 1.26\n", "internal/thing/doc.go": "// Package thing is.\npackage thing\n", "internal/thing/service.yaml": contract,
		"pkg/events/proto/customers/events.go": "package customers\n"})
	return root
}

// edit replaces a text that stands in a file once.
func edit(t *testing.T, root, path, old, text string) {
	t.Helper()
	have := read(t, root, path)
	if strings.Count(have, old) != 1 {
		t.Fatalf("%q stands %d times in %s:\n%s", old, strings.Count(have, old), path, have)
	}
	write(t, root, map[string]string{path: strings.Replace(have, old, text, 1)})
}

func TestG01G02_AServiceThatHasNotBegunGetsATemplate(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]map[string]string{
		"OnlyDoc":   {"internal/thing/doc.go": "package thing\n"},
		"EmptyFile": {"internal/thing/doc.go": "package thing\n", "internal/thing/service.yaml": " \n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			write(t, root, map[string]string{"go.mod": "module m3o\n"})
			write(t, root, start)
			before := files(t, root)
			generate(t, root)
			after := files(t, root)
			if made := changed(before, after); !slices.Equal(made, []string{"internal/thing/service.yaml"}) {
				t.Errorf("made %v", made)
			}
			for _, section := range []string{"general:", "configs:", "functions:", "events:", "sinks:", "webs:", "tickers:", "metrics:", "# publish:"} {
				if !strings.Contains("\n"+after["internal/thing/service.yaml"], "\n"+section+"\n") {
					t.Errorf("the template has no %s", section)
				}
			}
			_, err := codegen.Generate(codegen.Options{Root: root, Dirs: []string{filepath.Join(root, "internal/thing")}})
			if err == nil || strings.Count(err.Error(), "\n") != 0 || !strings.HasPrefix(err.Error(), "internal/thing/service.yaml:6:") || !strings.Contains(err.Error(), "E-MISSING: the host") {
				t.Errorf("a second run: %v", err)
			}
			if again := changed(after, files(t, root)); len(again) > 0 {
				t.Errorf("a second run changed %v", again)
			}
			edit(t, root, "internal/thing/service.yaml", "  host:", "  host: thing")
			if report := generate(t, root); !slices.Contains(report.Files, "internal/thing/service_gen.go") {
				t.Errorf("with a host: %v", report)
			}
		})
	}
}

func TestG01_WhatIsNoServiceStaysAsItIs(t *testing.T) {
	t.Parallel()
	root := module(t, nil)
	write(t, root, map[string]string{"internal/none/readme.txt": "x", "internal/my-thing/service.yaml": "general: {host: x}\n"})
	before := files(t, root)
	for dir, want := range map[string]string{"internal/money": "it is no service", "internal/none": "neither a service.yaml nor", "internal/nowhere": "neither a service.yaml nor", "internal/my-thing": "a package cannot be called"} {
		_, err := codegen.Generate(codegen.Options{Root: root, Dirs: []string{filepath.Join(root, dir)}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", dir, err)
		}
	}
	if made := changed(before, files(t, root)); len(made) > 0 {
		t.Errorf("changed %v", made)
	}
}

func TestG04_WithoutAModuleNothingIsWritten(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, root, map[string]string{"thing/doc.go": "package thing\n", "thing/service.yaml": "general: {host: thing}\n"})
	_, err := codegen.Generate(codegen.Options{Root: root, Dirs: []string{filepath.Join(root, "thing")}})
	if err == nil || !strings.Contains(err.Error(), "no go.mod in ") {
		t.Errorf("got %v", err)
	}
	if all := files(t, root); len(all) != 2 {
		t.Errorf("there are %v", slices.Sorted(maps.Keys(all)))
	}
}

func TestG27G28_TypesAreMadeOnceAndTakenFromWhereTheyAre(t *testing.T) {
	t.Parallel()
	root := begun(t, "general: {host: thing}\nfunctions: [{signature: \"F(p Person) (q []Person, n New)\"}]\n")
	write(t, root, map[string]string{"people/people.go": "package people\n\ntype Person struct{ Name string }\n"})
	generate(t, root)
	if text := read(t, root, "internal/thing/thingapi/imports_gen.go"); !strings.Contains(text, "type Person = people.Person\n") {
		t.Errorf("got\n%s", text)
	}
	types := read(t, root, "internal/thing/thingapi/types.go")
	if !strings.Contains(types, "type New struct{}\n") || strings.Contains(types, "Person") {
		t.Errorf("got\n%s", types)
	}
	mine := strings.Replace(types, "struct{}", "struct{ Mine int }", 1)
	write(t, root, map[string]string{"internal/thing/thingapi/types.go": mine})
	if generate(t, root); read(t, root, "internal/thing/thingapi/types.go") != mine {
		t.Error("a type that people wrote was written again")
	}
	write(t, root, map[string]string{"others/others.go": "package others\n\ntype Person struct{}\n"})
	_, err := codegen.Generate(codegen.Options{Root: root})
	if err == nil || !strings.Contains(err.Error(), "m3o/others") || !strings.Contains(err.Error(), "m3o/people") {
		t.Errorf("G29, after a run with nothing else to do: %v", err)
	}
}

func TestG32_WithoutIntegrationTestsNoneAreMade(t *testing.T) {
	t.Parallel()
	root := begun(t, "general: {host: thing}\nfunctions: [{signature: F()}]\n")
	generate(t, root)
	before := files(t, root)
	if !strings.Contains(before["internal/thing/thing_test.go"], "func TestThing_F(") || before["internal/thing/harness_gen_test.go"] == "" {
		t.Fatal("no harness was made")
	}
	write(t, root, map[string]string{"internal/thing/service.yaml": "general: {host: thing, integrationTests: false}\nfunctions: [{signature: F()}, {signature: G()}]\n"})
	if report := generate(t, root); !strings.Contains(report.String(), "removed internal/thing/harness_gen_test.go\n") {
		t.Errorf("reported %v", report)
	}
	after := files(t, root)
	if after["internal/thing/harness_gen_test.go"] != "" || after["internal/thing/thing_test.go"] != before["internal/thing/thing_test.go"] {
		t.Errorf("there are %v", slices.Sorted(maps.Keys(after)))
	}
}

func TestG34G35G51_AnIdleRunDoesNothingAndNoticesEverything(t *testing.T) {
	t.Parallel()
	root := nineteen(t)
	write(t, root, map[string]string{"internal/thing/resources/a.txt": "a", "people/people.go": "package people\n\ntype Thing struct{ N int }\n"})
	generate(t, root)
	before := snapshot(t, root)
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(filepath.Join(root, "internal/thing/doc.go"), later, later); err != nil {
		t.Fatal(err)
	}
	delete(before, filepath.Join(root, "internal/thing/doc.go"))
	if report := generate(t, root); report.String() != "" {
		t.Errorf("an idle run: %v", report)
	}
	for path, text := range before {
		if snapshot(t, root)[path] != text {
			t.Errorf("%s was written again", path)
		}
	}
	want := files(t, root)
	for path := range want {
		if !strings.Contains(path, "_gen") {
			continue
		}
		for what, harm := range map[string]func(string) error{
			"removed": os.Remove, "emptied": func(path string) error { return os.Truncate(path, 0) },
		} {
			if err := harm(filepath.Join(root, path)); err != nil {
				t.Fatal(err)
			}
			report, err := codegen.Generate(codegen.Options{Root: root, Check: true})
			if err != nil || !slices.Equal(report.Files, []string{path}) {
				t.Errorf("%s %s: %v, %v", path, what, report, err)
			}
			generate(t, root)
		}
	}
	if d := changed(want, files(t, root)); len(d) > 0 {
		t.Errorf("after all that %v differ", d)
	}
	write(t, root, map[string]string{"people/people.go": "package people\n\ntype Thing struct{ N, M int }\n"})
	if report := generate(t, root); !slices.Contains(report.Files, "internal/thing/thingapi/openapi_gen.json") {
		t.Errorf("a type of the contract has changed elsewhere: %v", report)
	}
	edit(t, root, "internal/thing/thing_test.go", "func TestThing_TA(", "func xTestThing_TA(")
	if report := generate(t, root); !slices.Equal(report.Stubs, []string{"internal/thing/thing_test.go: TestThing_TA"}) {
		t.Errorf("a skeleton was removed: %v", report)
	}
}

func TestG36G52_TheVersionIsOfWhatPeopleWrote(t *testing.T) {
	t.Parallel()
	root := begun(t, "general: {host: thing}\nfunctions: [{signature: F()}]\n")
	generate(t, root)
	dir := filepath.Join(root, "internal/thing")
	version := func() string {
		v, err := codegen.Version(dir)
		if err != nil || len(v) != 12 {
			t.Fatal(v, err)
		}
		return v
	}
	first := version()
	if !strings.Contains(read(t, root, "internal/thing/version_gen.go"), "const Version = \""+first+"\"\n") {
		t.Errorf("version_gen.go does not say %s", first)
	}
	same := map[string]string{
		"internal/thing/doc.go":             "// Copyright.\n\n// Package thing is something else.\npackage thing\n",
		"internal/thing/more_test.go":       "package thing\n",
		"internal/thing/testdata/x.txt":     "x",
		"internal/thing/data/x.txt":         "x",
		"internal/thing/.hidden/x.txt":      "x",
		"internal/thing/thing.go~":          "x",
		"internal/thing/thing.go.bak":       "x",
		"internal/thing/_scratch.go":        "x",
		"internal/thing/inner/service.yaml": "general: {host: inner}\n",
		"internal/thing/fake.go":            "// Code generated by somebody. DO NOT EDIT.\n\npackage thing\n",
		"internal/thing/thing.go":           strings.ReplaceAll(read(t, root, "internal/thing/thing.go"), "\n", "\r\n"),
	}
	for path, text := range same {
		write(t, root, map[string]string{path: text})
		if v := version(); v != first {
			t.Errorf("%s made it another version", path)
		}
	}
	seen := map[string]bool{first: true}
	for path, text := range map[string]string{
		"internal/thing/thing.go":          strings.Replace(read(t, root, "internal/thing/thing.go"), "not implemented yet", "not implemented", 1),
		"internal/thing/resources/a.html":  "<p>",
		"internal/thing/resources/b.html":  "<p>",
		"internal/thing/service.yaml":      "general: {host: thing}\nfunctions: [{signature: F(), method: POST}]\n",
		"internal/thing/inner/more.go":     "package inner\n",
		"internal/thing/thingapi/types.go": "package thingapi\n",
	} {
		if path == "internal/thing/inner/more.go" {
			if err := os.RemoveAll(filepath.Join(dir, "inner")); err != nil {
				t.Fatal(err)
			}
		}
		write(t, root, map[string]string{path: text})
		if v := version(); seen[v] {
			t.Errorf("%s did not make it another version", path)
		} else {
			seen[v] = true
		}
	}
}

func TestG37_TheSameInputGivesTheSameBytes(t *testing.T) {
	t.Parallel()
	contract := strings.ReplaceAll(read(t, "testdata/kitchensink", "service.yaml"), "m3o/internal/kitchensink", "example.com/kitchensink")
	one, two := begun(t, contract), begun(t, contract)
	generate(t, one)
	generate(t, two)
	if diff := cmp.Diff(files(t, one), files(t, two)); diff != "" {
		t.Error(diff)
	}
}

func TestG38G60_GeneratedCodeIsFormattedAndShort(t *testing.T) {
	t.Parallel()
	kitchensink := begun(t, strings.ReplaceAll(read(t, "testdata/kitchensink", "service.yaml"), "m3o/internal/kitchensink", "example.com/kitchensink"))
	for root, declarations := range map[string]int{kitchensink: 20, nineteen(t): 19} {
		generate(t, root)
		lines := 0
		for path, text := range files(t, root) {
			if filepath.Ext(path) != ".go" {
				continue
			}
			if err := isFormatted(text); err != nil {
				t.Errorf("%s: %v", path, err)
			}
			if strings.Contains(path, "_gen") {
				lines += strings.Count(text, "\n")
			}
		}
		if lines == 0 || lines/declarations >= 150 {
			t.Errorf("%d lines for %d declarations", lines, declarations)
		}
		t.Logf("%d lines a declaration", lines/declarations)
	}
}

// isFormatted says what is wrong with a Go file that gofmt would change.
func isFormatted(text string) error {
	formatted, err := format.Source([]byte(text))
	if err == nil && string(formatted) != text {
		err = errors.New("it is not as gofmt has it")
	}
	return err
}

const twoByHand = `package thing

import "context"

// Service is mine.
type Service struct{ settings }

// Add is mine.
func (s *Service) Add(ctx context.Context, x int) (int, error) { return x,   nil }

// Sub is mine.
func (s *Service) Sub(ctx context.Context, x int) (int, error) { return -x,   nil }
`

func TestG40_OneMoreFunctionIsOneMoreMethodAndOneMoreTest(t *testing.T) {
	t.Parallel()
	root := begun(t, twoFunctions)
	tests := "package thing_test\n\nimport \"testing\"\n\nfunc TestAddAddsUp(t *testing.T) { t.Parallel() }\n\nfunc TestThing_Sub(t *testing.T) { t.Parallel() }\n"
	write(t, root, map[string]string{"internal/thing/thing.go": twoByHand, "internal/thing/calc_test.go": tests})
	generate(t, root)
	before := files(t, root)
	if before["internal/thing/thing.go"] != twoByHand || before["internal/thing/calc_test.go"] != tests || before["internal/thing/thing_test.go"] != "" {
		t.Fatal("something was appended that is there")
	}
	write(t, root, map[string]string{"internal/thing/service.yaml": twoFunctions + "  - signature: Mul(x int, y float64) (product float64)\n"})
	report := generate(t, root)
	if want := []string{"internal/thing/thing.go: Mul", "internal/thing/thing_test.go: TestThing_Mul"}; !slices.Equal(report.Stubs, want) {
		t.Errorf("made %v", report.Stubs)
	}
	after := files(t, root)
	code := after["internal/thing/thing.go"]
	if strings.Count(code, "\nfunc ") != 3 || !strings.Contains(code, twoByHand[strings.Index(twoByHand, "// Service"):]) {
		t.Errorf("got\n%s", code)
	}
	if after["internal/thing/calc_test.go"] != tests || strings.Count(after["internal/thing/thing_test.go"], "\nfunc Test") != 1 {
		t.Errorf("got\n%s", after["internal/thing/thing_test.go"])
	}
	write(t, root, map[string]string{"internal/thing/service.yaml": twoFunctions + "  - signature: Mul(x int, y float64) (product float64)\n  - signature: Div()\n"})
	generate(t, root)
	if text := read(t, root, "internal/thing/thing_test.go"); !strings.HasPrefix(text, after["internal/thing/thing_test.go"]) || strings.Count(text, "\nfunc Test") != 2 {
		t.Errorf("got\n%s", text)
	}
}

func TestG41_AHandlerIsRecognisedHoweverItsReceiverIsWritten(t *testing.T) {
	t.Parallel()
	for _, receiver := range []string{"s *Service", "svc Service", "_ *Service", "*Service"} {
		root := begun(t, "general: {host: thing}\nfunctions: [{signature: \"Add(x int)\"}]\n")
		other := fmt.Sprintf("package thing\n\nimport \"context\"\n\ntype Service struct{ settings }\n\nfunc (%s) Add(ctx context.Context, x int) error { return nil }\n", receiver)
		write(t, root, map[string]string{"internal/thing/other.go": other})
		generate(t, root)
		if all := files(t, root); all["internal/thing/thing.go"] != "" || all["internal/thing/other.go"] != other {
			t.Errorf("(%s): it was written again", receiver)
		}
	}
}

func TestG43_ADescriptionIsChangedAboveItsMethodOnly(t *testing.T) {
	t.Parallel()
	root := begun(t, "general: {host: thing}\nfunctions:\n  - {signature: Add(), description: Adds up.}\n  - {signature: Sub(), description: Takes away.}\ntickers: [{signature: Tick(), interval: 1m, description: Ticks.}]\n")
	generate(t, root)
	edit(t, root, "internal/thing/thing.go", "// Add: adds up.\n", "// Add: adds up.\n//\n//nolint:all\n")
	edit(t, root, "internal/thing/thing.go", "// Sub: takes away.\n", "// Sub takes away, as I say.\n")
	generate(t, root)
	before := read(t, root, "internal/thing/thing.go")
	write(t, root, map[string]string{"internal/thing/service.yaml": "general: {host: thing}\nfunctions:\n  - {signature: \"Add(x int)\", description: \"Adds\\nmore.\"}\n  - {signature: Sub(), description: Takes more away.}\ntickers: [{signature: Tick(), interval: 1m, description: Tocks.}]\n"})
	generate(t, root)
	want := strings.NewReplacer("// Add: adds up.\n", "// Add: adds\n// more.\n", "Add(ctx context.Context)", "Add(ctx context.Context, x int)", "// Tick: ticks.\n", "// Tick: tocks.\n").Replace(before)
	if diff := cmp.Diff(want, read(t, root, "internal/thing/thing.go")); diff != "" {
		t.Error(diff)
	}
}

func TestG44G45_OrphansAreListedUntilTheyAreGone(t *testing.T) {
	t.Parallel()
	root := begun(t, "general: {host: thing}\nfunctions: [{signature: Add()}, {signature: \"Sub(p Gone)\"}]\ntickers: [{signature: Tick(), interval: 1m}]\nevents: [{signature: OnSub()}]\n")
	generate(t, root)
	edit(t, root, "internal/thing/thing.go", `fault.New(fault.Unimplemented, "Sub of thing is not implemented yet")`, "nil")
	write(t, root, map[string]string{"internal/thing/service.yaml": "general: {host: thing}\nfunctions: [{signature: Add()}, {signature: Minus()}]\n"})
	want := []string{
		"internal/thing/thing.go: Sub", "internal/thing/thing.go: Tick", "internal/thing/thing_test.go: TestThing_OnSub", "internal/thing/thing_test.go: TestThing_Sub",
		"internal/thing/thing_test.go: TestThing_Tick", "internal/thing/thingapi/types.go: type Gone",
	}
	for run := range 3 {
		if report := generate(t, root); !slices.Equal(report.Orphans, want) {
			t.Errorf("run %d: %v", run, report.Orphans)
		}
	}
	checked, err := codegen.Generate(codegen.Options{Root: root, Check: true})
	if err != nil || !slices.Equal(checked.Orphans, want) || len(checked.Files) != 0 {
		t.Errorf("a check: %v, %v", checked, err)
	}
	write(t, root, map[string]string{"internal/thing/service.yaml": "general: {host: thing}\nfunctions: [{signature: Add()}, {signature: \"Sub(p Gone)\"}, {signature: Minus()}]\n"})
	if report := generate(t, root); !slices.Equal(report.Orphans, []string{"internal/thing/thing.go: Tick", "internal/thing/thing_test.go: TestThing_OnSub", "internal/thing/thing_test.go: TestThing_Tick"}) {
		t.Errorf("Sub is declared again: %v", report.Orphans)
	}
	edit(t, root, "internal/thing/thing.go", "Tick(ctx", "tick(ctx")
	edit(t, root, "internal/thing/thing_test.go", "TestThing_OnSub(", "TestOther(")
	edit(t, root, "internal/thing/thing_test.go", "TestThing_Tick(", "TestAnother(")
	if report := generate(t, root); len(report.Orphans) > 0 {
		t.Errorf("they are gone: %v", report.Orphans)
	}
}

func TestG44_NothingElseIsAnOrphan(t *testing.T) {
	t.Parallel()
	root := begun(t, "general: {host: thing}\nfunctions: [{signature: Add()}]\n")
	generate(t, root)
	code := read(t, root, "internal/thing/thing.go")
	write(t, root, map[string]string{
		"internal/thing/thing.go":          code + "\n// OnStartup is called.\nfunc (s *Service) OnStartup(ctx context.Context) error { return nil }\n\n// Help is for app.\nfunc (s *Service) Help(ctx context.Context, n int) (int, error) { return n, nil }\n",
		"internal/thing/thingapi/types.go": "package thingapi\n\n// Mine is for whoever wants it.\ntype Mine struct{}\n",
		"internal/thing/more_test.go":      "package thing_test\n\nimport \"testing\"\n\nfunc TestThing_DoesMore(t *testing.T) { t.Parallel() }\n",
	})
	for range 2 {
		if report := generate(t, root); len(report.Orphans) > 0 {
			t.Errorf("orphans are %v", report.Orphans)
		}
	}
}

func TestG47G49_ServiceYAMLIsNeverWritten(t *testing.T) {
	t.Parallel()
	contract := "# mine\ngeneral:\n  # mine too\n  host: thing\n\n# right above\nfunctions: [{signature: F()}] # beside\n"
	root := begun(t, contract)
	generate(t, root)
	if have := read(t, root, "internal/thing/service.yaml"); have != contract {
		t.Errorf("got\n%s", have)
	}
	for _, wrong := range []string{"functions: [{signature: \"F(\"}]\n", "function: []\n", "general: {host: [thing]}\n", "webs: [{signature: F()}]\n", "\tx\n"} {
		write(t, root, map[string]string{"internal/thing/service.yaml": contract + wrong})
		before := snapshot(t, root)
		if _, err := codegen.Generate(codegen.Options{Root: root}); err == nil {
			t.Errorf("accepted %q", wrong)
		}
		if diff := cmp.Diff(before, snapshot(t, root)); diff != "" {
			t.Errorf("%q changed %s", wrong, diff)
		}
	}
}

func TestResources_AreEmbeddedButForGoCode(t *testing.T) {
	t.Parallel()
	root := begun(t, "general: {host: thing}\n")
	write(t, root, map[string]string{
		"internal/thing/resources/b.html": "b", "internal/thing/resources/a b.txt": "a", "internal/thing/resources/.hidden": "h", "internal/thing/resources/x.go": "package resources\n",
		"internal/thing/resources/pure/deep/c.txt": "c", "internal/thing/resources/mixed/d.txt": "d", "internal/thing/resources/mixed/e.go": "package mixed\n",
	})
	generate(t, root)
	text := read(t, root, "internal/thing/resources/embed_gen.go")
	if !strings.Contains(text, "\n//go:embed \"a b.txt\" b.html mixed/d.txt pure\nvar FS embed.FS\n") || isFormatted(text) != nil {
		t.Errorf("got\n%s", text)
	}
	for _, name := range []string{"a b.txt", "b.html", "mixed", "pure"} {
		if err := os.RemoveAll(filepath.Join(root, "internal/thing/resources", name)); err != nil {
			t.Fatal(err)
		}
	}
	if report := generate(t, root); !slices.Equal(report.Removed, []string{"internal/thing/resources/embed_gen.go"}) {
		t.Errorf("nothing is left, and yet: %v", report)
	}
	write(t, root, map[string]string{"internal/thing/resources/a*b": "x"})
	if _, err := codegen.Generate(codegen.Options{Root: root}); err == nil || !strings.Contains(err.Error(), "go:embed takes no file of that name") {
		t.Errorf("got %v", err)
	}
}

func TestBase_IsMadeWhereNobodyHasWrittenIt(t *testing.T) {
	t.Parallel()
	contract := "general: {host: thing}\nfunctions: [{signature: F()}]\n"
	for name, c := range map[string]struct {
		code map[string]string
		file string // where Service is made; empty: nowhere
		test string // how the test makes it
	}{
		"Nothing":    {nil, "thing.go", "s, err := thing.New(thing.Deps{})"},
		"OtherCode":  {map[string]string{"thing.go": "package thing\n\nvar N int\n"}, "service.go", "s, err := thing.New(thing.Deps{})"},
		"OwnService": {map[string]string{"own.go": "package thing\n\ntype Service struct{ settings }\n"}, "", "t.Skip("},
		"OwnNew":     {map[string]string{"own.go": "package thing\n\ntype (\n\tService struct{ settings }\n\tDeps struct{}\n)\n\nfunc New(d Deps) (s *Service, err error) { return nil, nil }\n"}, "", "s, err := thing.New(thing.Deps{})"},
		"OtherNew":   {map[string]string{"own.go": "package thing\n\ntype Service struct{ settings }\n\nfunc New(n int) *Service { return nil }\n"}, "", "t.Skip("},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := begun(t, contract)
			for file, text := range c.code {
				write(t, root, map[string]string{"internal/thing/" + file: text})
			}
			generate(t, root)
			all := files(t, root)
			for path, text := range all {
				made := strings.Contains(text, "type Service struct{ settings }") && c.code[filepath.Base(path)] == ""
				if made != (c.file != "" && path == "internal/thing/"+c.file) {
					t.Errorf("%s:\n%s", path, text)
				}
			}
			if test := all["internal/thing/thing_test.go"]; !strings.Contains(test, c.test) {
				t.Errorf("the test has no %s:\n%s", c.test, test)
			}
		})
	}
}

func TestSkeletons_KeepOutOfTheWay(t *testing.T) {
	t.Parallel()
	root := begun(t, "general: {host: thing}\nfunctions: [{signature: F()}]\n")
	inside := "package thing\n\nimport \"testing\"\n\nfunc TestInside(t *testing.T) { t.Parallel() }\n"
	other := "package thing_test\n\nimport \"testing\"\n\nfunc newService(t *testing.T) int { return 1 }\n\nfunc TestFine(t *testing.T) { t.Parallel() }\n"
	write(t, root, map[string]string{"internal/thing/thing_test.go": inside, "internal/thing/other_test.go": other})
	generate(t, root)
	all := files(t, root)
	if all["internal/thing/thing_test.go"] != inside || all["internal/thing/other_test.go"] != other {
		t.Error("tests that people wrote were changed")
	}
	if text := all["internal/thing/harness_test.go"]; !strings.Contains(text, "func newServiceForTest(t *testing.T, b bus.Bus) *thing.Service {") || !strings.Contains(text, "func TestThing_F(") {
		t.Errorf("got\n%s", text) // TestFine is no test of F
	}
}

func TestMock_GoesWithTheContract(t *testing.T) {
	t.Parallel()
	root := begun(t, "general: {host: thing}\nfunctions: [{signature: F()}]\n")
	generate(t, root)
	write(t, root, map[string]string{"internal/thing/service.yaml": "general: {host: thing}\nevents: [{signature: OnF()}]\n"})
	if report := generate(t, root); !slices.Contains(report.Removed, "internal/thing/thingapi/thingmock/mock_gen.go") {
		t.Errorf("removed %v", report.Removed)
	}
	if _, err := os.Stat(filepath.Join(root, "internal/thing/thingapi/thingmock")); err == nil {
		t.Error("its folder is still there")
	}
}

func TestG53_TheVersionTestSaysWhatToRun(t *testing.T) {
	t.Parallel()
	root := begun(t, "general: {host: thing}\nfunctions: [{signature: F()}]\n")
	generate(t, root)
	dir := filepath.Join(root, "internal/thing")
	version, err := codegen.Version(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := codegen.CheckVersion(dir, version); err != nil {
		t.Error(err)
	}
	edit(t, root, "internal/thing/thing.go", "not implemented yet", "not there")
	if err := codegen.CheckVersion(dir, version); err == nil || !strings.Contains(err.Error(), "run m3o generate internal/thing") {
		t.Errorf("got %v", err)
	}
}
