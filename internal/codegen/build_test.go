package codegen_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"m3o/internal/codegen"
)

// copyModule copies what a service needs of this module: everything but services and app.
func copyModule(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	paths := []string{"go.mod", "go.sum", "migrations", "pkg/events"}
	rooms, err := filepath.Glob("../*")
	if err != nil {
		t.Fatal(err)
	}
	for _, room := range rooms {
		if !holdsServices(t, room) && filepath.Base(room) != "app" {
			paths = append(paths, "internal/"+filepath.Base(room))
		}
	}
	for _, path := range paths {
		copyTree(t, filepath.Join("../..", path), filepath.Join(root, path))
	}
	return root
}

// holdsServices says whether a room is a service, or a house of some.
func holdsServices(t *testing.T, room string) (found bool) {
	t.Helper()
	err := filepath.WalkDir(room, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == "testdata" {
			return fs.SkipDir
		}
		found = found || err == nil && d.Name() == "service.yaml"
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") {
			if err == nil && d.Name() == "testdata" {
				return fs.SkipDir
			}
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		return os.WriteFile(target, text, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// run runs the go command in a module.
func run(t *testing.T, root string, args ...string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", args...)
	command.Dir = root
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// contracts are services whose generated code must build, be clean for go vet, and pass its tests as it was made.
var contracts = map[string]string{
	"g05": "general: {host: g05.test}\n",
	"g08": `general: {host: g08.test} # and G07, G10
functions:
  - {signature: "Foo(w string, r int, i int, o int)", method: POST}
  - {signature: "Seven(t int) (r int)"}
  - {signature: "Ten(idx int, userID string, htmlPage string, url string)"}
  - {signature: "Bar(h int, hear string, out int, asserts string, g08 int, g08api T) (m T)"}
  - {signature: "Types(a any, b []byte, c map[string][]*T, d *T, e T, f Time, g uint64) (httpResponseBody []T, httpStatusCode int)"}
  - {signature: "Stream(t T) (u T)", stream: true}
events:
  - {signature: "OnFoo(out string, h int) (hear T, id string)"}
`,
	"g11": "general: {host: g11.test}\nevents: [{signature: \"OnDone(id string) (ok bool)\"}, {signature: OnDone2()}]\n",
	"g16": "general: {host: g16.test} # and G12\nsinks: [{signature: \"OnDone(id string) (ok bool)\", source: m3o/internal/g11}, {signature: OnX(), event: OnDone2, source: m3o/internal/g11, queue: none}]\n",
	"g17": "general: {host: g17.test} # and G18, G19, G20\nwebs: [{signature: Page()}, {signature: Put(), method: PUT}, {signature: Get(), method: GET, path: \"/get/{id}/{rest+}\"}]\n",
	"g22": `general: {host: g22.test, description: "*/ 'x' %s"} # and G23, G25, G26
configs:
  - {signature: "Ratio() (r float64)", description: "*/"}
  - {signature: "Note() (s string)", default: "a` + "`" + `b", callback: true}
metrics:
  - {signature: "Likes(n int, post string)"}
  - {signature: "Wait(d Duration)", kind: gauge}
  - {signature: "Size(n int64, ok bool)", kind: histogram, buckets: [1, 2]}
tickers:
  - {signature: Tick(), interval: 1m}
`,
}

// uses are tests that call what the checks want to be there.
var uses = map[string]string{
	"g05": "b := bus.NewMemory(bus.MemoryConfig{})\n\t_, _, _ = g05api.Host, g05api.NewClient(b), g05api.NewMulticastClient(b)",
	"g08": "_ = g08api.TenIn{Idx: 1, UserID: \"a\", HTMLPage: \"b\", URL: \"c\"}",
	"g11": `b := bus.NewMemory(bus.MemoryConfig{})
	stop := g11api.NewHook(b, "me", "").OnDone(func(_ context.Context, id string) (bool, error) { return id == "x", nil })
	defer stop()
	answers, err := g11api.NewMulticastTrigger(b).OnDone(t.Context(), "x").Wait()
	if err != nil || len(answers) != 1 || !answers[0].Ok {
		t.Error(answers, err)
	}
	h := newHarness(t, b, newService(t, b))
	heard := h.OnDone().Expect(g11api.OnDoneIn{ID: "y"}).Return(g11api.OnDoneOut{Ok: true}, nil).Assert(func(t testing.TB, in g11api.OnDoneIn) {
		if in.ID != "y" {
			t.Error(in)
		}
	})
	if answers, err := g11api.NewMulticastTrigger(b).OnDone(t.Context(), "y").Wait(); err != nil || len(answers) != 2 {
		t.Error(answers, err)
	}
	heard.Wait()`,
	"g17": `b := bus.NewMemory(bus.MemoryConfig{})
	c, err := g17api.NewClient(b), error(nil)
	if _, err = c.Page_Get(t.Context(), "?a=b"); err == nil {
		t.Error("nobody is there")
	}
	_, err = c.Page_Post(t.Context(), "", "text/plain", nil)
	_, err = c.Page(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/page", nil))
	_, err = c.Put(t.Context(), "", "text/plain", nil)
	_, err = c.Put_Do(httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/put", nil))
	_, err = c.ForHost("x.test").Get(t.Context(), "?id=1&rest=2")
	_ = err
	mock := g17mock.New().MockPage(func(w http.ResponseWriter, _ *http.Request) error {
		_, err := w.Write([]byte("mocked"))
		return err
	})
	t.Cleanup(mock.Register(b))
	answer, err := c.Page_Get(t.Context(), "")
	if err != nil || answer.StatusCode != 200 {
		t.Error(answer, err)
	}
	if _, err = c.Put(t.Context(), "", "text/plain", nil); !fault.Is(err, fault.Unimplemented) || !strings.Contains(err.Error(), "Put of g17 is not mocked") {
		t.Error(err)
	}`,
	"g22": `s := newService(t, nil)
	if err := s.SetRatio(0.5); err != nil || s.Ratio() != 0.5 || s.Note() != "a` + "`" + `b" {
		t.Error(s.Ratio(), s.Note(), err)
	}
	if _, err := resources.FS.Open("sub/a b.txt"); err != nil || s.Text(t.Context(), "hello") != "Hi" {
		t.Error(s.Text(t.Context(), "hello"), err)
	}
	if err := s.IncrementLikes(2, "a"); err != nil {
		t.Error(err)
	}
	if s.IncrementWait(time.Second) != nil || s.ObserveWait(1500*time.Millisecond) != nil || s.ObserveSize(3, true) != nil || s.IncrementLikes(-1, "a") == nil {
		t.Error("a metric is not as it should be")
	}`,
}

func TestG05ToG26_EverythingGeneratedBuildsAndPassesItsTests(t *testing.T) {
	t.Parallel()
	root := copyModule(t)
	write(t, root, map[string]string{
		"internal/kitchensink/service.yaml":        read(t, "testdata/kitchensink", "service.yaml"),
		"internal/kitchensink/doc.go":              "// Package kitchensink has everything.\npackage kitchensink\n",
		"internal/kitchensink/kitchensink_test.go": read(t, "testdata/kitchensink", "kitchensink_test.go.txt"),
	})
	packages := []string{"./internal/kitchensink/..."}
	for name, contract := range contracts {
		packages = append(packages, "./internal/"+name+"/...")
		write(t, root, map[string]string{"internal/" + name + "/service.yaml": contract, "internal/" + name + "/doc.go": "package " + name + "\n"})
	}
	write(t, root, map[string]string{
		"internal/g22/resources/strings.yaml": "hello: {default: Hi}\n", "internal/g22/resources/sub/a b.txt": "x", "internal/g22/resources/mixed/c.txt": "x", "internal/g22/resources/mixed/d.go": "package mixed\n",
	})
	if _, err := codegen.Generate(codegen.Options{Root: root}); err != nil {
		t.Fatal(err)
	}
	for name, body := range uses {
		write(t, root, map[string]string{"internal/" + name + "/uses_test.go": usesTest(name, body)})
	}
	if report, err := codegen.Generate(codegen.Options{Root: root}); err != nil || len(report.Stubs)+len(report.Orphans) > 0 {
		t.Errorf("a second run: %v, %v", report, err)
	}
	run(t, root, append([]string{"test", "-trimpath", "-vet=all"}, packages...)...)
}

// usesTest is a test file with one test.
func usesTest(name, body string) string {
	imports := map[string]string{
		"bus": "m3o/internal/bus", "fault": "m3o/internal/fault", name + "api": "m3o/internal/" + name + "/" + name + "api", name: "m3o/internal/" + name,
		name + "mock": "m3o/internal/" + name + "/" + name + "api/" + name + "mock", "context": "context", "http": "net/http", "httptest": "net/http/httptest",
		"resources": "m3o/internal/" + name + "/resources", "strings": "strings", "testing": "testing", "time": "time",
	}
	text := "package " + name + "_test\n\nimport (\n"
	for pkg, path := range imports {
		if pkg == "testing" || strings.Contains(body, pkg+".") {
			text += "\t\"" + path + "\"\n"
		}
	}
	return text + ")\n\nfunc TestUses(t *testing.T) {\n\tt.Parallel()\n\t" + body + "\n}\n"
}

func TestNew_MakesAServiceWhoseTestPasses(t *testing.T) {
	t.Parallel()
	root := copyModule(t)
	next, err := codegen.New(root, "shop/notes")
	if err != nil || !strings.Contains(next, "notes.New(notes.Deps{") || !strings.Contains(next, "go generate -run counterfeiter ./internal/shop/notes/...") {
		t.Fatal(next, err)
	}
	run(t, root, "test", "-trimpath", "-vet=all", "./internal/shop/notes")
	report, err := codegen.Generate(codegen.Options{Root: root, Check: true})
	if err != nil || report.String() != "" {
		t.Errorf("there is more to do: %v, %v", report, err)
	}
	before := files(t, root)
	if _, err := codegen.New(root, "shop/notes"); err == nil {
		t.Error("made a service twice")
	}
	for _, name := range []string{"", "Notes", "a-b", "../x", "func", "shop/type", "shop/", "bus"} {
		if _, err := codegen.New(root, name); err == nil {
			t.Errorf("accepted the name %q", name)
		}
	}
	if made := changed(before, files(t, root)); len(made) > 0 {
		t.Errorf("and changed %v", made)
	}
}

func TestNew_WantsACopyOfM3O(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, root, map[string]string{"go.mod": "module example.com/mine\n\ngo 1.26\n"})
	before := snapshot(t, root)
	_, err := codegen.New(root, "kitchen")
	if err == nil || !strings.Contains(err.Error(), "the module example.com/mine in "+root+" is not m3o") || len(snapshot(t, root)) != len(before) {
		t.Errorf("got %v", err)
	}
}

func TestNew_TakesTheServiceIntoTheHouse(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, root, map[string]string{"go.mod": "module m3o\n\ngo 1.26\n", "internal/app/house.go": read(t, "../app", "house.go")})
	before := read(t, root, "internal/app/house.go")
	for name, pkg := range map[string]string{"zebra": "zebra", "accounts": "accountsservice"} { // the house calls something else accounts
		next, err := codegen.New(root, name)
		if err != nil || strings.Contains(next, "h.add(") || !strings.Contains(next, "serves it already") {
			t.Fatal(next, err)
		}
		after := read(t, root, "internal/app/house.go")
		block := strings.NewReplacer("NAME", name, "PKG", pkg).Replace(`	NAMEService, err := PKG.New(PKG.Deps{DB: p.db, Now: p.now, Config: h.source, Metrics: p.metrics})
	if err != nil {
		return nil, err
	}
	h.add(Member{Host: NAMEapi.Host, Functions: NAMEapi.Functions()}, NAMEService, NAMEapi.OpenAPI())

`)
		if i := strings.Index(after, block); i < 0 || i > strings.Index(after, "publicapi.New(") {
			t.Errorf("%s is not built before publicapi:\n%s", name, after)
		}
		for _, path := range []string{"internal/" + name + "\"", "internal/" + name + "/" + name + "api\""} {
			if strings.Count(after, path) != 1 {
				t.Errorf("%s is imported %d times", path, strings.Count(after, path))
			}
		}
		for line := range strings.Lines(before) {
			if !strings.Contains(after, line) {
				t.Errorf("%q is gone", line)
			}
		}
	}
	if text := read(t, root, "internal/app/house.go"); isFormatted(text) != nil {
		t.Error(isFormatted(text))
	}
}

func TestNew_SaysWhatToWriteWhereTheHouseIsBuiltAnotherWay(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, root, map[string]string{"go.mod": "module m3o\n\ngo 1.26\n", "internal/app/house.go": "package app\n\nfunc build() {}\n"})
	next, err := codegen.New(root, "zebra")
	if err != nil || !strings.Contains(next, "h.add(Member{Host: zebraapi.Host") || read(t, root, "internal/app/house.go") != "package app\n\nfunc build() {}\n" {
		t.Error(next, err)
	}
}

func TestOpenAPI_IsValid(t *testing.T) {
	t.Parallel()
	root := thing(t, strings.ReplaceAll(read(t, "testdata/kitchensink", "service.yaml"), "m3o/internal/kitchensink", "example.com/kitchensink"))
	generate(t, root)
	for _, path := range []string{"internal/thing/thingapi/openapi_gen.json", "internal/thing/thingapi/published_gen.json"} {
		doc, err := openapi3.NewLoader().LoadFromData([]byte(read(t, root, path)))
		if err != nil {
			t.Fatal(err)
		}
		if err := doc.Validate(t.Context()); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		if item := doc.Paths.Find("/v1/thing/Foo"); item == nil || item.Post.Extensions["x-m3o-endpoint"] != "Thing.Foo" {
			t.Errorf("%s: nothing is on sale", path)
		}
	}
}
