package rule_test

import (
	"strings"
	"testing"

	"m3o/internal/config/rule"
)

func TestRules(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ rule, good, bad string }{ // values separated by blanks; _ is the empty value
		{"", "_ anything", ""},
		{"str [a-z]+", "abc 12a34", "_ 123 ABC"},
		{"TEXT ^[a-z]+$", "abc", "12a34"},
		{"bool", "1 t TRUE true f False", "yes on _ tRuE"},
		{"int", "7 -7 +7 007", "0x7 7_0 7.0 _ 9223372036854775808"},
		{"int [0,60]", "0 60", "-1 61"},
		{"int (0,60)", "1 59", "0 60"},
		{"Integer [0,)", "0 99", "-1"},
		{"long (,5]", "-9223372036854775808 5", "6"},
		{"float [0.0,1.0)", "0 0.99", "1 -0.1 NaN Inf"},
		{"number", "1e3", "NaN +Inf 1e999 _"},
		{"decimal (0,1e3]", "1e3", "0 1000.1"},
		{"dur (0s,24h]", "24h 1ns", "0 5 1d 24h1ns"},
		{"duration", "0 -1s", "5 _"},
		{"set Red|Green|", "Red _", "red Blue"},
		{"url", "http://a.b //example.com", "example.com mailto:a@b.c _"},
		{"email", "joe@example.com Joe<joe@example.com>", "joe joe@example joe@a.b _"},
		{"json", "{} [1,2] null", "{ _"},
		{"  int [1,2]  ", "1", "0"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel()
			r, err := rule.Parse(c.rule)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range strings.Fields(c.good) {
				if err := r.Check(strings.TrimPrefix(v, "_")); err != nil {
					t.Errorf("refused %q: %v", v, err)
				}
			}
			for _, v := range strings.Fields(c.bad) {
				if r.Check(strings.TrimPrefix(v, "_")) == nil {
					t.Errorf("accepted %q", v)
				}
			}
		})
	}
}

func TestBadRulesAreRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"uuid", "str [", "set", "bool x", "url x", "email x", "json x", "int 0,60", "int [0,60", "int [0, 60]", "int [0]",
		"int [0,60.5]", "int (5,5)", "int (5,6)", "int [6,5]", "int (9223372036854775807,]", "int [,-9223372036854775808)",
		"float (1,1]", "float [2,1]", "float [NaN,]", "dur (0s,7d]", "dur [0,1]x",
	} {
		if _, err := rule.Parse(text); err == nil {
			t.Errorf("accepted %q", text)
		}
	}
}

func TestErrorsDoNotShowTheValue(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"bool", "int [0,1]", "float", "dur", "str ^a$", "set a|b", "url", "email", "json"} {
		r, err := rule.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Check("hunter2"); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
