package configurator

import (
	"slices"

	"m3o/internal/config"
	"m3o/internal/fault"
)

// Check is a Deps.Check that knows the services' configurations. A value must be allowed
// by every service that has the property under the name host.
func Check(sets ...*config.Set) func(host, property, value string) error {
	return func(host, property, value string) error {
		covered := slices.DeleteFunc(slices.Clone(sets), func(s *config.Set) bool {
			return !slices.Contains(config.Covering(s.Host()), config.Canonical(host))
		})
		if len(covered) == 0 {
			return fault.BadField("host", "%q is no service that is configured, no domain of such, and not all", host)
		}
		known := false
		for _, s := range covered {
			p, found := s.Find(property)
			if !found {
				continue
			}
			known = true
			if err := checkValue(s, p, value); err != nil {
				return err
			}
		}
		if !known {
			return fault.BadField("property", "%q is no property of %s: is it misspelt?", property, host)
		}
		return nil
	}
}

func checkValue(s *config.Set, p config.Property, value string) error {
	if p.Secret {
		return fault.BadField("property", "%s.%s is a secret: set it in the config file or the environment", p.Host, p.Name)
	}
	if err := s.Check(p.Name, value); err != nil {
		return fault.BadField("value", "%s", err)
	}
	return nil
}
