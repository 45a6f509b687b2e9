package config_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"m3o/internal/config"
)

// limit is a property with a default and a rule.
func limit() config.Property {
	return config.Property{Host: "thing", Name: "Limit", Default: "7", Rule: "int [1,9]"}
}

func silent() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestAnInvalidValueAtStartGivesWayToTheDefault(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"500", "many", "", "1.5"} {
		value, err := config.NewValue[int](config.Map{"thing.Limit": text}, limit())
		if err != nil || value.Get() != 7 {
			t.Fatalf("%q: got %v, %v", text, value, err)
		}
		if warning := value.Warning(); warning == nil || !strings.Contains(warning.Error(), "thing.Limit") {
			t.Errorf("%q: warned of %v", text, warning)
		}
	}
	value, err := config.NewValue[int](config.Map{"thing.Limit": "8"}, limit())
	if err != nil || value.Get() != 8 || value.Warning() != nil {
		t.Errorf("got %v, %v", value, err)
	}
}

func TestWithoutAnyValidValueThereIsNone(t *testing.T) {
	t.Parallel()
	bare, broken := limit(), limit()
	bare.Default, broken.Default = "", "10"
	for name, test := range map[string]struct {
		source   config.Source
		property config.Property
	}{
		"NothingSetAndNoDefault": {config.Unset{}, bare},
		"InvalidAndNoDefault":    {config.Map{"thing.Limit": "500"}, bare},
		"DefaultBreaksTheRule":   {config.Map{"thing.Limit": "8"}, broken},
		"RuleIsNone":             {config.Unset{}, config.Property{Host: "thing", Name: "Limit", Rule: "int [1,9"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := config.NewValue[int](test.source, test.property)
			if err == nil || !strings.Contains(err.Error(), "thing.Limit") || !strings.Contains(err.Error(), "[1,9") && name != "RuleIsNone" {
				t.Errorf("got %v", err)
			}
		})
	}
	if value, err := config.NewValue[int](config.Map{"thing.Limit": "8"}, bare); err != nil || value.Get() != 8 {
		t.Errorf("with a value, got %v", err)
	}
}

func TestSetRefusesWhatTheRuleDoes(t *testing.T) {
	t.Parallel()
	value, err := config.NewValue[time.Duration](config.Unset{}, config.Property{Host: "customers", Name: "CodeLifetime", Default: "5m", Rule: "dur (0s,24h]"})
	if err != nil {
		t.Fatal(err)
	}
	if err := value.Set("never"); err == nil || value.Get() != 5*time.Minute {
		t.Errorf("%v, %v", value.Get(), err)
	}
	if err := value.Set("1h"); err != nil || value.Get() != time.Hour {
		t.Errorf("%v, %v", value.Get(), err)
	}
}

func TestChangeCallsBackWhenTheValueIsAnother(t *testing.T) {
	t.Parallel()
	value, err := config.NewValue[int](config.Unset{}, limit())
	if err != nil {
		t.Fatal(err)
	}
	var seen []int
	changed := func(context.Context) error { seen = append(seen, value.Get()); return nil }
	for _, text := range []string{"99", "7", "6", "06"} {
		if err := value.Change(t.Context(), text, changed); (err != nil) != (text == "99") {
			t.Errorf("%s: %v", text, err)
		}
	}
	if len(seen) != 1 || seen[0] != 6 {
		t.Errorf("called with %v", seen)
	}
}

func TestWhatIsNoNumberIsNoFloat(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"NaN", "Inf", "-inf", "1,5"} {
		value, err := config.NewValue[float64](config.Map{"thing.Share": text}, config.Property{Host: "thing", Name: "Share", Default: "0.5"})
		if err != nil || value.Warning() == nil || value.Get() != 0.5 {
			t.Errorf("%s: got %v, %v", text, value, err)
		}
	}
}

func TestASecretIsNotShown(t *testing.T) {
	t.Parallel()
	const secret = "hunter2"
	property := config.Property{Host: "emails", Name: "Password", Default: "1", Secret: true}
	value, err := config.NewValue[int](config.Map{"emails.Password": secret}, property)
	if err != nil || value.Warning() == nil || strings.Contains(value.Warning().Error(), secret) {
		t.Errorf("warned of %v, %v", value.Warning(), err)
	}
	var logged bytes.Buffer
	if value.Refresh(config.Map{"emails.Password": secret}, slog.New(slog.NewTextHandler(&logged, nil))) {
		t.Error("the value has changed")
	}
	if !strings.Contains(logged.String(), "property=Password") || strings.Contains(logged.String(), secret) {
		t.Errorf("logged %s", &logged)
	}
	property.Default = ""
	property.Rule = "int [1,9]"
	if _, err := config.NewValue[int](config.Map{"emails.Password": secret}, property); err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("got %v", err)
	}
}
