package codegen_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"m3o/internal/codegen"
)

// nineteen is a module whose service has 19 declarations, a third of them functions.
func nineteen(t testing.TB) string {
	t.Helper()
	contract := "general: {host: thing}\nfunctions:\n"
	for _, name := range strings.Split("ABCDEF", "") {
		contract += "  - {signature: \"F" + name + "(a string, b int, thing Thing) (c int)\", access: public}\n"
	}
	contract += "configs:\n"
	for _, name := range strings.Split("ABCD", "") {
		contract += "  - {signature: \"C" + name + "() (n int)\", default: 7, callback: true}\n"
	}
	contract += "events: [{signature: \"OnA(id string)\"}, {signature: \"OnB(id string) (ok bool)\"}]\n" +
		"webs: [{signature: WA()}, {signature: WB(), method: PUT}]\ntickers: [{signature: TA(), interval: 1m}, {signature: TB(), interval: 1m}]\n" +
		"metrics: [{signature: \"MA(n int)\"}, {signature: \"MB(n int, l string)\", kind: gauge}, {signature: \"MC(n int)\", kind: histogram, buckets: [1]}]\n"
	root := t.TempDir()
	for path, text := range map[string]string{
		"go.mod": "module m3o\n\ngo 1.26\n", "internal/thing/doc.go": "package thing\n", "internal/thing/service.yaml": contract,
	} {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// BenchmarkGenerate is a run in which everything may have changed.
func BenchmarkGenerate(b *testing.B) {
	root := nineteen(b)
	for b.Loop() {
		if _, err := codegen.Generate(codegen.Options{Root: root}); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := os.Remove(filepath.Join(root, "internal/thing/version_gen.go")); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// BenchmarkGenerateIdle is a run with nothing to do.
func BenchmarkGenerateIdle(b *testing.B) {
	root := nineteen(b)
	for b.Loop() {
		if _, err := codegen.Generate(codegen.Options{Root: root}); err != nil {
			b.Fatal(err)
		}
	}
}
