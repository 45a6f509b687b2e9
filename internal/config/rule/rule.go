// Package rule parses and applies the validation rules of configuration values: the text of the
// "validation" field of service.yaml, such as "int [0,60]" or "set Red|Green".
//
// It owns the grammar of rules and nothing else, and imports only the standard library: the
// generator uses it to check a file, internal/config uses it at run time.
package rule

import (
	"encoding/json"
	"fmt"
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kind is what sort of value a rule is about.
type Kind string

// The kinds of rules. Set, URL, Email and JSON are rules about texts.
const (
	Text     Kind = "str"
	Bool     Kind = "bool"
	Int      Kind = "int"
	Float    Kind = "float"
	Duration Kind = "dur"
	Set      Kind = "set"
	URL      Kind = "url"
	Email    Kind = "email"
	JSON     Kind = "json"
)

// Rule says which texts are good values. It never changes, so it may be shared.
type Rule struct {
	text  string
	kind  Kind
	check func(value string) error
}

// Parse reads a rule: a type word, case-insensitive, then for some types a specification after a
// blank. The empty text is the rule "str", which accepts everything. A rule that nothing can
// satisfy, such as "int (5,5)", is an error.
func Parse(text string) (*Rule, error) {
	text = strings.TrimSpace(text)
	word, spec, _ := strings.Cut(text, " ")
	kind, ok := kindOf(strings.ToLower(word))
	if !ok {
		return nil, fmt.Errorf("unknown rule type %q, want one of str, bool, int, float, dur, set, url, email, json", word)
	}
	check, err := checker(kind, spec)
	if err != nil {
		return nil, err
	}
	return &Rule{text: text, kind: kind, check: check}, nil
}

// Kind is what the rule is about.
func (r *Rule) Kind() Kind { return r.kind }

// String is the rule as it was written, without outer blanks.
func (r *Rule) String() string { return r.text }

// Check says what is wrong with value, nil when it satisfies the rule. The error never holds the
// value, which may be a secret.
func (r *Rule) Check(value string) error { return r.check(value) }

func kindOf(word string) (Kind, bool) {
	switch word {
	case "", "str", "string", "text":
		return Text, true
	case "bool", "boolean":
		return Bool, true
	case "int", "integer", "long":
		return Int, true
	case "float", "double", "decimal", "number":
		return Float, true
	case "dur", "duration":
		return Duration, true
	case "set", "url", "email", "json":
		return Kind(word), true
	}
	return "", false
}

func checker(kind Kind, spec string) (func(string) error, error) {
	switch kind {
	case Text:
		return textChecker(spec)
	case Int:
		return rangeChecker(spec, parseInt, discrete, "a whole number")
	case Duration:
		return rangeChecker(spec, parseDuration, discrete, "a duration such as 15m")
	case Float:
		return rangeChecker(spec, parseFloat, continuous, "a number")
	case Set:
		return setChecker(spec)
	}
	if spec != "" {
		return nil, fmt.Errorf("a rule of type %s takes nothing after its type", kind)
	}
	switch kind {
	case URL:
		return checkURL, nil
	case Email:
		return checkEmail, nil
	case JSON:
		return checkJSON, nil
	default:
		return checkBool, nil
	}
}

// textChecker finds the expression anywhere in the value: rules that mean the whole value say ^ and $.
func textChecker(expr string) (func(string) error, error) {
	if expr == "" {
		return func(string) error { return nil }, nil
	}
	re, err := regexp.Compile(expr)
	if err != nil {
		return nil, fmt.Errorf("bad regular expression: %w", err)
	}
	return func(value string) error {
		if !re.MatchString(value) {
			return fmt.Errorf("does not match %s", expr)
		}
		return nil
	}, nil
}

func setChecker(spec string) (func(string) error, error) {
	if spec == "" {
		return nil, fmt.Errorf("a set needs alternatives, such as set Red|Green")
	}
	alternatives := strings.Split(spec, "|")
	return func(value string) error {
		if !slices.Contains(alternatives, value) {
			return fmt.Errorf("is not one of %s", spec)
		}
		return nil
	}, nil
}

func checkBool(value string) error {
	if _, err := strconv.ParseBool(value); err != nil {
		return fmt.Errorf("is not true or false")
	}
	return nil
}

func checkURL(value string) error {
	if u, err := url.Parse(value); err != nil || u.Host == "" {
		return fmt.Errorf("is not a URL with a host")
	}
	return nil
}

func checkEmail(value string) error {
	address, err := mail.ParseAddress(value)
	if err != nil {
		return fmt.Errorf("is not an email address")
	}
	_, domain, _ := strings.Cut(address.Address, "@")
	if dot := strings.LastIndexByte(domain, '.'); dot < 0 || len(domain)-dot-1 < 2 {
		return fmt.Errorf("is not an email address with a full domain")
	}
	return nil
}

func checkJSON(value string) error {
	if !json.Valid([]byte(value)) {
		return fmt.Errorf("is not JSON")
	}
	return nil
}

func parseInt(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) }

func parseDuration(s string) (int64, error) {
	d, err := time.ParseDuration(s)
	return int64(d), err
}
