package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"m3o/internal/config"
)

func TestTheMoreSpecificHostWins(t *testing.T) {
	t.Parallel()
	const file = `
all: {limit: 1, size: 1, color: 1, shape: 1}
Test: {limit: 2, size: 2, color: 2}
b.TEST: {limit: 3, size: 3}
a.b.test: {Limit: 4}
b: {limit: 5, shape: 5}
`
	f := load(t, file, "M3O_A_B_TEST_COLOR=6")
	for property, want := range map[string]string{"Limit": "4", "Size": "3", "Color": "6", "Shape": "1"} {
		if got, ok := f.Lookup("A.b.test", property); !ok || got != want {
			t.Errorf("%s is %q, %v", property, got, ok)
		}
	}
	if got, _ := f.Lookup("b.test", "limit"); got != "3" {
		t.Errorf("the limit of b.test is %q", got)
	}
	if got, _ := f.Lookup("xb.test", "LIMIT"); got != "2" {
		t.Errorf("the limit of xb.test is %q", got)
	}
	if unused := f.Unused(); strings.Join(unused, " ") != "b.limit b.shape" {
		t.Errorf("unused are %v", unused)
	}
}

func TestPlainValuesAreTakenAsWritten(t *testing.T) {
	t.Parallel()
	f := load(t, "thing:\n  a: 1e3\n  b: 007\n  c: 2024-01-01\n  d: yes\n  e: ~\n  f: [1, x]\n  g: \"5\"\n  h: &x 5m\n  i: *x\n")
	for property, want := range map[string]string{
		"a": "1e3", "b": "007", "c": "2024-01-01", "d": "yes", "e": "", "f": `[1,"x"]`, "g": "5", "h": "5m", "i": "5m",
	} {
		if got, ok := f.Lookup("thing", property); !ok || got != want {
			t.Errorf("%s is %q, %v", property, got, ok)
		}
	}
}

func TestReloadIsAllOrNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "config.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("thing: {limit: 1}")
	f, err := config.Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"NoYAML":       "thing: {limit: 2",
		"NoProperties": "thing: {limit: 2}\nother: hunter2",
		"SetTwice":     "thing: {limit: 2, Limit: 3}",
		"HostTwice":    "thing: {limit: 2}\nThing: {limit: 3}",
	} {
		write(text)
		if err := f.Reload(); err == nil || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v", name, err)
		}
		if got, _ := f.Lookup("thing", "limit"); got != "1" {
			t.Errorf("%s: the limit is %q", name, got)
		}
	}
	write("other: {}\nthing:\n")
	if err := f.Reload(); err != nil {
		t.Fatal(err)
	}
	if got, ok := f.Lookup("thing", "limit"); ok {
		t.Errorf("the limit is still %q", got)
	}
}

func TestAFileMayBeReloadedWhileItIsRead(t *testing.T) {
	t.Parallel()
	f := load(t, "thing: {limit: 1}")
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if err := f.Reload(); err != nil {
				t.Error(err)
			}
			if got, ok := f.Lookup("thing", "limit"); !ok || got != "1" {
				t.Errorf("the limit is %q", got)
			}
			f.Unused()
		})
	}
	all.Wait()
}
