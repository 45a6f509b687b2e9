package spec_test

import (
	"testing"

	"m3o/internal/codegen/spec"
)

func FuzzParse(f *testing.F) {
	for _, c := range cases(f, copied) {
		f.Add([]byte(c.YAML))
	}
	f.Add([]byte("general: &a {host: x, <<: *a}\nfunctions: [&b [*b]]"))
	f.Add([]byte("general: {host: x}\npublish: {examples: {A: &a [*a]}, prices: {B: 1e9}}"))
	f.Add([]byte("%YAML 1.1\n--- !!binary |\n\x00\xff"))
	f.Fuzz(func(t *testing.T, src []byte) {
		service, err := spec.Parse("service.yaml", src)
		if (service == nil) == (err == nil) {
			t.Fatal("want either a service or errors")
		}
	})
}

func FuzzSignature(f *testing.F) {
	for _, text := range []string{"Foo", "Foo()", "Foo(a int, b []*map[string]Deep) (c time.Time)", "Foo(a func(x int)) int", "Foo((", "Foo(a map[", "Foo(ü int)", "Foo(e *customers.Event)"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := spec.ParseSignature(text)
		if err != nil {
			return
		}
		again, err := spec.ParseSignature(s.String())
		if err != nil || again.String() != s.String() {
			t.Fatalf("%q became %q, which became %q: %v", text, s, again, err)
		}
	})
}
