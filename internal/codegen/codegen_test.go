package codegen_test

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"m3o/internal/codegen"
	"m3o/internal/codegen/spec"
)

var update = flag.Bool("update", false, "write the golden files")

// module makes a small module and returns its root.
func module(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	write(t, root, map[string]string{
		"go.mod":                          "module m3o\n\ngo 1.26\n",
		"pkg/events/proto/customers/c.go": "package customers\n\ntype Event struct{}\n",
		"internal/money/money.go":         "package money\n\n// Micros is money in millionths of a dollar.\ntype Micros int64\n",
		"internal/source/service.yaml":    "general: {host: source}\nevents: [{signature: \"OnDone(id string, person Person) (ok bool)\"}]\n",
		"internal/source/sourceapi/t.go":  "package sourceapi\n\ntype Person struct{}\n",
		"internal/thing/thing.go":         "package thing\n\n// Service is a thing.\ntype Service struct{ settings }\n",
		"internal/thing/thingapi/type.go": "package thingapi\n\n// Thing is\n// something.\ntype Thing struct {\n\tID string `json:\"id\"` // its name\n\tNext *Thing `json:\"next,omitempty\"`\n\thidden int\n}\n",
	})
	write(t, root, files)
	return root
}

func write(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for path, text := range files {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// thing is a module whose service thing has a contract.
func thing(t *testing.T, contract string) string {
	t.Helper()
	return module(t, map[string]string{"internal/thing/service.yaml": contract})
}

func generate(t *testing.T, root string) codegen.Report {
	t.Helper()
	report, err := codegen.Generate(codegen.Options{Root: root, Dirs: []string{filepath.Join(root, "internal/thing")}})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func read(t *testing.T, root, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// snapshot is every file of a module with its content and time.
func snapshot(t *testing.T, root string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		files[path] = info.ModTime().Format(time.RFC3339Nano) + "\n" + string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestGolden(t *testing.T) {
	t.Parallel()
	inputs, err := filepath.Glob("testdata/golden/*.yaml")
	if err != nil || len(inputs) == 0 {
		t.Fatal("no golden files", err)
	}
	for _, input := range inputs {
		t.Run(strings.TrimSuffix(filepath.Base(input), ".yaml"), func(t *testing.T) {
			t.Parallel()
			contract, err := os.ReadFile(input)
			if err != nil {
				t.Fatal(err)
			}
			root := thing(t, string(contract))
			var got strings.Builder
			for _, path := range generate(t, root).Files {
				if strings.Contains(path, "/version_gen") || (strings.HasSuffix(path, "_test.go") || strings.Contains(path, "mock/")) != (filepath.Base(input) == "harness.yaml") {
					continue // another generator is another version; tests and mocks have a golden file of their own
				}
				got.WriteString("-- " + path + " --\n" + read(t, root, path))
			}
			golden := strings.TrimSuffix(input, ".yaml") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("%s differs; run with -update and look at the change\n%s", golden, diff)
			}
		})
	}
}

const twoFunctions = "general: {host: thing}\nfunctions:\n  - signature: Add(x int) (sum int)\n  - signature: Sub(x int) (sum int)\n"

func TestG34_ASecondRunWritesNothing(t *testing.T) {
	t.Parallel()
	root := thing(t, twoFunctions)
	generate(t, root)
	before := snapshot(t, root)
	if report := generate(t, root); report.String() != "" {
		t.Error(report)
	}
	for path, text := range snapshot(t, root) {
		if before[path] != text {
			t.Errorf("%s was written again", path)
		}
	}
}

func TestG50_CheckWritesNothingAndListsWhatIsStale(t *testing.T) {
	t.Parallel()
	root := thing(t, twoFunctions)
	generate(t, root)
	options := codegen.Options{Root: root, Dirs: []string{filepath.Join(root, "internal/thing")}, Check: true}
	if report, err := codegen.Generate(options); err != nil || len(report.Files) != 0 {
		t.Errorf("up to date, but %v, %v", report, err)
	}
	write(t, root, map[string]string{"internal/thing/service.yaml": strings.Replace(twoFunctions, "Sub(x int)", "Sub(x int, y int)", 1)})
	before := snapshot(t, root)
	report, err := codegen.Generate(options)
	want := []string{
		"internal/thing/harness_gen_test.go", "internal/thing/thing.go", "internal/thing/thingapi/api_gen.go", "internal/thing/thingapi/ports_gen.json",
		"internal/thing/thingapi/thingmock/mock_gen.go", "internal/thing/version_gen.go",
	}
	if err != nil || !slices.Equal(report.Files, want) {
		t.Errorf("stale are %v, %v", report.Files, err)
	}
	if after := snapshot(t, root); len(after) != len(before) {
		t.Error("a check made files")
	}
}

func TestG47_AnErrorAnywhereLeavesEverythingAsItWas(t *testing.T) {
	t.Parallel()
	root := thing(t, twoFunctions)
	write(t, root, map[string]string{"internal/source/service.yaml": "general: {host: source}\nevents: [{signature: Done()}, {signature: \"OnX(\"}]\n"})
	before := snapshot(t, root)
	_, err := codegen.Generate(codegen.Options{Root: root})
	var mistakes spec.Errors
	if !errors.As(err, &mistakes) || len(mistakes) != 2 || mistakes[0].File != "internal/source/service.yaml" {
		t.Errorf("got %v", err)
	}
	if after := snapshot(t, root); len(after) != len(before) {
		t.Error("files were made")
	}
}

func TestGenerate_AppendsOnlyWhatNobodyHasWritten(t *testing.T) {
	t.Parallel()
	root := thing(t, twoFunctions)
	hand := "package thing\n\nimport (\n\t\"context\"\n\n\t\"m3o/internal/db\"\n)\n\n// Service is mine.\ntype Service struct {  settings; db *db.DB }\n\nfunc (me Service) Sub(ctx context.Context, a int) (int, error) { return -a, nil }\n"
	write(t, root, map[string]string{"internal/thing/thing.go": hand})
	report := generate(t, root)
	got := read(t, root, "internal/thing/thing.go")
	want := strings.Replace(hand, "\t\"m3o/internal/db\"\n", "\t\"m3o/internal/db\"\n\t\"m3o/internal/fault\"\n", 1) +
		"\n// Add is a function.\nfunc (s *Service) Add(ctx context.Context, x int) (sum int, err error) {\n\treturn sum, fault.New(fault.Unimplemented, \"Add of thing is not implemented yet\")\n}\n"
	if got != want {
		t.Errorf("got\n%s", got)
	}
	if !slices.Equal(report.Stubs, []string{"internal/thing/thing.go: Add", "internal/thing/thing_test.go: TestThing_Add", "internal/thing/thing_test.go: TestThing_Sub"}) {
		t.Errorf("reported %v", report.Stubs)
	}
}

func TestG42_AChangedSignatureChangesTheDeclaredLineOnly(t *testing.T) {
	t.Parallel()
	root := thing(t, "general: {host: thing}\nfunctions: [{signature: \"Add(x int, t Time) (sum Thing)\"}]\n")
	write(t, root, map[string]string{"internal/thing/thing.go": "package thing\n\nimport \"context\"\n\ntype Service struct{ settings }\n\n// Add is mine.\nfunc (s *Service) Add(ctx context.Context, x int) (sum int, err error) {\n\treturn x,   nil\n}\n"})
	generate(t, root)
	want := "package thing\n\nimport (\n\t\"time\"\n\n\t\"m3o/internal/thing/thingapi\"\n)\n\nimport \"context\"\n\ntype Service struct{ settings }\n\n// Add is mine.\nfunc (s *Service) Add(ctx context.Context, x int, t time.Time) (sum thingapi.Thing, err error) {\n\treturn x,   nil\n}\n"
	if got := read(t, root, "internal/thing/thing.go"); got != want {
		t.Errorf("got\n%s", got)
	}
}

func TestGenerate_ListsOrphansAndLeavesThemAlone(t *testing.T) {
	t.Parallel()
	root := thing(t, twoFunctions)
	generate(t, root)
	write(t, root, map[string]string{"internal/thing/service.yaml": strings.Replace(twoFunctions, "Sub", "Minus", 1)})
	report := generate(t, root)
	if !slices.Equal(report.Orphans, []string{"internal/thing/thing.go: Sub", "internal/thing/thing_test.go: TestThing_Sub"}) {
		t.Errorf("orphans are %v", report.Orphans)
	}
	if text := read(t, root, "internal/thing/thing.go"); !strings.Contains(text, ") Sub(") || !strings.Contains(text, ") Minus(") {
		t.Errorf("got\n%s", text)
	}
}

func TestG29G31_TypesAreFoundWhereverTheyAreDeclared(t *testing.T) {
	t.Parallel()
	const contract = "general: {host: thing}\nfunctions: [{signature: \"F(a Micros, b Grouped, c Alias, d Fresh)\"}]\n"
	types := map[string]string{"internal/thing/thingapi/more.go": "package thingapi\n\n// type Fresh struct is only mentioned.\ntype (\n\tGrouped struct{}\n\tAlias = Grouped\n)\n", "internal/thing/service.yaml": contract}
	root := module(t, types)
	generate(t, root)
	if text := read(t, root, "internal/thing/thingapi/imports_gen.go"); !strings.Contains(text, "type Micros = money.Micros") {
		t.Errorf("got\n%s", text)
	}
	if text := read(t, root, "internal/thing/thingapi/types.go"); !strings.Contains(text, "type Fresh struct{}") || strings.Contains(text, "Grouped") {
		t.Errorf("got\n%s", text)
	}
	write(t, root, map[string]string{"internal/thing/service.yaml": "general: {host: thing}\nfunctions: [{signature: \"F(b Grouped)\"}]\n"})
	if generate(t, root); slices.Contains(sortedPaths(snapshot(t, root)), filepath.Join(root, "internal/thing/thingapi/imports_gen.go")) {
		t.Error("the alias of a type that is no longer used is still there")
	}
}

func TestTypesOfTestServicesAreNotTaken(t *testing.T) {
	t.Parallel()
	const person, house = "\n\n// Person is one.\ntype Person struct{}\n", "general: {host: thing}\nfunctions: [{signature: \"F(a Animal, p Person, h Human)\"}]\n"
	root := module(t, map[string]string{
		"test/model/other/service.yaml":      "general: {host: other}\n",
		"test/model/other/doc.go":            "package other\n",
		"test/model/other/otherapi/types.go": "package otherapi" + person + "\ntype Human struct{}\n",
		"test/people/people.go":              "package people" + person,
		"zoo/zoo.go":                         "package zoo\n\ntype Animal struct{}\n",
		"internal/source/sourceapi/t.go":     "package sourceapi\n",
		"internal/thing/service.yaml":        house,
	})
	generate(t, root)
	if text := read(t, root, "internal/thing/thingapi/types.go"); !strings.Contains(text, "type Person struct{}") || !strings.Contains(text, "type Human struct{}") {
		t.Errorf("got\n%s", text)
	}
	if text := read(t, root, "internal/thing/thingapi/imports_gen.go"); !strings.Contains(text, "type Animal = zoo.Animal") || strings.Contains(text, "otherapi") {
		t.Errorf("got\n%s", text)
	}
	write(t, root, map[string]string{"test/model/thing/service.yaml": "general: {host: thing}\nfunctions: [{signature: \"F(h Human, m Micros)\"}]\n", "test/model/thing/doc.go": "package thing\n", "internal/thing/thingapi/types.go": "package thingapi\n"})
	if _, err := codegen.Generate(codegen.Options{Root: root, Dirs: []string{filepath.Join(root, "test/model/thing")}}); err != nil {
		t.Fatal(err)
	}
	if text := read(t, root, "test/model/thing/thingapi/imports_gen.go"); !strings.Contains(text, "type Human = otherapi.Human") || !strings.Contains(text, "type Micros = money.Micros") {
		t.Errorf("got\n%s", text)
	}
}

func sortedPaths(files map[string]string) (paths []string) {
	for path := range files {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return paths
}

func TestGenerate_QuotesWhatIsMadeOf64Bits(t *testing.T) {
	t.Parallel()
	root := thing(t, "general: {host: thing, wire: m3o}\nfunctions: [{signature: \"F() (a Micros, b Mine, c Narrow, d []int64, e uint64)\"}]\n")
	write(t, root, map[string]string{"internal/thing/thingapi/more.go": "package thingapi\n\nimport \"m3o/internal/money\"\n\ntype Mine = money.Micros\n\ntype Narrow int32\n"})
	generate(t, root)
	text := strings.Join(strings.Fields(read(t, root, "internal/thing/thingapi/api_gen.go")), " ")
	if want := "A Micros `json:\"a,string\"` B Mine `json:\"b,string\"` C Narrow `json:\"c\"` D []int64 `json:\"d\"` E uint64 `json:\"e,string\"`"; !strings.Contains(text, want) {
		t.Errorf("want %s in\n%s", want, text)
	}
}

func TestG29_NamesBothPlacesOfATypeThatIsThereTwice(t *testing.T) {
	t.Parallel()
	root := thing(t, "general: {host: thing}\nfunctions: [{signature: \"F(a Micros)\"}]\n")
	write(t, root, map[string]string{"internal/coin/coin.go": "package coin\n\ntype Micros int32\n"})
	_, err := codegen.Generate(codegen.Options{Root: root})
	if err == nil || !strings.Contains(err.Error(), "E-TYPE-TWICE: the type Micros is in m3o/internal/coin and in m3o/internal/money") {
		t.Errorf("got %v", err)
	}
}

func TestG13G14_SinksAreComparedWithTheirSource(t *testing.T) {
	t.Parallel()
	for sink, want := range map[string]string{
		`{signature: OnDone(id int), source: m3o/internal/source}`:    "3:17: E-SINK-MATCH: OnDone(id int) is not the event's signature OnDone(id string, person Person) (ok bool) at internal/source/service.yaml:2",
		`{signature: OnGone(id string), source: m3o/internal/source}`: "E-SINK-EVENT: m3o/internal/source has no event OnGone (its events: OnDone)",
		`{signature: OnGone(id string), source: m3o/internal/nobody}`: "E-SINK-SOURCE: there is no service.yaml in internal/nobody",
	} {
		root := thing(t, "general: {host: thing}\nsinks:\n  - "+sink+"\n")
		_, err := codegen.Generate(codegen.Options{Root: root})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", sink, err)
		}
	}
}

func TestGenerate_WorksWhileGeneratedFilesAreBroken(t *testing.T) {
	t.Parallel()
	root := thing(t, twoFunctions)
	generate(t, root)
	want := read(t, root, "internal/thing/thingapi/api_gen.go")
	write(t, root, map[string]string{"internal/thing/thingapi/api_gen.go": "// Code generated by m3o generate from service.yaml. DO NOT EDIT.\n\npackage thingapi\n\n<<<<<<< ours\n"})
	generate(t, root)
	if got := read(t, root, "internal/thing/thingapi/api_gen.go"); got != want {
		t.Errorf("got\n%s", got)
	}
}

func TestValidate_TellsEverything(t *testing.T) {
	t.Parallel()
	root := module(t, map[string]string{"a.yaml": "general: {host: a}\nfunction: []\nwebs: [{signature: \"P(x int)\"}]\n", "b.yaml": "general: {host: b}\n"})
	nothing := filepath.Join(root, "nothing.yaml")
	mistakes, warnings := codegen.Validate([]string{nothing, filepath.Join(root, "a.yaml"), filepath.Join(root, "b.yaml")})
	if len(mistakes) != 3 || mistakes[0].Error() != nothing+":1:1: E-FILE: no such file or directory" {
		t.Fatalf("got %v", mistakes)
	}
	mistakes = mistakes[1:]
	if len(warnings) != 0 || len(mistakes) != 2 || mistakes[0].Class != "E-FIELD" || mistakes[0].Hint != "did you mean functions?" || mistakes[1].Line != 3 {
		t.Errorf("got %v, %v", mistakes, warnings)
	}
}
