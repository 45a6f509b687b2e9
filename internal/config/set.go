package config

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
)

// Set is the configuration of one service. It is made in one go, by NewSet and an Add
// for each property, and from then on safe for concurrent use.
type Set struct {
	host   string
	source Source
	values []value
	errs   []error

	refreshing sync.Mutex // so that an older answer of the source never follows a newer one
}

// value is a Value of any kind.
type value interface {
	Property() Property
	Warning() error
	Check(text string) error
	Refresh(source Source, log *slog.Logger) (changed bool)
}

// Callbacks are what to call when a property's value has become another one, by the
// property's name.
type Callbacks map[string]func(context.Context) error

// NewSet begins the configuration of the service host, which is read from source; a
// nil source means defaults.
func NewSet(host string, source Source) *Set {
	if source == nil {
		source = Unset{}
	}
	return &Set{host: host, source: source}
}

// Add reads a property, whose Host is the set's. Its mistakes are what Err and
// Warnings tell; without an Err the value is never nil.
func Add[T Kind](s *Set, property Property) *Value[T] {
	property.Host = s.host
	v, err := NewValue[T](s.source, property)
	if err != nil {
		s.errs = append(s.errs, err)
		return nil
	}
	s.values = append(s.values, v)
	return v
}

// Host is the service's.
func (s *Set) Host() string { return s.host }

// Err is why the service cannot start, every reason, nil when it can.
func (s *Set) Err() error { return errors.Join(s.errs...) }

// Warnings are the texts that were not allowed when the set was made, so that
// defaults are in force instead.
func (s *Set) Warnings() (all []error) {
	for _, v := range s.values {
		if err := v.Warning(); err != nil {
			all = append(all, err)
		}
	}
	return all
}

// Properties are the declared ones, in the order of service.yaml.
func (s *Set) Properties() (all []Property) {
	for _, v := range s.values {
		all = append(all, v.Property())
	}
	return all
}

// Find is the property of that name; case, dashes and underscores do not matter.
func (s *Set) Find(name string) (Property, bool) {
	v, ok := s.find(name)
	if !ok {
		return Property{}, false
	}
	return v.Property(), true
}

// Check says what is wrong with a text as the value of a property, nil when it is
// allowed. A property that there is not is an error, too.
func (s *Set) Check(name, text string) error {
	v, ok := s.find(name)
	if !ok {
		return fmt.Errorf("config %s.%s: there is no such property", s.host, name)
	}
	return v.Check(text)
}

func (s *Set) find(name string) (value, bool) {
	for _, v := range s.values {
		if Canonical(v.Property().Name) == Canonical(name) {
			return v, true
		}
	}
	return nil, false
}

// Refresh reads every value anew and then calls back, once, for each that has become
// another one. What is not allowed is logged and leaves the old value in force, and so
// does a source that cannot be fetched from. The error joins those of the callbacks.
func (s *Set) Refresh(ctx context.Context, source Source, log *slog.Logger, callbacks Callbacks) error {
	var errs []error
	for _, name := range s.reread(ctx, source, log) {
		if changed := callbacks[name]; changed != nil {
			if err := changed(ctx); err != nil {
				errs = append(errs, fmt.Errorf("config %s.%s has changed: %w", s.host, name, err))
			}
		}
	}
	return errors.Join(errs...)
}

// reread names the properties whose values have changed.
func (s *Set) reread(ctx context.Context, source Source, log *slog.Logger) (changed []string) {
	s.refreshing.Lock()
	defer s.refreshing.Unlock()
	if f, ok := source.(Fetcher); ok {
		if err := f.Fetch(ctx, s.host); err != nil {
			log.WarnContext(ctx, "configuration values could not be fetched, the known ones are used", "host", s.host, "error", err)
		}
	}
	for _, v := range s.values {
		if v.Refresh(source, log) {
			changed = append(changed, v.Property().Name)
		}
	}
	return changed
}
