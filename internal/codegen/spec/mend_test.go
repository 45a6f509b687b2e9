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

func TestExamplesAreCallsOfTheirFunctions(t *testing.T) {
	t.Parallel()
	const before = "general: {host: a, wire: m3o}\nfunctions:\n  - signature: Add(x int, orderIDs []string, at Time, big int64, d *Duration, m map[string]float64, t Thing, b []byte, ok bool)\n" +
		"  - {signature: Put(httpRequestBody Thing)}\n  - {signature: Get()}\n  - {signature: \"Has(x int, y int)\"}\npublish:\n  examples:\n    "
	for text, want := range map[string]string{
		"Add: [{request: {x: 1, order_ids: [a], at: 2026-01-01T00:00:00Z, big: \"9\", d: 5, m: {a: 1.5, b: 2}, t: {u: v}, b: aGk=, ok: true}}]": "",
		"Add: [{title: one}, {request: {}}, {request: {x: 1.0}, response: [1]}]":                                                                "",
		"Put: [{request: {a: 1}}]":                      "",
		"Add: {request: {}}":                            "9:10: E-PUBLISH: the examples of Add must be a list, not a mapping (begin each example with a dash)",
		"Add: [7]":                                      "9:11: E-PUBLISH: an example must be a mapping, not a number (such as title: …, request: {…})",
		"Add: [{title: 7}]":                             "9:19: E-PUBLISH: title must be a text, not 7",
		"Put: [{request: [1]}]":                         "9:21: E-PUBLISH: the request of an example must be a mapping, not a list (an argument and its value each, as in Put(httpRequestBody Thing))",
		"Add: [{request: {x: one, orderIDs: 3}}]":       "9:25: E-PUBLISH: x must be a whole number, not a text\n9:30: E-PUBLISH: Add has no argument orderIDs (did you mean order_ids?)",
		"Get: [{request: {zz: 3}}]":                     "9:22: E-PUBLISH: Get has no argument zz (it has none)",
		"Has: [{request: {zz: 3}}]":                     "9:22: E-PUBLISH: Has has no argument zz (it has x, y)",
		"Add: [{request: {order_ids: [a, 2]}}]":         "9:37: E-PUBLISH: order_ids must be a text, not 2",
		"Add: [{request: {order_ids: a}}]":              "9:33: E-PUBLISH: order_ids must be a list, not a text",
		"Add: [{request: {x: ~, ok: 1, m: {a: \"\"}}}]": "9:25: E-PUBLISH: x must be a whole number, not empty\n9:32: E-PUBLISH: ok must be true or false, not 1\n9:43: E-PUBLISH: m must be a number, not a text",
		"Add: [{request: {at: now, x: 1.5, b: [1]}}]":   "9:26: E-PUBLISH: at must be a time such as 2006-01-02T15:04:05Z, not a text\n9:34: E-PUBLISH: x must be a whole number, not 1.5\n9:42: E-PUBLISH: b must be a text in base64, not a list",
		"ad: []":                     "9:5: E-PUBLISH: examples: there is no function ad (did you mean Add?)",
		"add: [{request: {x: one}}]": "9:25: E-PUBLISH: x must be a whole number, not a text",
		"Put: []\n  prices:\n    put: 1\n    ad: 2":       "12:5: E-PUBLISH: prices: there is no function ad (did you mean Add?)",
		"Put: []\n  prices:\n    Put: 1\n    put: 2":      "12:5: E-PUBLISH: prices: Put is there twice (upper and lower case do not matter: keep one)",
		"Put: []\n  quotas:\n    Put: 1\n    Subtract: 2": "12:5: E-PUBLISH: quotas: there is no function Subtract (one of Add, Put, Get, Has)",
	} {
		if diff := cmp.Diff(want, told(before+text)); diff != "" {
			t.Errorf("%s:\n%s", text, diff)
		}
	}
}

func TestPathsThatAreOnePlaceFromOutsideAreRefused(t *testing.T) {
	t.Parallel()
	const one = "E-ROUTE-DUP: A listens at GET a:443/foo-bar, and B at "
	for text, want := range map[string]string{
		"{signature: A(), access: public, method: GET, path: /foo-bar}, {signature: B(), access: public, path: /foobar}":              one,
		"{signature: A(), access: public, method: GET, path: /foo-bar}, {signature: B(), method: GET, path: /FooBar}":                 one,
		"{signature: A(), access: public, method: GET, path: /foo-bar}, {signature: B(), method: GET, path: \":0/foo%2Dbar\"}":        one,
		"{signature: A(), access: public, method: GET, path: /foo-bar}, {signature: B(), access: public, method: PUT, path: /foobar}": "",
		"{signature: A(), access: public, method: GET, path: /foo-bar}, {signature: B(), access: public, path: \":90/foobar\"}":       "",
		"{signature: A(), access: public, method: GET, path: /foo-bar}, {signature: B(), access: public, path: /foo-bar}":             "", // GET goes to A
		"{signature: A(), path: /foo-bar}, {signature: B(), path: /foobar}":                                                           "",
		"{signature: A(x int), access: public, path: \"/foo-bar/{x}\"}, {signature: B(y int), path: \"/foobar/{y}\"}":                 "E-ROUTE-DUP: A listens at ANY a:443/foo-bar/{x}",
	} {
		if got := told("general: {host: a}\nfunctions: [" + text + "]"); !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%s: got %q", text, got)
		}
	}
}
