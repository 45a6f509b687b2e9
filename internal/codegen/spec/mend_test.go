package spec_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"m3o/internal/codegen/spec"
)

// told is what Parse says about a text, without the file.
func told(text string) string {
	_, err := spec.Parse("f", []byte(text))
	return strings.ReplaceAll(errText(err), "f:", "")
}

func TestAMistakeSaysItsReasonAndTheMend(t *testing.T) {
	t.Parallel()
	long, wide := strings.Repeat("a", 64), strings.Repeat(strings.Repeat("a", 63)+".", 4)+"a"
	for text, want := range map[string]string{
		"general: {host: a}\nfunctions: [{signature: F(), timeout: 99999999h}]":                           `2:39: E-TIMEOUT: timeout is longer than a duration can be: "99999999h" (at most 2562047h, which is 292 years)`,
		"general: {host: a}\nfunctions: [{signature: F(), timeout: -99999999h}]":                          `2:39: E-TIMEOUT: timeout must be a duration above zero, not "-99999999h" (such as 15m or 1h30m)`,
		"general: {host: a}\nfunctions: [{signature: F()}]\npublish: {prices: {F: 99999999999999999999}}": `3:23: E-TYPE: the value of F is too large (at most 9223372036854775807)`,
		"general:\n\thost: a\n": `2:1: E-YAML: found character that cannot start any token (indent with blanks: YAML takes no tabs there)`,
		"general: {host: a}\nfunctions: [{signature: F(type int)}]":       `2:27: E-ARG-RESERVED: type may not be the name of an argument: it is a word of the Go language (give it another name, such as typeOf)`,
		"general: {host: a}\nfunctions: [{signature: F(testingT int)}]":   `2:27: E-ARG-RESERVED: testingT may not be the name of an argument: generated tests use it (give it another name)`,
		"general: {host: " + long + "}":                                   `1:17: E-HOST: the host "` + long[:40] + `…" is too long (at most 63 characters between two dots, and 253 in all)`,
		"general: {host: " + wide + "}":                                   `1:17: E-HOST: the host "` + long[:40] + `…" is too long (at most 63 characters between two dots, and 253 in all)`,
		"general: {host: a}\nwebs: []\nsinks: []\ntickers: []\n# a\xff b": `5:4: E-YAML: the byte 0xff is no UTF-8`,
		"general:\n  \x00host: a\n":                                       `2:3: E-YAML: the control character U+0000 may not be in YAML`,
	} {
		if diff := cmp.Diff(want, told(text)); diff != "" {
			t.Errorf("%q:\n%s", text, diff)
		}
	}
}
