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

// copied is our copy of the cases; beside is where they are when the specification is beside the checkout.
const (
	copied = "../testdata/service-yaml-cases.json"
	beside = "../../../../shared/reference/service-yaml-cases.json"
)

func cases(tb testing.TB, file string) (all []acceptance) {
	tb.Helper()
	src, err := os.ReadFile(file)
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
	all := cases(t, copied)
	if len(all) != 136 {
		t.Fatalf("%d cases", len(all))
	}
	if _, err := os.Stat(beside); err == nil {
		all = cases(t, beside)
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
