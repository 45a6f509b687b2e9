package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"m3o/internal/codegen"
)

// generator are the figures of the generator.
func generator() []figure {
	return []figure{
		{"validate 272 fragments", time.Second, 0, validate},
		{"generate 19 declarations", 20 * time.Millisecond, 0, generate},
		{"generate with nothing to do", 5 * time.Millisecond, 0, generateNothing},
	}
}

// cases is where the fragments are that the parser is held to.
const cases = "internal/codegen/testdata/service-yaml-cases.json"

// validate reads 272 files: every case, twice.
func validate(b *testing.B) {
	text, err := os.ReadFile(cases)
	if err != nil {
		b.Fatal(err)
	}
	var all []struct{ YAML string }
	if err := json.Unmarshal(text, &all); err != nil {
		b.Fatal(err)
	}
	dir, paths := b.TempDir(), make([]string, 272)
	for i := range paths {
		paths[i] = filepath.Join(dir, fmt.Sprintf("%03d.yaml", i))
		if err := os.WriteFile(paths[i], []byte(all[i%len(all)].YAML), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		codegen.Validate(paths)
	}
}

// nineteen is a service of 19 declarations, of every kind.
const nineteen = `general: {host: thing.test, description: Has nineteen declarations.}
configs:
  - {signature: Limit() (n int), default: 7, validation: "int [1,9]", callback: true}
  - {signature: Patience() (d Duration), default: 15m}
  - {signature: Greeting() (s string), default: hello}
functions:
  - {signature: "Add(x int, y int) (sum int)"}
  - {signature: "Echo(text string) (echo string)", path: "/echo/{text}", method: GET}
  - {signature: "Find(p Point, radius float) (list []Point)", method: GET}
  - {signature: "Put(httpRequestBody *Point, id string) (httpResponseBody []Point, httpStatusCode int)", method: PUT, path: "/put/{id}"}
  - {signature: "Remove(id string)", method: DELETE}
  - {signature: "Times(at Time, d Duration, m map[string][]Point) (later Time)"}
  - {signature: "Everyone() (name string)", queue: none}
events:
  - {signature: "OnDone(id string) (ok bool)"}
  - {signature: OnGone(id string)}
sinks:
  - {signature: "OnSelf(id string) (ok bool)", event: OnDone, source: example.com/proj/internal/thing}
webs:
  - {signature: Page()}
  - {signature: File(), path: "/file/{name+}", method: GET}
tickers:
  - {signature: Tick(), interval: 90s}
metrics:
  - {signature: "Likes(n int, post string)"}
  - {signature: "Depth(n int)", kind: gauge}
  - {signature: "Wait(d Duration)", kind: histogram, buckets: [1, 2, 5]}
`

// declarations is how many there are in nineteen.
const declarations = 19

// module makes a module with the service of 19 declarations.
func module() (root string, err error) {
	if root, err = os.MkdirTemp("", "m3o-bench"); err != nil {
		return "", err
	}
	dir := filepath.Join(root, "internal", "thing")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	for path, text := range map[string]string{
		filepath.Join(root, "go.mod"):      "module example.com/proj\n\ngo 1.26\n",
		filepath.Join(dir, "doc.go"):       "// Package thing has nineteen declarations.\npackage thing\n",
		filepath.Join(dir, "service.yaml"): nineteen,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	return root, nil
}

func generate(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		root := made(b)
		b.StartTimer()
		if report, err := codegen.Generate(codegen.Options{Root: root}); err != nil || len(report.Files) == 0 {
			b.Fatal(report, err)
		}
	}
}

func generateNothing(b *testing.B) {
	root := made(b)
	for range 2 { // the second run knows the files that the first has made
		if _, err := codegen.Generate(codegen.Options{Root: root}); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if report, err := codegen.Generate(codegen.Options{Root: root}); err != nil || len(report.Files) > 0 {
			b.Fatal(report, err)
		}
	}
}

func made(b *testing.B) string {
	root, err := module()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = os.RemoveAll(root) })
	return root
}

// generatedLines are the lines of the Go files that belong to the generator.
func generatedLines() (lines, of int, err error) {
	root, err := module()
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = os.RemoveAll(root) }()
	if _, err := codegen.Generate(codegen.Options{Root: root}); err != nil {
		return 0, 0, err
	}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err == nil && bytes.HasPrefix(text, []byte("// Code generated")) {
			lines += bytes.Count(text, []byte("\n"))
		}
		return err
	})
	return lines, declarations, err
}
