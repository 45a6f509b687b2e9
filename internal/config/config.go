// Package config gives services their configuration: typed values that always
// satisfy their validation rule and may change while the service runs. They come,
// later wins, from the default in service.yaml, the config file, the environment,
// and whatever sources app lays above these.
//
// The generated settings of services, hosting and app import it; it imports only its
// rule package.
package config

import (
	"context"
	"errors"
	"strings"
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

// Fetcher is a Source whose values are somewhere else. Its Lookup answers from what
// it has fetched.
type Fetcher interface {
	Source
	// Fetch brings what is known of a host up to date. After an error the source
	// answers as before.
	Fetch(ctx context.Context, host string) error
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

// Layers is one source of several, of which later ones win; nil ones are left out.
func Layers(sources ...Source) Source {
	var all layers
	for _, s := range sources {
		if s != nil {
			all = append(all, s)
		}
	}
	return all
}

type layers []Source

var _ Fetcher = layers(nil)

// Lookup asks the last source first.
func (l layers) Lookup(host, property string) (string, bool) {
	for i := len(l) - 1; i >= 0; i-- {
		if value, ok := l[i].Lookup(host, property); ok {
			return value, true
		}
	}
	return "", false
}

// Fetch brings every source up to date that can be.
func (l layers) Fetch(ctx context.Context, host string) error {
	var errs []error
	for _, s := range l {
		if f, ok := s.(Fetcher); ok {
			errs = append(errs, f.Fetch(ctx, host))
		}
	}
	return errors.Join(errs...)
}

// Covering lists the names under which values for a host may be set, from general to
// specific: "all", each domain suffix of the host from the shortest, the host itself.
// They are canonical.
func Covering(host string) []string {
	segments := strings.Split(Canonical(host), ".")
	names := []string{everyHost}
	for i := len(segments) - 1; i >= 0; i-- {
		names = append(names, strings.Join(segments[i:], "."))
	}
	return names
}

// everyHost is the name under which values for every service are set.
const everyHost = "all"

// Canonical makes the names of hosts and properties comparable: case, dashes,
// underscores and blanks do not matter.
func Canonical(name string) string {
	return strings.ToLower(strings.NewReplacer("-", "", "_", "", " ", "").Replace(name))
}
