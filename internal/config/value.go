package config

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"sync/atomic"
	"time"

	"m3o/internal/config/rule"
)

// Kind is what a property's value may be.
type Kind interface {
	string | bool | int | int64 | float64 | time.Duration
}

// Value is a property's value in force. It is safe for concurrent use.
type Value[T Kind] struct {
	property Property
	rule     *rule.Rule
	warning  error
	current  atomic.Pointer[T]
}

// NewValue reads a property from its source. A text that is not allowed gives way to
// the default and is what Warning tells. It is an error when there is no value to
// give way to: when the default breaks the rule, or the rule wants a value and none is
// set. Errors name the property and the rule, and never show a secret.
func NewValue[T Kind](source Source, property Property) (*Value[T], error) {
	r, err := rule.Parse(property.Rule)
	if err != nil {
		return nil, fmt.Errorf("config %s.%s: %w", property.Host, property.Name, err)
	}
	v := &Value[T]{property: property, rule: r}
	if property.Default != "" {
		if err := v.Check(property.Default); err != nil {
			return nil, fmt.Errorf("the default of %w", err)
		}
	}
	return v, v.begin(source)
}

// begin takes the first value into force.
func (v *Value[T]) begin(source Source) error {
	text, found := source.Lookup(v.property.Host, v.property.Name)
	if found {
		if v.warning = v.Set(text); v.warning == nil {
			return nil
		}
	}
	_, err := v.replace(v.property.Default)
	switch {
	case err == nil:
		return nil
	case found:
		return fmt.Errorf("%w; there is no default that satisfies the rule %q either", v.warning, v.property.Rule)
	}
	return fmt.Errorf("config %s.%s: no value is set and there is no default, but the rule %q wants one", v.property.Host, v.property.Name, v.property.Rule)
}

// Get is the value in force.
func (v *Value[T]) Get() T { return *v.current.Load() }

// Property is what service.yaml declares.
func (v *Value[T]) Property() Property { return v.property }

// Warning says which text NewValue did not allow, so that the default is in force;
// nil when there was none.
func (v *Value[T]) Warning() error { return v.warning }

// Check says what is wrong with a text as a value, nil when it is allowed.
func (v *Value[T]) Check(text string) error {
	_, err := v.read(text)
	return v.refused(text, err)
}

// Set replaces the value. An invalid text leaves the old one in force.
func (v *Value[T]) Set(text string) error {
	_, err := v.replace(text)
	return err
}

// Change is Set that calls back, and returns the error of that, when the value has
// become another one.
func (v *Value[T]) Change(ctx context.Context, text string, changed func(context.Context) error) error {
	different, err := v.replace(text)
	if err != nil || !different {
		return err
	}
	return changed(ctx)
}

// Refresh reads the property anew and says whether the value has become another one.
// Where no text is set, the default is in force again; a text that is not allowed is
// logged and leaves the old value in force.
func (v *Value[T]) Refresh(source Source, log *slog.Logger) (changed bool) {
	text, found := source.Lookup(v.property.Host, v.property.Name)
	if !found {
		text = v.property.Default
	}
	changed, err := v.replace(text)
	if err != nil {
		log.Warn("a configuration value is not allowed, the one in force stays",
			"host", v.property.Host, "property", v.property.Name, "error", err)
	}
	return changed
}

// replace takes a text into force and says whether the value has become another one.
// Of several calls at the same time each sees what it has replaced, so that no change
// is told twice.
func (v *Value[T]) replace(text string) (changed bool, err error) {
	value, err := v.read(text)
	if err != nil {
		return false, v.refused(text, err)
	}
	old := v.current.Swap(&value)
	return old == nil || *old != value, nil
}

// read makes a value of a text that the rule allows. Errors do not show the text.
func (v *Value[T]) read(text string) (value T, err error) {
	if err := v.rule.Check(text); err != nil {
		return value, err
	}
	return parse[T](text)
}

func (v *Value[T]) refused(text string, err error) error {
	if err == nil {
		return nil
	}
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
		*p, err = parseFloat(text)
	case *time.Duration:
		kind = "a duration such as 5m"
		*p, err = time.ParseDuration(text)
	}
	if err != nil {
		return value, errors.New("it must be " + kind)
	}
	return value, nil
}

// parseFloat refuses what is no number: it would not even equal itself.
func parseFloat(text string) (float64, error) {
	f, err := strconv.ParseFloat(text, 64)
	if err == nil && (math.IsNaN(f) || math.IsInf(f, 0)) {
		err = strconv.ErrRange
	}
	return f, err
}
