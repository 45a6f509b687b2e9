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

// copyModule copies what a service needs of this module.
func copyModule(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for _, path := range []string{"go.mod", "go.sum", "migrations", "pkg/events", "internal/auth", "internal/bus", "internal/config", "internal/db",
		"internal/fault", "internal/id", "internal/money", "internal/problem", "internal/rpc", "internal/ticker"} {
		copyTree(t, filepath.Join("../..", path), filepath.Join(root, path))
	}
	return root
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") {
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

func TestEverythingGeneratedCompilesAndPassesVet(t *testing.T) {
	t.Parallel()
	root := copyModule(t)
	write(t, root, map[string]string{
		"internal/kitchensink/service.yaml":        read(t, "testdata/kitchensink", "service.yaml"),
		"internal/kitchensink/main.go":             "package kitchensink\n\n// Service has everything.\ntype Service struct{ settings }\n",
		"internal/kitchensink/kitchensink_test.go": read(t, "testdata/kitchensink", "kitchensink_test.go.txt"),
		"internal/bare/service.yaml":               "general: {host: bare}\n",
		"internal/bare/bare.go":                    "package bare\n\n// Service does nothing.\ntype Service struct{ settings }\n",
	})
	if _, err := codegen.Generate(codegen.Options{Root: root}); err != nil {
		t.Fatal(err)
	}
	run(t, root, "vet", "./internal/kitchensink/...", "./internal/bare/...")
	run(t, root, "test", "./internal/kitchensink")
	if report, err := codegen.Generate(codegen.Options{Root: root}); err != nil || report.String() != "" {
		t.Errorf("a second run: %v, %v", report, err)
	}
}

func TestNew_MakesAServiceWhoseTestPasses(t *testing.T) {
	t.Parallel()
	root := copyModule(t)
	next, err := codegen.New(root, "shop/notes")
	if err != nil || !strings.Contains(next, "notes.New(notes.Deps{") {
		t.Fatal(next, err)
	}
	run(t, root, "vet", "./internal/shop/notes/...")
	run(t, root, "test", "./internal/shop/notes")
	if _, err := codegen.New(root, "shop/notes"); err == nil {
		t.Error("made a service twice")
	}
	for _, name := range []string{"", "Notes", "a-b", "../x", "func", "shop/", "bus"} {
		if _, err := codegen.New(root, name); err == nil {
			t.Errorf("accepted the name %q", name)
		}
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
