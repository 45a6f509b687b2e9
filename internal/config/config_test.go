package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"m3o/internal/config"
)

func load(t *testing.T, yaml string, environ ...string) *config.File {
	t.Helper()
	path := ""
	if yaml != "" {
		path = filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f, err := config.Load(path, environ)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestLaterSourcesWin(t *testing.T) {
	t.Parallel()
	property := config.Property{Host: "customers", Name: "SignUpsPerClient", Default: "60", Rule: "int [1,)"}
	for name, test := range map[string]struct {
		source config.Source
		want   int
	}{
		"Default":                {load(t, ""), 60},
		"File":                   {load(t, "customers:\n  signUpsPerClient: 70\n"), 70},
		"FileInAnotherSpelling":  {load(t, "Customers:\n  sign-ups_per-client: 71\n"), 71},
		"Environment":            {load(t, "customers:\n  signUpsPerClient: 70\n", "M3O_CUSTOMERS_SIGN_UPS_PER_CLIENT=80"), 80},
		"EnvironmentOfSomething": {load(t, "", "CUSTOMERS_SIGNUPSPERCLIENT=81", "M3O_CUSTOMERS=82"), 60},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			value, err := config.NewValue[int](test.source, property)
			if err != nil || value.Get() != test.want {
				t.Errorf("got %v, %v", value, err)
			}
		})
	}
}

func TestAMappingIsItsJSON(t *testing.T) {
	t.Parallel()
	source := load(t, "billing:\n  tiers: {free: {price: 0, caps: {Db.Create: 5}}}\n")
	value, err := config.NewValue[string](source, config.Property{Host: "billing", Name: "Tiers", Rule: "json"})
	if err != nil || value.Get() != `{"free":{"caps":{"Db.Create":5},"price":0}}` {
		t.Errorf("got %s, %v", value.Get(), err)
	}
}

func TestAnEntryThatNobodyAskedForIsUnused(t *testing.T) {
	t.Parallel()
	source := load(t, "customers: {codeTries: 3, codeTrys: 4}")
	source.Lookup("customers", "CodeTries")
	if unused := source.Unused(); len(unused) != 1 || unused[0] != "customers.codetrys" {
		t.Errorf("got %v", unused)
	}
}

func TestAFileThatCannotBeReadIsASentence(t *testing.T) {
	t.Parallel()
	if _, err := config.Load(filepath.Join(t.TempDir(), "none.yaml"), nil); err == nil || !strings.HasSuffix(err.Error(), "no such file or directory") {
		t.Errorf("got %v", err)
	}
	path := filepath.Join(t.TempDir(), "list.yaml")
	if err := os.WriteFile(path, []byte("- a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(path, nil); err == nil || !strings.Contains(err.Error(), "it maps hosts to properties") {
		t.Errorf("got %v", err)
	}
}
