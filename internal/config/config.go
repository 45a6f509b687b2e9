// Package config gives services their configuration: typed values that come,
// later wins, from the default in service.yaml, the config file, and the
// environment, and that always satisfy their validation rule.
//
// The generated settings of services and app import it; it imports only its rule
// package.
package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"m3o/internal/config/rule"
)

// Property is a configuration property as service.yaml declares it.
type Property struct {
	Host    string // of the service
	Name    string // as in the signature, e.g. "SignUpCredit"
	Default string
	Rule    string // the validation rule, empty: none
	Secret  bool   // never shown
}

// Source knows the values that somebody has set.
type Source interface {
	// Lookup is the text set for a property, false when nobody has set it.
	Lookup(host, property string) (string, bool)
}

// Unset is the source in which nothing is set, so that defaults rule.
type Unset struct{}

// Lookup never finds anything.
func (Unset) Lookup(string, string) (string, bool) { return "", false }

// Map is a source for tests: "host.Property" → value.
type Map map[string]string

// Lookup finds the exact name.
func (m Map) Lookup(host, property string) (string, bool) {
	value, ok := m[host+"."+property]
	return value, ok
}

// Kind is what a property's value may be.
type Kind interface {
	string | bool | int | int64 | float64 | time.Duration
}

// Value is a property's value in force. It is safe for concurrent use.
type Value[T Kind] struct {
	property Property
	rule     *rule.Rule
	current  atomic.Pointer[T]
}

// NewValue reads a property from its source. A text that breaks the rule or does
// not parse is an error that names the property and the mend.
func NewValue[T Kind](source Source, property Property) (*Value[T], error) {
	r, err := rule.Parse(property.Rule)
	if err != nil {
		return nil, fmt.Errorf("config %s.%s: %w", property.Host, property.Name, err)
	}
	v := &Value[T]{property: property, rule: r}
	text, ok := source.Lookup(property.Host, property.Name)
	if !ok {
		text = property.Default
	}
	return v, v.Set(text)
}

// Get is the value in force.
func (v *Value[T]) Get() T { return *v.current.Load() }

// Set replaces the value. An invalid text leaves the old one in force.
func (v *Value[T]) Set(text string) error {
	if err := v.rule.Check(text); err != nil {
		return v.refused(text, err)
	}
	parsed, err := parse[T](text)
	if err != nil {
		return v.refused(text, err)
	}
	v.current.Store(&parsed)
	return nil
}

func (v *Value[T]) refused(text string, err error) error {
	if v.property.Secret {
		text = "****"
	}
	return fmt.Errorf("config %s.%s: %q is not allowed: %w", v.property.Host, v.property.Name, text, err)
}

// parse reads a text as T; the empty text is T's zero value. Errors do not show
// the text: it may be a secret.
func parse[T Kind](text string) (value T, err error) {
	if text == "" {
		return value, nil
	}
	kind := ""
	switch p := any(&value).(type) {
	case *string:
		*p = text
	case *bool:
		kind = "true or false"
		*p, err = strconv.ParseBool(text)
	case *int:
		kind = "a whole number"
		*p, err = strconv.Atoi(text)
	case *int64:
		kind = "a whole number"
		*p, err = strconv.ParseInt(text, 10, 64)
	case *float64:
		kind = "a number"
		*p, err = strconv.ParseFloat(text, 64)
	case *time.Duration:
		kind = "a duration such as 5m"
		*p, err = time.ParseDuration(text)
	}
	if err != nil {
		return value, errors.New("it must be " + kind)
	}
	return value, nil
}

// canonical makes names comparable: case, dashes, dots and underscores do not matter.
func canonical(name string) string {
	return strings.ToLower(strings.NewReplacer("-", "", "_", "", ".", "", " ", "").Replace(name))
}
