package spec_test

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"m3o/internal/codegen/spec"
)

type acceptance struct{ ID, YAML, Expect, Note string }

func cases(tb testing.TB) (all []acceptance) {
	tb.Helper()
	src, err := os.ReadFile("../testdata/service-yaml-cases.json")
	if err != nil {
		tb.Fatal(err)
	}
	if err := json.Unmarshal(src, &all); err != nil {
		tb.Fatal(err)
	}
	return all
}

// TestAcceptance runs every case of the grammar. A case may allow a second class in its note ("or E-…").
func TestAcceptance(t *testing.T) {
	t.Parallel()
	all := cases(t)
	if len(all) != 136 {
		t.Fatalf("%d cases", len(all))
	}
	for _, c := range all {
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			_, err := spec.Parse("service.yaml", []byte(c.YAML))
			if c.Expect == "ok" {
				if err != nil {
					t.Fatalf("%s\n%v", c.YAML, err)
				}
				return
			}
			var errs spec.Errors
			if !errors.As(err, &errs) {
				t.Fatalf("%s\naccepted, want %s", c.YAML, c.Expect)
			}
			want := []string{c.Expect}
			if _, other, ok := strings.Cut(c.Note, "or E-"); ok {
				want = append(want, "E-"+strings.FieldsFunc(other, func(r rune) bool { return r == ';' || r == ' ' || r == ',' })[0])
			}
			if len(errs) != 1 || !slices.Contains(want, string(errs[0].Class)) {
				t.Fatalf("%s\n%v\nwant only %s", c.YAML, errs, want)
			}
		})
	}
}
